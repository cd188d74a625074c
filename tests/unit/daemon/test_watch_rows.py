"""Rows that are odd, or that change what was judged before them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from decimal import Decimal

from positiond.daemon.domain.buckets import SymbolKey
from positiond.daemon.domain.deviations import Cause, CauseKind, DeviationRow
from positiond.daemon.domain.errors import ExchangeRefused, StoreUnavailable
from positiond.daemon.domain.model import Category, DeviationKind, Environment, Instrument
from structlog.testing import capture_logs

from ...builders import ACCOUNT, BTC, ETH, NOON, component, key_of, symbol_key
from .fake_time import in_fake_time
from .house import House
from .streams import OpenDoor

GOOD = [f"G{number}USDT" for number in range(20)]


class Choosy(OpenDoor):
    """A Gateway to an exchange that refuses to speak of one symbol."""

    async def instruments(
        self, environment: Environment, category: Category, symbol: str | None = None
    ) -> list[Instrument]:
        if symbol == "BAD":
            raise ExchangeRefused("exchange-refused", "Bybit refused: 99999", ret_code=99999)
        return await super().instruments(environment, category, symbol)


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
