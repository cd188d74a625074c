"""Somebody trades a symbol without a pause: verdicts stay fresh, and a loss is seen in time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from positiond.daemon.domain.events import FillSeen
from positiond.daemon.domain.model import Category, Holding, Position, Verdict

from ...builders import ACCOUNT, ETH, NOON, component, fill, holding, position, symbol_key
from .compares import Compares, Shelf, serving
from .fake_time import in_fake_time, now

IN_SYNC, ALTERED, UNVERIFIED = Verdict.IN_SYNC, Verdict.ALTERED, Verdict.UNVERIFIED
# The longest way to a verdict: a quiet window that never comes, a wallet that is read until it is
# as new as the fills that were known, and what the venue takes to answer.
FRESH = timedelta(seconds=12)


class Lagging(Shelf):
    """A venue whose rows are as they were a moment ago; a wallet's have no sequence."""

    def __init__(self, lag: float) -> None:
        super().__init__()
        self.lag = timedelta(seconds=lag)
        self.query_takes = 0.1
        self.history: list[tuple[datetime, Decimal, int]] = []

    def moves(self, size: Decimal) -> int:
        """The size from now on; the sequence of the trade that made it so."""
        self.history.append((now(), size, len(self.history) + 1))
        return len(self.history)

    def row(self, symbol: str) -> Holding:
        if not self.history:
            return super().row(symbol)
        seen = [h for h in self.history if h[0] <= now() - self.lag] or self.history[:1]
        _, self.sizes[symbol], seq = seen[-1]
        is_wallet = self.category_of(symbol) is Category.SPOT
        return replace(super().row(symbol), seq=None if is_wallet else seq)


@dataclass
class Trading:
    """One position, in a place where somebody buys and sells every so many seconds."""

    stage: Compares
    shelf: Lagging
    one: Position
    size: Decimal

    def trade(self, signed: Decimal) -> None:
        self.size += signed
        seq = self.shelf.moves(self.size)
        (leg,) = self.one.components
        done = fill(abs(signed), exec_id=f"hand-{seq}", at=now(), seq=seq)
        if leg.category is Category.SPOT:
            done = replace(done, seq=None)
        seen = FillSeen(ACCOUNT, replace(done, category=leg.category))
        asyncio.get_running_loop().call_later(0.02, self.stage.reconciler.on_account, seen)

    @contextmanager
    def without_pause(self, every: float) -> Iterator[None]:
        async def trading() -> None:
            # There and back within a moment: what is held is as recorded almost all the time.
            while True:
                self.trade(Decimal("0.001"))
                self.trade(Decimal("-0.001"))
                await asyncio.sleep(every)

        task = asyncio.create_task(trading())
        try:
            yield
        finally:
            task.cancel()


async def begun(category: Category, lag: float) -> Trading:
    stage, shelf = Compares(), Lagging(lag)
    stage.shelf = stage.exchanges[ACCOUNT] = shelf
    leg = component("1", category=category)
    if category is Category.SPOT:
        leg = replace(leg, coin="BTC")
    one = await stage.record(position(leg))
    shelf.moves(Decimal(1))
    await asyncio.sleep(5)
    await stage.sweep()
    assert stage.verdict(one) is IN_SYNC
    return Trading(stage, shelf, one, Decimal(1))


CASES = [
    (Category.LINEAR, 0.3, 1.0),
    (Category.LINEAR, 0.3, 0.2),
    (Category.LINEAR, 1.5, 0.2),
    (Category.SPOT, 0.0, 2.0),
    (Category.SPOT, 0.3, 1.0),
    (Category.SPOT, 1.5, 0.2),
]


@pytest.mark.parametrize(("category", "lag", "every"), CASES)
@in_fake_time
async def test_a_verdict_stays_fresh_for_minutes(
    category: Category, lag: float, every: float
) -> None:
    trading = await begun(category, lag)
    stage, one = trading.stage, trading.one
    async with serving(stage):
        with trading.without_pause(every):
            for _ in range(240):
                await asyncio.sleep(1)
                assert (stage.verdict(one), stage.is_altered(one)) == (IN_SYNC, False)
                verified_at = stage.portfolio.syncs[one.id].verified_at
                assert now() - (verified_at or NOON) < FRESH
        assert stage.turned == []


