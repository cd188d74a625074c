"""Fills of one order booked at once: executions, position, fees, realised P&L. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from ..vocab import ExecType
from .book import Level
from .model import ZERO, ClosedPnl, Execution, Order, Position
from .netting import apply_fill, average, money, plain


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for all fills of one matching; `seq` ties them to the position."""

    exec_type: ExecType
    fee_rate: Decimal
    fee_coin: str
    is_maker: bool
    mark: Decimal
    index: Decimal
    seq: int
    now_ms: int


@dataclass(frozen=True, slots=True)
class Settlement:
    """The records after the fills; `gained` is what the wallet gets, in the fee coin."""

    order: Order
    position: Position
    executions: tuple[Execution, ...]
    closed: ClosedPnl | None
    gained: Decimal


@dataclass(slots=True)
class _Tally:
    """What the fills of one matching closed, summed up."""

    closed: Decimal = ZERO
    entry_value: Decimal = ZERO
    exit_value: Decimal = ZERO
    pnl: Decimal = ZERO
    open_fee: Decimal = ZERO
    close_fee: Decimal = ZERO
    count: int = 0


def settle(
    order: Order,
    position: Position,
    fills: Sequence[Level],
    terms: Terms,
    next_id: Callable[[], tuple[int, str]],
) -> Settlement:
    """Books the fills in their order; `next_id` gives each execution its serial and id."""
    executions: list[Execution] = []
    tally = _Tally()
    for fill in fills:
        value = fill.price * fill.qty
        fee = money(value * terms.fee_rate)
        netted = apply_fill(position, order.side, fill.qty, fill.price, fee, terms.now_ms)
        position = replace(netted.position, seq=terms.seq)
        order = replace(
            order,
            cum_qty=plain(order.cum_qty + fill.qty),
            cum_value=order.cum_value + value,
            cum_fee=order.cum_fee + fee,
            updated_ms=terms.now_ms,
        )
        executions.append(_execution(order, fill, fee, netted.pnl, netted.closed, terms, next_id()))
        if netted.closed:
            tally.count += 1
            tally.closed += netted.closed
            tally.entry_value += netted.closed * netted.entry
            tally.exit_value += netted.closed * fill.price
            tally.pnl += netted.pnl
            tally.open_fee += netted.open_fee
            tally.close_fee += money(fee * netted.closed / fill.qty)
    gained = sum((row.pnl - row.fee for row in executions), ZERO)
    if not tally.closed:
        return Settlement(order, position, tuple(executions), None, gained)
    closed = _closed_pnl(order, position, tally, terms, executions[-1].serial)
    order = replace(order, closed_pnl=order.closed_pnl + closed.pnl)
    return Settlement(order, position, tuple(executions), closed, gained)


def _execution(
    order: Order,
    fill: Level,
    fee: Decimal,
    pnl: Decimal,
    closed: Decimal,
    terms: Terms,
    ident: tuple[int, str],
) -> Execution:
    serial, exec_id = ident
    return Execution(
        serial=serial,
        exec_id=exec_id,
        order_id=order.order_id,
        link_id=order.link_id,
        uid=order.uid,
        category=order.category,
        symbol=order.symbol,
        idx=order.idx,
        side=order.side,
        order_type=order.order_type,
        order_price=order.price,
        order_qty=order.qty,
        leaves_qty=plain(order.qty - order.cum_qty),
        create_type=order.create_type,
        exec_type=terms.exec_type,
        price=fill.price,
        qty=fill.qty,
        value=fill.price * fill.qty,
        fee=fee,
        fee_rate=terms.fee_rate,
        fee_coin=terms.fee_coin,
        is_maker=terms.is_maker,
        closed_size=closed,
        pnl=pnl,
        mark=terms.mark,
        index=terms.index,
        seq=terms.seq,
        exec_ms=terms.now_ms,
    )


def _closed_pnl(
    order: Order, position: Position, tally: _Tally, terms: Terms, serial: int
) -> ClosedPnl:
    return ClosedPnl(
        serial=serial,
        uid=order.uid,
        category=order.category,
        symbol=order.symbol,
        order_id=order.order_id,
        side=order.side,
        order_type=order.order_type,
        order_price=order.price,
        qty=order.qty,
        closed_size=tally.closed,
        exec_type=terms.exec_type,
        avg_entry=average(tally.entry_value, tally.closed),
        entry_value=tally.entry_value,
        avg_exit=average(tally.exit_value, tally.closed),
        exit_value=tally.exit_value,
        pnl=tally.pnl - tally.open_fee - tally.close_fee,
        open_fee=tally.open_fee,
        close_fee=tally.close_fee,
        fill_count=tally.count,
        leverage=position.leverage,
        created_ms=order.created_ms,
        updated_ms=terms.now_ms,
    )
