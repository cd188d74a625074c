"""One close, driven from where its rows say it stands to its end: one request, or a set of them.

Crash-only: a restart of the process and an error half-way resume by the same path, from the rows.
Each step stores the new state before it acts on it. The bucket locks are held from before the
size is read until the outcome is verified, across every retry in between.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, AsyncExitStack
from dataclasses import replace
from typing import Final

import structlog

from .backoff import Backoff
from .bucket_locks import Turn
from .bucket_run import BucketRun
from .close_buckets import buckets_of
from .close_context import Closing
from .close_end import CloseEnd
from .close_job import CloseJob
from .close_preflight import Preflight
from .domain.buckets import SymbolKey
from .domain.closing import OrderEvent, RequestEvent, next_order_state
from .domain.errors import PositiondError
from .domain.model import Position
from .domain.orders import CloseRequest, RequestState
from .together import together

_log = structlog.get_logger(__name__)

_NOTHING_SENT: Final = frozenset(
    {RequestState.ACCEPTED, RequestState.WAITING, RequestState.PREFLIGHT}
)
_PAUSED_NAP: Final = 1.0


class CloseRun:
    """Drives one job; `drive` returns when its requests have ended."""

    def __init__(
        self, closing: Closing, requests: Sequence[CloseRequest], positions: Sequence[Position]
    ) -> None:
        self._c = closing
        self.job = CloseJob(closing, requests, positions)
        self._end = CloseEnd(self.job)
        self._preflight = Preflight(self.job, self._end)
        self._buckets: list[BucketRun] = []
        # A request that is not fresh was left by a process that died: its rows decide.
        self._is_stale = any(r.state is not RequestState.ACCEPTED for r in requests)
        self._turn: Turn | None = None

    def line_up(self) -> Turn:
        """Stand in line for the locks now, before whoever may have sent nothing yet."""
        self._turn = self._c.locks.line_up(self._symbols(), goes_first=True)
        return self._turn

    async def drive(self) -> None:
        """Take the requests to their end; nothing but that, or being cancelled, ends it."""
        with self._c.inboxes.closing(self.job.link_ids):
            while self.job.state.is_open:
                if self.job.state in _NOTHING_SENT:
                    await self._retrying(self._claim)
                if self.job.state.is_open:
                    await self._locked()

    async def _locked(self) -> None:
        async with AsyncExitStack() as stack:
            if await self._enters(stack):
                with self._in_flight():
                    await self._retrying(self._close)

    async def _enters(self, stack: AsyncExitStack) -> bool:
        """Whether the locks are held; who has sent nothing waits for them until he expires."""
        is_bound = self.job.state in _NOTHING_SENT
        turn, self._turn = self._turn or self._c.locks.line_up(self._symbols()), None
        try:
            async with asyncio.timeout(self.job.seconds_left if is_bound else None):
                await stack.enter_async_context(turn)
        except TimeoutError:
            return False
        return True

    def nudge(self) -> None:
        """Look again now for whatever is waited for."""
        self.job.waits.nudge()

    async def _retrying(self, step: Callable[[], Awaitable[None]]) -> None:
        backoff = Backoff(first=0.3, most=5.0)
        while self.job.state.is_open:
            try:
                if self._is_stale:
                    await self._resume()
                if self.job.state.is_open:
                    await step()
                return
            except PositiondError as error:
                is_new = not self._is_stale
                self._is_stale = True
                if is_new and error.code == "lost-update":
                    # Cancelled, most likely: the rows say so, and there is nothing to wait for.
                    continue
                self.job.note(error.detail)
                _log.warning("close held up", closes=self._ids(), code=error.code)
            await self.job.waits.pause(backoff)

    async def _resume(self) -> None:
        """Start again from the rows: what was in flight when they were written is UNKNOWN."""
        if ended := await self.job.reload():
            # Cancelled meanwhile, or it ended and the reply to our own commit was lost.
            await self._end.tell(ended)
            return
        for order in self.job.orders:
            moved = replace(order, state=next_order_state(order.state, OrderEvent.RESTARTED))
            if moved != order:
                await self._c.closes.save_order(moved)
                self.job.took([moved])
            _ = self._c.inboxes[order.link_id]
            self._c.in_flight.note(moved)
        self._c.in_flight.silence(netting.component_id for netting in self.job.nettings)
        self._c.in_flight.know(leg.component.id for leg in self.job.legs)
        self._buckets = buckets_of(self.job)
        await self.job.move(RequestEvent.RESTARTED)
        self._is_stale = False

    # --- before the locks -------------------------------------------------------------------

    async def _claim(self) -> None:
        while not self.job.expired() and await self._c.switches.trading_paused():
            self.job.note("trading is paused by the operator")
            await self.job.waits.sleep(_PAUSED_NAP)
        if self.job.expired():
            await self._end.expired()
            return
        if self.job.state is RequestState.ACCEPTED:
            await self.job.move(RequestEvent.CLAIMED)
        await self._preflight.place_legs()
        if not self.job.state.is_open:
            return
        if busy := self._symbols() & self._c.locks.wanted:
            names = ", ".join(sorted(symbol.symbol for symbol in busy))
            self.job.note(f"waiting for another close in {names}")

    def _symbols(self) -> frozenset[SymbolKey]:
        return frozenset(leg.place for leg in self.job.legs)

    def _in_flight(self) -> AbstractContextManager[None]:
        """Compares may go on meanwhile: they are told what our orders may still move."""
        opened = {k: q for r in self.job.requests for k, q in r.open_at_acceptance.items()}
        legs = [(leg.component, leg.place) for leg in self.job.legs]
        return self._c.in_flight.closing(legs, opened, is_known=not self._is_stale)

    # --- under the locks --------------------------------------------------------------------

    async def _close(self) -> None:
        if self.job.state is RequestState.ACCEPTED:
            await self.job.move(RequestEvent.CLAIMED)
        if self.job.state is RequestState.WAITING:
            if await self._c.switches.trading_paused():
                # Paused while it waited its turn: the locks go back until trading resumes.
                return
            await self.job.move(RequestEvent.BUCKETS_LOCKED)
            self._buckets = await self._preflight.check(buckets_of(self.job))
        while self.job.state.is_open:
            if self.job.state is RequestState.VERIFYING:
                await self._end.verify(self._buckets)
            else:
                # Nothing may have been planned: legs that net to nothing send no order.
                await self.job.away([])
                await together(bucket.run() for bucket in self._buckets)
                await self.job.move(RequestEvent.ALL_SETTLED)

    def _ids(self) -> list[str]:
        return [str(close_id) for close_id in self.job.close_ids]