@pytest.mark.parametrize("after", [0.0, 1.3, 5.9, 7.9])
@pytest.mark.parametrize(("category", "lag", "every"), CASES)
@in_fake_time
async def test_a_loss_amid_it_is_flagged_within_twelve_seconds(
    category: Category, lag: float, every: float, after: float
) -> None:
    trading = await begun(category, lag)
    stage, one = trading.stage, trading.one
    async with serving(stage):
        with trading.without_pause(every):
            await asyncio.sleep(60 + after)
            trading.trade(Decimal("-0.6"))
            lost_at = now()
            while not stage.is_altered(one):
                await asyncio.sleep(0.1)
                assert now() - lost_at < FRESH
            assert stage.verdict(one) is ALTERED


@in_fake_time
async def test_a_wallet_that_is_read_for_long_keeps_no_contract_waiting() -> None:
    trading = await begun(Category.SPOT, 0.0)
    stage = trading.stage
    other = await stage.record(position(component("2", symbol=ETH, of="other"), name="other"))
    read_wallet = trading.shelf.holdings_in

    async def holdings_in(category: Category, symbol: str, *, urgent: bool = True) -> list[Holding]:
        if category is Category.SPOT:
            return await read_wallet(category, symbol, urgent=urgent)
        return [holding("1.5", ETH, read_at=now())]

    trading.shelf.holdings_in = holdings_in  # type: ignore[method-assign]  # one row to each
    async with serving(stage):
        with trading.without_pause(0.5):
            await asyncio.sleep(20)
            for _ in range(20):
                await asyncio.sleep(0.5)
                stage.portfolio.syncs.pop(other.id)
                stage.reconciler.recheck(symbol_key(ETH))
                await asyncio.sleep(2.5)
                assert stage.verdict(other) is ALTERED


@pytest.mark.parametrize("every", [0.2, 1.0])
@in_fake_time
async def test_rows_that_are_stuck_amid_it_are_doubted(every: float) -> None:
    trading = await begun(Category.LINEAR, 0.0)
    stage, one = trading.stage, trading.one
    async with serving(stage):
        with trading.without_pause(every):
            await asyncio.sleep(30)
            trading.shelf.lag = timedelta(hours=1)
            stuck_at = now()
            while stage.verdict(one) is IN_SYNC:
                await asyncio.sleep(0.1)
                assert now() - stuck_at < timedelta(seconds=40)
            assert stage.verdict(one) is UNVERIFIED
            assert "older than the last fill" in (stage.reason(one) or "")
            trading.shelf.lag = timedelta(0)
            await asyncio.sleep(70)
            assert stage.verdict(one) is IN_SYNC


@pytest.mark.parametrize("after", [tenth / 10 for tenth in range(50, 110, 3)])
@in_fake_time
async def test_what_is_recorded_while_a_wallet_is_read_is_not_judged_by_that(after: float) -> None:
    trading = await begun(Category.SPOT, 1.5)
    stage, one = trading.stage, trading.one
    async with serving(stage):
        with trading.without_pause(0.2):
            await asyncio.sleep(20 + after)
            trading.trade(Decimal(2))
            await asyncio.sleep(0.05)
            bought = position(replace(component("2", of="new"), category=Category.SPOT, coin="BTC"))
            bought = replace(bought, id=bought.components[0].position_id, name="new")
            stage.portfolio.put(bought)
            for _ in range(100):
                assert not stage.is_altered(one)
                assert not stage.is_altered(bought)
                await asyncio.sleep(0.1)
            assert stage.verdict(bought) is IN_SYNC


@in_fake_time
async def test_a_row_from_before_a_fill_that_is_known_is_no_evidence_amid_it() -> None:
    """A leg is recorded right after its purchase, while the row still shows the size of before."""
    trading = await begun(Category.LINEAR, 1.5)
    stage, one = trading.stage, trading.one
    async with serving(stage):
        with trading.without_pause(0.2):
            await asyncio.sleep(20)
            trading.trade(Decimal(2))
            await asyncio.sleep(0.05)
            bought = position(component("2", of="new"), name="new")
            stage.portfolio.put(bought)
            for _ in range(30):
                await stage.sweep()
                assert not stage.is_altered(one)
                assert not stage.is_altered(bought)
                await asyncio.sleep(0.1)
            assert stage.verdict(bought) is IN_SYNC
