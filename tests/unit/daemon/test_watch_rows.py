"""Rows that are odd, or that change what was judged before them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from decimal import Decimal
from unittest.mock import patch

from positiond.daemon.domain.buckets import SymbolKey
from positiond.daemon.domain.deviations import Cause, CauseKind, DeviationRow
from positiond.daemon.domain.errors import ExchangeRefused, ExchangeUnreachable, StoreUnavailable
from positiond.daemon.domain.model import (
    BucketKey,
    Category,
    DeviationKind,
    Environment,
    Instrument,
)
from structlog.testing import capture_logs

from ...builders import ACCOUNT, BTC, ETH, NOON, component, key_of, symbol_key
from .fake_time import in_fake_time, now
from .house import House
from .streams import OpenDoor

GOOD = [f"G{number}USDT" for number in range(20)]


class Choosy(OpenDoor):
    """A Gateway to an exchange that refuses to speak of one symbol."""

    async def instruments(
        self,
        environment: Environment,
        category: Category,
        symbol: str | None = None,
        *,
        urgent: bool = False,
    ) -> list[Instrument]:
        if symbol == "BAD":
            raise ExchangeRefused("exchange-refused", "Bybit refused: 99999", ret_code=99999)
        return await super().instruments(environment, category, symbol, urgent=urgent)


@in_fake_time
async def test_a_symbol_that_is_refused_keeps_no_other_from_being_valued() -> None:
    house = House()
    house.door.instruments = Choosy().instruments  # type: ignore[method-assign]  # refuses one
    house.write(component(symbol="BAD", of="odd"), name="odd")
    for symbol in GOOD:
        house.write(component(symbol=symbol, of=symbol), name=symbol)
    task = asyncio.create_task(house.tracker.run_watch(house.connections, house.reconciler))
    await asyncio.sleep(1)
    task.cancel()
    await asyncio.wait({task})
    assert [s for s in GOOD if house.book.settle_coin(key_of(s)) is None] == []


@in_fake_time
async def test_a_changed_unassigned_quantity_asks_for_a_new_compare() -> None:
    house = House()
    one = house.write(component("1"))
    async with house.watching() as group:
        assert [p.id for p in await house.tracker.reload(house.connections, group)] == [one.id]
        assert await house.tracker.reload(house.connections, group) == []
        house.archive.beside[symbol_key().bucket(0)] = one.components[0].quantity
        assert [p.id for p in await house.tracker.reload(house.connections, group)] == [one.id]
        assert await house.tracker.reload(house.connections, group) == []


@in_fake_time
async def test_a_row_that_was_closed_by_hand_asks_for_a_compare_of_its_neighbours() -> None:
    house = House()
    gone = house.write(component("1", of="gone"), name="gone")
    beside = house.write(component("2", of="beside"), name="beside")
    house.write(component("3", symbol=ETH, of="far"), name="far")
    async with house.watching() as group:
        await house.tracker.reload(house.connections, group)
        del house.archive.positions[gone.id]
        assert [p.id for p in await house.tracker.reload(house.connections, group)] == [beside.id]
        assert await house.tracker.reload(house.connections, group) == []


@in_fake_time
async def test_a_spot_row_comes_to_stand_in_its_coin_and_is_compared_there() -> None:
    house = House()
    task = asyncio.create_task(house.tracker.run_watch(house.connections, house.reconciler))
    rechecks = asyncio.create_task(house.reconciler.run_rechecks())
    await house.tracker.loaded.wait()
    one = house.write(component("2", category=Category.SPOT))
    await asyncio.sleep(5)
    (leg,) = house.portfolio.positions[one.id].components
    assert (leg.coin, house.archive.coins) == ("BTC", {BTC: "BTC"})
    place = SymbolKey(ACCOUNT, Category.SPOT, "BTC")
    assert house.portfolio.holders([place]) == {one.id}
    assert place in house.portfolio.readings
    assert house.door.streams[Environment.PAPER, Category.SPOT].watched[-1] == {BTC}
    for running in (task, rechecks):
        running.cancel()
    await asyncio.wait({task, rechecks})


@in_fake_time
async def test_a_spot_row_whose_coin_cannot_be_stored_is_compared_all_the_same() -> None:
    house = House()
    one = house.write(component("2", category=Category.SPOT))

    async def set_coins(environment: Environment, coins: Mapping[str, str]) -> None:
        raise StoreUnavailable("store-unavailable", "connection lost")

    house.archive.set_coins = set_coins  # type: ignore[method-assign]  # a database that is away
    task = asyncio.create_task(house.tracker.run_watch(house.connections, house.reconciler))
    await asyncio.sleep(1)
    assert [c.coin for c in house.portfolio.positions[one.id].components] == ["BTC"]
    task.cancel()
    await asyncio.wait({task})


# --- trading rules --------------------------------------------------------------------------


class Slow(OpenDoor):
    """A Gateway to an exchange that takes its time for every symbol, or never answers."""

    def __init__(self, takes: float = 0.15, *, answers: bool = True) -> None:
        super().__init__()
        self.takes, self.answers = takes, answers
        self.asked: list[str] = []
        self.at_once = self.most_at_once = 0

    async def instruments(
        self,
        environment: Environment,
        category: Category,
        symbol: str | None = None,
        *,
        urgent: bool = False,
    ) -> list[Instrument]:
        self.asked.append(symbol or "")
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(self.takes)
        self.at_once -= 1
        if not self.answers:
            raise ExchangeUnreachable("exchange-unreachable", "no answer")
        return await super().instruments(environment, category, symbol, urgent=urgent)


@asynccontextmanager
async def watched(house: House) -> AsyncIterator[None]:
    """With the loop that looks at the rows running."""
    async with house.watching() as group:
        group.create_task(house.tracker.run_watch(house.connections, house.reconciler))
        yield


@in_fake_time
async def test_rows_are_loaded_at_once_and_their_rules_learned_a_few_at_a_time() -> None:
    door = Slow()
    house = House(door)
    symbols = [f"S{number}USDT" for number in range(300)]
    for symbol in symbols:
        house.write(component(symbol=symbol, of=symbol), name=symbol)
    begun = now()
    async with watched(house):
        await house.tracker.loaded.wait()
        assert (now() - begun, len(house.portfolio.positions)) == (timedelta(0), 300)
        await house.tracker.learned.wait()
    assert now() - begun < timedelta(seconds=10)
    assert 1 < door.most_at_once <= 8
    assert sorted(door.asked) == sorted(symbols)


@in_fake_time
async def test_where_nobody_answers_about_rules_one_round_is_soon_over() -> None:
    door = Slow(30.0, answers=False)
    house = House(door)
    for number in range(100):
        symbol = f"S{number}USDT"
        house.write(component(symbol=symbol, of=symbol), name=symbol)
    async with watched(house):
        await house.tracker.learned.wait()
        assert len(door.asked) <= 8
        # A row that is written meanwhile is live as soon as ever.
        late = house.write(component(of="late"), name="late")
        await asyncio.sleep(2)
        assert late.id in house.portfolio.positions


@in_fake_time
async def test_only_a_spot_leg_whose_coin_is_unknown_is_waited_for() -> None:
    door = Slow()
    house = House(door)
    spot = house.write(component("2", category=Category.SPOT, of="spot"), name="spot")
    for symbol in GOOD:
        house.write(component(symbol=symbol, of=symbol), name=symbol)
    async with watched(house):
        await house.tracker.loaded.wait()
        assert [c.coin for c in house.portfolio.positions[spot.id].components] == ["BTC"]
        assert door.asked == [BTC]


@in_fake_time
async def test_a_coin_that_is_learned_while_rows_are_read_stays_known() -> None:
    house = House()
    one = house.write(component("2", category=Category.SPOT))
    async with house.watching() as group:
        await house.tracker.reload(house.connections, group)
        house.write(component("1", symbol=ETH, of="other"), name="other")
        unassigned = house.archive.unassigned

        async def meanwhile() -> Mapping[BucketKey, Decimal]:
            # The look has read the rows already, without the coin.
            await house.catalogue.instrument(key_of(BTC, Category.SPOT))
            await house.tracker.learn_coins()
            return await unassigned()

        with patch.object(house.archive, "unassigned", meanwhile):
            await house.tracker.reload(house.connections, group)
    (leg,) = house.portfolio.positions[one.id].components
    assert leg.coin == "BTC"


@in_fake_time
async def test_a_turned_verdict_is_logged_with_its_cause() -> None:
    house = House()
    one = house.write(component("1"))
    house.tracker.put(one)
    bucket = symbol_key().bucket(0)
    cause = Cause(CauseKind.ADL, "Long leg reduced by ADL")
    kind, (expected, actual) = DeviationKind.MISSING, (Decimal(1), Decimal(0))
    house.portfolio.deviations[bucket] = DeviationRow(
        1, bucket, kind, expected, actual, NOON, NOON, None, cause, None
    )
    with capture_logs() as logs:
        house.tracker.turned([one.id])
    assert [line["causes"] for line in logs] == [["Long leg reduced by ADL"]]
