"""Wrong keys, skewed clocks, an exchange or database that is away: said, survived, mended."""

from __future__ import annotations

import socket
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest
from positiond.bybit.paper.server import PaperServer
from positiond.daemon.domain.model import Credentials, Environment
from positiond.store.embedded import EmbeddedPostgres

from tests.e2e.exchange import control, fault, fired
from tests.e2e.world import (
    SEAL_TEXT,
    Trader,
    World,
    a_world,
    daemon,
    eventually,
    leg,
    now,
    readiness,
    started,
    trading,
)


@pytest.fixture
def directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="positiond-outage-") as made:
        yield Path(made)


async def says(url: str, *words: str, within: float = 10) -> str:
    """Wait until /readyz is 503 and its reasons hold all the words, a repeated one as often."""

    async def told() -> str | None:
        status, reasons = await readiness(url)
        is_so = status == 503 and all(reasons.count(w) >= n for w, n in Counter(words).items())
        return reasons if is_so else None

    return str(await eventually(told, within, f"/readyz says {words}"))


async def is_ready(url: str) -> bool:
    return (await readiness(url))[0] == 200


async def is_alive(url: str) -> None:
    async with aiohttp.ClientSession(base_url=url) as http, http.get("/healthz") as reply:
        assert reply.status == 200


async def test_wrong_keys_are_told_by_account_and_leave_the_others_alone(
    world: World, paper: PaperServer
) -> None:
    user = await world.user("alice")
    broken = await world.store.accounts.add(
        user.id, "mistyped", Environment.PAPER, Credentials("nobody's key", "and secret")
    )
    held = paper.add_account("right key, wrong secret")
    await world.store.accounts.add(
        user.id, "wrong secret", Environment.PAPER, Credentials(held.key, "not its secret")
    )
    async with started(world.environ) as url:
        world.url = url
        why = "refuses the API key"
        reasons = await says(url, "mistyped", str(broken.id), "wrong secret", why, why)
        assert "and secret" not in reasons
        assert "not its secret" not in reasons
        await is_alive(url)
        account, good = await world.trader(user, "good")
        headers = {"Authorization": f"Bearer {await world.token(user)}"}
        async with aiohttp.ClientSession(base_url=url, headers=headers) as http:
            trader = Trader(user, account, good, http)
            await _works(world, trader)
            body = {
                "account_id": str(broken.id),
                "name": "x",
                "components": [leg("BTCUSDT", "Buy", "1", "100000")],
            }
            status, problem, _ = await trader.post("/api/positions", body)
            assert (status, problem["code"]) == (503, "account-not-connected")
            assert "API key" in problem["detail"]


async def _works(world: World, trader: Trader) -> None:
    """The account is tracked and closed as ever."""
    bought = world.holds(trader.paper, "BTCUSDT", "Buy", "0.5")
    body = {"account_id": str(trader.account.id), "name": "works", "components": [bought]}

    async def recorded() -> str | None:
        status, answer, _ = await trader.post("/api/positions", body)
        assert status in (201, 503), answer
        return str(answer["id"]) if status == 201 else None

    position_id = await eventually(recorded, 15, "the position is recorded", every=0.2)
    await trader.until(position_id, lambda p: p["unrealized_pnl"], 10, "a price")
    await trader.until(position_id, lambda p: p["verdict"] == "in_sync", 15, "in sync")
    status, answer, _ = await trader.post(f"/api/positions/{position_id}/close")
    assert status == 202, answer
    await trader.until(position_id, lambda p: p["status"] == "CLOSED", 20, "CLOSED")


@pytest.mark.parametrize("milliseconds", [-3_600_000, 3_000])
async def test_a_clock_that_is_off_from_the_start_is_measured_and_made_up_for(
    world: World, paper: PaperServer, milliseconds: int
) -> None:
    await fault(paper.url, "clock_skew", ms=milliseconds)
    await _is_off(paper, milliseconds)
    user = await world.user("alice")
    async with daemon(world), trading(world, user, "main") as trader:
        await _works(world, trader)


