"""Funding that the private stream did not tell: read by REST after every connect, and hourly."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final, NoReturn

import structlog

from .backoff import Backoff
from .domain.errors import CredentialsRefused, ExchangeRefused, PositiondError
from .domain.events import AccountEvent, AccountFeedUp, FillSeen
from .domain.model import AccountId, Category, Fill
from .domain.portfolio import Portfolio
from .domain.ports import AccountExchange, Evidence
from .funding_ledger import FundingLedger, is_funding
from .timing import Timing

_log = structlog.get_logger(__name__)

_NAP: Final = 1.0
_AT_ONCE: Final = 4
# Bybit pays at whole hours; its list may lag the payments.
_PAST_THE_HOUR: Final = timedelta(minutes=5)
# Lists lag, clocks differ, and what was queued when a process died was not booked.
_OVERLAP: Final = timedelta(minutes=10)
# One window of execution/list (Bybit V5: 7 days). Whoever was away longer has to be told so
# rather than have every trade of an account's months read through.
_LONGEST: Final = timedelta(days=7)
# Only perpetual contracts pay funding, and these are their categories.
_PAYING: Final = frozenset({Category.LINEAR, Category.INVERSE})


class FundingReads:
    """Reads each account from where its ledger is known to be complete."""

    def __init__(
        self,
        portfolio: Portfolio,
        exchanges: Mapping[AccountId, AccountExchange],
        evidence: Evidence,
        ledger: FundingLedger,
        timing: Timing,
    ) -> None:
        self._portfolio = portfolio
        self._exchanges = exchanges
        self._evidence = evidence
        self._ledger = ledger
        self._timing = timing
        self._wanted: set[AccountId] = set()
        # Also where a position was opened and closed between two reads.
        self._followed: dict[AccountId, set[Category]] = {}
        self._pauses: dict[AccountId, Backoff] = {}
        self._due: dict[AccountId, datetime] = {}
        self._wake = asyncio.Event()

    def on_account(self, event: AccountEvent) -> None:
        """Note who has to be read; never blocks."""
        match event:
            case AccountFeedUp(account_id):
                self._wanted.add(account_id)
                self._wake.set()
            case FillSeen(account_id, fill) if fill.category in _PAYING:
                self._followed.setdefault(account_id, set()).add(fill.category)
            case _:
                pass

    async def run(self) -> NoReturn:
        """Read whoever connected, at five past every hour everybody, and again what failed."""
        hourly = _five_past(self._timing.now())
        while True:
            self._timing.beat("funding reads")
            await self._timing.wait_for(self._wake, _NAP)
            self._wake.clear()
            now = self._timing.now()
            wanted = self._wanted | self._ledger.take_behind()
            wanted |= {account_id for account_id, due in self._due.items() if due <= now}
            if now >= hourly:
                wanted |= self._exchanges.keys()
                hourly = _five_past(now)
            self._wanted = set()
            await self._read_all(wanted)

    async def _read_all(self, accounts: set[AccountId]) -> None:
        gate = asyncio.Semaphore(_AT_ONCE)

        async def one(account_id: AccountId) -> None:
            async with gate:
                await self._tried(account_id)

        async with asyncio.TaskGroup() as group:
            for account_id in sorted(accounts):
                group.create_task(one(account_id), name=f"funding of {account_id}")

    async def _tried(self, account_id: AccountId) -> None:
        exchange = self._exchanges.get(account_id)
        if exchange is None:
            # Its return is told by AccountFeedUp.
            self._due.pop(account_id, None)
            return
        try:
            await self._read(account_id, exchange)
        except PositiondError as error:
            if account_id not in self._pauses:
                _log.warning(
                    "funding was not read",
                    account=str(account_id),
                    code=error.code,
                    why=error.detail,
                )
            pause = self._pauses.setdefault(account_id, Backoff(first=5.0, most=300.0))
            self._due[account_id] = self._timing.now() + timedelta(seconds=pause.next())
        else:
            self._pauses.pop(account_id, None)
            self._due.pop(account_id, None)

    async def _read(self, account_id: AccountId, exchange: AccountExchange) -> None:
        begun = self._timing.now()
        self._timing.beat("funding reads")
        categories, since = await self._what(account_id, begun)
        is_complete = True
        for category in sorted(categories):
            for fill in await exchange.fills_since(category, since):
                self._timing.beat("funding reads")
                if is_funding(fill):
                    is_complete &= await self._book(account_id, fill)
        if categories and is_complete:
            await self._evidence.note_funding_read(account_id, begun)

    async def _book(self, account_id: AccountId, fill: Fill) -> bool:
        """False where it could not be booked yet."""
        try:
            if await self._ledger.book(account_id, fill):
                return True
        except CredentialsRefused:
            raise
        except ExchangeRefused as error:
            # Of this symbol alone (one that Bybit lists no more): the others' are booked.
            _log.warning("a payment was not booked", symbol=fill.symbol, why=error.detail)
        else:
            self._ledger.add(account_id, fill)
        return False

    async def _what(self, account_id: AccountId, now: datetime) -> tuple[set[Category], datetime]:
        """The categories to read, and from when; none for an account that never held a leg."""
        positions = self._portfolio.of_account(account_id)
        held = {c.category for position in positions for c in position.components}
        until = await self._evidence.funding_read_until(account_id)
        if until is None and not positions:
            return set(), now
        followed = self._followed.setdefault(account_id, set())
        followed |= held & _PAYING
        if until is not None and not followed:
            # What closed before a restart may have been paid since the last read.
            followed |= _PAYING
        since = until if until is not None else min(p.opened_at for p in positions)
        if now - since > _LONGEST and followed:
            _log.warning(
                "older funding is not read", account=str(account_id), since=since.isoformat()
            )
        return followed, max(since - _OVERLAP, now - _LONGEST)


def _five_past(now: datetime) -> datetime:
    """The next hh:05 UTC strictly after `now`."""
    due = now.replace(minute=0, second=0, microsecond=0) + _PAST_THE_HOUR
    return due if due > now else due + timedelta(hours=1)
