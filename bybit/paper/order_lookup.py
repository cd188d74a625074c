"""Which orders and executions a call means: by id, or by symbol and coin."""

from collections.abc import Callable

from ..vocab import Category
from .calls import Call
from .model import Execution, Order, OrderId
from .refusals import bad_parameter


def order_by_id(call: Call, category: Category) -> Order | None:
    """By orderId, which wins, or by orderLinkId."""
    books, uid = call.books, call.account.uid
    if order_id := call.text("orderId"):
        order = books.orders.get(OrderId(order_id))
        ours = order is not None and order.uid == uid and order.category is category
        return order if ours else None
    if link_id := call.text("orderLinkId"):
        return books.linked(uid, category, link_id)
    raise bad_parameter("orderId or orderLinkId is required")


def has_id(call: Call) -> bool:
    return bool(call.text("orderId") or call.text("orderLinkId"))


def selected(call: Call) -> Callable[[Order | Execution], bool]:
    """Precedence symbol > baseCoin > settleCoin (Bybit V5: order/realtime)."""
    listing = call.venue.market.listing
    if symbol := call.text("symbol"):
        return lambda row: row.symbol == symbol
    if base := call.text("baseCoin"):
        return lambda row: listing.get(row.category, row.symbol).base == base
    if coin := call.text("settleCoin"):
        return lambda row: listing.get(row.category, row.symbol).settle == coin
    return lambda _: True
