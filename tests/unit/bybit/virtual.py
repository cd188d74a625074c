"""Time in hand for code that sleeps: nothing passes until everybody waits."""

from __future__ import annotations

import asyncio
import heapq
from itertools import count


class VirtualTime:
    """A clock whose sleepers wake in their order, as soon as nobody has anything left to do."""

    def __init__(self) -> None:
        self.now = 100.0
        self._sleepers: list[tuple[float, int, asyncio.Event]] = []
        self._numbers = count()

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        woken = asyncio.Event()
        heapq.heappush(self._sleepers, (self.now + seconds, next(self._numbers), woken))
        await woken.wait()

    async def advance(self, seconds: float) -> None:
        """Let that much time pass, and all that happens in it."""
        end = self.now + seconds
        await self._settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            at, _, woken = heapq.heappop(self._sleepers)
            self.now = max(self.now, at)
            woken.set()
            await self._settle()
        self.now = end

    @staticmethod
    async def _settle() -> None:
        for _ in range(12):
            await asyncio.sleep(0)
