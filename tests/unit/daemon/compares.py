"""A stage for compares: what Bybit lists and answers, what was stored, and the real reconciler."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal

from positiond.daemon.bucket_locks import BucketLocks
from positiond.daemon.catalogue import Catalogue
from positiond.daemon.domain.errors import ExchangeUnreachable, StoreUnavailable
from positiond.daemon.domain.model import (
    AccountId,
    BucketKey,
    Category,
    Holding,
    NewPosition,
    Position,
    PositionId,
    Verdict,
)
from positiond.daemon.domain.portfolio import AccountState, Portfolio
from positiond.daemon.domain.ports import AccountExchange
from positiond.daemon.domain.records import DeviationRecord, PnlWrite, VerdictWrite
from positiond.daemon.position_reconciler import PositionReconciler

from ...builders import ACCOUNT, account, component, holding, key_of
from ...builders import position as build
from .fake_time import now, timing
from .gate import Gate
from .ledger import Ledger
from .venue import Door, Venue


class Shelf(Venue):
    """A venue with lists too, each of which may be late, partial or failing."""

    def __init__(self) -> None:
        super().__init__(Gate())
        self.sizes: dict[str, Decimal] = {}
        self.left_out: set[str] = set()
        self.failing: set[str] = set()
        self.silent: set[str] = set()
        self.list_takes = self.query_takes = 0.01
        self.lists: list[str] = []
        self.queries: list[str] = []

    async def holdings(self, category: Category, *, settle_coin: str) -> list[Holding]:
        self.lists.append(settle_coin)
        rows = [self.row(s) for s, size in self.sizes.items() if size and s not in self.left_out]
        await asyncio.sleep(self.list_takes)
        self._fail(settle_coin)
        return rows

    async def holdings_in(self, category: Category, symbol: str) -> list[Holding]:
        self.queries.append(symbol)
        row = self.row(symbol)
        await asyncio.sleep(self.query_takes)
        self._fail(symbol)
        return [] if symbol in self.silent else [row]

    def row(self, symbol: str) -> Holding:
        return holding(self.sizes.get(symbol, Decimal(0)), symbol, read_at=now())

    def _fail(self, what: str) -> None:
        if what in self.failing:
            raise ExchangeUnreachable("timeout", f"no answer about {what}")


@dataclass
class Written:
    """One transaction of the reconciler."""

    flags: dict[PositionId, bool]
    deviating: list[DeviationRecord]
    cleared: list[BucketKey]
    shown_before: dict[PositionId, bool] = field(default_factory=dict)


class Archive(Ledger):
    """Keeps what compares wrote; `fails` as long as the database is away."""

    def __init__(self, portfolio: Portfolio) -> None:
        super().__init__(Gate())
        self.portfolio = portfolio
        self.written: list[Written] = []
        self.pnl: list[list[PnlWrite]] = []
        self.fails = False

    async def write_verdicts(
        self,
        verdicts: Sequence[VerdictWrite],
        deviating: Sequence[DeviationRecord],
        cleared: Sequence[BucketKey],
        at: datetime,
    ) -> None:
        await asyncio.sleep(0.01)
        if self.fails:
            raise StoreUnavailable("store-unavailable", "connection lost")
        self.written.append(
            Written(
                {write.position_id: write.is_altered for write in verdicts},
                list(deviating),
                list(cleared),
                {p.id: p.is_altered for p in self.portfolio.positions.values()},
            )
        )

    async def record(
        self, position: NewPosition, unassigned: Mapping[BucketKey, Decimal]
    ) -> tuple[Position, bool]:
        for known in self.positions.values():
            if position.external_id is not None and known.external_id == position.external_id:
                return known, False
        legs = tuple(
            component(leg.quantity, leg.side, leg.symbol, of=position.name, entry=leg.entry_price)
            for leg in position.components
        )
        stored = replace(build(*legs, name=position.name), external_id=position.external_id)
        self.positions[stored.id] = stored
        self.beside |= unassigned
        return stored, True

    async def write_pnl(self, rows: Sequence[PnlWrite]) -> None:
        if self.fails:
            raise StoreUnavailable("store-unavailable", "connection lost")
        self.pnl.append(list(rows))


class Compares:
    """One account (more on wish) with its reconciler."""

    def __init__(self) -> None:
        self.portfolio = Portfolio()
        self.portfolio.accounts[ACCOUNT] = AccountState(account())
        self.shelf = Shelf()
        self.archive = Archive(self.portfolio)
        self.locks = BucketLocks()
        self.exchanges: dict[AccountId, AccountExchange] = {ACCOUNT: self.shelf}
        self.catalogue = Catalogue(Door(), now)
        self.changed: list[frozenset[PositionId]] = []
        self.turned: list[frozenset[PositionId]] = []
        self.reconciler = PositionReconciler(
            self.portfolio,
            self.archive,
            self.exchanges,
            self.catalogue,
            self.locks,
            timing("sweeps", "rechecks"),
            self.changed.append,
            self.turned.append,
            self._pnl,
            5,
        )

    async def record(self, one: Position, *, held: bool = True) -> Position:
        """Put it into memory as the tracker does, with its instruments' rules known."""
        self.portfolio.put(one)
        for leg in one.components:
            await self.catalogue.instrument(key_of(leg.symbol))
            size = self.shelf.sizes.get(leg.symbol, Decimal(0))
            self.shelf.sizes[leg.symbol] = size + (leg.signed_open if held else 0)
        return one

    def hold(self, symbol: str, size: str) -> Holding:
        """What Bybit holds from now on; the row as a push would show it."""
        self.shelf.sizes[symbol] = Decimal(size)
        return self.shelf.row(symbol)

    async def sweep(self) -> None:
        await self.reconciler.reconcile_all_positions()

    def verdict(self, one: Position) -> Verdict:
        return self.portfolio.syncs[one.id].verdict

    def reason(self, one: Position) -> str | None:
        return self.portfolio.syncs[one.id].reason

    def is_altered(self, one: Position) -> bool:
        return self.portfolio.positions[one.id].is_altered

    def flag(self, one: Position) -> None:
        self.portfolio.positions[one.id] = replace(one, is_altered=True)

    def _pnl(self) -> list[PnlWrite]:
        return [PnlWrite(p, None, now()) for p in self.portfolio.positions]


@asynccontextmanager
async def serving(compares: Compares) -> AsyncIterator[None]:
    """With the loop of the event path running."""
    task = asyncio.create_task(compares.reconciler.run_rechecks())
    await asyncio.sleep(0)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})
    assert task.cancelled(), task.exception()
