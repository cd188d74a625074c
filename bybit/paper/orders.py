"""New orders: what an accepted request, or the venue itself, becomes in the books."""

from dataclasses import dataclass, replace
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
from .model import ZERO, Order, OrderId, Position, Uid
from .rules import OrderRequest


@dataclass(frozen=True, slots=True)
class Forced:
    """A trade the venue makes itself; `takes_fee` by the taker's rate."""

    exec_type: ExecType
    create_type: str
    cancel_type: CancelType
    status: PositionStatus
    takes_fee: bool = False


LIQUIDATION = Forced(
    ExecType.BUST_TRADE,
    CreateType.BY_TAKEOVER,
    CancelType.ALL_BEFORE_LIQUIDATION,
    PositionStatus.LIQUIDATING,
    takes_fee=True,
)
DELEVERAGING = Forced(
    ExecType.ADL_TRADE,
    CreateType.BY_ADL,
    CancelType.ALL_BEFORE_ADL,
    PositionStatus.ADL,
)
DELIVERY = Forced(
    ExecType.DELIVERY, CreateType.BY_SETTLE, CancelType.BY_SETTLE, PositionStatus.NORMAL
)
OPTION_DELIVERY = replace(DELIVERY, cancel_type=CancelType.BY_DELIVERY)
INVERSE_DELIVERY = replace(DELIVERY, exec_type=ExecType.SETTLE)
MOVE = Forced(
    ExecType.MOVE_POSITION,
    CreateType.BY_MOVE_POSITION,
    CancelType.BY_ADMIN,
    PositionStatus.NORMAL,
)
# What may be booked at any price and side, without an order of the account's; by execType.
IMPOSED = {
    forced.exec_type.value: forced
    for forced in (
        Forced(kind, made_by, CancelType.BY_ADMIN, PositionStatus.NORMAL)
        for kind, made_by in (
            (ExecType.BLOCK_TRADE, CreateType.BY_BLOCK_TRADE.value),
            (ExecType.FUTURE_SPREAD, CreateType.BY_FUTURE_SPREAD.value),
            (ExecType.CORPORATE_ACTION, ""),
            (ExecType.UNKNOWN, ""),
        )
    )
}


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
        reduce_only=admitted.reduce_only,
        close_on_trigger=request.close_on_trigger,
        create_type=request.create_type,
        created_ms=now_ms,
        updated_ms=now_ms,
        last_price_on_created=last,
        slippage_type=slip.kind if slip else SlippageToleranceType.UNKNOWN,
        slippage=slip.text if slip else "",
        # Spot: the fee is in the coin that is received (Bybit V5: spot fee currency).
        fee_coin=i.base if i.is_spot and request.side is Side.BUY else i.settle,
        market_unit=request.market_unit,
    )


def forced_order(
    serial: int,
    order_id: OrderId,
    position: Position,
    forced: Forced,
    qty: Decimal,
    coin: str,
    now_ms: int,
    side: Side | None = None,
) -> Order:
    """The venue's own order against a position, already matched; its price shows as 0.
    Without a side it closes."""
    return Order(
        serial=serial,
        order_id=order_id,
        link_id="",
        uid=position.uid,
        category=position.category,
        symbol=position.symbol,
        idx=position.idx,
        side=side or (Side.SELL if position.side is Side.BUY else Side.BUY),
        order_type=OrderType.MARKET,
        tif=TimeInForce.IOC,
        price=ZERO,
        qty=qty,
        reduce_only=side is None,
        close_on_trigger=False,
        create_type=forced.create_type,
        created_ms=now_ms,
        updated_ms=now_ms,
        last_price_on_created=ZERO,
        matched=True,
        fee_coin=coin,
    )
