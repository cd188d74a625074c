"""Time as the loops see it, handed in: the clock, waiting, and the heartbeat."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from .pulse import Pulse


@dataclass(frozen=True, slots=True)
class Timing:
    """`now` is UTC, `monotonic` in seconds; tests hand in clocks of their own."""

    now: Callable[[], datetime]
    monotonic: Callable[[], float]
    pulse: Pulse

    def beat(self, loop: str) -> None:
        self.pulse.beat(loop)

    def pulse_late(self) -> list[str]:
        """The loops that have not beaten within their limits."""
        return self.pulse.late(self.monotonic())

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def sleep_until(self, moment: datetime, at_most: float) -> None:
        """Sleep towards `moment`, `at_most` seconds, so that the caller can beat and look again."""
        left = (moment - self.now()).total_seconds()
        await asyncio.sleep(min(max(left, 0.0), at_most))

    async def wait_for(self, event: asyncio.Event, at_most: float) -> bool:
        """True when the event came within `at_most` seconds."""
        try:
            async with asyncio.timeout(at_most):
                await event.wait()
        except TimeoutError:
            return False
        return True


def utc_now() -> datetime:
    return datetime.now(UTC)
