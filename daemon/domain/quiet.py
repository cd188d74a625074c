"""The quiet window: when a change of size has settled enough to be asked about."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from .buckets import SymbolKey

QUIET: Final = timedelta(seconds=2)
# A deviation is flagged within 12 s of the first change, and in a coin that is traded without a
# pause the read alone takes 2 s.
PATIENCE: Final = timedelta(seconds=8)


@dataclass(slots=True)
class QuietWindow:
    """Symbols that changed: each is due 2 s after its last change, at most 8 s after its first."""

    _first: dict[SymbolKey, datetime] = field(default_factory=dict)
    _last: dict[SymbolKey, datetime] = field(default_factory=dict)

    def note(self, symbol: SymbolKey, now: datetime) -> None:
        """A change of size was seen now."""
        self._first.setdefault(symbol, now)
        self._last[symbol] = now

    def due_at(self) -> datetime | None:
        """When the next symbol is due; None while nothing changed."""
        return min((self._due(symbol) for symbol in self._first), default=None)

    def take_due(self, now: datetime) -> frozenset[SymbolKey]:
        """The symbols due by now; they are forgotten here."""
        due = frozenset(symbol for symbol in self._first if self._due(symbol) <= now)
        for symbol in due:
            del self._first[symbol], self._last[symbol]
        return due

    def _due(self, symbol: SymbolKey) -> datetime:
        return min(self._last[symbol] + QUIET, self._first[symbol] + PATIENCE)
