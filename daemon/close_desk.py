"""Where close requests are accepted: a commit, and a wake-up for the closer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from .close_planner import ClosePlanner
from .domain.close_ports import Closes
from .domain.errors import Conflict, NotFound
from .domain.model import (
    AccountId,
    CloseId,
    Component,
    InstrumentKey,
    KeyInfo,
    Position,
    PositionId,
    UserId,
)
from .domain.orders import AcceptedClose, AcceptedSet, CloseRequest, CloseTerms
from .domain.portfolio import Portfolio
from .domain.ports import Positions
from .domain.services import ClosePlan, CloseStatus
from .domain.share import Blocker
from .domain.verdict import symbol_of
from .key_rights import right_lacking, told
from .tracker import Tracker


class CloseDesk:
    """Implements services.CloseDesk; needs no answer from Bybit to accept.

    `recheck` nudges whoever drives a close, `look_again` whoever knows what an account's key may
    do; `slippage` (percent) is for requests that name none;
    `settle_coin` gives that of an instrument, None while it is not known.
    """

    def __init__(
        self,
        closes: Closes,
        positions: Positions,
        portfolio: Portfolio,
        tracker: Tracker,
        wake: asyncio.Event,
        now: Callable[[], datetime],
        expiry: timedelta,
        planner: ClosePlanner,
        recheck: Callable[[CloseId], object],
        slippage: Decimal | None = None,
        settle_coin: Callable[[InstrumentKey], str | None] = lambda _: None,
        look_again: Callable[[AccountId], object] = lambda _: None,
    ) -> None:
        self._closes = closes
        self._positions = positions
        self._portfolio = portfolio
        self._tracker = tracker
        self._wake = wake
        self._now = now
        self._expiry = expiry
        self._planner = planner
        self._recheck = recheck
        self._slippage = slippage
        self._settle_coin = settle_coin
        self._look_again = look_again

    # --- asking -----------------------------------------------------------------------------

    async def request_close(
        self,
        user_id: UserId,
        position_id: PositionId,
        *,
        terms: CloseTerms,
        idempotency_key: str | None,
        fingerprint: str,
    ) -> AcceptedClose:
        """Durable when it returns."""
        now = self._now()
        accepted = await self._closes.accept(
            user_id,
            position_id,
            terms=self._in_full(terms),
            idempotency_key=idempotency_key,
            fingerprint=fingerprint,
            expires_at=now + self._expiry,
            now=now,
            refusal=self._of_key(user_id, [position_id]) or self._unplanned(position_id, terms),
        )
        if accepted.is_new:
            self._wake.set()
            await self._show([position_id])
        return accepted

    async def request_set(
        self,
        user_id: UserId,
        position_ids: Sequence[PositionId],
        *,
        terms: CloseTerms,
        idempotency_key: str | None,
        fingerprint: str,
    ) -> AcceptedSet:
        """All of them or none; durable when it returns."""
        now = self._now()
        accepted = await self._closes.accept_set(
            user_id,
            position_ids,
            terms=self._in_full(terms),
            idempotency_key=idempotency_key,
            fingerprint=fingerprint,
            expires_at=now + self._expiry,
            now=now,
            refusal=self._of_key(user_id, position_ids),
        )
        if accepted.is_new:
            self._wake.set()
            await self._show(position_ids)
        return accepted

    async def plan(
        self, user_id: UserId, position_id: PositionId, fraction: Decimal | None
    ) -> ClosePlan:
        """Read from Bybit just now."""
        return await self._planner.plan(user_id, position_id, fraction)

    # --- what became of it ------------------------------------------------------------------

    async def status(self, user_id: UserId, close_id: CloseId) -> CloseStatus:
        return await self._status(await self._owned(user_id, close_id))

    async def recheck(self, user_id: UserId, close_id: CloseId) -> CloseStatus:
        """Cut every wait of the close short; what it then finds comes with the stream."""
        request = await self._owned(user_id, close_id)
        if not request.state.is_open:
            raise Conflict("already-ended", "The close has ended: there is nothing to wait for.")
        self._recheck(close_id)
        self._wake.set()
        return await self._status(request)

    async def cancel(self, user_id: UserId, close_id: CloseId) -> CloseStatus:
        await self._owned(user_id, close_id)
        request = await self._closes.cancel(user_id, close_id, self._now())
        together = [request]
        if request.set_id is not None:
            together = await self._closes.requests_of_set(request.set_id)
        for one in together:
            self._portfolio.note_close(one)
        await self._show(one.position_id for one in together)
        return CloseStatus(request, tuple(await self._closes.orders([close_id])))

    async def _status(self, request: CloseRequest) -> CloseStatus:
        live = self._portfolio.last_closes.get(request.position_id)
        if live is not None and live.id == request.id and live.state is request.state:
            # The same state, with what the close is waiting for just now.
            request = live
        return CloseStatus(request, tuple(await self._closes.orders([request.id])))

    # --- what stands in the way -------------------------------------------------------------

    def _in_full(self, terms: CloseTerms) -> CloseTerms:
        if terms.slippage is not None or self._slippage is None:
            return terms
        return replace(terms, slippage=self._slippage)

    def _unplanned(self, position_id: PositionId, terms: CloseTerms) -> Conflict | None:
        if terms.expected_plan is None or self._planner.holds(position_id, terms):
            return None
        return Conflict("plan-changed", "The plan is too old, or not of this close: look again.")

    def _of_key(self, user_id: UserId, position_ids: Iterable[PositionId]) -> Conflict | None:
        """By what is known of the keys; strangers learn nothing, the store knows whose it is."""
        for position_id in position_ids:
            position = self._portfolio.positions.get(position_id)
            if position is None or position.user_id != user_id:
                continue
            if not any(component.open for component in position.components):
                # Ending it sends nothing.
                continue
            state = self._portfolio.accounts.get(position.account_id)
            if state is None or state.key_info is None:
                continue
            if state.is_read_only:
                self._look_again(position.account_id)
                return Conflict(
                    "read-only-key",
                    f"The API key of account {state.account.label} may not trade; "
                    "replace it by one that may, or close on Bybit.",
                )
            if lacking := self._lacking(position, state.key_info):
                self._look_again(position.account_id)
                return Conflict(
                    Blocker.KEY_LACKS_RIGHT.value,
                    f"Account {state.account.label}: {'; '.join(lacking)}; "
                    "give the key that right, or close on Bybit.",
                )
        return None

    def _lacking(self, position: Position, key: KeyInfo) -> list[str]:
        """What the key lacks for the legs of which there is something to sell, each reason once."""
        found = (
            right_lacking(key, leg.category, self._coin_of(position, leg))
            for leg in position.components
            if leg.open and not self._is_flat(position, leg)
        )
        return list(dict.fromkeys(told(right) for right in found if right is not None))

    def _coin_of(self, position: Position, leg: Component) -> str | None:
        return self._settle_coin(InstrumentKey(position.environment, leg.category, leg.symbol))

    def _is_flat(self, position: Position, leg: Component) -> bool:
        """By the last compare. No order is needed then; if one is, the close itself will see."""
        reading = self._portfolio.readings.get(symbol_of(position, leg))
        return (
            reading is not None
            and reading.failure is None
            and not any(row.size for row in reading.holdings)
        )

    async def _owned(self, user_id: UserId, close_id: CloseId) -> CloseRequest:
        request = await self._closes.request(close_id)
        position = await self._positions.load(request.position_id) if request else None
        if request is None or position is None or position.user_id != user_id:
            raise NotFound("unknown-close", "There is no such close request.")
        return request

    async def _show(self, position_ids: Iterable[PositionId]) -> None:
        shown = list(position_ids)
        for position_id in shown:
            position = await self._positions.load(position_id)
            if position is not None:
                self._tracker.put(position)
        self._tracker.mark(shown)
