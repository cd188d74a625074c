"""What one network address did, for whoever wants to see how near to a limit it came."""

from collections import deque
from dataclasses import dataclass, field
from typing import Any

GRAIN_MS = 100
KEPT = 36_000  # an hour without a pause


@dataclass(slots=True)
class Meter:
    """Counts what happened: in all, in the fullest window so far, and by tenths of a second."""

    window_ms: int
    total: int = 0
    peak: int = 0
    _recent: deque[int] = field(default_factory=deque)
    _series: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=KEPT))

    def note(self, now_ms: int) -> None:
        self.total += 1
        self._recent.append(now_ms)
        while self._recent[0] <= now_ms - self.window_ms:
            self._recent.popleft()
        self.peak = max(self.peak, len(self._recent))
        tenth = now_ms - now_ms % GRAIN_MS
        if self._series and self._series[-1][0] == tenth:
            self._series[-1] = (tenth, self._series[-1][1] + 1)
        else:
            self._series.append((tenth, 1))

    def described(self) -> dict[str, Any]:
        """As `GET /_paper/traffic` shows it; tenths in which nothing happened are left out."""
        return {
            "window_ms": self.window_ms,
            "total": self.total,
            "peak": self.peak,
            "series": list(self._series),
        }


@dataclass(slots=True)
class Traffic:
    """Requests and new streams of one address; `refused` are the 403s among both."""

    requests: Meter
    streams: Meter
    refused: int = 0

    def described(self) -> dict[str, Any]:
        return {
            "requests": self.requests.described(),
            "streams": self.streams.described(),
            "refused": self.refused,
        }
