"""Wire records to the domain's values. Directions and sizes pass as they are or not at all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import assert_never

from ..daemon.domain import model, pnl
from ..daemon.domain.events import PriceTick
from ..daemon.domain.model import (
    Category,
    Delivery,
    Environment,
    Fill,
    Holding,
    Instrument,
    InstrumentKey,
    KeyInfo,
    OrderReport,
    Side,
)
from ..daemon.domain.orders import MarketOrder, OrderBook, ReduceOnlyOrder, RestingOrder
from . import vocab
from .fields import WireError
from .wire_account import ApiKeyRow, CoinRow, DeliveryRow, ExecutionRow, OrderRow, PositionRow
from .wire_market import BookRow, InstrumentRow
from .wire_stream import TickerFrame

_STATUS = {
    vocab.OrderStatus.CREATED: model.OrderStatus.OPEN,
    vocab.OrderStatus.NEW: model.OrderStatus.OPEN,
    vocab.OrderStatus.PARTIALLY_FILLED: model.OrderStatus.OPEN,
    vocab.OrderStatus.UNTRIGGERED: model.OrderStatus.OPEN,
    # A passing state: the order lives on under the same id.
    vocab.OrderStatus.TRIGGERED: model.OrderStatus.OPEN,
    vocab.OrderStatus.FILLED: model.OrderStatus.FILLED,
    vocab.OrderStatus.REJECTED: model.OrderStatus.REJECTED,
    vocab.OrderStatus.CANCELLED: model.OrderStatus.CANCELLED,
    vocab.OrderStatus.PARTIALLY_FILLED_CANCELED: model.OrderStatus.CANCELLED,
    vocab.OrderStatus.DEACTIVATED: model.OrderStatus.CANCELLED,
}
# What triggered an order, in the words of `createType`, which spot and options do not have.
_FROM_STOP_ORDER = {
    "Stop": vocab.CreateType.BY_STOP_ORDER,
    "TakeProfit": vocab.CreateType.BY_TAKE_PROFIT,
    "PartialTakeProfit": vocab.CreateType.BY_PARTIAL_TAKE_PROFIT,
    "StopLoss": vocab.CreateType.BY_STOP_LOSS,
    "PartialStopLoss": vocab.CreateType.BY_PARTIAL_STOP_LOSS,
    "TrailingStop": vocab.CreateType.BY_TRAILING_STOP,
    "tpslOrder": vocab.CreateType.BY_STOP_ORDER,
    "MmRateClose": "CreateByMmRateClose",
}
_UNSAID = ("", "UNKNOWN")
FROM_EXECUTIONS = "seen in executions"


def category_of(row_category: str, asked: Category | None) -> Category:
    """The category asked for (REST), else the row's own (streams); WireError if neither."""
    if asked is not None:
        return asked
    try:
        return Category(row_category)
    except ValueError as error:
        raise WireError(f"category {row_category[:20]!r}") from error


def holding(row: PositionRow, read_at: datetime, asked: Category | None = None) -> Holding:
    return Holding(
        category=category_of(row.category, asked),
        symbol=row.symbol,
        position_idx=row.position_idx,
        side=None if row.side is None else Side(row.side.value),
        size=row.size,
        entry_price=row.entry_price if row.side else None,
        updated_at=row.updated_at,
        seq=row.seq,
        read_at=read_at,
    )


def coin_holding(row: CoinRow, read_at: datetime) -> Holding:
    """A coin of the wallet as a bucket: its balance less what spot trading borrowed of it.

    Bybit V5: account/wallet-balance and topic `wallet`, which carry neither a time nor a `seq`.
    """
    net = row.wallet_balance - row.spot_borrow
    side = Side.BUY if net > 0 else Side.SELL
    return replace(
        no_coin(row.coin, read_at), side=side if net else None, size=abs(net), locked=row.locked
    )


def no_coin(coin: str, read_at: datetime) -> Holding:
    """A coin that a wallet, read in full, does not show."""
    return Holding(
        category=Category.SPOT,
        symbol=coin,
        position_idx=0,
        side=None,
        size=Decimal(0),
        entry_price=None,
        updated_at=None,
        seq=None,
        read_at=read_at,
    )


def delivery(row: DeliveryRow, category: Category) -> Delivery:
    return Delivery(
        category=category,
        symbol=row.symbol,
        side=Side(row.side.value),
        size=row.size,
        price=row.price,
        delivered_at=row.delivered_at,
    )


