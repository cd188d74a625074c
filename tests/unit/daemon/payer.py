"""An account's funding as Bybit lists it, and the real ledger that books it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any, cast

from positiond.daemon.bucket_locks import BucketLocks
from positiond.daemon.catalogue import Catalogue
from positiond.daemon.domain.errors import ExchangeRefused, ExchangeUnreachable
from positiond.daemon.domain.events import AccountFeedUp, FillSeen
from positiond.daemon.domain.model import AccountId, Category, Fill, Holding, Position, Side
from positiond.daemon.domain.portfolio import AccountState, Portfolio
from positiond.daemon.domain.verdict import Reading
from positiond.daemon.funding_ledger import FundingLedger
from positiond.daemon.funding_reads import FundingReads

from ...builders import ACCOUNT, BTC, LONG, account, fill, holding, symbol_key
from .evidence import Memory
from .fake_time import now, timing
from .gate import Gate
from .ledger import Ledger
from .venue import Door


def paid(
    fee: str,
    quantity: str = "1",
    side: Side = LONG,
    symbol: str = BTC,
    *,
    exec_id: str = "funding-1",
    at: datetime | None = None,
    coin: str = "USDT",
) -> Fill:
    """A Funding row: `fee` > 0 was paid by the trader, < 0 received."""
    row = fill(quantity, side, symbol, exec_id=exec_id, link_id="", at=at or now())
    return replace(row, exec_type="Funding", changes_size=False, fee=Decimal(fee), fee_coin=coin)


class Payer:
    """One account of an exchange that lists executions; `fails` as long as it does not answer."""

    def __init__(self) -> None:
        self.rows: list[Fill] = []
        self.held: dict[str, list[Holding]] = {}
        self.fails = False
        self.unlisted: set[str] = set()
        self.asked: list[tuple[Category, datetime]] = []
        self.urgent: list[bool] = []

    async def fills_since(self, category: Category, since: datetime) -> list[Fill]:
        await asyncio.sleep(0.01)
        if self.fails:
            raise ExchangeUnreachable("timeout", "no answer")
        self.asked.append((category, since))
        return [row for row in self.rows if row.category is category and row.executed_at >= since]

    async def holdings_in(
        self, category: Category, symbol: str, *, urgent: bool = True
    ) -> list[Holding]:
        await asyncio.sleep(0.01)
        self.urgent.append(urgent)
        if symbol in self.unlisted:
            raise ExchangeRefused("refused", f"no {symbol}", ret_code=10001)
        return self.held[symbol]


class Fundings:
    """One account with both loops."""

    def __init__(self) -> None:
        self.portfolio = Portfolio()
        self.portfolio.accounts[ACCOUNT] = AccountState(account())
        self.store = Ledger(Gate())
        self.memory = Memory(self.store)
        self.payer = Payer()
        self.exchanges: dict[AccountId, Any] = {ACCOUNT: self.payer}
        self.locks = BucketLocks()
        self.put: list[Position] = []
        clock = timing("funding", "funding reads")
        evidence = cast(Any, self.memory)
        self.ledger = FundingLedger(
            self.portfolio,
            self.store,
            evidence,
            self.exchanges,
            Catalogue(Door(), now),
            self.locks,
            clock,
            self._put,
        )
        self.reads = FundingReads(self.portfolio, self.exchanges, evidence, self.ledger, clock)

    def _put(self, position: Position) -> None:
        self.put.append(position)
        self.portfolio.put(position)

    def record(self, *positions: Position, held: str = "1") -> None:
        for position in positions:
            self.portfolio.put(position)
            self.store.positions[position.id] = position
        self.read(holding(held))

    def read(self, *rows: Holding) -> None:
        """What the last compare read of BTC."""
        self.portfolio.readings[symbol_key()] = Reading(rows, now())

    def tell(self, *fills: Fill) -> None:
        for one in fills:
            self.ledger.on_account(FillSeen(ACCOUNT, one))
            self.reads.on_account(FillSeen(ACCOUNT, one))

    def connect(self) -> None:
        self.reads.on_account(AccountFeedUp(ACCOUNT))

    def shares(self, *positions: Position) -> list[Decimal]:
        return [self.memory.funding_of(position) for position in positions]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(loop.run()) for loop in (self.ledger, self.reads)]
        try:
            yield
            for task in tasks:
                assert not task.done(), task
        finally:
            for task in tasks:
                task.cancel()
