"""Which loop is late: every loop beats, each within a limit of its own."""

from __future__ import annotations

from collections.abc import Callable


class Pulse:
    """Heartbeats by name; times are seconds of the clock that is handed in."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._limits: dict[str, float] = {}
        self._beats: dict[str, float] = {}

    def expect(self, name: str, limit: float) -> None:
        """From now on `name` has to beat at least every `limit` seconds."""
        self._limits[name] = limit
        self._beats[name] = self._clock()

    def forget(self, name: str) -> None:
        self._limits.pop(name, None)
        self._beats.pop(name, None)

    def beat(self, name: str) -> None:
        """KeyError for a name that nobody expects: a typo would hide a stuck loop."""
        if name not in self._limits:
            raise KeyError(name)
        self._beats[name] = self._clock()

    def late(self, now: float) -> list[str]:
        """The loops whose last beat is longer ago than their limit, sorted."""
        return sorted(
            name for name, limit in self._limits.items() if now - self._beats[name] > limit
        )
