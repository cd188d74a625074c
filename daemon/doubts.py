"""Doubt: what was read before proves nothing any more; the flags wait for the next compare."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from .domain.buckets import SymbolKey
from .domain.model import AccountId, Holding, PositionId, Verdict
from .domain.portfolio import NOT_COMPARED, Portfolio
from .domain.verdict import Reading

# Bybit cuts streams now and then for a second (V5: a server restart, a missed pong); what happened
# meanwhile is read right after the reconnect, so that nothing needs to be doubted until then.
_GRACE: Final = timedelta(seconds=5)
_HEDGE: Final = frozenset({1, 2})


class Doubts:
    """Casts doubt on positions: after a while without a stream, at once where a mode changed."""

    def __init__(
        self,
        portfolio: Portfolio,
        now: Callable[[], datetime],
        changed: Callable[[frozenset[PositionId]], None],
    ) -> None:
        self._portfolio = portfolio
        self._now = now
        self._changed = changed
        self._down: dict[AccountId, tuple[datetime, str]] = {}

    def stream_down(self, account_id: AccountId, reason: str, *, at_once: bool) -> None:
        """Doubt the account unless its stream is back in time."""
        due = self._now() if at_once else self._now() + _GRACE
        known, _ = self._down.get(account_id, (due, reason))
        self._down[account_id] = (min(known, due), reason)
        if at_once:
            self.cast_due()

    def stream_up(self, account_id: AccountId) -> None:
        self._down.pop(account_id, None)

    def due_at(self) -> datetime | None:
        """When the next doubt is due; None while all streams are up."""
        return min((at for at, _ in self._down.values()), default=None)

    def cast_due(self) -> None:
        """Doubt the accounts whose streams have been down for too long."""
        for account_id, (at, reason) in list(self._down.items()):
            if at <= self._now():
                del self._down[account_id]
                why = f"the private stream is down: {reason}"
                self.cast(self._portfolio.symbols(account_id), why)

    def cast(self, symbols: Iterable[SymbolKey], why: str) -> None:
        """Nothing is known of these symbols any more, nor of the positions in them."""
        doubted = list(symbols)
        for symbol in doubted:
            self._portfolio.readings[symbol] = Reading((), self._now(), why)
        holders = self._portfolio.holders(doubted)
        for holder in holders:
            known = self._portfolio.syncs.get(holder, NOT_COMPARED)
            self._portfolio.syncs[holder] = replace(
                known, verdict=Verdict.UNVERIFIED, reason=why, verified_at=None
            )
        self._changed(holders)

    def is_other_mode(self, symbol: SymbolKey, holding: Holding) -> bool:
        """Whether a pushed row is of another position mode than what was last read."""
        reading = self._portfolio.readings.get(symbol)
        if reading is None or reading.failure or not reading.holdings:
            return False
        was_hedge = any(row.position_idx in _HEDGE for row in reading.holdings)
        return was_hedge != (holding.position_idx in _HEDGE)
