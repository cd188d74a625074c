"""An order request read from its JSON body, refused where Bybit refuses it.

Only what the body and the instrument tell; what depends on positions is the engine's.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any, TypeVar

from ..vocab import (
    ORDER_LINK_ID_PATTERN,
    Category,
    OrderType,
    Side,
    SlippageToleranceType,
    TimeInForce,
)
from .instruments import Instrument
from .listing import Listing
from .model import ZERO
from .refusals import (
    Refused,
    bad_parameter,
    price_out_of_band,
    qty_invalid,
    qty_too_large,
    qty_too_small,
)

E = TypeVar("E", bound=StrEnum)

LINK_ID = re.compile(ORDER_LINK_ID_PATTERN)
NUMBER = re.compile(r"\d{1,20}(\.\d{1,20})?")
NOT_HERE = ("takeProfit", "stopLoss", "triggerPrice", "tpslMode")


@dataclass(frozen=True, slots=True)
class Slippage:
    """Cap of a market order, counted from the best price of the other side."""

    kind: SlippageToleranceType
    text: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """A well-formed request; `price` is None for a market order, `qty` 0 closes everything."""

    instrument: Instrument
    side: Side
    order_type: OrderType
    tif: TimeInForce
    qty: Decimal
    price: Decimal | None
    idx: int
    reduce_only: bool
    close_on_trigger: bool
    link_id: str
    slippage: Slippage | None = None
    create_type: str = "CreateByUser"


def read_order(body: Mapping[str, Any], listing: Listing) -> OrderRequest:
    """Raises Refused with the venue's code for the first fault found."""
    category = read_enum(Category, body.get("category"), "Category")
    instrument = listing.get(category, read_text(body, "symbol"))
    order_type = read_enum(OrderType, body.get("orderType"), "OrderType")
    if order_type is OrderType.UNKNOWN:
        raise bad_parameter("OrderType invalid")
    _refuse_unsupported(body)
    market = order_type is OrderType.MARKET
    request = OrderRequest(
        instrument=instrument,
        side=read_enum(Side, body.get("side"), "Side"),
        order_type=order_type,
        tif=TimeInForce.IOC if market else _tif(body),
        qty=read_number(body, "qty"),
        price=None if market else read_number(body, "price"),
        idx=_idx(body),
        reduce_only=_flag(body, "reduceOnly"),
        close_on_trigger=_flag(body, "closeOnTrigger"),
        link_id=_link_id(body),
        slippage=_slippage(body) if market else None,
    )
    check_size(request)
    return request


def check_size(request: OrderRequest) -> None:
    """Quantity and price on their steps and inside their limits."""
    i, qty = request.instrument, request.qty
    if qty == 0:
        if not (request.reduce_only and request.close_on_trigger):
            raise qty_invalid()
        return
    if not i.is_on_step(qty):
        raise qty_invalid()
    if qty < i.min_qty:
        raise qty_too_small()
    limit = i.max_market_qty if request.price is None else i.max_order_qty
    if qty > limit:
        raise qty_too_large(qty, limit)
    if request.price is not None and (request.price <= 0 or not i.is_on_tick(request.price)):
        raise Refused(10001, "Price invalid")


def check_band(request: OrderRequest, mark: Decimal) -> None:
    """A limit order may not pay more, or take less, than mark·(1±Y)."""
    if request.price is None:
        return
    y = request.instrument.band_y
    if request.side is Side.BUY and request.price > mark * (1 + y):
        raise price_out_of_band(request.side)
    if request.side is Side.SELL and request.price < mark * (1 - y):
        raise price_out_of_band(request.side)


def read_enum(kind: type[E], value: object, name: str) -> E:
    try:
        return kind(value)  # type: ignore[arg-type]  # a value of another type is refused below
    except ValueError:
        raise bad_parameter(f"{name} invalid") from None


def read_text(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise bad_parameter(f"{name} invalid")
    return value


def read_number(body: Mapping[str, Any], name: str) -> Decimal:
    """Numbers come as JSON strings; a JSON number is refused, as at the venue."""
    value = body.get(name)
    if not isinstance(value, str) or not NUMBER.fullmatch(value):
        raise bad_parameter(f"{name} invalid")
    try:
        return Decimal(value)
    except InvalidOperation:
        raise bad_parameter(f"{name} invalid") from None


def _refuse_unsupported(body: Mapping[str, Any]) -> None:
    for name in NOT_HERE:
        if body.get(name) not in (None, "", "0"):
            raise bad_parameter(f"{name} is not supported by the paper exchange")


def _tif(body: Mapping[str, Any]) -> TimeInForce:
    return read_enum(TimeInForce, body.get("timeInForce") or "GTC", "timeInForce")


def _idx(body: Mapping[str, Any]) -> int:
    idx = body.get("positionIdx", 0)
    if idx not in (0, 1, 2, "0", "1", "2") or isinstance(idx, bool):
        raise bad_parameter("positionIdx invalid")
    return int(idx)


def _flag(body: Mapping[str, Any], name: str) -> bool:
    value = body.get(name, False)
    if value in (None, ""):
        return False
    if not isinstance(value, bool):
        raise bad_parameter(f"{name} invalid")
    return value


def _link_id(body: Mapping[str, Any]) -> str:
    link_id = body.get("orderLinkId") or ""
    if link_id and not (isinstance(link_id, str) and LINK_ID.fullmatch(link_id)):
        if isinstance(link_id, str) and len(link_id) > 36:
            raise bad_parameter("order link id is longer than 36 characters")
        raise bad_parameter("orderLinkId invalid")
    return link_id


def _slippage(body: Mapping[str, Any]) -> Slippage | None:
    kind, text = body.get("slippageToleranceType"), body.get("slippageTolerance")
    if kind in (None, "", "UNKNOWN"):
        return None
    kind = read_enum(SlippageToleranceType, kind, "slippageToleranceType")
    if not isinstance(text, str) or not NUMBER.fullmatch(text):
        raise bad_parameter("slippageTolerance invalid")
    amount = Decimal(text)
    if kind is SlippageToleranceType.TICK_SIZE:
        if amount % 1 != 0 or not 1 <= amount <= 10_000:
            raise Refused(110108, "slippageTolerance TickSize is out of range [1, 10000]")
    elif not Decimal("0.01") <= amount <= 10 or amount.quantize(Decimal("0.01")) != amount:
        raise Refused(110109, "slippageTolerance Percent is out of range [0.01, 10]")
    return Slippage(kind, text, amount)


def slippage_cap(slippage: Slippage, side: Side, best: Decimal, tick: Decimal) -> Decimal:
    """Buy: ask1 + n·tick or ask1·(1+n/100), sell the mirror on bid1 (Bybit V5: order/create)."""
    sign = 1 if side is Side.BUY else -1
    if slippage.kind is SlippageToleranceType.TICK_SIZE:
        return max(best + sign * slippage.amount * tick, ZERO)
    moved = best * (1 + sign * slippage.amount / 100)
    return (moved / tick).to_integral_value() * tick