async def test_a_clock_that_jumps_is_measured_anew(
    world: World, trader: Trader, paper: PaperServer
) -> None:
    await fault(paper.url, "clock_skew", ms=-60_000)
    await _is_off(paper, -60_000)
    await _works(world, trader)


async def _is_off(paper: PaperServer, milliseconds: int) -> None:
    """The exchange's clock shows the skew: without it the test would show nothing."""
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{paper.url}/v5/market/time") as reply,
    ):
        ahead = (await reply.json())["time"] - now().timestamp() * 1000
    assert abs(ahead - milliseconds) < 2_000


async def test_an_exchange_that_is_away_at_the_start_is_named_and_found_when_it_appears(
    postgres_url: str, directory: Path
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    paper = PaperServer(seed=11, port=port)
    address = f"http://127.0.0.1:{port}"
    credentials = Credentials("key-of-the-test", "secret-of-the-test")
    async with a_world(postgres_url, directory, paper, address) as world:
        user = await world.user("alice")
        account = await world.store.accounts.add(user.id, "main", Environment.PAPER, credentials)
        ((position_id,),) = await world.sql(
            "INSERT INTO synthetic_positions (account_id, name, is_altered)"
            " VALUES ($1, 'recorded before', true) RETURNING id",
            account.id,
        )
        await world.sql(
            "INSERT INTO position_components (position_id, category, symbol, side,"
            " expected_quantity, entry_price) VALUES ($1, 'linear', 'BTCUSDT', 'Buy', 1, 100000)",
            position_id,
        )
        headers = {"Authorization": f"Bearer {await world.token(user)}"}
        async with (
            started(world.environ) as url,
            aiohttp.ClientSession(base_url=url, headers=headers) as http,
        ):
            await says(url, "main", str(account.id), str(port))
            await is_alive(url)
            async with http.get(f"/api/positions/{position_id}") as reply:
                shown = await reply.json()
            assert (shown["verdict"], shown["is_altered"]) == ("unverified", True)
            assert shown["unrealized_pnl"] is None
            assert shown["pnl_incomplete"]

            async with paper:
                made = paper.venue.add_account(
                    "main", key=credentials.key, secret=credentials.secret
                )
                await eventually(lambda: is_ready(url), 30, "it found the exchange")

                async def altered() -> bool:
                    async with http.get(f"/api/positions/{position_id}") as reply:
                        shown = await reply.json()
                    return shown["verdict"] == "altered" and shown["unrealized_pnl"] is not None

                await eventually(altered, 15, "what is missing is flagged")
                assert made.uid


async def test_a_database_that_is_away_at_the_start_is_named_and_found_when_it_appears(
    directory: Path, paper: PaperServer
) -> None:
    async with EmbeddedPostgres(directory) as server:
        address = server.url
    environ = {
        "POSITIOND_DATABASE_URL": address,
        "POSITIOND_DATA_DIR": str(directory),
        "POSITIOND_SEAL_KEY": SEAL_TEXT,
        "POSITIOND_PAPER_URL": paper.url,
        "POSITIOND_HTTP_PORT": "0",
    }
    async with started(environ) as url:
        await says(url, "database")
        await is_alive(url)
        headers = {"Authorization": "Bearer pd_anything"}
        async with (
            aiohttp.ClientSession(base_url=url, headers=headers) as http,
            http.get("/api/positions") as reply,
        ):
            assert reply.status == 503
            assert (await reply.json())["code"] == "store-unavailable"
        async with EmbeddedPostgres(directory) as server:
            assert server.url == address
            await eventually(lambda: is_ready(url), 30, "it found the database")


async def test_a_broken_frame_kills_nothing(
    world: World, trader: Trader, paper: PaperServer
) -> None:
    broken = await fault(paper.url, "frame_corrupt", where="*", chance=0.3)
    await _works(world, trader)
    assert await fired(paper.url, broken) >= 3
    await control(paper.url, "DELETE", "faults")
    await eventually(lambda: is_ready(world.url), 15, "ready")
