"""kill -9 at any instant: what was accepted is finished, each leg sold once."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from positiond.bybit.paper.server import PaperAccount, PaperServer
from positiond.daemon.domain.model import Account, Credentials, Environment
from positiond.daemon.domain.people import Scope, User
from positiond.http.keys import digest, new_token
from positiond.store.embedded import EmbeddedPostgres
from positiond.store.migrate import migrate
from positiond.store.store import Store, open_store

from tests.e2e.demo_run import gone, postmaster
from tests.e2e.exchange import books
from tests.e2e.processes import Process, account_on, exchange, hand_trade, serving
from tests.e2e.world import SEAL, SEAL_TEXT, Trader, World, eventually, leg

QUANTITIES = {
    "BTCUSDT": "0.5",
    "ETHUSDT": "7",
    "SOLUSDT": "30",
    "XRPUSDT": "4000",
    "DOGEUSDT": "60000",
    "ADAUSDT": "9000",
    "LTCUSDT": "90",
}
FINISHED_WITHIN = 60


@pytest.fixture
def directory() -> Iterator[Path]:
    # Not pytest's own: the embedded database's user may not enter that, and its paths are long.
    with tempfile.TemporaryDirectory(prefix="positiond-kill-") as made:
        yield Path(made)


@pytest.fixture
def data(directory: Path) -> Iterator[Path]:
    """A data directory with a database of its own, which is gone afterwards however it went."""
    # Passable, so that the database's user reaches it and it is not moved elsewhere.
    directory.chmod(0o711)
    made = directory / "data"
    yield made
    EmbeddedPostgres(made).remove()


@asynccontextmanager
async def speaking(
    process: Process, user: User, token: str, account: Account, paper: PaperAccount
) -> AsyncIterator[Trader]:
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(base_url=process.url, headers=headers) as http:
        yield Trader(user, account, paper, http)


async def record_all(trader: Trader, url: str) -> list[dict[str, Any]]:
    """One position per symbol, so that each close is at work on its own when the kill comes."""
    recorded = []
    for number, (symbol, quantity) in enumerate(QUANTITIES.items()):
        side = ("Buy", "Sell")[number % 2]
        price = await hand_trade(url, trader.paper, symbol, side, quantity)
        recorded.append(await trader.record(symbol, leg(symbol, side, quantity, price)))
    return recorded


async def close_over(
    trader: Trader, positions: list[dict[str, Any]], seconds: float, seed: int
) -> None:
    """Ask for the closes at seeded instants; returns right after the last 202."""
    waits = sorted(random.Random(seed).uniform(0, seconds) for _ in positions)
    started = asyncio.get_running_loop().time()
    for position, wait in zip(positions, waits, strict=True):
        await asyncio.sleep(max(0, started + wait - asyncio.get_running_loop().time()))
        status, answer, _ = await trader.post(f"/api/positions/{position['id']}/close")
        assert status == 202, answer


async def assert_finished(trader: Trader, url: str, positions: list[dict[str, Any]]) -> None:
    async def all_closed() -> bool:
        shown = [await trader.position(str(position["id"])) for position in positions]
        states = {p["name"]: (p["status"], p["last_close"]) for p in shown}
        assert all(p["status"] != "ACTIVE" for p in shown), states
        return all(p["status"] == "CLOSED" for p in shown)

    await eventually(all_closed, FINISHED_WITHIN, "every position is CLOSED", every=0.3)
    found = await books(url, trader.paper)
    found.assert_each_leg_sold_once(leg for p in positions for leg in p["components"])
    assert found.sizes == {}


async def test_a_daemon_killed_after_the_202_finishes_every_close_when_it_is_back(
    world: World, paper: PaperServer, directory: Path
) -> None:
    user = await world.user("alice")
    account, held = await world.trader(user, "main")
    token = await world.token(user)
    log = directory / "daemon.log"
    async with serving(world.environ, log) as first:
        await first.ready()
        async with speaking(first, user, token, account, held) as trader:
            positions = await record_all(trader, paper.url)
            # The kill finds closes at every stage between 0 and 300 ms after their 202.
            await close_over(trader, positions, 0.3, seed=2)
        await first.kill()
    async with serving(world.environ, log) as second:
        # And once more, while it is finishing what the first one left.
        await second.ready()
        await second.kill()
    async with serving(world.environ, log) as third:
        await third.ready()
        async with speaking(third, user, token, account, held) as trader:
            await assert_finished(trader, paper.url, positions)


@pytest.mark.thorough
async def test_a_second_daemon_stands_by_and_finishes_what_the_killed_one_accepted(
    world: World, paper: PaperServer, directory: Path
) -> None:
    user = await world.user("alice")
    account, held = await world.trader(user, "main")
    token = await world.token(user)
    async with (
        serving(world.environ, directory / "first.log") as first,
        serving(world.environ, directory / "second.log") as second,
    ):
        leader, other = await _sorted_out(first, second)
        async with speaking(leader, user, token, account, held) as trader:
            positions = await record_all(trader, paper.url)
            await close_over(trader, positions, 0, seed=0)
        status, reasons = await other.readiness()
        assert status == 503
        assert any("standing by" in reason for reason in reasons), reasons
        await leader.kill()
        await other.ready(within=15)
        async with speaking(other, user, token, account, held) as trader:
            await assert_finished(trader, paper.url, positions)


async def _sorted_out(first: Process, second: Process) -> tuple[Process, Process]:
    """Whichever of the two took the lead, and the one that stands by."""

    async def pair() -> tuple[Process, Process] | None:
        for leader, other in ((first, second), (second, first)):
            if (await leader.readiness())[0] == 200:
                return leader, other
        return None

    found: tuple[Process, Process] = await eventually(pair, 20, "one of them leads")
    return found


@asynccontextmanager
async def own_database(data_dir: Path) -> AsyncIterator[Store]:
    """The daemon's own embedded database, before the daemon runs."""
    async with EmbeddedPostgres(data_dir) as server:
        await migrate(server.url)
        async with open_store(server.url, SEAL) as store:
            yield store


