"""What happens at full hours: funding, the periodic settlement of USDC contracts, expiries."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from decimal import Decimal

from ..vocab import CreateType, ExecType, OrderType, Side
from .desk import Desk
from .events import Executed, PrivateEvent, QuotesChanged
from .interventions import Interventions
from .model import ZERO, ClosedPnl, Execution, Position, SessionSettlement
from .netting import gross_pnl, money
from .quotes import Quote
from .settlement import Move

HOUR_MS = 3_600_000
SESSION_MS = 8 * HOUR_MS  # USDC contracts settle at 00:00, 08:00 and 16:00 UTC
MINUTE_MS = 60_000

Chosen = Callable[[Quote], bool]


class Timetable:
    """Deeds of the clock, each also on demand."""

    def __init__(self, desk: Desk, interventions: Interventions) -> None:
        self._desk = desk
        self._interventions = interventions

    def start(self) -> None:
        """Delivers what expired while nobody looked, and waits for the next full hour."""
        self._deliver_overdue()
        self._plan(self._desk.now_ms // HOUR_MS * HOUR_MS + HOUR_MS)

    def _plan(self, due_ms: int) -> None:
        self._desk.schedule.at(due_ms, lambda: self._hour(due_ms))

    def _hour(self, due_ms: int) -> None:
        self._plan(due_ms + HOUR_MS)
        self.fund(lambda quote: _is_funded_at(quote, due_ms))
        if due_ms % SESSION_MS == 0:
            self.settle_sessions()
        self._deliver_overdue()
        if new := self._desk.market.roll(self._desk.now_ms):
            self._desk.tell(QuotesChanged(tuple(new)))

    def _deliver_overdue(self) -> None:
        for key in self._interventions.overdue():
            self._interventions.deliver(key)

    # Funding

    def fund(self, chosen: Chosen, rate: Decimal | None = None) -> list[Execution]:
        """Pays funding on every position chosen, by the quoted rate unless one is given: of
        the value at the mark, longs pay a positive one. Sizes do not change."""
        made = []
        for position, quote in self._held(chosen):
            if quote.instrument.funding_minutes:
                at = quote.funding_rate if rate is None else rate
                made.append(self._fund(position, quote, at))
        return made

    def _fund(self, position: Position, quote: Quote, rate: Decimal) -> Execution:
        i, desk = quote.instrument, self._desk
        value = i.value(position.size, quote.mark)
        sign = 1 if position.side is Side.BUY else -1
        fee = money(sign * value * rate)
        execution = self._event(position, quote, ExecType.FUNDING, value)
        execution = replace(execution, fee=fee, fee_rate=rate)
        held = replace(
            position,
            cur_realised=position.cur_realised - fee,
            cum_realised=position.cum_realised - fee,
            seq=execution.seq,
            updated_ms=desk.now_ms,
        )
        self._book(held, execution, Move(i.settle, execution, funding=-fee, realised=-fee))
        return execution

    # Periodic settlement

    def settle_sessions(self, symbol: str = "") -> list[Execution]:
        """Moves the P&L of USDC contracts to the wallet: the average price stays, what P&L is
        counted from becomes the mark."""

        def chosen(quote: Quote) -> bool:
            i = quote.instrument
            return i.settles_by_session and symbol in ("", i.symbol)

        return [
            self._settle(position, position.side, quote)
            for position, quote in self._held(chosen)
            if position.side is not None
        ]

    def _settle(self, position: Position, side: Side, quote: Quote) -> Execution:
        i, desk = quote.instrument, self._desk
        pnl = money(gross_pnl(i.category, side, position.size, position.basis, quote.mark))
        value = i.value(position.size, quote.mark)
        execution = self._event(position, quote, ExecType.SESSION_SETTLE_PNL, value)
        execution = replace(execution, pnl=pnl, cash=pnl)
        held = replace(
            position,
            session_avg=quote.mark,
            cur_realised=position.cur_realised + pnl,
            cum_realised=position.cum_realised + pnl,
            seq=execution.seq,
            updated_ms=desk.now_ms,
        )
        desk.books.put(
            SessionSettlement(
                serial=desk.books.count("record"),
                uid=position.uid,
                symbol=position.symbol,
                side=side,
                size=position.size,
                session_avg=position.basis,
                mark=quote.mark,
                pnl=pnl,
                at_ms=desk.now_ms,
            )
        )
        desk.books.put(_closed_by_session(position, execution, pnl))
        self._book(held, execution, Move(i.settle, execution, cash=pnl, realised=pnl))
        return execution

    # Inside

    def _held(self, chosen: Chosen) -> Iterable[tuple[Position, Quote]]:
        desk = self._desk
        for uid in desk.books.holders():
            for position in desk.books.held(uid):
                quote = desk.market.quote(position.category, position.symbol)
                if quote.instrument.is_trading and chosen(quote):
                    yield position, quote

    def _event(self, position: Position, quote: Quote, kind: ExecType, value: Decimal) -> Execution:
        """A row that changes no size: the full size at the mark, on the position's own side,
        of an order that never was."""
        serial, exec_id = self._desk.next_execution()
        settles = kind is ExecType.SESSION_SETTLE_PNL
        return Execution(
            serial=serial,
            exec_id=exec_id,
            order_id=self._desk.synthetic_id(serial),
            link_id="",
            uid=position.uid,
            category=position.category,
            symbol=position.symbol,
            idx=position.idx,
            side=position.side or Side.BUY,
            order_type=OrderType.UNKNOWN,
            order_price=ZERO,
            order_qty=ZERO,
            leaves_qty=ZERO,
            create_type=CreateType.BY_SETTLE if settles else "",
            exec_type=kind,
            price=quote.mark,
            qty=position.size,
            value=money(value) if quote.instrument.is_inverse else value,
            fee=ZERO,
            fee_rate=ZERO,
            fee_coin=quote.instrument.settle,
            is_maker=False,
            closed_size=ZERO,
            pnl=ZERO,
            mark=quote.mark,
            index=quote.index,
            seq=self._desk.market.next_seq(),
            exec_ms=self._desk.now_ms,
        )

    def _book(self, held: Position, execution: Execution, move: Move) -> None:
        desk, uid = self._desk, held.uid
        desk.books.put(held)
        desk.books.put(execution)
        desk.move(uid, move, held.signed)
        desk.keep_count()
        told: list[PrivateEvent] = [Executed(uid, (execution,)), desk.shown(held)]
        desk.tell_later(f"event/{execution.serial}", [*told, desk.wallet_of(uid)])


def _is_funded_at(quote: Quote, due_ms: int) -> bool:
    minutes = quote.instrument.funding_minutes
    return minutes > 0 and due_ms % (minutes * MINUTE_MS) == 0


def _closed_by_session(position: Position, execution: Execution, pnl: Decimal) -> ClosedPnl:
    """The row that position/closed-pnl shows of a settlement; nothing was closed."""
    size, mark, basis = position.size, execution.mark, position.basis
    return ClosedPnl(
        serial=execution.serial,
        uid=position.uid,
        category=position.category,
        symbol=position.symbol,
        order_id=execution.order_id,
        side=Side.SELL if position.side is Side.BUY else Side.BUY,
        order_type=OrderType.MARKET,
        order_price=mark,
        qty=size,
        closed_size=size,
        exec_type=ExecType.SESSION_SETTLE_PNL,
        avg_entry=basis,
        entry_value=size * basis,
        avg_exit=mark,
        exit_value=size * mark,
        pnl=pnl,
        open_fee=ZERO,
        close_fee=ZERO,
        fill_count=1,
        leverage=position.leverage,
        created_ms=execution.exec_ms,
        updated_ms=execution.exec_ms,
        open_ms=position.open_ms,
        idx=position.idx,
    )
