"""Bybit's clock, told from our own: a timestamp one second ahead is already refused (10002).

Server time is kept against the monotonic clock, so that a step of the machine's wall clock moves
nothing that is signed or proven absent by it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import median

_KEPT = 5
# Half the round trip is the error of a sample; slower ones say too little.
_SLOWEST_SAMPLE = 1.0
_REFRESH_AFTER = 30.0


@dataclass(frozen=True, slots=True)
class ClockReading:
    """One look at the server's clock: its stamp, and when (monotonic s) we asked and heard."""

    server_ms: int
    asked: float
    heard: float

    @property
    def round_trip(self) -> float:
        return self.heard - self.asked

    @property
    def base_ms(self) -> float:
        """Server time (ms) at monotonic zero, taking the stamp as made halfway."""
        return self.server_ms - (self.asked + self.heard) * 500.0


class ServerClock:
    """Server time of one environment; before the first reading it is the machine's own."""

    def __init__(self, utcnow: Callable[[], datetime], monotonic: Callable[[], float]) -> None:
        self._utcnow = utcnow
        self._monotonic = monotonic
        self._readings: deque[ClockReading] = deque(maxlen=_KEPT)
        self._base_ms: float | None = None

    @property
    def is_measured(self) -> bool:
        return bool(self._readings)

    @property
    def measured_at(self) -> float:
        """When (monotonic s) the newest reading was made."""
        return self._readings[-1].heard if self._readings else float("-inf")

    @property
    def offset(self) -> timedelta:
        """How far the server is ahead of this machine's wall clock."""
        return self.now() - self._utcnow()

    def observe(self, reading: ClockReading) -> None:
        """Take in a reading made on purpose."""
        self._readings.append(reading)
        self._base_ms = median(kept.base_ms for kept in self._readings)

    def overhear(self, reading: ClockReading) -> None:
        """Take in the stamp of an ordinary reply: only a quick one, and only now and then."""
        if reading.round_trip > _SLOWEST_SAMPLE:
            return
        if self._readings and reading.heard - self._readings[-1].heard < _REFRESH_AFTER:
            return
        self.observe(reading)

    def forget(self) -> None:
        """The server refused our time: the readings are wrong, the next ones start afresh.

        The last base stays in use until then; there is nothing better to sign with.
        """
        self._readings.clear()

    def now_ms(self) -> int:
        if self._base_ms is None:
            return int(self._utcnow().timestamp() * 1000)
        return int(self._base_ms + self._monotonic() * 1000.0)

    def now(self) -> datetime:
        return from_ms(self.now_ms())


def from_ms(stamp: int) -> datetime:
    """A UTC datetime from Bybit's milliseconds, exactly."""
    seconds, rest = divmod(stamp, 1000)
    return datetime.fromtimestamp(seconds, UTC) + timedelta(milliseconds=rest)


def to_ms(moment: datetime) -> int:
    """Milliseconds since the epoch, rounded down."""
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
