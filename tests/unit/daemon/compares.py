"""A stage for compares: what Bybit lists and answers, what was stored, and the real reconciler."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal

from positiond.daemon.bucket_locks import BucketLocks
from positiond.daemon.catalogue import Catalogue
from positiond.daemon.domain.deviations import Cause, CauseKind, DeviationRow
from positiond.daemon.domain.errors import ExchangeUnreachable, StoreUnavailable
from positiond.daemon.domain.history import PnlPoint
from positiond.daemon.domain.model import (
    AccountId,
    BucketKey,
    Category,
    Environment,
    Holding,
    NewPosition,
    Position,
    PositionId,
    Verdict,
)
from positiond.daemon.domain.portfolio import AccountState, Portfolio
from positiond.daemon.domain.ports import AccountExchange
from positiond.daemon.domain.records import DeviationRecord, PnlWrite, VerdictWrite
from positiond.daemon.domain.verdict import Deviation
from positiond.daemon.in_flight import InFlight
from positiond.daemon.places import with_coin
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
        self.categories: dict[str, Category] = {}
        self.sides: dict[str, int] = {}
        # What the short side of a hedge holds beside a long one, unsigned.
        self.short_sides: dict[str, Decimal] = {}
        self.seqs: dict[str, int] = {}
        self.left_out: set[str] = set()
        self.failing: set[str] = set()
        self.silent: set[str] = set()
        self.list_takes = self.query_takes = 0.01
        self.lists: list[str] = []
        self.queries: list[str] = []
        self.urgent = 0

    async def holdings(self, category: Category, *, settle_coin: str) -> list[Holding]:
        self.lists.append(settle_coin or category.value)
        rows = [
            row
            for s in self.sizes
            if s not in self.left_out and self.category_of(s) is category
            for row in self.rows(s)
            if row.size
        ]
        await asyncio.sleep(self.list_takes)
        self._fail(settle_coin or category.value)
        return rows

    async def holdings_in(
        self, category: Category, symbol: str, *, urgent: bool = True
    ) -> list[Holding]:
        self.queries.append(symbol)
        self.urgent += urgent
        rows = self.rows(symbol)
        await asyncio.sleep(self.query_takes)
        self._fail(symbol)
        return [] if symbol in self.silent else rows

    def rows(self, symbol: str) -> list[Holding]:
        row = self.row(symbol)
        if symbol not in self.short_sides:
            return [row]
        return [row, holding(-self.short_sides[symbol], symbol, idx=2, read_at=now())]

    def row(self, symbol: str) -> Holding:
        row = holding(
            self.sizes.get(symbol, Decimal(0)),
            symbol,
            idx=self.sides.get(symbol, 0),
            seq=self.seqs.get(symbol),
            read_at=now(),
        )
        return replace(row, category=self.category_of(symbol))

    def category_of(self, symbol: str) -> Category:
        return self.categories.get(symbol, Category.LINEAR)

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
        self.deviations: dict[BucketKey, DeviationRow] = {}
        self.coins: dict[str, str] = {}

    async def open_deviations(self) -> list[DeviationRow]:
        return list(self.deviations.values())

    async def owners_of(self, link_ids: Sequence[str]) -> Mapping[str, tuple[PositionId, str]]:
        return {}

    async def funding_read_until(self, account_id: AccountId) -> datetime | None:
        return now()

    async def note_funding_read(self, account_id: AccountId, until: datetime) -> None:
        pass

    async def write_history(self, points: Sequence[PnlPoint]) -> None:
        pass

    async def thin_history(self, now: datetime) -> int:
        return 0

    async def set_coins(self, environment: Environment, coins: Mapping[str, str]) -> None:
        self.coins |= coins
        for position in list(self.positions.values()):
            legs = tuple(with_coin(leg, self.coins) for leg in position.components)
            self.positions[position.id] = replace(position, components=legs)

    async def write_verdicts(
        self,
        verdicts: Sequence[VerdictWrite],
        deviating: Sequence[DeviationRecord],
        cleared: Sequence[BucketKey],
        at: datetime,
    ) -> list[DeviationRow]:
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
        for bucket in cleared:
            self.deviations.pop(bucket, None)
        return [self._kept(record, at) for record in deviating]

    def _kept(self, record: DeviationRecord, at: datetime) -> DeviationRow:
        old = self.deviations.get(record.bucket)
        row = DeviationRow(
            id=old.id if old else len(self.deviations) + 1,
            bucket=record.bucket,
            kind=record.kind,
            expected=record.expected,
            actual=record.actual,
            first_seen=old.first_seen if old else at,
            last_verified=at,
            ended_at=None,
            cause=record.cause or (old.cause if old else None),
            resolution=None,
        )
        self.deviations[record.bucket] = row
        return row

    async def record(
        self, position: NewPosition, unassigned: Mapping[BucketKey, Decimal]
    ) -> tuple[Position, bool]:
        for known in self.positions.values():
            if position.external_id is not None and known.external_id == position.external_id:
                return known, False
        legs = tuple(
            component(
                leg.quantity,
                leg.side,
                leg.symbol,
                of=position.name,
                entry=leg.entry_price,
                category=leg.category,
            )
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


class Causes:
    """Implements Explains: by hand, always, after a while; or nothing is found."""

    def __init__(self) -> None:
        self.asked: list[Deviation] = []
        self.in_order: dict[BucketKey, datetime] = {}
        self.finds = True
        self.takes = 0.0

    async def explain(
        self, account_id: AccountId, deviations: Sequence[Deviation]
    ) -> Mapping[BucketKey, Cause]:
        self.asked.extend(deviations)
        await asyncio.sleep(self.takes)
        found = Cause(CauseKind.BY_HAND, "reduced by hand")
        return {d.bucket: found for d in deviations} if self.finds else {}

    def note_in_order(self, buckets: Iterable[BucketKey], at: datetime) -> None:
        self.in_order.update(dict.fromkeys(buckets, at))


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
        self.causes = Causes()
        self.in_flight = InFlight(self.portfolio, now)
        self.changed: list[frozenset[PositionId]] = []
        self.turned: list[frozenset[PositionId]] = []
        self.worth: Decimal | None = None
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
            evidence=self.archive,
            causes=self.causes,
            in_flight=self.in_flight,
        )

    async def record(self, one: Position, *, held: bool = True) -> Position:
        """Put it into memory as the tracker does, with its instruments' rules known."""
        self.portfolio.put(one)
        for leg in one.components:
            await self.catalogue.instrument(key_of(leg.symbol, leg.category))
            where = leg.coin or leg.symbol
            self.shelf.categories[where] = leg.category
            size = self.shelf.sizes.get(where, Decimal(0))
            self.shelf.sizes[where] = size + (leg.signed_open if held else 0)
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
        return [PnlWrite(p, self.worth, now()) for p in self.portfolio.positions]


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
