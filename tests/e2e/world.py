"""The whole product in one test: paper exchange, database, daemon and a user with two accounts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
from positiond.bybit.paper.server import PaperAccount, PaperServer
from positiond.daemon.app import serve
from positiond.daemon.config import load
from positiond.daemon.domain.model import Account, Credentials, Environment
from positiond.daemon.domain.people import Scope, User
from positiond.http.keys import digest, new_token
from positiond.store.sealing import SealKey
from positiond.store.store import Store, open_store

SEAL = SealKey(bytes(range(32)))
SEAL_TEXT = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="


async def eventually(
    probe: Callable[[], Awaitable[Any]], within: float, what: str, every: float = 0.05
) -> Any:
    """Poll until the probe gives something true; AssertionError with `what` after `within` s."""
    deadline = time.monotonic() + within
    while True:
        found = await probe()
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {within} s: {what}"
        await asyncio.sleep(every)


@dataclass
class Trader:
    """A user with a paper account and an API client of their own."""

    user: User
    account: Account
    paper: PaperAccount
    http: aiohttp.ClientSession

    async def get(self, path: str) -> Any:
        async with self.http.get(path) as reply:
            assert reply.status == 200, await reply.text()
            return await reply.json()

    async def post(self, path: str, body: object = None, **headers: str) -> tuple[int, Any, Any]:
        async with self.http.post(path, json=body or {}, headers=headers) as reply:
            return reply.status, await reply.json(), reply.headers

    async def record(self, name: str, *legs: dict[str, str]) -> dict[str, Any]:
        """Record a position; 201 or an assertion."""
        body = {"account_id": str(self.account.id), "name": name, "components": list(legs)}
        status, answer, _ = await self.post("/api/positions", body)
        assert status == 201, answer
        return dict(answer)

    async def position(self, position_id: str) -> dict[str, Any]:
        return dict(await self.get(f"/api/positions/{position_id}"))

    async def until(
        self, position_id: str, is_so: Callable[[dict[str, Any]], bool], within: float, what: str
    ) -> dict[str, Any]:
        async def probe() -> dict[str, Any] | None:
            position = await self.position(position_id)
            return position if is_so(position) else None

        return dict(await eventually(probe, within, what))


@dataclass
class World:
    paper: PaperServer
    store: Store
    database_url: str
    environ: dict[str, str]
    url: str = ""

    async def user(self, name: str) -> User:
        return await self.store.people.add_user(name, "no password: tokens only")

    async def trader(
        self, user: User, label: str, balances: dict[str, Decimal] | None = None
    ) -> tuple[Account, PaperAccount]:
        """A funded paper account of the user, known to the daemon."""
        paper = self.paper.add_account(label, balances=balances)
        account = await self.store.accounts.add(
            user.id, label, Environment.PAPER, Credentials(paper.key, paper.secret)
        )
        return account, paper

    async def sql(self, statement: str, *values: object) -> list[Any]:
        """Rows of a statement on a connection of its own, as another program would run it."""
        connection = await asyncpg.connect(self.database_url)
        try:
            return list(await connection.fetch(statement, *values))
        finally:
            await connection.close()

    def holds(self, account: PaperAccount, symbol: str, side: str, quantity: str) -> dict[str, str]:
        """A leg that was just bought or sold by hand, at its true entry price."""
        order = self.paper.trade(account, symbol, side, quantity)["order"]
        assert order["cumExecQty"] == quantity, order
        return leg(symbol, side, quantity, order["avgPrice"])

    async def token(self, user: User, scope: Scope = Scope.TRADE) -> str:
        token = new_token()
        await self.store.people.create_token(user.id, "test", scope, digest(token))
        return token


@asynccontextmanager
async def a_world(
    postgres_url: str, data_dir: Path, paper: PaperServer, exchange_url: str | None = None
) -> AsyncIterator[World]:
    """The store and the exchange; the daemon is started by `daemon`.

    `exchange_url` is what the daemon is told, where something stands before the exchange.
    """
    environ = {
        "POSITIOND_DATABASE_URL": postgres_url,
        "POSITIOND_DATA_DIR": str(data_dir),
        "POSITIOND_SEAL_KEY": SEAL_TEXT,
        "POSITIOND_PAPER_URL": exchange_url or paper.url,
        "POSITIOND_HTTP_PORT": "0",
    }
    async with open_store(postgres_url, SEAL) as store:
        yield World(paper, store, postgres_url, environ)


@asynccontextmanager
async def started(
    environ: Mapping[str, str], settled: Callable[[], None] = lambda: None
) -> AsyncIterator[str]:
    """The daemon in this process, answering at the URL given but not ready; stopped at the end."""
    stop, address = asyncio.Event(), asyncio.get_running_loop().create_future()
    config = load(environ, lambda _: None)
    async with asyncio.TaskGroup() as group:
        serving = serve(config, ready=address.set_result, settled=settled, stop=stop)
        running = group.create_task(serving)
        try:
            yield await address
        finally:
            stop.set()
        await running


async def readiness(url: str) -> tuple[int, str]:
    """Status and reasons of /readyz."""
    async with aiohttp.ClientSession(base_url=url) as http, http.get("/readyz") as reply:
        return reply.status, "; ".join((await reply.json())["reasons"])


@asynccontextmanager
async def daemon(world: World) -> AsyncIterator[str]:
    """The daemon in this process, ready; stopped at the end."""
    async with started(world.environ) as url:
        world.url = url

        async def is_ready() -> bool:
            return (await readiness(url))[0] == 200

        await eventually(is_ready, 20, "the daemon is ready")
        yield url


@asynccontextmanager
async def trading(world: World, user: User, label: str) -> AsyncIterator[Trader]:
    account, paper = await world.trader(user, label)
    headers = {"Authorization": f"Bearer {await world.token(user)}"}
    async with aiohttp.ClientSession(base_url=world.url, headers=headers) as http:
        trader = Trader(user, account, paper, http)

        async def is_connected() -> bool:
            # Known to the daemon first: before that, /readyz has nothing to say about it.
            body = {"account_id": str(account.id), "name": "x", "components": [_NOWHERE]}
            _, answer, _ = await trader.post("/api/positions", body)
            return answer["code"] == "unknown-symbol" and (await readiness(world.url))[0] == 200

        await eventually(is_connected, 15, f"account {label} is connected")
        yield trader


def leg(symbol: str, side: str, quantity: str, price: str) -> dict[str, str]:
    return {
        "category": "linear",
        "symbol": symbol,
        "side": side,
        "quantity": quantity,
        "entry_price": price,
    }


_NOWHERE = leg("NOWHEREUSDT", "Buy", "1", "1")


def now() -> datetime:
    return datetime.now(UTC)
