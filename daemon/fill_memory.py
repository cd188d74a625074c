"""The executions that the private streams told lately, and when each stream was up to tell them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from .domain.events import AccountEvent, AccountFeedDown, AccountFeedUp, FillSeen
from .domain.model import AccountId, Category, Fill
from .domain.portfolio import Portfolio

_Key = tuple[AccountId, Category, str]

_MOST_FILLS: Final = 100
_MOST_SYMBOLS: Final = 5_000
_MOST_GAPS: Final = 50
# A dead line is noticed only when its pongs fail to come.
_NOTICED_WITHIN: Final = timedelta(seconds=60)


@dataclass(slots=True)
class _Stream:
    """`up_since` is None while it is down; `gaps` are (down, up) times of before."""

    first_up: datetime | None = None
    up_since: datetime | None = None
    down_at: datetime | None = None
    gaps: deque[tuple[datetime, datetime]] = field(default_factory=lambda: deque(maxlen=_MOST_GAPS))


@dataclass(slots=True)
class _Told:
    """A symbol's executions by id, oldest first; what was dropped for want of room ended when."""

    fills: dict[str, Fill] = field(default_factory=dict)
    lost_until: datetime | None = None


class FillMemory:
    """Bounded per symbol; symbols that no recorded leg names are ignored."""

    def __init__(self, portfolio: Portfolio, now: Callable[[], datetime]) -> None:
        self._portfolio = portfolio
        self._now = now
        self._told: dict[_Key, _Told] = {}
        self._streams: dict[AccountId, _Stream] = {}

    def on_account(self, event: AccountEvent) -> None:
        """Called for every private event; never blocks."""
        match event:
            case AccountFeedUp(account_id):
                self._up(account_id)
            case AccountFeedDown(account_id):
                self._down(account_id)
            case FillSeen(account_id, fill) if self._is_told(account_id, fill):
                self._keep((account_id, fill.category, fill.symbol), fill)
            case _:
                pass

    def fills(
        self, account_id: AccountId, category: Category, symbols: Iterable[str], since: datetime
    ) -> list[Fill]:
        """What the stream told of the symbols from `since` on."""
        told = (self._told.get((account_id, category, symbol)) for symbol in symbols)
        return [
            fill
            for one in told
            if one is not None
            for fill in one.fills.values()
            if fill.executed_at >= since
        ]

    def is_whole(
        self, account_id: AccountId, category: Category, symbols: Iterable[str], since: datetime
    ) -> bool:
        """Whether the stream was up all the time since then, and nothing told was dropped."""
        stream = self._streams.get(account_id)
        if stream is None or stream.up_since is None or stream.up_since > since:
            return False
        told = (self._told.get((account_id, category, symbol)) for symbol in symbols)
        return all(one is None or one.lost_until is None or one.lost_until < since for one in told)

    def is_away(self, account_id: AccountId, at: datetime) -> bool:
        """Whether what happened then could not be heard: it counts only for what was not told."""
        stream = self._streams.get(account_id)
        if stream is None or stream.first_up is None or at < stream.first_up:
            return True
        if stream.down_at is not None and at >= stream.down_at - _NOTICED_WITHIN:
            return True
        return any(down - _NOTICED_WITHIN <= at < up for down, up in stream.gaps)

    def forget(self, account_id: AccountId, category: Category, symbol: str, to: datetime) -> None:
        """Drop what was told of the symbol before `to`: nobody will ask for it again."""
        told = self._told.get((account_id, category, symbol))
        if told is not None:
            told.fills = {i: fill for i, fill in told.fills.items() if fill.executed_at >= to}

    def _is_told(self, account_id: AccountId, fill: Fill) -> bool:
        # What is not known to be money alone is kept: an unknown type may explain something.
        return (fill.changes_size or fill.exec_type not in ("Funding", "SessionSettlePnL")) and any(
            component.symbol == fill.symbol and component.category is fill.category
            for position in self._portfolio.of_account(account_id)
            for component in position.components
        )

    def _keep(self, key: _Key, fill: Fill) -> None:
        # Taken out and put in again: the symbol that was silent longest goes first.
        told = self._told.pop(key, None) or _Told()
        self._told[key] = told
        told.fills.setdefault(fill.exec_id, fill)
        while len(told.fills) > _MOST_FILLS:
            dropped = told.fills.pop(next(iter(told.fills)))
            told.lost_until = max(told.lost_until or dropped.executed_at, dropped.executed_at)
        while len(self._told) > _MOST_SYMBOLS:
            del self._told[next(iter(self._told))]

    def _up(self, account_id: AccountId) -> None:
        stream = self._streams.setdefault(account_id, _Stream())
        now = self._now()
        if stream.down_at is not None:
            stream.gaps.append((stream.down_at, now))
        stream.first_up = stream.first_up or now
        stream.up_since, stream.down_at = now, None

    def _down(self, account_id: AccountId) -> None:
        stream = self._streams.setdefault(account_id, _Stream())
        stream.up_since = None
        if stream.down_at is None:
            stream.down_at = self._now()
