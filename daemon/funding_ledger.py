"""Funding as it is paid: each payment split among the positions that shared the bucket, once.

Payments come from the private stream, and again from REST (funding_reads), which finds what the
stream missed. The store keeps each share once by its execution id, so that neither order nor
repetition matters.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Final, NoReturn

import structlog

from .backoff import Backoff
from .bucket_locks import BucketLocks
from .catalogue import Catalogue
from .domain import funding
from .domain.buckets import SymbolKey, position_idx_for
from .domain.errors import ExchangeUnreachable, PositiondError, StoreUnavailable
from .domain.events import AccountEvent, FillSeen
from .domain.funding import FundingClaim, FundingPayment
from .domain.model import ZERO, AccountId, Fill, Holding, InstrumentKey, Position, PositionId
from .domain.portfolio import Portfolio
from .domain.ports import AccountExchange, Evidence, Positions
from .timing import Timing

_log = structlog.get_logger(__name__)

_NAP: Final = 1.0
# All accounts' payments of one funding time fit many times over.
_MOST: Final = 10_000
_REMEMBERED: Final = 20_000


class FundingLedger:
    """Books funding; `put` shows a position as it now stands.

    A payment in a symbol where a close is at work waits for its end: what was open at the funding
    time is told by the fills that are booked, and that close's may not be yet.
    """

    def __init__(
        self,
        portfolio: Portfolio,
        positions: Positions,
        evidence: Evidence,
        exchanges: Mapping[AccountId, AccountExchange],
        catalogue: Catalogue,
        locks: BucketLocks,
        timing: Timing,
        put: Callable[[Position], None],
    ) -> None:
        self._portfolio = portfolio
        self._positions = positions
        self._evidence = evidence
        self._exchanges = exchanges
        self._catalogue = catalogue
        self._locks = locks
        self._timing = timing
        self._put = put
        self._waiting: deque[tuple[AccountId, Fill]] = deque()
        self._booked: dict[tuple[AccountId, str], None] = {}
        self._behind: set[AccountId] = set()
        self._failing: dict[AccountId, str] = {}
        self._wake = asyncio.Event()

    def on_account(self, event: AccountEvent) -> None:
        """Queue what was paid on a bucket that somebody holds; never blocks."""
        if isinstance(event, FillSeen) and is_funding(event.fill):
            symbol = SymbolKey(event.account_id, event.fill.category, event.fill.symbol)
            if self._portfolio.holders((symbol,)):
                self.add(event.account_id, event.fill)

    def add(self, account_id: AccountId, fill: Fill) -> None:
        """Queue a payment; where there is no room, the account is left to be read by REST."""
        if len(self._waiting) >= _MOST:
            self._behind.add(account_id)
            return
        self._waiting.append((account_id, fill))
        self._wake.set()

    def take_behind(self) -> set[AccountId]:
        """The accounts some of whose payments were not queued, each told once."""
        behind, self._behind = self._behind, set()
        return behind

    async def run(self) -> NoReturn:
        """Book what is queued, for ever; what fails stays queued."""
        backoff = Backoff(first=0.5, most=30.0)
        while True:
            self._timing.beat("funding")
            await self._timing.wait_for(self._wake, _NAP)
            self._wake.clear()
            if await self._book_waiting():
                backoff.reset()
            else:
                await self._timing.sleep(backoff.next())

    async def _book_waiting(self) -> bool:
        """One round over the queue; False when something failed."""
        is_well = True
        for _ in range(len(self._waiting)):
            self._timing.beat("funding")
            account_id, fill = self._waiting.popleft()
            try:
                is_booked = await self.book(account_id, fill)
            except PositiondError as error:
                self._waiting.append((account_id, fill))
                self._note(account_id, error)
                is_well = False
                if isinstance(error, StoreUnavailable):
                    # The others would wait for the same database, each until its timeout.
                    break
                continue
            if not is_booked:
                self._waiting.append((account_id, fill))
            self._failing.pop(account_id, None)
        return is_well

    def _note(self, account_id: AccountId, error: PositiondError) -> None:
        """Once for as long as an account fails the same way."""
        if self._failing.get(account_id) != error.code:
            _log.warning(
                "funding was not booked", account=str(account_id), code=error.code, why=error.detail
            )
        self._failing[account_id] = error.code

    # --- one payment ------------------------------------------------------------------------

    async def book(self, account_id: AccountId, fill: Fill) -> bool:
        """Split and store one payment; False while a close is at work in its symbol."""
        key = (account_id, fill.exec_id)
        if key in self._booked or fill.fee == 0:
            return True
        symbol = SymbolKey(account_id, fill.category, fill.symbol)
        if symbol in self._locks.busy:
            return False
        claims = await self._evidence.funding_claims(symbol, fill.executed_at)
        if claims:
            await self._split(symbol, fill, claims)
        self._booked[key] = None
        if len(self._booked) > _REMEMBERED:
            del self._booked[next(iter(self._booked))]
        return True

    async def _split(self, symbol: SymbolKey, fill: Fill, claims: list[FundingClaim]) -> None:
        idx = position_idx_for(fill.side, await self._rows(symbol))
        if idx:
            # Hedge mode pays on each side apart: a row belongs to the legs of its own side.
            claims = [c for c in claims if c.signed_open * fill.side.sign > 0]
        coin = fill.fee_coin or await self._settle_coin(symbol)
        if coin is None:
            _log.error("funding in an unknown coin is left out", symbol=symbol.symbol)
            return
        payment = FundingPayment(
            fill.exec_id,
            symbol,
            fill.side.sign * fill.quantity,
            -fill.fee,
            coin,
            fill.executed_at,
        )
        unassigned = self._portfolio.unassigned.get(symbol.bucket(idx), ZERO)
        shares = funding.split(payment, claims, unassigned)
        if shares:
            await self._show(await self._evidence.book_funding(payment, shares))

    async def _rows(self, symbol: SymbolKey) -> Iterable[Holding]:
        """What tells the symbol's mode: an execution carries no positionIdx."""
        reading = self._portfolio.readings.get(symbol)
        if reading is not None and reading.failure is None and reading.holdings:
            return reading.holdings
        exchange = self._exchanges.get(symbol.account_id)
        if exchange is None:
            raise ExchangeUnreachable("account-not-connected", "the account is not connected")
        return await exchange.holdings_in(symbol.category, symbol.symbol, urgent=False)

    async def _settle_coin(self, symbol: SymbolKey) -> str | None:
        """Older rows have no `feeCurrency`; funding is always paid in the settle coin."""
        state = self._portfolio.accounts.get(symbol.account_id)
        if state is None:
            return None
        key = InstrumentKey(state.account.environment, symbol.category, symbol.symbol)
        instrument = await self._catalogue.instrument(key)
        return None if instrument is None else instrument.settle_coin

    async def _show(self, risen: Iterable[PositionId]) -> None:
        for position_id in risen:
            stored = await self._positions.load(position_id)
            known = self._portfolio.positions.get(position_id)
            if stored is not None and known is not None:
                # The sums alone: what a close stored of it since may be newer than this row.
                self._put(replace(known, booked=stored.booked))


def is_funding(fill: Fill) -> bool:
    """Bybit V5: execution/list `execType` Funding; a row of it never changes a size."""
    return fill.exec_type == "Funding"
