"""The real daemon with an exchange, a database that syncs to disk, a user, and many accounts."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import ROUND_UP, Decimal
from pathlib import Path
from typing import Any

import aiohttp
from positiond.bybit import vocab
from positiond.bybit.paper.instruments import Instrument
from positiond.bybit.paper.server import PaperAccount, PaperServer
from positiond.daemon.domain.model import (
    Account,
    Category,
    NewComponent,
    NewPosition,
    Position,
    Side,
    UserId,
)
from positiond.store.embedded import EmbeddedPostgres
from positiond.store.migrate import migrate

from tests.e2e.world import World, a_world, daemon

LINEAR = vocab.Category.LINEAR
_CONTRACTS = 40
# What one leg is worth in USDT; Bybit's smallest order is 5.
_LEG_VALUE = 20


@dataclass(frozen=True, slots=True)
class Trading:
    """An account as the daemon and as the exchange know it."""

    account: Account
    paper: PaperAccount


@dataclass(frozen=True, slots=True)
class Stage:
    world: World
    paper: PaperServer
    user_id: UserId
    traders: tuple[Trading, ...]
    http: aiohttp.ClientSession

    @property
    def listed(self) -> list[Instrument]:
        """The first USDT perpetuals of the exchange."""
        linear = self.paper.venue.market.listing.of(LINEAR)
        perpetual = vocab.ContractType.LINEAR_PERPETUAL
        listed = [i for i in linear if i.contract_type is perpetual and i.settle == "USDT"]
        return listed[:_CONTRACTS]

    async def hold(self, trader: Trading, instruments: Sequence[Instrument]) -> Position:
        """Buy the legs by hand and record them at their true entry prices."""
        legs = []
        for instrument in instruments:
            quantity = small_quantity(instrument)
            done = self.paper.trade(trader.paper, instrument.symbol, "Buy", str(quantity))["order"]
            assert Decimal(done["cumExecQty"]) == quantity, done
            entry = Decimal(done["avgPrice"])
            legs.append(NewComponent(Category.LINEAR, instrument.symbol, Side.BUY, quantity, entry))
        name = "/".join(instrument.base for instrument in instruments)
        new = NewPosition(trader.account.id, name, None, tuple(legs))
        position, _ = await self.world.store.positions.record(new, {})
        return position

    async def until_in_sync(self, count: int) -> None:
        """The daemon has found all the positions and compared them with the exchange."""

        async def missing() -> str:
            shown = await self._shown()
            others = [p for p in shown if p["verdict"] != "in_sync"]
            if len(shown) == count and not others:
                return ""
            return f"{len(shown)} of {count} shown, {len(others)} not in sync: {others[:1]}"

        await _until_nothing(missing, 45)

    async def until_ended(self, position: Position) -> None:
        """The position's newest close has come to its end, whatever that is."""

        async def running() -> str:
            (request,) = await self.world.store.closes.last_requests([position.id])
            return str(request) if request.state.is_open else ""

        await _until_nothing(running, 20, every=0.05)

    async def _shown(self) -> list[dict[str, Any]]:
        async with self.http.get("/api/positions") as reply:
            return list((await reply.json())["positions"])

    async def until_closed(self, positions: Sequence[Position], within: float) -> None:
        """Every position is closed for good and the exchange holds nothing of it."""

        async def left() -> str:
            shown = await self._shown()
            return f"{len(shown)} still open: {shown[:1]}" if shown else ""

        await _until_nothing(left, within)
        for request in await self.world.store.closes.last_requests([p.id for p in positions]):
            assert request.state == "DONE", request
            assert {leg.outcome for leg in request.legs} == {"flat"}, request
        for position in positions:
            (trader,) = [t for t in self.traders if t.account.id == position.account_id]
            for leg in position.components:
                held = self.paper.books.position(trader.paper.uid, LINEAR, leg.symbol, 0)
                assert held.size == 0, held


def small_quantity(instrument: Instrument) -> Decimal:
    """The fewest steps that are worth an order."""
    steps = Decimal(_LEG_VALUE) / instrument.price / instrument.step
    return max(instrument.min_qty, steps.to_integral_value(ROUND_UP) * instrument.step)


@asynccontextmanager
async def a_stage(accounts: int) -> AsyncIterator[Stage]:
    async with (
        a_database() as url,
        # Many accounts behind one address, as no desk has them: without a limit of the address
        # a benchmark cannot be banned half-way. The daemon still paces itself by the limit.
        PaperServer(seed=11, address_limit=0) as paper,
        _a_data_dir() as data,
        a_world(url, data, paper) as world,
        daemon(world),
    ):
        user = await world.user("alice")
        traders = [Trading(*await world.trader(user, f"book {n}")) for n in range(accounts)]
        headers = {"Authorization": f"Bearer {await world.token(user)}"}
        async with aiohttp.ClientSession(base_url=world.url, headers=headers) as http:
            stage = Stage(world, paper, user.id, tuple(traders), http)
            await _until_connected(stage)
            yield stage


@asynccontextmanager
async def a_database() -> AsyncIterator[str]:
    """A migrated database of the product's own Postgres, as it runs in use."""
    async with _a_data_dir() as directory:
        server = EmbeddedPostgres(directory)
        async with server:
            await migrate(server.url)
            yield server.url
        await asyncio.to_thread(server.remove)


@asynccontextmanager
async def _a_data_dir() -> AsyncIterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="positiond-bench-"))
    try:
        yield directory
    finally:
        shutil.rmtree(directory)


async def _until_connected(stage: Stage) -> None:
    wanted = {str(trader.account.id) for trader in stage.traders}

    async def missing() -> str:
        async with stage.http.get("/api/accounts") as reply:
            unknown = wanted - {row["id"] for row in (await reply.json())["accounts"]}
        async with stage.http.get("/readyz") as reply:
            readiness = await reply.text()
        if reply.status == 200 and not unknown:
            return ""
        return f"{len(unknown)} accounts unknown; {readiness}"

    await _until_nothing(missing, 30)


async def _until_nothing(
    complaint: Callable[[], Awaitable[str]], within: float, every: float = 0.3
) -> None:
    """Ask until nothing is complained of; AssertionError with the last complaint."""
    deadline = time.monotonic() + within
    while said := await complaint():
        assert time.monotonic() < deadline, f"not within {within} s: {said}"
        await asyncio.sleep(every)
