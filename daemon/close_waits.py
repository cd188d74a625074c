"""The waits of a close, which somebody who asks for another look can cut short."""

from __future__ import annotations

import asyncio

from .backoff import Backoff
from .timing import Timing


class Waits:
    """One per close; `nudge` ends every wait that is under way, and starts its backoff anew."""

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        self._waiting: set[asyncio.Event] = set()
        self.nudges = 0

    async def pause(self, backoff: Backoff) -> None:
        """As long as the backoff says."""
        nudges = self.nudges
        await self.sleep(backoff.next())
        if nudges != self.nudges:
            backoff.reset()

    async def sleep(self, seconds: float) -> None:
        await self.wait_for(asyncio.Event(), seconds)

    async def wait_for(self, event: asyncio.Event, at_most: float) -> bool:
        """True when the event (or a nudge, which sets it) came within `at_most` seconds."""
        self._waiting.add(event)
        try:
            return await self._timing.wait_for(event, at_most)
        finally:
            self._waiting.discard(event)

    def nudge(self) -> None:
        self.nudges += 1
        for event in self._waiting:
            event.set()
