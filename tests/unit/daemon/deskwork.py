"""What people ask for, on a stage: sizes, a store that resolves, views of what is in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any, cast

from positiond.daemon.account_desk import AccountDesk
from positiond.daemon.bucket_locks import BucketLocks
from positiond.daemon.domain.buckets import SymbolKey
from positiond.daemon.domain.errors import ExchangeUnreachable
from positiond.daemon.domain.model import (
    ZERO,
    AccountId,
    BucketKey,
    Category,
    Component,
    Holding,
    Position,
    PositionId,
    PositionStatus,
    UserId,
    Verdict,
)
from positiond.daemon.domain.pnl import price_basis
from positiond.daemon.domain.portfolio import AccountState, Portfolio
from positiond.daemon.domain.records import PositionEdit
from positiond.daemon.domain.resolving import Resolution
from positiond.daemon.domain.verdict import Reading, judge
from positiond.daemon.domain.views import LegView, PositionView
from positiond.daemon.resolver import Resolver

from ...builders import ACCOUNT, account, holding
from .fake_time import now, timing
from .gate import Gate
from .ledger import Ledger
from .streams import Safe

PRICE = Decimal(105)


class Register(Ledger):
    """A ledger that resolves and edits, as the store does it."""

    def __init__(self) -> None:
        super().__init__(Gate())
        self.resolved: list[Resolution] = []

    async def resolve(self, resolution: Resolution) -> list[Position]:
        self.resolved.append(resolution)
        touched = []
        for position in list(self.positions.values()):
            components = tuple(_resolved(c, resolution) for c in position.components)
            if components == position.components and position.id != resolution.position_id:
                continue
            is_over = all(c.open == 0 for c in components)
            status = PositionStatus.CLOSED if is_over else position.status
            self.positions[position.id] = replace(position, components=components, status=status)
            touched.append(self.positions[position.id])
        self.beside |= {key: change.after for key, change in resolution.unassigned.items()}
        return touched

    async def edit(
        self, position_id: PositionId, user_id: UserId, change: PositionEdit, at: datetime
    ) -> Position:
        position = self.positions[position_id]
        self.positions[position_id] = replace(position, name=change.name or position.name)
        return self.positions[position_id]


def _resolved(component: Component, resolution: Resolution) -> Component:
    change = resolution.opens.get(component.id)
    if change is None:
        return component
    assert component.open == change.before
    return replace(component, quantity=component.closed_quantity + change.after)


class Wallet:
    """An AccountExchange's lists; a category in `failing` does not answer."""

    def __init__(self) -> None:
        self.rows: list[Holding] = []
        self.failing: set[Category] = set()
        self.asked: list[tuple[Category, str]] = []

    async def holdings(self, category: Category, *, settle_coin: str) -> list[Holding]:
        self.asked.append((category, settle_coin))
        await asyncio.sleep(0.05)
        if category in self.failing:
            raise ExchangeUnreachable("timeout", "no answer")
        coin = settle_coin or "USDT"
        return [r for r in self.rows if r.category is category and coin == "USDT"]


class Deskwork:
    """One account of Alice's."""

    def __init__(self) -> None:
        self.portfolio = Portfolio()
        self.portfolio.accounts[ACCOUNT] = AccountState(account())
        self.register = Register()
        self.locks = BucketLocks()
        self.wallet = Wallet()
        self.exchanges: dict[AccountId, Any] = {ACCOUNT: self.wallet}
        self.sizes: dict[str, Decimal] = {}
        self.failures: list[Mapping[str, Reading]] = []
        self.settled: list[frozenset[SymbolKey]] = []
        self.locked_while_settling: list[bool] = []
        self.resynced: list[AccountId] = []
        self.resolver = Resolver(
            cast(Any, self.register),
            self.portfolio,
            cast(Any, self),
            self.locks,
            timing(),
            self.read_now,
            self.settle_now,
            self.put,
            Decimal("0.002"),
        )
        self.desk = AccountDesk(
            self.portfolio,
            self.exchanges,
            Safe(),
            timing(),
            self.live_view,
            self.resynced.append,
        )

    def record(self, *positions: Position) -> None:
        for position in positions:
            self.portfolio.put(position)
            self.register.positions[position.id] = position

    def beside(self, unassigned: Mapping[BucketKey, Decimal]) -> None:
        """What is the trader's own, in memory and in the store."""
        self.portfolio.unassigned = unassigned
        self.register.beside = dict(unassigned)

    def put(self, position: Position) -> None:
        if position.status is PositionStatus.CLOSED:
            self.portfolio.drop(position.id)
        else:
            self.portfolio.put(position)

    async def read_now(
        self, account_id: AccountId, symbols: frozenset[SymbolKey]
    ) -> Mapping[SymbolKey, Reading]:
        await asyncio.sleep(0.05)
        odd = self.failures.pop(0) if self.failures else {}
        return {
            symbol: odd.get(symbol.symbol)
            or Reading((holding(self.sizes.get(symbol.symbol, ZERO), symbol.symbol),), now())
            for symbol in symbols
        }

    async def settle_now(
        self, symbols: frozenset[SymbolKey], readings: Mapping[SymbolKey, Reading]
    ) -> None:
        self.settled.append(symbols)
        self.locked_while_settling.append(symbols <= self.locks.busy)
        self.portfolio.readings.update(readings)
        judgement = judge(
            self.portfolio.of_account(ACCOUNT), self.portfolio.unassigned, readings, frozenset()
        )
        self.portfolio.syncs.update(judgement.positions)

    # --- Board ------------------------------------------------------------------------------

    async def view(self, user_id: UserId, position_id: PositionId) -> PositionView | None:
        if position_id in self.portfolio.positions:
            return self.live_view(position_id)
        return _view(self.register.positions[position_id], Verdict.IN_SYNC)

    def live_view(self, position_id: PositionId) -> PositionView:
        sync = self.portfolio.syncs[position_id]
        return _view(self.portfolio.positions[position_id], sync.verdict)


def _view(position: Position, verdict: Verdict) -> PositionView:
    legs = tuple(
        LegView(c, PRICE, price_basis(c.category), now(), ZERO, None, None)
        for c in position.components
    )
    return PositionView(position, legs, verdict, None, ZERO, "USDT", now(), None, None, None)
