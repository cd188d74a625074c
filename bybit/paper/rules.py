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
    MarketUnit,
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
    """A well-formed request; `price` is None for a market order, `qty` 0 closes everything.

    `market_unit` is a spot market order's; without one its `qty` is in base coin.
    """

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
    market_unit: MarketUnit | None = None

    @property
    def by_quote(self) -> bool:
        """Whether `qty` is an amount of quote coin."""
        return self.market_unit is MarketUnit.QUOTE_COIN


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
        market_unit=_market_unit(body) if market and instrument.is_spot else None,
    )
    if instrument.is_spot and body.get("isLeverage") in (1, "1"):
        raise Refused(170344, "Symbol is not supported on Margin Trading.")
    if instrument.option is not None and not request.link_id:
        raise bad_parameter("orderLinkId is required for options")
    check_size(request)
    return request


def check_size(request: OrderRequest) -> None:
    """Quantity and price on their steps and inside their limits."""
    if request.instrument.is_spot:
        _check_spot_size(request)
        return
    i, qty = request.instrument, request.qty
    if qty == 0:
        if not (request.reduce_only and request.close_on_trigger) or i.option is not None:
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


def _check_spot_size(request: OrderRequest) -> None:
    i, qty = request.instrument, request.qty
    if request.by_quote:
        if qty <= 0 or qty % i.quote_step:
            raise Refused(170148, "Market order amount decimal too long.")
        if qty > i.max_amount:
            raise Refused(170124, "Order amount too large.")
        return
    if not i.is_on_step(qty):
        raise Refused(170137, "Order quantity has too many decimals.")
    if qty < i.min_qty:
        raise Refused(170136, "Order quantity exceeded lower limit.")
    if request.price is None:
        if qty > i.max_market_qty:
            raise Refused(170381, f"Market order quantity cannot exceed {i.max_market_qty}.")
        return
    if qty > i.max_order_qty:
        raise Refused(170382, f"Limit order quantity cannot exceed {i.max_order_qty}.")
    if request.price <= 0 or not i.is_on_tick(request.price):
        raise Refused(170134, "Order price has too many decimals.")


def check_band(request: OrderRequest, mark: Decimal) -> None:
    """A limit order may not pay more, or take less, than mark·(1±Y)."""
    if request.price is None:
        return
    i, buys = request.instrument, request.side is Side.BUY
    low, high = i.limits(mark)
    if low <= request.price <= high:
        return
    if request.price > high and buys:
        if i.is_spot:
            raise Refused(170193, f"Buy order price cannot be higher than {high.normalize():f}.")
        raise price_out_of_band(request.side)
    if request.price < low and not buys:
        if i.is_spot:
            raise Refused(170194, f"Sell order price cannot be lower than {low.normalize():f}.")
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


def _market_unit(body: Mapping[str, Any]) -> MarketUnit:
    """Spot market orders: a buyer names the amount to spend unless told otherwise."""
    given = body.get("marketUnit")
    if given in (None, ""):
        buys = body.get("side") == Side.BUY
        return MarketUnit.QUOTE_COIN if buys else MarketUnit.BASE_COIN
    return read_enum(MarketUnit, given, "marketUnit")


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
