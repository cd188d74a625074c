"""Where close requests are accepted: a commit, and a wake-up for the closer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

from .domain.errors import Conflict, NotFound
from .domain.model import CloseId, PositionId, UserId
from .domain.orders import AcceptedClose, CloseRequest
from .domain.portfolio import Portfolio
from .domain.close_ports import Closes
from .domain.ports import Positions
from .domain.services import CloseStatus
from .tracker import Tracker


class CloseDesk:
    """Implements services.CloseDesk; needs no answer from Bybit to accept."""

    def __init__(
        self,
        closes: Closes,
        positions: Positions,
        portfolio: Portfolio,
        tracker: Tracker,
        wake: asyncio.Event,
        now: Callable[[], datetime],
        expiry: timedelta,
    ) -> None:
        self._closes = closes
        self._positions = positions
        self._portfolio = portfolio
        self._tracker = tracker
        self._wake = wake
        self._now = now
        self._expiry = expiry

    async def request_close(
        self,
        user_id: UserId,
        position_id: PositionId,
        *,
        idempotency_key: str | None,
        fingerprint: str,
    ) -> AcceptedClose:
        """Durable when it returns."""
        self._refuse_read_only(user_id, position_id)
        now = self._now()
        accepted = await self._closes.accept(
            user_id,
            position_id,
            idempotency_key=idempotency_key,
            fingerprint=fingerprint,
            expires_at=now + self._expiry,
            now=now,
        )
        if accepted.is_new:
            self._wake.set()
            await self._show(position_id)
        return accepted

    async def status(self, user_id: UserId, close_id: CloseId) -> CloseStatus:
        request = await self._owned(user_id, close_id)
        live = self._portfolio.last_closes.get(request.position_id)
        if live is not None and live.id == close_id and live.state is request.state:
            # The same state, with what the close is waiting for just now.
            request = live
        return CloseStatus(request, tuple(await self._closes.orders(close_id)))

    async def cancel(self, user_id: UserId, close_id: CloseId) -> CloseStatus:
        await self._owned(user_id, close_id)
        request = await self._closes.cancel(user_id, close_id, self._now())
        self._portfolio.last_closes[request.position_id] = request
        await self._show(request.position_id)
        return CloseStatus(request, tuple(await self._closes.orders(close_id)))

    def _refuse_read_only(self, user_id: UserId, position_id: PositionId) -> None:
        position = self._portfolio.positions.get(position_id)
        if position is None or position.user_id != user_id:
            return
        state = self._portfolio.accounts.get(position.account_id)
        if state is not None and state.key_info is not None and state.key_info.read_only:
            raise Conflict(
                "read-only-key",
                f"The API key of account {state.account.label} may not trade; "
                "replace it by one that may, or close on Bybit.",
            )

    async def _owned(self, user_id: UserId, close_id: CloseId) -> CloseRequest:
        request = await self._closes.request(close_id)
        position = await self._positions.load(request.position_id) if request else None
        if request is None or position is None or position.user_id != user_id:
            raise NotFound("unknown-close", "There is no such close request.")
        return request

    async def _show(self, position_id: PositionId) -> None:
        position = await self._positions.load(position_id)
        if position is not None:
            self._tracker.put(position)
        self._tracker.mark((position_id,))
