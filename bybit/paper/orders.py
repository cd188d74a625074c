"""New orders: what an accepted request, or the venue itself, becomes in the books."""

from dataclasses import dataclass
from decimal import Decimal

from ..vocab import (
    CancelType,
    CreateType,
    ExecType,
    OrderType,
    PositionStatus,
    Side,
    SlippageToleranceType,
    TimeInForce,
)
from .admission import Admitted
from .instruments import TAKER_FEE
from .model import ZERO, Order, OrderId, Position, Uid
from .rules import OrderRequest


@dataclass(frozen=True, slots=True)
class Forced:
    """A trade the venue makes itself: a liquidation or an auto-deleveraging."""

    exec_type: ExecType
    create_type: CreateType
    cancel_type: CancelType
    status: PositionStatus
    fee_rate: Decimal


LIQUIDATION = Forced(
    ExecType.BUST_TRADE,
    CreateType.BY_TAKEOVER,
    CancelType.ALL_BEFORE_LIQUIDATION,
    PositionStatus.LIQUIDATING,
    TAKER_FEE,
)
DELEVERAGING = Forced(
    ExecType.ADL_TRADE,
    CreateType.BY_ADL,
    CancelType.ALL_BEFORE_ADL,
    PositionStatus.ADL,
    ZERO,
)


def ordered(
    serial: int,
    order_id: OrderId,
    uid: Uid,
    request: OrderRequest,
    admitted: Admitted,
    last: Decimal,
    now_ms: int,
) -> Order:
    """The order of an admitted request, not yet matched."""
    i, slip = request.instrument, request.slippage
    return Order(
        serial=serial,
        order_id=order_id,
        link_id=request.link_id,
        uid=uid,
        category=i.category,
        symbol=i.symbol,
        idx=request.idx,
        side=request.side,
        order_type=request.order_type,
        tif=request.tif,
        price=admitted.price,
        qty=admitted.qty,
        reduce_only=request.reduce_only,
        close_on_trigger=request.close_on_trigger,
        create_type=request.create_type,
        created_ms=now_ms,
        updated_ms=now_ms,
        last_price_on_created=last,
        slippage_type=slip.kind if slip else SlippageToleranceType.UNKNOWN,
        slippage=slip.text if slip else "",
        fee_coin=i.settle,
    )


def forced_order(
    serial: int,
    order_id: OrderId,
    position: Position,
    forced: Forced,
    qty: Decimal,
    coin: str,
    now_ms: int,
) -> Order:
    """The venue's own order against a position, already matched; its price shows as 0."""
    return Order(
        serial=serial,
        order_id=order_id,
        link_id="",
        uid=position.uid,
        category=position.category,
        symbol=position.symbol,
        idx=position.idx,
        side=Side.SELL if position.side is Side.BUY else Side.BUY,
        order_type=OrderType.MARKET,
        tif=TimeInForce.IOC,
        price=ZERO,
        qty=qty,
        reduce_only=True,
        close_on_trigger=False,
        create_type=forced.create_type,
        created_ms=now_ms,
        updated_ms=now_ms,
        last_price_on_created=ZERO,
        matched=True,
        fee_coin=coin,
    )
