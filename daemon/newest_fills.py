"""The newest fill per symbol, so that no row from before it passes for what Bybit holds now."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

from .domain.buckets import SymbolKey
from .domain.model import AccountId, Category, Fill, Holding
from .domain.plan import is_as_new_as

# Bybit's rows lag behind its executions by seconds at most; after that a row that still looks
# older (a delivered contract's keeps its last sequence) must not be doubted for ever.
_GOOD_FOR: Final = timedelta(seconds=60)
# Most rows follow within a moment, a wallet is as new as a fill 2 s later: so often one that lags
# is read again, after so many seconds each time, before whoever asks is told.
LOOKS: Final = 10
BETWEEN_LOOKS: Final = 0.3
_MANY: Final = 1_000


class NewestFills:
    """Fills of all accounts, told by the streams and by the lookups of closes alike."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._fills: dict[SymbolKey, tuple[Fill, datetime]] = {}

    def note(self, account_id: AccountId, fill: Fill) -> None:
        """Remember it if it changed a size and nothing newer is known of the symbol."""
        if not fill.changes_size:
            return
        symbol = SymbolKey(account_id, fill.category, fill.symbol)
        known = self._fills.get(symbol)
        if known is None or _order(known[0]) <= _order(fill):
            self._fills[symbol] = (fill, self._now())
        if len(self._fills) > _MANY:
            self._forget_old()

    def recent(self, place: SymbolKey) -> tuple[Fill, ...]:
        """Those of the place that its rows may still lag behind.

        Whoever waits for rows to show them asks once: where somebody trades without a pause there
        is always a newer one, and he would wait for ever.
        """
        since = self._now() - _GOOD_FOR
        return tuple(fill for fill, at in self._of(place) if at > since)

    def _of(self, place: SymbolKey) -> list[tuple[Fill, datetime]]:
        if place.category is not Category.SPOT:
            return [self._fills[place]] if place in self._fills else []
        # A wallet moves with every pair of its coin; one pair too many only costs a second read.
        return [
            known
            for symbol, known in self._fills.items()
            if (symbol.account_id, symbol.category) == (place.account_id, Category.SPOT)
            and (symbol.symbol.startswith(place.symbol) or symbol.symbol.endswith(place.symbol))
        ]

    def _forget_old(self) -> None:
        since = self._now() - _GOOD_FOR
        self._fills = {s: known for s, known in self._fills.items() if known[1] > since}


def are_shown(fills: Iterable[Fill], rows: Sequence[Holding]) -> bool:
    """Whether some row is as new as each fill.

    An execution does not say which side of a hedge it belongs to (V5: the execution stream has no
    positionIdx), so one row as new as the fill is enough.
    """
    return all(any(is_as_new_as([r], r.position_idx, fill) for r in rows) for fill in fills)


def _order(fill: Fill) -> tuple[datetime, int]:
    return fill.executed_at, fill.seq or 0
