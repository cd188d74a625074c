"""REST paths that place and cancel orders."""

from collections.abc import Mapping
from typing import Any

from ..vocab import Path
from .calls import Call, Endpoint, Reply
from .model import Order
from .order_lookup import order_by_id
from .refusals import order_not_found
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
    venue = call.venue
    instrument = call.instrument()
    order = order_by_id(call, instrument.category)
    check_trade(call.account, instrument, "ContractTrade.Order")
    if order is None or order.symbol != instrument.symbol:
        raise order_not_found()
    venue.engine.cancel(order, venue.now_ms())
    venue.commit()
    return Reply({"orderId": order.order_id, "orderLinkId": order.link_id})


ENDPOINTS: Mapping[tuple[str, str], Endpoint] = {
    ("POST", Path.ORDER_CREATE): Endpoint(create, trades=True),
    ("POST", Path.ORDER_CANCEL): Endpoint(cancel, trades=True),
}
