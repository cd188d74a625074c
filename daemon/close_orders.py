"""Sending one close order, and finding out what became of it.

Evidence comes from the private stream when it is up and from REST lookups when it is not; neither
is trusted to be complete. Nothing here gives up on an order whose outcome is not proven.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final, TypeVar, assert_never

import structlog

from .backoff import Backoff
from .close_inbox import Inbox, Inboxes
from .close_waits import Waits
from .domain.absence import EMPTY_FOR, SILENT_FOR, AbsenceProof, ended_unfilled
from .domain.close_ports import Closes
from .domain.closing import OrderEvent, next_order_state
from .domain.errors import PositiondError
from .domain.model import ZERO, BucketKey, Fill, OrderReport
from .domain.orders import (
    FOREIGN,
    KEY_REFUSED,
    NOT_REDUCING,
    NOT_REDUCING_CODE,
    REFUSED,
    Acked,
    CloseOrder,
    NotExecuted,
    OrderState,
    OutcomeUnknown,
    Refused,
    SendOutcome,
    SignedOrder,
)
from .domain.plan import is_ours
from .domain.ports import AccountExchange
from .in_flight import InFlight
from .timing import Timing

K = TypeVar("K")

_log = structlog.get_logger(__name__)

# How long the stream has the first word before the first lookup by REST.
_STREAM_FIRST: Final = 1.0
_LOOK_AGAIN_AT_MOST: Final = 5.0
_SHORTEST_WAIT: Final = 0.2
_USUAL_WAIT: Final = 1.5
# Our measured server time may run a little ahead of the stamps on executions.
_CLOCK_SLACK: Final = timedelta(seconds=2)


class OrderSettler:
    """Works on the orders of one bucket; `last_fills` collects the newest fill per bucket."""

    def __init__(
        self,
        closes: Closes,
        exchange: Callable[[], AccountExchange],
        inboxes: Inboxes,
        in_flight: InFlight,
        timing: Timing,
        waits: Waits,
        fits: Callable[[CloseOrder], Awaitable[bool]],
        expired: Callable[[], bool],
        note: Callable[[str], None],
    ) -> None:
        self._closes = closes
        self._exchange = exchange
        self._inboxes = inboxes
        self._in_flight = in_flight
        self._timing = timing
        self._waits = waits
        self._fits = fits
        self._expired = expired
        self._note = note
        self.last_fills: dict[BucketKey, Fill] = {}

    # --- sending ----------------------------------------------------------------------------

    async def send(self, order: CloseOrder, signed: SignedOrder | None) -> CloseOrder:
        """Send until the outcome is other than "surely not executed"; stores what came of it.

        `signed` is the signature the row was written with; without it the order is signed anew
        (and stored) after checking that the quantity is still there.
        """
        _ = self._inboxes[order.link_id]
        while True:
            if signed is None:
                order, signed = await self._sign_again(order)
                if signed is None:
                    return order
            order = _moved(order, OrderEvent.SENDING)
            outcome = await self._exchange().send(signed)
            order = self._after(order, outcome)
            await self._save(order)
            if not isinstance(outcome, NotExecuted):
                return order
            self._note(f"{order.instrument_symbol}: {outcome.detail}")
            await self._timing.sleep(await self._seconds_until(outcome.retry_at))
            signed = None

    async def _seconds_until(self, retry_at: datetime) -> float:
        """By server time, as `retry_at` is: this machine's own clock may be hours off."""
        try:
            wait = (retry_at - await self._exchange().server_now()).total_seconds()
        except PositiondError:
            # The server's time is not known just now: the next signature asks for it again.
            return _USUAL_WAIT
        return max(wait, _SHORTEST_WAIT)

    async def _sign_again(self, order: CloseOrder) -> tuple[CloseOrder, SignedOrder | None]:
        """A fresh signature, stored before it is used; None when the order must not go any more."""
        why = None
        if self._expired():
            why = "the request expired before it could be sent"
        elif not await self._fits(order):
            why = "the position changed, or trading was paused, before it could be sent"
        if why is not None:
            # What Bybit last said of it is the reason that it could not be sent in time.
            said = f"; {order.detail}" if order.detail else ""
            order = replace(_moved(order, OrderEvent.GIVEN_UP), detail=why + said)
            await self._save(order)
            return order, None
        signed = self._exchange().sign(order.draft)
        order = replace(order, signed_at=signed.signed_at, dies_at=signed.dies_at)
        await self._save(order)
        return order, signed

    @staticmethod
    def _after(order: CloseOrder, outcome: SendOutcome) -> CloseOrder:
        match outcome:
            case Acked(order_id):
                return replace(_moved(order, OrderEvent.ACKED), order_id=order_id)
            case Refused(ret_code, detail, of_key):
                order = _moved(order, OrderEvent.REFUSED)
                status = NOT_REDUCING if ret_code == NOT_REDUCING_CODE else REFUSED
                status = KEY_REFUSED if of_key else status
                return replace(order, status=status, detail=f"Bybit {ret_code}: {detail}")
            case NotExecuted(ret_code, detail):
                order = _moved(order, OrderEvent.NOT_EXECUTED)
                return replace(order, detail=f"Bybit {ret_code}: {detail}")
            case OutcomeUnknown(detail):
                return replace(_moved(order, OrderEvent.OUTCOME_UNKNOWN), detail=detail)
            case _:
                assert_never(outcome)

    # --- settling ---------------------------------------------------------------------------

    async def settle(self, order: CloseOrder) -> CloseOrder:
        """Wait for proof of the order's end, booking its fills; resends a proven absent one once.

        Absent a second time, its id may be one that Bybit keeps reserved (110072) for an order
        that ended unseen: what is left goes out as a new attempt.
        """
        if order.state.is_settled:
            return await self._book_late(order)
        order = await self._until_settled(order)
        if order.state is not OrderState.ABSENT or self._expired() or not await self._fits(order):
            return order
        # The same id and the same frozen quantity, signed and stored anew (rule 7).
        order = await self.send(_moved(order, OrderEvent.RESEND), None)
        if order.state.is_settled:
            return order
        # A refusal as a duplicate would mean that it exists: its silence has to last longer.
        return await self._until_settled(order, empty_for=SILENT_FOR)

    async def _until_settled(
        self, order: CloseOrder, empty_for: timedelta = EMPTY_FOR
    ) -> CloseOrder:
        inbox = self._inboxes[order.link_id]
        proof = AbsenceProof(order.dies_at or order.created_at, empty_for)
        backoff = Backoff(first=0.5, most=_LOOK_AGAIN_AT_MOST)
        pause = _STREAM_FIRST
        ended: OrderReport | None = None
        while True:
            nudges = self._waits.nudges
            report = await self._streamed(inbox, pause)
            if nudges != self._waits.nudges:
                backoff.reset()
            pause = backoff.next()
            asked_at: datetime | None = None
            if report is None:
                try:
                    asked_at = await self._exchange().server_now()
                    report = await self._exchange().find_order(order.draft)
                except PositiondError as error:
                    proof.interrupted()
                    self._note(f"{order.instrument_symbol}: looking the order up: {error.detail}")
                    # An end once told still holds; the stream may have brought its fills since.
                    report, asked_at = ended, None
            if report is not None:
                proof.interrupted()
                ended = report if report.status.is_terminal else None
                order = await self._take(order, report, inbox)
            elif asked_at is not None:
                order = await self._take_silence(order, proof, asked_at)
            if order.state.is_settled:
                return order
            if order.state is OrderState.UNKNOWN:
                self._note(f"{order.instrument_symbol}: outcome unknown, looking the order up")

    async def _streamed(self, inbox: Inbox, pause: float) -> OrderReport | None:
        """The stream's terminal report, if it comes (or has come) within `pause` seconds."""
        if inbox.report is None or not inbox.report.status.is_terminal:
            inbox.news.clear()
            await self._waits.wait_for(inbox.news, pause)
        report, inbox.report = inbox.report, None
        return report if report is not None and report.status.is_terminal else None

    async def _take(self, order: CloseOrder, report: OrderReport, inbox: Inbox) -> CloseOrder:
        """Apply a report of the exchange: fills first, then the state they belong to."""
        if not is_ours(report, order):
            _log.error("an order under our id is not ours", link_id=order.link_id)
            order = replace(
                _moved(order, OrderEvent.SEEN_ENDED),
                status=FOREIGN,
                detail="an order under this id differs from what was written down",
            )
            await self._save(order)
            return order
        if not report.status.is_terminal:
            order = replace(_moved(order, OrderEvent.SEEN_OPEN), order_id=report.order_id)
            await self._save(order)
            return order
        order = replace(order, order_id=report.order_id)
        order = await self._book(order, inbox, report.filled)
        if order.filled < report.filled:
            # The order ended with more than its executions show yet: they lag behind.
            self._note(f"{order.instrument_symbol}: waiting for the executions of the order")
            return order
        order = replace(
            _moved(order, OrderEvent.SEEN_ENDED),
            status=report.status.value,
            detail=report.reason or None,
            # That of the booked executions, as in the row: Bybit's own may be rounded.
            average_price=order.average_price or report.average_price,
        )
        await self._save(order)
        return order

    async def _take_silence(
        self, order: CloseOrder, proof: AbsenceProof, asked_at: datetime
    ) -> CloseOrder:
        """Every lookup was empty, begun at `asked_at` in server time."""
        # Also of an order that exists: the first look after an outage may come too early.
        is_silent = proof.looked_up_empty(asked_at)
        # An id that Bybit gave proves that the order existed, also to the next process.
        if order.state is OrderState.UNKNOWN and order.order_id is None:
            if not is_silent or await self._has_executions(order):
                return order
            order = replace(
                _moved(order, OrderEvent.PROVEN_ABSENT), detail="proven never to have arrived"
            )
        elif is_silent and ended_unfilled(order.signed_at or order.created_at, asked_at):
            if await self._has_executions(order):
                return order
            order = replace(
                _moved(order, OrderEvent.SEEN_ENDED),
                status="cancelled",
                detail="acknowledged, then in no list and without execution for 60 s",
            )
        else:
            return order
        await self._save(order)
        return order

    async def _has_executions(self, order: CloseOrder) -> bool:
        """Whether the account's own executions contradict the absence."""
        since = (order.signed_at or order.created_at) - _CLOCK_SLACK
        try:
            fills = await self._exchange().fills_since(
                order.bucket.category, since, symbol=order.instrument_symbol, urgent=True
            )
        except PositiondError as error:
            self._note(f"{order.instrument_symbol}: reading executions: {error.detail}")
            return True
        return any(fill.link_id == order.link_id for fill in fills)

    async def _save(self, order: CloseOrder) -> None:
        """Store how the order stands; an order to be sent counts as in flight before that."""
        if not order.state.is_settled:
            self._in_flight.note(order)
        await self._closes.save_order(order)
        self._in_flight.note(order)

    # --- fills ------------------------------------------------------------------------------

    async def _book(self, order: CloseOrder, inbox: Inbox, wanted: object) -> CloseOrder:
        fills = dict(inbox.fills)
        if sum((f.quantity for f in fills.values()), ZERO) != wanted and wanted:
            try:
                found = await self._exchange().fills_of(order.draft, order.order_id)
            except PositiondError as error:
                self._note(f"{order.instrument_symbol}: reading executions: {error.detail}")
                found = []
            fills |= {fill.exec_id: fill for fill in found if fill.changes_size}
        return await self._store(order, list(fills.values()))

    async def _book_late(self, order: CloseOrder) -> CloseOrder:
        """Fills that came after the order's end was known still count."""
        fills = self._inboxes[order.link_id].fills
        if not has_news(order, fills.values()):
            return order
        return await self._store(order, list(fills.values()))

    async def _store(self, order: CloseOrder, fills: list[Fill]) -> CloseOrder:
        if not fills:
            return order
        note_newest(self.last_fills, order.bucket, fills)
        self._in_flight.note_fills(order.bucket.account_id, fills)
        booked = await self._closes.add_fills(order, fills)
        order = replace(order, filled=booked.filled, average_price=booked.average_price)
        self._in_flight.note(order)
        return order


def has_news(order: CloseOrder, fills: Iterable[Fill]) -> bool:
    """Whether the fills are more than what is booked of the order."""
    return order.status != FOREIGN and sum((f.quantity for f in fills), ZERO) > order.filled


def note_newest(last: dict[K, Fill], key: K, fills: Sequence[Fill]) -> None:
    """Keep the newest of a bucket's fills: attempts settle in any order."""
    known = [last[key]] if key in last else []
    last[key] = max([*known, *fills], key=lambda fill: (fill.executed_at, fill.seq or 0))


def _moved(order: CloseOrder, event: OrderEvent) -> CloseOrder:
    return replace(order, state=next_order_state(order.state, event))