@pytest.mark.thorough
async def test_after_a_kill_of_daemon_exchange_and_database_the_closes_still_end_once(
    directory: Path, data: Path
) -> None:
    books_dir = directory / "paper"
    paper_log, daemon_log = directory / "paper.log", directory / "daemon.log"
    token = new_token()
    async with exchange(books_dir, paper_log) as paper:
        held = await account_on(paper.url, "main")
        async with own_database(data) as store:
            user = await store.people.add_user("alice", "no password: tokens only")
            await store.people.create_token(user.id, "test", Scope.TRADE, digest(token))
            account = await store.accounts.add(
                user.id, "main", Environment.PAPER, Credentials(held.key, held.secret)
            )
        environ = {
            "POSITIOND_DATA_DIR": str(data),
            "POSITIOND_SEAL_KEY": SEAL_TEXT,
            "POSITIOND_PAPER_URL": paper.url,
            "POSITIOND_HTTP_PORT": "0",
        }
        async with serving(environ, daemon_log) as daemon:
            await daemon.ready()
            async with speaking(daemon, user, token, account, held) as trader:
                positions = await record_all(trader, paper.url)
                await close_over(trader, positions, 0.2, seed=3)
            database = postmaster(data)
            assert database is not None
            await asyncio.gather(daemon.kill(), paper.kill())
            os.kill(database, signal.SIGKILL)
            await gone(database)
    port = int(paper.url.rpartition(":")[2])
    async with exchange(books_dir, paper_log, port) as paper:
        async with serving(environ, daemon_log) as daemon:
            await daemon.ready()
            async with speaking(daemon, user, token, account, held) as trader:
                await assert_finished(trader, paper.url, positions)
            await daemon.stop()
        assert postmaster(data) is None
