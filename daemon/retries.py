"""When to read an account's sizes again that could not be read."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from .backoff import Backoff
from .domain.model import AccountId
from .domain.portfolio import Portfolio

_FIRST: Final = 2.0
# An exchange that stays away is asked this seldom (s); the sweep asks every five minutes anyway.
_SELDOM: Final = 60.0


class Retries:
    """One growing pause per account, for as long as one of its symbols has no reading."""

    def __init__(self) -> None:
        self._due: dict[AccountId, datetime] = {}
        self._pauses: dict[AccountId, Backoff] = {}

    def plan(self, portfolio: Portfolio, account_id: AccountId, now: datetime) -> None:
        """After a compare: the next one if a read failed, none if all is known again."""
        readings = (portfolio.readings.get(s) for s in portfolio.symbols(account_id))
        if any(reading and reading.failure for reading in readings):
            pause = self._pauses.setdefault(account_id, Backoff(first=_FIRST, most=_SELDOM))
            self._due[account_id] = now + timedelta(seconds=pause.next())
        else:
            self._due.pop(account_id, None)
            self._pauses.pop(account_id, None)

    def take_due(self, now: datetime) -> set[AccountId]:
        """The accounts whose pause is over; each is handed out once."""
        due = {account_id for account_id, at in self._due.items() if at <= now}
        for account_id in due:
            del self._due[account_id]
        return due
