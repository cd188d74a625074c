"""Changes of an open limit order, judged like a new one."""

from dataclasses import dataclass, replace
from decimal import Decimal

from ..vocab import OrderType, TimeInForce
from .admission import Admission
from .model import ZERO, Order
from .prices import Market
from .quotes import Quote
from .refusals import nothing_to_amend, order_not_found, qty_too_small
from .rules import OrderRequest, check_band, check_size


@dataclass(frozen=True, slots=True)
class Amendment:
    """What changes; None stays as it is. `qty` is the whole order's, filled part included."""

    qty: Decimal | None = None
    price: Decimal | None = None


def amended(
    order: Order, changes: Amendment, admission: Admission, market: Market, now_ms: int
) -> Order:
    """The order as changed; raises Refused."""
    if order.order_type is not OrderType.LIMIT:
        raise order_not_found()
    qty = order.qty if changes.qty is None else changes.qty
    price = order.price if changes.price is None else changes.price
    if (qty, price) == (order.qty, order.price):
        raise nothing_to_amend()
    quote = market.quote(order.category, order.symbol)
    request = _as_request(order, quote, qty, price)
    check_size(request)
    if qty <= order.cum_qty:
        raise qty_too_small()
    if price != order.price:
        check_band(request, quote.mark)
    admission.check_growth(order, quote, qty, price)
    return replace(order, qty=qty, price=price, updated_ms=now_ms)


def _as_request(order: Order, quote: Quote, qty: Decimal, price: Decimal) -> OrderRequest:
    return OrderRequest(
        instrument=quote.instrument,
        side=order.side,
        order_type=order.order_type,
        tif=TimeInForce(order.tif),
        qty=max(qty, ZERO),
        price=price,
        idx=order.idx,
        reduce_only=order.reduce_only,
        close_on_trigger=False,
        link_id=order.link_id,
    )
