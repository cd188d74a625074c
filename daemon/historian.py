"""P&L over time: a point a minute for every open position, and the thinning of old ones."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Final, NoReturn

import structlog

from .domain.errors import PositiondError
from .domain.history import PnlPoint
from .domain.ports import Evidence
from .domain.schedule import next_sweep
from .timing import Timing

_log = structlog.get_logger(__name__)

_NAP: Final = 1.0
# A thousand positions valued in one go would hold up the prices for 50 ms.
_AT_ONCE: Final = 40
_HOUR: Final = timedelta(hours=1)
# A call to the store is bounded; what so many do not manage waits for the next hour.
_ROUNDS: Final = 50


class Historian:
    """`points` gives what can be valued now. A database that fails costs points, never the loop."""

    def __init__(
        self, points: Callable[[], Iterator[PnlPoint]], evidence: Evidence, timing: Timing
    ) -> None:
        self._points = points
        self._evidence = evidence
        self._timing = timing
        self._failing: str | None = None

    async def run(self) -> NoReturn:
        """Write on each full minute, thin at start and once an hour, for ever."""
        due = next_sweep(self._timing.now(), 1)
        thin_at = self._timing.now()
        while True:
            self._timing.beat("history")
            await self._timing.sleep_until(due, _NAP)
            now = self._timing.now()
            if now < due:
                continue
            # Minutes that were missed stay missed: their prices are gone.
            due = next_sweep(now, 1)
            if await self._write() and now >= thin_at and await self._thin():
                thin_at = now + _HOUR

    async def _write(self) -> bool:
        points = []
        for number, point in enumerate(self._points(), 1):
            points.append(point)
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)
        try:
            if points:
                await self._evidence.write_history(points)
        except PositiondError as error:
            self._note(error.code, "P&L history was not written")
            return False
        self._failing = None
        return True

    async def _thin(self) -> bool:
        gone = 0
        try:
            for _ in range(_ROUNDS):
                self._timing.beat("history")
                rows = await self._evidence.thin_history(self._timing.now())
                if not rows:
                    break
                gone += rows
        except PositiondError as error:
            self._note(error.code, "P&L history was not thinned")
            return False
        if gone:
            _log.info("P&L history thinned", rows=gone)
        return True

    def _note(self, code: str, what: str) -> None:
        """Once for as long as it fails the same way: a minute's pace would fill the log."""
        if code != self._failing:
            _log.warning(what, code=code)
        self._failing = code
