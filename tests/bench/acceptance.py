"""From a close request to its 202, against the least that a durable answer can cost."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

import aiohttp
import asyncpg
from aiohttp import web
from positiond.daemon.domain.model import Position

from tests.bench.bare import serving
from tests.bench.stage import Stage, a_stage
from tests.bench.table import Row, Table, p50_p99, quantile

_ACCOUNTS = 5
_LAPS = 2
_LEGS = 2
_FLOOR = "one INSERT, bare aiohttp"


async def run() -> Table:
    async with a_stage(_ACCOUNTS) as stage, _floor(stage.world.database_url) as floor:
        positions = await _hold_pairs(stage)
        await _warm_up(stage, floor)
        switches = stage.world.store.switches
        await switches.set_trading_paused(True)
        idle, busy = _Race(), _Race()
        for _ in range(_LAPS):
            await idle.run(stage, floor, positions)
            assert not stage.paper.books.open_orders
            await _cancel(stage, idle.answers[-len(positions) :])
        await switches.set_trading_paused(False)
        await busy.run(stage, floor, positions)
        await stage.until_closed(positions, within=90)
    rows = [
        *idle.rows("trading paused"),
        *busy.rows("closes running behind"),
    ]
    return Table(
        f"close accepted: request to 202, {len(positions)} positions of {_LEGS} legs, "
        "one request after another",
        ("closes", "p50 ms", "p99 ms"),
        tuple(rows),
        (
            "client, daemon, exchange and floor share one process and one Postgres (fsync on); "
            "requests to the daemon and to the floor alternate.",
            "every close ended flat, and the exchange holds nothing.",
        ),
    )


class _Race:
    """Latencies in seconds, and the closes that the daemon answered with."""

    def __init__(self) -> None:
        self.ours: list[float] = []
        self.floors: list[float] = []
        self.answers: list[str] = []

    async def run(
        self, stage: Stage, floor: aiohttp.ClientSession, positions: Sequence[Position]
    ) -> None:
        for position in positions:
            began = time.perf_counter()
            async with stage.http.post(f"/api/positions/{position.id}/close") as reply:
                answer = await reply.json()
            self.ours.append(time.perf_counter() - began)
            assert reply.status == 202, answer
            self.answers.append(answer["close_id"])
            self.floors.append(await _insert(floor, position.id))
        assert len(set(self.answers)) == len(self.answers), "each a close of its own"

    def rows(self, when: str) -> list[Row]:
        ratio = quantile(self.ours, 0.5) / quantile(self.floors, 0.5)
        return [
            Row(f"202, {when}", _cells(self.ours), "the INSERT", ratio),
            Row(f"{_FLOOR}, {when}", _cells(self.floors)),
        ]


def _cells(latencies: Sequence[float]) -> tuple[str, ...]:
    return (str(len(latencies)), *p50_p99(latencies))


async def _insert(floor: aiohttp.ClientSession, position_id: UUID) -> float:
    began = time.perf_counter()
    async with floor.post(f"/{position_id}") as reply:
        await reply.json()
    assert reply.status == 202
    return time.perf_counter() - began


async def _cancel(stage: Stage, closes: Sequence[str]) -> None:
    """Nothing was sent, so the positions can be closed again."""
    for close_id in closes:
        async with stage.http.delete(f"/api/closes/{close_id}") as reply:
            assert (await reply.json())["state"] == "CANCELLED"


async def _hold_pairs(stage: Stage) -> list[Position]:
    """Pairs that share no bucket, so that no close waits for another."""
    listed = stage.listed
    pairs = [listed[n : n + _LEGS] for n in range(0, len(listed) - _LEGS + 1, _LEGS)]
    positions = [await stage.hold(trader, pair) for trader in stage.traders for pair in pairs]
    await stage.until_in_sync(len(positions))
    return positions


async def _warm_up(stage: Stage, floor: aiohttp.ClientSession) -> None:
    for _ in range(20):
        async with stage.http.get("/api/session") as reply:
            assert reply.status == 200
        await _insert(floor, UUID(int=0))


@asynccontextmanager
async def _floor(database_url: str) -> AsyncIterator[aiohttp.ClientSession]:
    """A server whose only handler commits one row; every row has to be there at the end."""
    asked = 0
    async with asyncpg.create_pool(database_url, min_size=2, max_size=4) as pool:
        await pool.execute("CREATE TABLE bench_floor (position_id uuid NOT NULL)")

        async def accept(request: web.Request) -> web.Response:
            nonlocal asked
            asked += 1
            position_id = UUID(request.match_info["id"])
            await pool.execute("INSERT INTO bench_floor VALUES ($1)", position_id)
            return web.json_response({"position_id": str(position_id)}, status=202)

        async with (
            serving(lambda app: app.router.add_post("/{id}", accept)) as url,
            aiohttp.ClientSession(base_url=url) as http,
        ):
            yield http
        assert await pool.fetchval("SELECT count(*) FROM bench_floor") == asked