def order_report(row: OrderRow, asked: Category | None = None) -> OrderReport:
    """WireError for an unknown status: guessing one could end an order that still fills."""
    try:
        status = _STATUS[vocab.OrderStatus(row.status)]
    except ValueError as error:
        raise WireError(f"an order of unknown status {row.status[:30]!r}") from error
    return OrderReport(
        category=category_of(row.category, asked),
        symbol=row.symbol,
        order_id=row.order_id,
        link_id=row.link_id,
        side=Side(row.side.value),
        quantity=row.quantity,
        filled=row.filled,
        average_price=row.average_price,
        reduce_only=row.reduce_only,
        status=status,
        status_text=row.status,
        reason=_reason(row),
        create_type=_maker(row.create_type, row.stop_order_type),
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def resting_order(row: OrderRow, category: Category) -> RestingOrder | None:
    """None for an order that ended while it was read; WireError for an unknown status.

    The price of a stop at market is what triggers it. What is left is not `leavesQty`, which may
    be 0 before the trigger; it is 0 itself for a stop on a whole position.
    """
    if order_report(row, category).status.is_terminal:
        return None
    is_plain = row.stop_order_type in _UNSAID
    return RestingOrder(
        category=category,
        symbol=row.symbol,
        order_id=row.order_id,
        link_id=row.link_id,
        side=Side(row.side.value),
        position_idx=row.position_idx or 0,
        left=max(row.quantity - row.filled, Decimal(0)),
        price=row.price or row.trigger_price or None,
        reduce_only=row.reduce_only,
        kind=row.order_type if is_plain else row.stop_order_type,
    )


def order_book(row: BookRow) -> OrderBook:
    return OrderBook(bids=row.bids, asks=row.asks, at=row.at)


def _maker(create_type: str, stop_order_type: str) -> str:
    """Who made an order: its `createType`, where that says nothing its `stopOrderType`."""
    if create_type not in _UNSAID:
        return create_type
    if stop_order_type in _UNSAID:
        return ""
    return _FROM_STOP_ORDER.get(stop_order_type, stop_order_type)


def _reason(row: OrderRow) -> str:
    said = []
    if row.reject_reason not in ("", vocab.RejectReason.NO_ERROR):
        said.append(row.reject_reason)
    if row.cancel_type not in ("", vocab.CancelType.UNKNOWN):
        said.append(row.cancel_type)
    return ", ".join(said)


def is_known_exec_type(exec_type: str) -> bool:
    return exec_type in tuple(vocab.ExecType) and exec_type != vocab.ExecType.UNKNOWN


def fill(row: ExecutionRow, asked: Category | None = None) -> Fill:
    """`changes_size` by allow-list: an unknown type is no fill, but a reason to look again.

    A fee without a coin is in the coin that the contract settles in.
    """
    category = category_of(row.category, asked)
    return Fill(
        exec_id=row.exec_id,
        category=category,
        symbol=row.symbol,
        order_id=row.order_id,
        link_id=row.link_id,
        side=Side(row.side.value),
        price=row.price,
        quantity=row.quantity,
        fee=row.fee,
        fee_coin=row.fee_coin or settle_coin(category, row.symbol),
        exec_type=row.exec_type,
        create_type=_maker(row.create_type, row.stop_order_type),
        changes_size=row.exec_type in vocab.SIZE_CHANGING_EXEC_TYPES,
        executed_at=row.executed_at,
        seq=row.seq,
        closed_size=row.closed_size,
        stop_order_type=row.stop_order_type,
    )


def settle_coin(category: Category, symbol: str) -> str:
    """The coin a contract settles in, by the spelling of its symbol; empty where it tells none.

    Bybit V5: enum, symbols; `BTCUSDT`, `BTCUSDT-21FEB25`, `BTCPERP`, `BTC-24MAR23`, `BTCUSDH23`,
    `ETH-28FEB25-2800-C`, `BTC-13FEB25-89000-P-USDT`.
    """
    name, _, rest = symbol.partition("-")
    match category:
        case Category.LINEAR:
            if name.endswith("USDT"):
                return "USDT"
            return "USDC" if rest or name.endswith(("PERP", "USDC")) else ""
        case Category.INVERSE:
            coin, usd, _ = name.rpartition("USD")
            return coin if usd else ""
        case Category.OPTION:
            return "USDT" if rest.endswith("-USDT") else "USDC"
        case Category.SPOT:
            return ""
        case _:
            assert_never(category)


def fills_in_order(rows: Iterable[ExecutionRow], category: Category) -> list[Fill]:
    """Oldest first, each execution once: pages may repeat rows of equal times."""
    by_id = {row.exec_id: fill(row, category) for row in rows}
    return sorted(by_id.values(), key=lambda one: (one.executed_at, one.seq or 0, one.exec_id))


def report_from_executions(order: MarketOrder, rows: Sequence[ExecutionRow]) -> OrderReport | None:
    """What the executions under the order's link id prove of it; None if they are ambiguous.

    Executions do not tell the end of an order that filled in part: it is reported as open until
    a better source does. Whether it reduces shows in `closedSize`, where that is given; spot
    knows no reduce-only.
    """
    trades = {row.exec_id: row for row in rows if row.exec_type == vocab.ExecType.TRADE}.values()
    if not trades:
        return None
    first = min(trades, key=lambda row: row.executed_at)
    same = {(row.order_id, row.symbol, row.side, row.order_quantity) for row in trades}
    if len(same) != 1 or not first.order_id or first.order_quantity is None:
        return None
    filled = sum((row.quantity for row in trades), Decimal(0))
    if not 0 < filled <= first.order_quantity:
        return None
    is_filled = filled == first.order_quantity
    return OrderReport(
        category=order.category,
        symbol=first.symbol,
        order_id=first.order_id,
        link_id=order.link_id,
        side=Side(first.side.value),
        quantity=first.order_quantity,
        filled=filled,
        average_price=pnl.average_price(
            order.category, [(row.quantity, row.price) for row in trades]
        ),
        reduce_only=isinstance(order, ReduceOnlyOrder)
        and all(row.closed_size in (None, row.quantity) for row in trades),
        status=model.OrderStatus.FILLED if is_filled else model.OrderStatus.OPEN,
        status_text=vocab.OrderStatus.FILLED if is_filled else vocab.OrderStatus.PARTIALLY_FILLED,
        reason=FROM_EXECUTIONS,
        create_type=_maker(first.create_type, first.stop_order_type),
        created_at=first.executed_at,
        updated_at=max(row.executed_at for row in trades),
    )


def instrument(row: InstrumentRow, environment: Environment, category: Category) -> Instrument:
    """WireError where a rule that closing needs is missing or is not positive."""
    step, tick = row.quantity_step, row.tick_size
    if step is None or tick is None or step <= 0 or tick <= 0:
        raise WireError(f"instrument {row.symbol[:40]!r} without a step or tick")
    largest = row.max_market_quantity
    if largest is None:
        # Options have one limit for every kind of order.
        largest = row.max_quantity
    if largest is None or largest <= 0:
        raise WireError(f"instrument {row.symbol[:40]!r} without a largest order")
    return Instrument(
        key=InstrumentKey(environment, category, row.symbol),
        base_coin=row.base_coin,
        quote_coin=row.quote_coin,
        settle_coin=row.settle_coin or row.quote_coin,
        status=row.status,
        tick_size=tick,
        quantity_step=step,
        min_quantity=step if row.min_quantity is None else row.min_quantity,
        max_market_quantity=largest,
        min_notional=row.min_value or Decimal(0),
        delivery_at=row.delivery_time,
    )


def key_info(row: ApiKeyRow) -> KeyInfo:
    return KeyInfo(
        uid=row.user_id,
        read_only=row.read_only,
        permissions=row.permissions,
        ips=tuple(ip for ip in row.ips if ip != "*"),
        expires_at=_expiry(row),
    )


def _expiry(row: ApiKeyRow) -> datetime | None:
    """None for a key bound to addresses: it does not expire, and Bybit then shows 1970."""
    try:
        at = datetime.fromisoformat(row.expired_at)
    except ValueError:
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return at if at.year > 1970 else None


def price_tick(frame: TickerFrame, environment: Environment, category: Category) -> PriceTick:
    ticker = frame.ticker
    return PriceTick(
        key=InstrumentKey(environment, category, ticker.symbol),
        mark=ticker.mark,
        last=ticker.last,
        index=ticker.index,
        at=frame.at,
        is_snapshot=frame.is_snapshot,
    )
