"""Rows that are odd, or that change what was judged before them."""

from __future__ import annotations

import asyncio

from positiond.daemon.domain.errors import ExchangeRefused
from positiond.daemon.domain.model import Category, Environment, Instrument

from ...builders import component, key_of, symbol_key
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
