"""Moments, and how long the machine left this process waiting for a processor between two."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_SCHEDULED: Final = Path("/proc/thread-self/schedstat")
_PRESSURE: Final = Path("/proc/pressure/cpu")
# However slow the machine is, an answer that takes longer than this in addition is too late.
_MOST_EXCUSED: Final = 5.0


@dataclass(frozen=True, slots=True)
class Moment:
    """`at` is monotonic; `waited` counts the seconds spent ready to run and not running."""

    at: float
    waited: float

    def since(self, earlier: Moment) -> float:
        """Seconds on the clock, less what the processor was not there for.

        Daemon, exchange and page of the table share one thread, beside the other test processes
        of the run. Where the machine keeps up this is the time on the clock.
        """
        excused = min(self.waited - earlier.waited, _MOST_EXCUSED)
        return self.at - earlier.at - excused


def moment(at: float | None = None) -> Moment:
    """Now, or what was seen just now `at` that time."""
    return Moment(time.monotonic() if at is None else at, _waited())


def _waited() -> float:
    """This thread's wait, or the machine's: while Postgres waits for a processor, we sleep."""
    return max(_of_this_thread(), _of_anybody())


def _of_this_thread() -> float:
    """By the scheduler's own count; 0 on a kernel that keeps none."""
    try:
        return int(_SCHEDULED.read_text().split()[1]) / 1e9
    except OSError:
        return 0.0


def _of_anybody() -> float:
    """How long some process or other could have run and did not; 0 where that is not counted."""
    try:
        return int(_PRESSURE.read_text().partition("total=")[2].split()[0]) / 1e6
    except (OSError, IndexError):
        return 0.0
