"""Time for tests: an event loop whose clock leaps to the next timer instead of waiting for it."""

from __future__ import annotations

import asyncio
import random
import selectors
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from functools import wraps
from typing import Any, ParamSpec

from positiond.daemon.pulse import Pulse
from positiond.daemon.timing import Timing

from ...builders import NOON

P = ParamSpec("P")

# No scenario takes this long: one that does waits for something that never comes.
_LONGEST = timedelta(hours=3).total_seconds()


class _Leaping(selectors.SelectSelector):
    """Looks at the sockets without waiting; the wait is told to `leap` instead."""

    def __init__(self, leap: Callable[[float], None]) -> None:
        super().__init__()
        self._leap = leap

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout != 0:
            if timeout is None:
                raise AssertionError("everything waits, and nothing will ever come")
            self._leap(timeout)
        return ready


class FakeTimeLoop(asyncio.SelectorEventLoop):
    """All of asyncio's timers, at once and in their order."""

    def __init__(self) -> None:
        self._seconds = 0.0
        super().__init__(_Leaping(self._leap))

    def time(self) -> float:
        return self._seconds

    def _leap(self, seconds: float) -> None:
        self._seconds += seconds
        if self._seconds > _LONGEST:
            self._seconds -= _LONGEST
            raise AssertionError("the scenario does not end")


def in_fake_time(scenario: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """A test of its own loop, which starts at NOON; jitter is the same in every run."""

    @wraps(scenario)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        random.seed(7)
        with asyncio.Runner(loop_factory=FakeTimeLoop) as runner:
            runner.run(scenario(*args, **kwargs))

    return run


def now() -> datetime:
    """The running loop's time as a date."""
    return NOON + timedelta(seconds=asyncio.get_running_loop().time())


def timing(*loops: str) -> Timing:
    """A Timing on the running loop; `loops` are those that will beat."""
    clock = asyncio.get_running_loop().time
    pulse = Pulse(clock)
    for name in loops:
        pulse.expect(name, 60.0)
    return Timing(now, clock, pulse)
