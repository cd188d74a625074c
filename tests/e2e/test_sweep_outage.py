"""What happens when something goes away or refuses in the middle of a sweep: doubt, no flag."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from unittest.mock import patch

import pytest
from positiond.bybit import exchange as client
from positiond.bybit import limits
from positiond.bybit.paper.server import PaperServer
from positiond.daemon.domain.people import Scope, User
from positiond.http.keys import digest, new_token
from positiond.store.embedded import EmbeddedPostgres
from positiond.store.migrate import migrate
from positiond.store.postmaster import running
from positiond.store.store import Store, open_store

from tests.e2e.crowd import ACCOUNTS, SETTLES_WITHIN, Crowd, a_crowd
from tests.e2e.exchange import control, fault, fired
from tests.e2e.processes import exchange
from tests.e2e.world import SEAL, SEAL_TEXT, World, eventually, readiness

pytestmark = [pytest.mark.thorough, pytest.mark.timeout(240)]
_LISTS = "/v5/position/list"
_FALLS_OFF = 0.2


@pytest.fixture
async def crowd(world: World) -> AsyncIterator[Crowd]:
    async with a_crowd(
        world.environ, world.store, world.paper.url, world.database_url, world.token
    ) as made:
        yield made


async def test_a_page_that_fails_moves_no_flag(crowd: Crowd) -> None:
    with patch.object(client, "_POSITIONS_PAGE", "1"):
        frame = len(crowd.live.frames)
        await crowd.in_the_middle_of_a_sweep()
        # Of each account the first page comes and the next does not, however often it is asked.
        broken = await fault(crowd.exchange_url, "http", where=_LISTS, status=502, chance=0.5)
        await asyncio.sleep(6)
        assert await fired(crowd.exchange_url, broken) > ACCOUNTS
        await control(crowd.exchange_url, "DELETE", "faults")
        await crowd.settled()
    crowd.no_flag_moved(frame)
    assert await crowd.stored_flags() == {crowd.altered}


async def test_a_storm_of_refusals_for_asking_too_often_moves_no_flag(crowd: Crowd) -> None:
    frame = len(crowd.live.frames)
    await crowd.in_the_middle_of_a_sweep()
    storm = await fault(crowd.exchange_url, "rate_limit", where=_LISTS, chance=0.8)
    await asyncio.sleep(8)
    assert await fired(crowd.exchange_url, storm) > ACCOUNTS
    await control(crowd.exchange_url, "DELETE", "faults")
    await crowd.settled()
    crowd.no_flag_moved(frame)
    assert await crowd.stored_flags() == {crowd.altered}


async def test_a_ban_of_the_address_pauses_everything_is_told_and_ends(crowd: Crowd) -> None:
    frame = len(crowd.live.frames)
    with patch.object(limits, "ADDRESS_PAUSE", 6.0):
        await crowd.in_the_middle_of_a_sweep()
        ban = await fault(crowd.exchange_url, "http", where=_LISTS, status=403, count=1)

        async def banned() -> bool:
            status, reasons = await readiness(crowd.url)
            return status == 503 and "banned our address" in reasons

        await eventually(banned, 5, "/readyz tells of the ban")
        assert await fired(crowd.exchange_url, ban) == 1
        # What was on its way when the ban came has arrived by now.
        await asyncio.sleep(_FALLS_OFF)
        before = await crowd.asked()
        await asyncio.sleep(3)
        assert await crowd.asked() == before, "nothing is sent in a ban"

        async def is_over() -> bool:
            return (await readiness(crowd.url))[0] == 200

        await eventually(is_over, SETTLES_WITHIN, "ready again")
        await crowd.settled()
    assert crowd.doubted_since(frame, "banned")
    crowd.no_flag_moved(frame)
    assert await crowd.stored_flags() == {crowd.altered}


# --- the exchange is killed --------------------------------------------------------------------


async def test_an_exchange_killed_in_the_middle_of_a_sweep_makes_doubt_and_moves_no_flag(
    world: World, tmp_path: Path
) -> None:
    books, log = tmp_path / "books", tmp_path / "paper.log"
    async with exchange(books, log) as paper:
        port = int(paper.url.rpartition(":")[2])
        environ = world.environ | {"POSITIOND_PAPER_URL": paper.url}
        async with a_crowd(
            environ, world.store, paper.url, world.database_url, world.token
        ) as crowd:
            frame = len(crowd.live.frames)
            await crowd.in_the_middle_of_a_sweep()
            await paper.kill()
            # Whoever was not read in time, and at last those whose stream is away for long.
            everybody = set(crowd.positions)
            await crowd.live.until(
                lambda: crowd.doubted_since(frame, "connect", "refused", "stream") == everybody,
                25,
                "every position is in doubt",
            )
            crowd.no_flag_moved(frame)
            async with exchange(books, log, port):
                began = time.monotonic()
                await crowd.settled()
                assert time.monotonic() - began < SETTLES_WITHIN
                crowd.no_flag_moved(frame)
                assert await crowd.stored_flags() == {crowd.altered}


# --- the database is killed --------------------------------------------------------------------


async def _token(store: Store, user: User) -> str:
    token = new_token()
    await store.people.create_token(user.id, "test", Scope.TRADE, digest(token))
    return token


async def test_a_database_killed_in_the_middle_of_a_sweep_makes_doubt_and_moves_no_flag(
    paper: PaperServer,
) -> None:
    with tempfile.TemporaryDirectory(prefix="positiond-outage-") as name:
        directory = Path(name)
        async with EmbeddedPostgres(directory) as server:
            await migrate(server.url)
            environ = {
                "POSITIOND_DATA_DIR": str(directory),
                "POSITIOND_SEAL_KEY": SEAL_TEXT,
                "POSITIOND_PAPER_URL": paper.url,
                "POSITIOND_HTTP_PORT": "0",
            }
            async with (
                open_store(server.url, SEAL) as store,
                a_crowd(
                    environ, store, paper.url, server.url, lambda user: _token(store, user)
                ) as crowd,
            ):
                await _kill_the_database(directory, crowd)


async def _kill_the_database(directory: Path, crowd: Crowd) -> None:
    frame = len(crowd.live.frames)
    everybody = set(crowd.positions)
    postmaster = running(directory / "postgres" / "cluster")
    assert postmaster is not None
    await crowd.in_the_middle_of_a_sweep()
    os.kill(postmaster.pid, signal.SIGKILL)
    began = time.monotonic()
    await crowd.live.until(
        lambda: crowd.doubted_since(frame, "database") == everybody,
        10,
        "every position is in doubt, by a reason that names the database",
    )
    crowd.no_flag_moved(frame)
    frame = len(crowd.live.frames)
    await crowd.settled()
    assert time.monotonic() - began < SETTLES_WITHIN
    crowd.no_flag_moved(frame)
    assert await crowd.stored_flags() == {crowd.altered}
    after = running(directory / "postgres" / "cluster")
    assert after is not None
    assert after.pid != postmaster.pid, "the daemon has started the server again"
