"""A position's past: its deviations, closes, journal and P&L over time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from .domain.errors import InvalidInput, NotFound
from .domain.history import PnlPoint
from .domain.model import PositionId, UserId
from .domain.ports import Evidence
from .domain.services import Board
from .domain.views import PositionDetail, PositionView

# More points than a screen has columns tell nobody anything.
_POINTS: Final = 1500
_DAY: Final = timedelta(hours=24)
_DEVIATIONS: Final = 100
_CLOSES: Final = 50
_EVENTS: Final = 200


class Inquiry:
    """Implements services.Inquiry."""

    def __init__(self, board: Board, evidence: Evidence, now: Callable[[], datetime]) -> None:
        self._board = board
        self._evidence = evidence
        self._now = now

    async def detail(self, user_id: UserId, position_id: PositionId) -> PositionDetail:
        """The newest of everything, each list bounded."""
        view = await self._owned(user_id, position_id)
        deviations = await self._evidence.deviations_of(position_id, _DEVIATIONS)
        closes = await self._evidence.closes_of(position_id, _CLOSES)
        events = await self._evidence.events_of(position_id, _EVENTS)
        return PositionDetail(view, tuple(deviations), tuple(closes), tuple(events))

    async def history(
        self, user_id: UserId, position_id: PositionId, start: datetime | None, end: datetime | None
    ) -> list[PnlPoint]:
        """At most 1500 points, evenly thinned where there are more."""
        await self._owned(user_id, position_id)
        until = self._now() if end is None else end
        since = until - _DAY if start is None else start
        if since > until:
            raise InvalidInput("invalid-value", "'from' is later than 'to'.", field="from")
        return await self._evidence.history(position_id, since, until, _POINTS)

    async def _owned(self, user_id: UserId, position_id: PositionId) -> PositionView:
        view = await self._board.view(user_id, position_id)
        if view is None:
            raise NotFound("unknown-position", "There is no such position.")
        return view
