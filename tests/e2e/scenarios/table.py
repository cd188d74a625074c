"""The rows of the table, how they are played all at once, and what came of each."""

from __future__ import annotations

import asyncio
import tempfile
import traceback
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Final

import aiohttp
from positiond.bybit.paper.server import PaperServer

from tests.e2e.scenarios.stage import Stage
from tests.e2e.scenarios.watch import watching
from tests.e2e.world import Trader, World, a_world, daemon, eventually, readiness

Story = Callable[[Stage], Awaitable[None]]

_AT_ONCE: Final = 24
_LONGEST: Final = 75.0
_FUNDS: Final = {
    "USDT": Decimal(5_000_000),
    "USDC": Decimal(5_000_000),
    "BTC": Decimal(20),
    "ETH": Decimal(200),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: (category × mode × what happened), told by `story`."""

    category: str
    mode: str
    happened: str
    story: Story

    @property
    def name(self) -> str:
        return f"{self.category}, {self.mode}: {self.happened}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """`failure` is None where all was as it has to be; `flagged_after` in seconds."""

    failure: str | None
    flagged_after: tuple[float, ...]


async def play(rows: Sequence[Row], postgres_url: str) -> dict[str, Outcome]:
    """Every row in one world, each on an account of its own; outcomes by name."""
    async with AsyncExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory())
        paper = await stack.enter_async_context(PaperServer(seed=23))
        # Verdicts are about sizes; without ticks the machine's time goes to them.
        paper.control("pause")
        world = await stack.enter_async_context(a_world(postgres_url, Path(directory), paper))
        await stack.enter_async_context(daemon(world))
        user = await world.user("alice")
        headers = {"Authorization": f"Bearer {await world.token(user)}"}
        http = await stack.enter_async_context(
            aiohttp.ClientSession(
                base_url=world.url, headers=headers, connector=aiohttp.TCPConnector(limit=0)
            )
        )
        accounts = [await world.trader(user, row.name, _FUNDS) for row in rows]
        await _connected(world, len(rows))
        watch = await stack.enter_async_context(watching(http))
        gate = asyncio.Semaphore(_AT_ONCE)
        outcomes = await asyncio.gather(
            *(
                _play(row, Stage(Trader(user, account, venue, http), paper, watch), gate)
                for row, (account, venue) in zip(rows, accounts, strict=True)
            )
        )
    return {row.name: outcome for row, outcome in zip(rows, outcomes, strict=True)}


async def _connected(world: World, number: int) -> None:
    """Every account is known to the daemon and holds its private stream."""

    async def are_up() -> bool:
        is_ready = (await readiness(world.url))[0] == 200
        return is_ready and world.paper.control("state", "GET")["streams"]["private"] >= number

    await eventually(are_up, 40, f"{number} accounts are connected", every=0.3)


async def _play(row: Row, stage: Stage, gate: asyncio.Semaphore) -> Outcome:
    async with gate:
        failure = None
        try:
            async with asyncio.timeout(_LONGEST):
                await row.story(stage)
        except Exception:
            # Told by the row's own test; the others play on.
            failure = traceback.format_exc()
    return Outcome(failure, tuple(stage.flagged_after))
