"""Ticks over real sockets: the daemon's feeds and a bare client hear the same exchange."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest
from positiond.bybit.gateway import open_gateway
from positiond.bybit.paper.server import PaperServer
from positiond.bybit.vocab import Hosts
from positiond.daemon.domain.events import MarketEvent, MarketFeedDown, PriceTick
from positiond.daemon.domain.model import Category

from ...captures.corpus import POSITIONS, instrument_rows
from ...captures.reference import Reference
from ..bybit.stubs import PROMPT, QUICK
from .side_by_side import PAPER, Daemon, both

STEP_MS = 3_000
DEADLINE = 10.0


class BareClient:
    """One public stream, read by hand into the reference; counts what it heard."""

    def __init__(
        self, category: Category, socket: aiohttp.ClientWebSocketResponse, reference: Reference
    ) -> None:
        self.heard = 0
        self._category, self._socket, self._reference = category, socket, reference

    async def subscribe(self, symbols: frozenset[str]) -> None:
        args = sorted(f"tickers.{symbol}" for symbol in symbols)
        await self._socket.send_str(json.dumps({"op": "subscribe", "args": args}))
        while self.heard < len(args):
            await self._next()

    async def catch_up(self) -> None:
        """Everything that was sent before the answer to a ping."""
        await self._socket.send_str(json.dumps({"op": "ping"}))
        while await self._next():
            pass

    async def _next(self) -> bool:
        """Whether the next frame is a ticker; acks and pongs are not."""
        text = await self._socket.receive_str(timeout=DEADLINE)
        frame = json.loads(text)
        if "topic" in frame:
            self.heard += 1
            self._reference.take(self._category, text)
            return True
        return "subscribe" in (frame.get("op"), frame.get("ret_msg")) or "data" in frame


@asynccontextmanager
async def feeds(
    paper: PaperServer, daemon: Daemon, sink: Callable[[MarketEvent], None]
) -> AsyncIterator[None]:
    """The daemon's own public streams of all categories."""
    hosts = {PAPER: Hosts(paper.url, paper.ws_url, paper.ws_url)}
    async with (
        open_gateway(hosts, patience=QUICK, persistence=PROMPT) as gateway,
        asyncio.TaskGroup() as group,
    ):
        tasks = []
        for category in Category:
            feed = gateway.market_feed(PAPER, category)
            feed.watch(daemon.book.symbols(PAPER, category))
            tasks.append(group.create_task(feed.run(sink)))
        yield
        for task in tasks:
            task.cancel()


async def until(is_so: Callable[[], bool]) -> None:
    give_up = time.monotonic() + DEADLINE
    while not is_so():
        assert time.monotonic() < give_up, "the daemon's feeds lag behind"
        await asyncio.sleep(0.005)


@pytest.mark.parametrize("steps", [6, pytest.param(20, marks=pytest.mark.thorough)])
async def test_ticks_over_sockets_equal_the_script_at_every_step(steps: int) -> None:
    daemon, reference = Daemon(instrument_rows(), POSITIONS), Reference(instrument_rows())
    heard: Counter[Category] = Counter()

    def sink(event: MarketEvent) -> None:
        assert not isinstance(event, MarketFeedDown), event
        if isinstance(event, PriceTick):
            heard[event.key.category] += 1
            daemon.book.tick(event)

    async with (
        PaperServer(seed=11, clock="manual") as paper,
        aiohttp.ClientSession() as http,
        feeds(paper, daemon, sink),
    ):
        clients = {}
        for category in Category:
            socket = await http.ws_connect(f"{paper.ws_url}/v5/public/{category}")
            clients[category] = BareClient(category, socket, reference)
            await clients[category].subscribe(daemon.book.symbols(PAPER, category))

        def is_level() -> bool:
            return all(heard[category] == client.heard for category, client in clients.items())

        await until(is_level)
        totals = set()
        for _ in range(steps):
            await paper.step(STEP_MS)
            await asyncio.gather(*(client.catch_up() for client in clients.values()))
            await until(is_level)
            for name, ours, theirs in both(daemon, reference, POSITIONS):
                assert ours == theirs, name
            totals.add(daemon.view(POSITIONS[-1]).unrealized_pnl)
    assert None not in totals
    assert len(totals) == steps
    assert min(heard.values()) > steps
