"""REST paths that place and cancel orders."""

from collections.abc import Mapping
from typing import Any

from ..vocab import Category, Path
from .calls import Call, Endpoint, Reply
from .encode import Row
from .model import Order
from .order_lookup import order_by_id, selected, unknown_order
from .refusals import missing_filter
from .rights import check_trade
from .rules import read_order


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


def withdraw(call: Call) -> Order:
    """Cancels the order that the parameters name."""
    venue = call.venue
    instrument = call.instrument()
    order = order_by_id(call, instrument.category)
    check_trade(call.account, instrument, "ContractTrade.Order")
    if order is None or order.symbol != instrument.symbol:
        raise unknown_order(instrument.category)
    closed = venue.engine.cancel(order, venue.now_ms())
    venue.commit()
    return closed


def cancel_all(call: Call) -> Reply:
    """Every open order of a symbol or coin; what is already on its way stays out of it."""
    category = call.category()
    venue = call.venue
    named = any(call.text(name) for name in ("symbol", "baseCoin", "settleCoin"))
    if category in (Category.LINEAR, Category.INVERSE) and not named:
        raise missing_filter()
    if call.text("symbol"):
        check_trade(call.account, call.instrument(), "ContractTrade.Order")
    keep = selected(call)
    gone: list[Row] = []
    for order in venue.books.open_of(call.account.uid):
        if order.category is category and order.matched and keep(order):
            venue.engine.cancel(order, venue.now_ms())
            gone.append({"orderId": order.order_id, "orderLinkId": order.link_id})
    venue.commit()
    return Reply({"list": gone, "success": "1"})


ENDPOINTS: Mapping[tuple[str, str], Endpoint] = {
    ("POST", Path.ORDER_CREATE): Endpoint(create, trades=True),
    ("POST", Path.ORDER_CANCEL): Endpoint(cancel, trades=True),
    ("POST", Path.ORDER_CANCEL_ALL): Endpoint(cancel_all, trades=True),
}
