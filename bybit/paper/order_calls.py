"""REST paths that place and cancel orders."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from ..vocab import Category, Path
from .amendment import Amendment
from .calls import Call, Endpoint, Reply
from .instruments import Instrument
from .model import Order
from .order_lookup import order_by_id, selected
from .refusals import missing_filter, order_not_found
from .rights import check_trade
from .rules import read_number, read_order


def create(call: Call) -> Reply:
    """Only an ack: the order is matched later."""
    order = place(call, call.params)
    return Reply({"orderId": order.order_id, "orderLinkId": order.link_id})


def place(call: Call, body: Mapping[str, Any]) -> Order:
    venue = call.venue
    request = read_order(body, venue.market.listing)
    check_trade(call.account, request.instrument, "ContractTrade.Order")
    order = venue.engine.place(call.account.uid, request, venue.now_ms())
    venue.commit()
    return order


def cancel(call: Call) -> Reply:
    order = withdraw(call)
    return Reply({"orderId": order.order_id, "orderLinkId": order.link_id})


def amend(call: Call) -> Reply:
    """Only an ack, like that of a new order."""
    venue = call.venue
    instrument = call.instrument()
    order = _named(call, instrument)
    changes = Amendment(qty=_changed(call, "qty"), price=_changed(call, "price"))
    venue.engine.amend(order, changes, venue.now_ms())
    venue.commit()
    return Reply({"orderId": order.order_id, "orderLinkId": order.link_id})


def _changed(call: Call, name: str) -> Decimal | None:
    if call.params.get(name) in (None, "", "0"):
        return None
    return read_number(call.params, name)


def _named(call: Call, instrument: Instrument) -> Order:
    """The order that the parameters name; the key must have the right to touch it."""
    check_trade(call.account, instrument, "ContractTrade.Order")
    order = order_by_id(call, instrument.category)
    if order is None or order.symbol != instrument.symbol:
        raise order_not_found(spot=instrument.is_spot)
    return order


def withdraw(call: Call) -> Order:
    """Cancels the order that the parameters name."""
    venue = call.venue
    order = _named(call, call.instrument())
    closed = venue.engine.cancel(order, venue.now_ms())
    venue.commit()
    return closed


def cancel_all(call: Call) -> Reply:
    """Every open order of a symbol or coin."""
    category = call.category()
    venue = call.venue
    named = any(call.text(name) for name in ("symbol", "baseCoin", "settleCoin"))
    if category in (Category.LINEAR, Category.INVERSE) and not named:
        raise missing_filter()
    if call.text("symbol"):
        check_trade(call.account, call.instrument(), "ContractTrade.Order")
    keep = selected(call)
    gone = venue.engine.cancel_all(
        call.account.uid,
        lambda order: order.category is category and keep(order),
        venue.now_ms(),
    )
    venue.commit()
    rows = [{"orderId": order.order_id, "orderLinkId": order.link_id} for order in gone]
    return Reply({"list": rows, "success": "1"})


ENDPOINTS: Mapping[tuple[str, str], Endpoint] = {
    ("POST", Path.ORDER_CREATE): Endpoint(create, trades=True),
    ("POST", Path.ORDER_AMEND): Endpoint(amend, trades=True),
    ("POST", Path.ORDER_CANCEL): Endpoint(cancel, trades=True),
    ("POST", Path.ORDER_CANCEL_ALL): Endpoint(cancel_all, trades=True),
}
