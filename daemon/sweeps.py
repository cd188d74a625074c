"""The clock of the sweeps: at once, then on the clock, and never two at a time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Final, NoReturn

from .domain.schedule import next_sweep
from .timing import Timing

# How long the loop may sleep without looking up; also the pace of its heartbeat.
_NAP: Final = 1.0
_LOOK_EVERY: Final = 0.05
_FIRST_WAIT: Final = timedelta(seconds=10)


class Sweeps:
    """Counts the sweeps that came through, and those skipped because one was still running."""

    def __init__(self, timing: Timing, minutes: int) -> None:
        self._timing = timing
        self._minutes = minutes
        self.last_at: datetime | None = None
        self.done = 0
        self.overlaps = 0

    def note_done(self) -> None:
        self.done += 1
        self.last_at = self._timing.now()

    async def run(
        self,
        sweep: Callable[[], Awaitable[None]],
        are_settled: Callable[[], bool],
        between: Callable[[], Awaitable[None]],
    ) -> NoReturn:
        """Sweep for ever; one that would overlap is skipped and counted.

        The first waits a little for the accounts to connect: a compare without them says nothing.
        `between` is called about once a second while nothing is due.
        """
        patience = self._timing.now() + _FIRST_WAIT
        while not are_settled() and self._timing.now() < patience:
            await self._timing.sleep(_LOOK_EVERY)
        await sweep()
        due = next_sweep(self._timing.now(), self._minutes)
        while True:
            self._timing.beat("sweeps")
            await self._timing.sleep_until(due, _NAP)
            if self._timing.now() < due:
                await between()
                continue
            await sweep()
            due = next_sweep(due, self._minutes)
            while due <= self._timing.now():
                self.overlaps += 1
                due = next_sweep(due, self._minutes)
