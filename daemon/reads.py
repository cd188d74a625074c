"""Which readings belong to our records: nothing of ours moved the size while they were taken."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from .bucket_locks import BucketLocks
from .domain.buckets import SymbolKey
from .domain.model import ComponentId
from .domain.portfolio import Portfolio
from .domain.verdict import Reading
from .in_flight import InFlight
from .size_reader import LAGS

Stamp = tuple[int | None, int, frozenset[tuple[ComponentId, Decimal]]]


@dataclass(frozen=True, slots=True)
class Read:
    """A read about to begin: its turn among all reads, and the stamps of its symbols."""

    turn: int
    at: datetime
    stamps: Mapping[SymbolKey, Stamp | None]


class Reads:
    """Hands out turns, and tells which readings of a read may be judged by."""

    def __init__(self, portfolio: Portfolio, locks: BucketLocks, in_flight: InFlight) -> None:
        self._portfolio = portfolio
        self._locks = locks
        self._in_flight = in_flight
        self._turns = 0
        self._newest: dict[SymbolKey, int] = {}

    def begin(self, symbols: Iterable[SymbolKey], now: datetime) -> Read:
        self._turns += 1
        return Read(self._turns, now, {symbol: self._stamp(symbol) for symbol in symbols})

    def split(
        self, fresh: Mapping[SymbolKey, Reading], begun: Read
    ) -> tuple[dict[SymbolKey, Reading], set[SymbolKey]]:
        """The readings that belong to our records and are the newest, and what to ask anew.

        Where a close moved the size, or our record of it, during the read, the two do not belong
        together; nor where something was recorded meanwhile, whose purchase the row may not show;
        nor where the row is older than a fill. And a sweep's read may end after that of
        a recheck which began later: that one is left out in silence.
        """
        usable, again = {}, set()
        for symbol, reading in fresh.items():
            stamp = begun.stamps[symbol]
            if stamp is None or self._stamp(symbol) != stamp or reading.failure == LAGS:
                again.add(symbol)
            elif self._newest.get(symbol, 0) <= begun.turn:
                self._newest[symbol] = begun.turn
                usable[symbol] = reading
        return usable, again

    def accept(self, begun: Read) -> None:
        """Whoever has the symbols locked has read them: no earlier read counts any more."""
        self._newest.update(dict.fromkeys(begun.stamps, begun.turn))

    def _stamp(self, symbol: SymbolKey) -> Stamp | None:
        """None while somebody is at work there who does not say what may change."""
        holder = self._locks.stamp(symbol)
        if holder is None and not self._in_flight.is_at_work(symbol):
            return None
        version = self._in_flight.version(symbol)
        return holder, version, self._portfolio.open_in(symbol)
