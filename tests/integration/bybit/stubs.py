"""A venue that answers from a script, and what a client of it needs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from uuid import UUID

import orjson
from aiohttp import web
from positiond.bybit.gateway import BybitGateway, open_gateway
from positiond.bybit.reconnect import Persistence
from positiond.bybit.rest import Patience
from positiond.bybit.vocab import Hosts
from positiond.daemon.domain.events import AccountEvent, MarketEvent
from positiond.daemon.domain.model import (
    Account,
    AccountId,
    Category,
    Credentials,
    Environment,
    Side,
    UserId,
)
from positiond.daemon.domain.orders import ReduceOnlyOrder
from tenacity import wait_none

Answer = Callable[[web.Request], "web.StreamResponse | None"]
Event = AccountEvent | MarketEvent
CREDENTIALS = Credentials("KEY", "SECRET-NEVER-SHOWN")
QUICK = Patience(read=1.5, send=0.5, tries=3, backoff=wait_none())
PROMPT = Persistence(
    usual=wait_none(), after_refusal=wait_none(), settled_after=0.0, first_jitter=0.0
)


def account(label: str = "paper", environment: Environment = Environment.PAPER) -> Account:
    return Account(AccountId(UUID(int=1)), UserId(UUID(int=2)), label, environment, "KEY")


def reducing(
    quantity: str = "0.003", side: Side = Side.SELL, link_id: str = "sp-1", symbol: str = "BTCUSDT"
) -> ReduceOnlyOrder:
    return ReduceOnlyOrder(Category.LINEAR, symbol, 0, side, Decimal(quantity), link_id)


def envelope(
    result: object = None, *, code: int = 0, message: str = "OK", status: int = 200, **headers: str
) -> Answer:
    """An answer in V5's envelope, for as often as it is asked."""
    body = orjson.dumps(
        {
            "retCode": code,
            "retMsg": message,
            "result": result if result is not None else {},
            "retExtInfo": {},
            "time": int(time.time() * 1000),
        }
    )
    spelled = {name.replace("_", "-"): value for name, value in headers.items()}

    def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(
            status=status, body=body, content_type="application/json", headers=spelled
        )

    return answer


def plain(status: int, text: str = "") -> Answer:
    return lambda _: web.Response(status=status, text=text)


def cut(request: web.Request) -> None:
    """Drop the line without an answer."""
    assert request.transport is not None
    request.transport.close()


@dataclass
class ScriptedVenue:
    """Answers by path; the last answer of a script repeats. `seen` holds raw query and body."""

    script: dict[str, list[Answer]]
    seen: list[tuple[str, str, bytes]] = field(default_factory=list)
    hang: set[str] = field(default_factory=set)
    clock_ahead_ms: int = 0

    def asked(self, path: str) -> list[tuple[str, bytes]]:
        return [(query, body) for seen, query, body in self.seen if seen == path]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.seen.append((request.path, request.rel_url.raw_query_string, body))
        if request.path in self.hang:
            await asyncio.sleep(30)
        if request.path == "/v5/market/time":
            now = int(time.time() * 1000) + self.clock_ahead_ms
            return (
                envelope({"timeSecond": str(now // 1000), "timeNano": str(now * 1_000_000)})(
                    request
                )
                or web.Response()
            )
        answers = self.script[request.path]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        return answer(request) or web.Response()


@asynccontextmanager
async def scripted(
    patience: Patience = QUICK, **script: list[Answer]
) -> AsyncIterator[tuple[ScriptedVenue, BybitGateway]]:
    """A gateway to a scripted venue; `order__create` stands for `/v5/order/create`."""
    paths = {f"/v5/{name.replace('__', '/').replace('_', '-')}": a for name, a in script.items()}
    venue = ScriptedVenue(paths)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", venue.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    url = f"http://{host}:{port}"
    hosts = {Environment.PAPER: Hosts(url, url, url)}
    try:
        async with open_gateway(hosts, patience=patience) as gateway:
            yield venue, gateway
    finally:
        await runner.cleanup()


class Ear:
    """A sink that keeps what it hears and lets a test wait for it."""

    def __init__(self) -> None:
        self.heard: list[Event] = []
        self._changed = asyncio.Event()

    def __call__(self, event: Event) -> None:
        self.heard.append(event)
        self._changed.set()

    def of(self, kind: type[object]) -> list[Event]:
        return [event for event in self.heard if isinstance(event, kind)]

    async def until(self, found: Callable[[], bool], seconds: float = 10.0) -> None:
        """Wait until the condition holds after some event; TimeoutError after `seconds`."""
        async with asyncio.timeout(seconds):
            while not found():
                self._changed.clear()
                await self._changed.wait()


@asynccontextmanager
async def running(feed: object, ear: Ear) -> AsyncIterator[None]:
    """The feed's `run` as a task that ends with the block; its errors come out."""
    task = asyncio.create_task(feed.run(ear))  # type: ignore[attr-defined]  # either kind of feed
    try:
        yield
        assert not task.done(), task.exception()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
