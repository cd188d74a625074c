import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from decimal import Decimal
from typing import Any, cast

from positiond.daemon.domain.history import PnlPoint
from positiond.daemon.historian import Historian

from ...builders import NOON, after, position
from .evidence import Memory
from .fake_time import in_fake_time, now, timing
from .gate import Gate
from .ledger import Ledger


class Scene:
    def __init__(self) -> None:
        self.memory = Memory(Ledger(Gate()))
        self.is_empty = False
        self.many = 1
        self.valued = 0

    def points(self) -> Iterator[PnlPoint]:
        for _ in range(0 if self.is_empty else self.many):
            self.valued += 1
            yield PnlPoint(position().id, now(), Decimal(1), Decimal(1), "USDT")

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        historian = Historian(self.points, cast(Any, self.memory), timing("history"))
        task = asyncio.create_task(historian.run())
        try:
            yield
        finally:
            assert not task.done()
            task.cancel()

    def minutes(self) -> list[int]:
        return [int((at - NOON) / timedelta(minutes=1)) for at, _ in self.memory.points]


@in_fake_time
async def test_a_point_is_written_on_each_full_minute() -> None:
    scene = Scene()
    await asyncio.sleep(20)
    async with scene.running():
        await asyncio.sleep(39)
        assert scene.minutes() == []
        await asyncio.sleep(1.1)
        assert [at for at, _ in scene.memory.points] == [after(60)]
        await asyncio.sleep(120)
        assert scene.minutes() == [1, 2, 3]


@in_fake_time
async def test_others_work_while_a_thousand_positions_are_valued() -> None:
    scene = Scene()
    scene.many = 1000
    seen = set()
    async with scene.running():
        await asyncio.sleep(59.99)
        while scene.valued < scene.many:
            seen.add(scene.valued)
            await asyncio.sleep(0 if scene.valued else 0.01)
    assert len(seen) > 20


@in_fake_time
async def test_a_database_that_fails_costs_points_and_not_the_loop() -> None:
    scene = Scene()
    async with scene.running():
        await asyncio.sleep(61)
        scene.memory.fails = True
        await asyncio.sleep(120)
        scene.memory.fails = False
        await asyncio.sleep(60)
        assert scene.minutes() == [1, 4]


@in_fake_time
async def test_nothing_is_written_where_nothing_can_be_valued() -> None:
    scene = Scene()
    scene.is_empty = True
    async with scene.running():
        await asyncio.sleep(180)
        assert scene.memory.points == []
        assert scene.memory.thinned


@in_fake_time
async def test_old_points_are_thinned_at_start_and_once_an_hour_until_none_is_left() -> None:
    scene = Scene()
    scene.memory.old_rows = [3, 7]
    async with scene.running():
        await asyncio.sleep(61)
        assert len(scene.memory.thinned) == 3
        await asyncio.sleep(3500)
        assert len(scene.memory.thinned) == 3
        await asyncio.sleep(200)
        assert len(scene.memory.thinned) == 4


@in_fake_time
async def test_thinning_that_failed_is_tried_again_with_the_next_minute() -> None:
    scene = Scene()
    scene.is_empty = True
    scene.memory.fails = True
    async with scene.running():
        await asyncio.sleep(61)
        scene.memory.fails = False
        await asyncio.sleep(60)
        assert len(scene.memory.thinned) == 1
