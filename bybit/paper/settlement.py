"""Fills of one order booked at once: executions, position, fees, realised P&L. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from ..vocab import Category, ExecType, Side
from .book import Level
from .instruments import Instrument
from .model import ZERO, ClosedPnl, Execution, Order, Position
from .netting import apply_fill, average, blended, money, plain
from .quotes import Quote

Charge = Callable[[Decimal, Decimal], Decimal]
NextId = Callable[[], tuple[int, str]]


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for all fills of one matching; `seq` ties them to the position.

    `charge` is the fee of a quantity at a price, in the fee coin.
    """

    exec_type: ExecType
    quote: Quote
    fee_rate: Decimal
    charge: Charge
    is_maker: bool
    seq: int
    now_ms: int

    @property
    def instrument(self) -> Instrument:
        return self.quote.instrument


@dataclass(frozen=True, slots=True)
class Move:
    """What one coin's wallet gets: `cash` + `funding` − `fee`. `realised` is what of it counts
    as realised P&L."""

    coin: str
    execution: Execution
    cash: Decimal = ZERO
    funding: Decimal = ZERO
    fee: Decimal = ZERO
    realised: Decimal = ZERO

    @property
    def change(self) -> Decimal:
        return self.cash + self.funding - self.fee


@dataclass(frozen=True, slots=True)
class Settlement:
    """The records after the fills; spot has no position."""

    order: Order
    position: Position | None
    executions: tuple[Execution, ...]
    closed: ClosedPnl | None
    moves: tuple[Move, ...]


@dataclass(slots=True)
class _Tally:
    """What the fills of one matching closed, summed up."""

    closed: Decimal = ZERO
    entry_value: Decimal = ZERO
    exit_value: Decimal = ZERO
    entry: Decimal = ZERO
    exit: Decimal = ZERO
    pnl: Decimal = ZERO
    open_fee: Decimal = ZERO
    close_fee: Decimal = ZERO
    count: int = 0


def settle(
    order: Order, position: Position, fills: Sequence[Level], terms: Terms, next_id: NextId
) -> Settlement:
    """Books the fills in their order; `next_id` gives each execution its serial and id."""
    i, opened_ms = terms.instrument, position.open_ms
    executions: list[Execution] = []
    moves: list[Move] = []
    tally = _Tally()
    for fill in fills:
        value = _value(i, fill.qty, fill.price)
        fee = money(terms.charge(fill.qty, fill.price))
        netted = apply_fill(position, order.side, fill.qty, fill.price, fee, terms.now_ms)
        position = replace(netted.position, seq=terms.seq)
        order = filled(order, fill, value, fee, terms.now_ms)
        # A contract pays its P&L when it closes, an option its premium when it trades.
        paid = value if order.side is Side.SELL else -value
        cash = netted.pnl if i.option is None else paid
        made = execution_of(order, fill, value, fee, terms, next_id())
        made = replace(made, pnl=netted.pnl, closed_size=netted.closed, cash=cash)
        executions.append(made)
        moves.append(Move(i.settle, made, cash=cash, fee=fee, realised=netted.pnl - fee))
        if netted.closed:
            _count(tally, i, fill, netted.entry, netted.closed)
            tally.pnl += netted.pnl
            tally.open_fee += netted.open_fee
            tally.close_fee += money(fee * netted.closed / fill.qty)
    closed = None
    if tally.closed:
        closed = _closed_pnl(order, position, tally, terms, executions[-1].serial)
        closed = replace(closed, open_ms=opened_ms)
        order = replace(order, closed_pnl=order.closed_pnl + closed.pnl)
    return Settlement(order, position, tuple(executions), closed, tuple(moves))


def settle_spot(order: Order, fills: Sequence[Level], terms: Terms, next_id: NextId) -> Settlement:
    """Coins change hands: a buyer pays the fee in base coin, a seller in quote coin."""
    i, buys = terms.instrument, order.side is Side.BUY
    executions: list[Execution] = []
    moves: list[Move] = []
    for fill in fills:
        value = fill.price * fill.qty
        fee = money((fill.qty if buys else value) * terms.fee_rate)
        order = filled(order, fill, value, fee, terms.now_ms)
        cash = -value if buys else value
        made = execution_of(order, fill, value, fee, terms, next_id())
        made = replace(made, cash=cash)
        executions.append(made)
        coins = fill.qty if buys else -fill.qty
        moves.append(Move(i.base, made, cash=coins, fee=fee if buys else ZERO))
        moves.append(Move(i.quote, made, cash=cash, fee=ZERO if buys else fee))
    return Settlement(order, None, tuple(executions), None, tuple(moves))


def filled(order: Order, fill: Level, value: Decimal, fee: Decimal, now_ms: int) -> Order:
    return replace(
        order,
        avg_price=blended(order.category, order.cum_qty, order.avg_price, fill.qty, fill.price),
        cum_qty=plain(order.cum_qty + fill.qty),
        cum_value=order.cum_value + value,
        cum_fee=order.cum_fee + fee,
        updated_ms=now_ms,
    )


def execution_of(
    order: Order,
    fill: Level,
    value: Decimal,
    fee: Decimal,
    terms: Terms,
    ident: tuple[int, str],
) -> Execution:
    """One fill of an order; P&L, closed size and cash are for the caller to add."""
    serial, exec_id = ident
    greeks = terms.quote.greeks
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
        leaves_qty=plain(order.leaves),
        create_type=order.create_type,
        exec_type=terms.exec_type,
        price=fill.price,
        qty=fill.qty,
        value=value,
        fee=fee,
        fee_rate=terms.fee_rate,
        fee_coin=order.fee_coin,
        is_maker=terms.is_maker,
        closed_size=ZERO,
        pnl=ZERO,
        mark=terms.quote.mark,
        index=terms.quote.index,
        seq=terms.seq,
        exec_ms=terms.now_ms,
        mark_iv=greeks.mark_iv if greeks else ZERO,
        trade_iv=greeks.mark_iv if greeks else ZERO,
        underlying=greeks.underlying if greeks else ZERO,
    )


def _value(i: Instrument, qty: Decimal, price: Decimal) -> Decimal:
    """Exact, but for inverse contracts, whose worth in coin is rounded to the eighth place."""
    value = i.value(qty, price)
    return money(value) if i.is_inverse else value


def _count(tally: _Tally, i: Instrument, fill: Level, entry: Decimal, closed: Decimal) -> None:
    category = i.category
    tally.entry = blended(category, tally.closed, tally.entry, closed, entry)
    tally.exit = blended(category, tally.closed, tally.exit, closed, fill.price)
    tally.count += 1
    tally.closed += closed
    tally.entry_value += _value(i, closed, entry)
    tally.exit_value += _value(i, closed, fill.price)


def _closed_pnl(
    order: Order, position: Position, tally: _Tally, terms: Terms, serial: int
) -> ClosedPnl:
    exact = order.category is not Category.INVERSE
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
        avg_entry=average(tally.entry_value, tally.closed) if exact else tally.entry,
        entry_value=tally.entry_value,
        avg_exit=average(tally.exit_value, tally.closed) if exact else tally.exit,
        exit_value=tally.exit_value,
        pnl=tally.pnl - tally.open_fee - tally.close_fee,
        open_fee=tally.open_fee,
        close_fee=tally.close_fee,
        fill_count=tally.count,
        leverage=position.leverage,
        created_ms=order.created_ms,
        updated_ms=terms.now_ms,
        idx=order.idx,
    )
