"""What has to be looked at again: reads that failed, verdicts not stored, causes not found."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from .domain.buckets import SymbolKey
from .domain.deviations import CauseKind, DeviationRow
from .domain.model import AccountId
from .domain.portfolio import Portfolio
from .retries import Retries

# Executions show late; after this a deviation that nothing explains stays unexplained.
_EXPLAINED_WITHIN: Final = timedelta(minutes=10)
# Rows follow what happened by a moment. What happened just before a stream came back is told by
# nobody, and the compare that it then asks for may still read the rows of before.
_ROWS_FOLLOW_WITHIN: Final = timedelta(seconds=3)


class SecondLooks:
    """Plans after each compare, and hands out what is due: whole accounts, single symbols."""

    def __init__(self, portfolio: Portfolio) -> None:
        self._portfolio = portfolio
        self._accounts: Retries[AccountId] = Retries(first=2.0, most=60.0)
        self._symbols: Retries[SymbolKey] = Retries(first=2.0, most=60.0)
        self._unstored: set[SymbolKey] = set()
        self._cut: set[AccountId] = set()
        self._after_cut: dict[AccountId, datetime] = {}

    def stream_down(self, account_id: AccountId) -> None:
        self._cut.add(account_id)

    def stream_up(self, account_id: AccountId, now: datetime) -> None:
        """After a cut, a second compare follows the one that is asked for at once."""
        if account_id in self._cut:
            self._cut.discard(account_id)
            self._after_cut[account_id] = now + _ROWS_FOLLOW_WITHIN

    def plan(
        self,
        account_id: AccountId,
        compared: Iterable[SymbolKey],
        now: datetime,
        *,
        is_stored: bool,
    ) -> None:
        """After a compare of these symbols of the account."""
        symbols = frozenset(compared)
        # What another compare stored of the account says nothing of these.
        self._unstored = self._unstored - symbols if is_stored else self._unstored | symbols
        for symbol in symbols:
            rows = (self._portfolio.deviations.get(symbol.bucket(idx)) for idx in (0, 1, 2))
            is_open = any(row is not None and _wants_cause(row, now) for row in rows)
            self._symbols.plan(symbol, now, again=is_open)
        held = self._portfolio.symbols(account_id)
        readings = map(self._portfolio.readings.get, held)
        has_failed = any(reading is not None and reading.failure for reading in readings)
        # Also where the account is not connected, which costs no request: among hundreds its
        # stream, whose start asks for a compare, comes minutes after its key is known to be good.
        self._accounts.plan(account_id, now, again=has_failed or bool(held & self._unstored))

    def accounts_due(self, now: datetime) -> set[AccountId]:
        late = {account_id for account_id, at in self._after_cut.items() if at <= now}
        for account_id in late:
            del self._after_cut[account_id]
        return late | self._accounts.take_due(now)

    def symbols_due(self, now: datetime) -> set[SymbolKey]:
        return self._symbols.take_due(now)


def _wants_cause(row: DeviationRow, now: datetime) -> bool:
    is_known = row.cause is not None and row.cause.kind is not CauseKind.UNKNOWN
    return not is_known and now - row.first_seen < _EXPLAINED_WITHIN
