"""The paper exchange put together.

In a test or inside another program:

    async with PaperServer(seed=7, clock="manual") as paper:
        account = paper.add_account("alice")           # PaperAccount(uid, key, secret)
        paper.trade(account, "BTCUSDT", "Buy", "0.5")  # a hand trade, filled at once
        ...                                            # clients talk to paper.url
        await paper.step(1000)                         # manual clock: one second passes

`paper.url` is the base of REST (`http://127.0.0.1:PORT`), `paper.ws_url` that of the streams;
`paper.engine`, `paper.books` and `paper.venue` are there for looking at. With `data_dir` the
books are kept there and found again. Everything under `/_paper/` is described in `operations.py`.
"""

import asyncio
import ssl
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from .addresses import REQUESTS
from .admission import LinkRule
from .books import Books
from .control import Control
from .engine import Engine
from .hub import Hub
from .ledger import Ledger, MemoryLedger, SqliteLedger
from .model import Uid
from .options import PaperOptions, add_paper_arguments
from .rest import RestApi
from .stream import IDLE_S, Streams
from .venue import ClockKind, Venue

__all__ = ["PaperAccount", "PaperOptions", "PaperServer", "add_paper_arguments", "run_paper"]

MAX_BODY = 256 * 1024
SHUTDOWN_S = 2.0
BACKLOG = 1024


@dataclass(frozen=True, slots=True)
class PaperAccount:
    """An account's credentials; they open nothing but this exchange."""

    uid: Uid
    key: str
    secret: str = field(repr=False)


class PaperServer:
    """A running exchange while inside `async with`; port 0 takes a free one."""

    def __init__(
        self,
        *,
        seed: int = 1,
        clock: str = "auto",
        data_dir: Path | None = None,
        fresh: bool = False,
        host: str = "127.0.0.1",
        port: int = 0,
        speed: float = 1.0,
        link_rule: LinkRule = LinkRule.DAY,
        tls: ssl.SSLContext | None = None,
        idle_s: float = IDLE_S,
        address_limit: int = REQUESTS,
        replay: Path | None = None,
    ) -> None:
        self._data_dir, self._fresh = data_dir, fresh
        self._host, self._port, self._tls = host, port, tls
        self._seed, self._clock, self._speed = seed, ClockKind(clock), speed
        self._link_rule, self._idle_s, self._address_limit = link_rule, idle_s, address_limit
        self._replay = replay
        self._stack = AsyncExitStack()
        self.venue: Venue
        self.url = ""

    @property
    def engine(self) -> Engine:
        return self.venue.engine

    @property
    def books(self) -> Books:
        return self.venue.books

    @property
    def ws_url(self) -> str:
        return self.url.replace("http", "ws", 1)

    async def __aenter__(self) -> Self:
        async with self._stack as stack:
            ledger: Ledger = MemoryLedger()
            if self._data_dir is not None:
                ledger = SqliteLedger(self._data_dir, fresh=self._fresh)
            self.venue = Venue(
                ledger,
                seed=self._seed,
                clock=self._clock,
                speed=self._speed,
                link_rule=self._link_rule,
                address_limit=self._address_limit,
                replay=self._replay,
            )
            stack.callback(self.venue.close)
            await self._listen(stack)
            if self._clock is ClockKind.AUTO:
                group = await stack.enter_async_context(asyncio.TaskGroup())
                pump = group.create_task(run_clock(self.venue), name="paper clock")
                stack.callback(pump.cancel)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # Closed without the body's error, which would come out wrapped in a group.
        await self._stack.aclose()

    def add_account(
        self,
        label: str = "",
        *,
        read_only: bool = False,
        balances: dict[str, Decimal] | None = None,
    ) -> PaperAccount:
        """A new account with 1,000,000 USDT, or the balances given."""
        made = self.venue.add_account(label, read_only=read_only, balances=balances)
        return PaperAccount(made.uid, made.key, made.secret)

    def trade(
        self,
        account: PaperAccount,
        symbol: str,
        side: str,
        qty: str,
        *,
        reduce_only: bool = False,
        category: str = "linear",
    ) -> dict[str, Any]:
        """A hand trade at market: `{order, executions, position}`; raises Refused."""
        body: dict[str, Any] = {
            "account": account.uid,
            "category": category,
            "symbol": symbol,
            "side": side,
            "qty": qty,
            "reduce_only": reduce_only,
        }
        return self.control("trade", **body)

    def control(self, name: str, verb: str = "POST", **body: Any) -> dict[str, Any]:
        """What `VERB /_paper/NAME` does, without the way there; raises Refused and BadBody."""
        return dict(self._control.do(verb, name, body))

    async def step(self, milliseconds: int) -> None:
        """Manual clock: lets this much time pass, and the frames reach their writers."""
        self.venue.advance(self.venue.now_ms() + milliseconds)
        await asyncio.sleep(0)

    async def _listen(self, stack: AsyncExitStack) -> None:
        hub = Hub(self.venue)
        self.venue.listener = hub.tell
        self._control = Control(self.venue, hub)
        streams = Streams(self.venue, hub, self._idle_s)
        app = web.Application(client_max_size=MAX_BODY)
        app.router.add_get("/v5/public/{category:linear|inverse|spot|option}", streams.public)
        app.router.add_get("/v5/private", streams.private)
        app.router.add_routes(self._control.routes())
        app.router.add_route("*", "/{path:.*}", RestApi(self.venue).handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_S)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        # Streams never end by themselves; without this a stop would wait out its timeout.
        stack.callback(hub.cut_all)
        site = web.TCPSite(runner, self._host, self._port, ssl_context=self._tls, backlog=BACKLOG)
        await site.start()
        host, port = runner.addresses[0][:2]
        scheme = "https" if self._tls else "http"
        self.url = f"{scheme}://{host}:{port}"


async def run_clock(venue: Venue) -> None:
    """Follows the wall clock: wakes when something is due or was newly planned."""
    while True:
        venue.advance(venue.now_ms())
        await asyncio.sleep(0)
        venue.keep_prices()
        venue.changed.clear()
        due = venue.engine.next_ms()
        wait_ms = 100 if due is None else max(due - venue.now_ms(), 0)
        if wait_ms > 0:
            try:
                async with asyncio.timeout(wait_ms / 1000):
                    await venue.changed.wait()
            except TimeoutError:
                pass
        else:
            await asyncio.sleep(0)


async def run_paper(options: PaperOptions, on_ready: Callable[[str], None] | None = None) -> None:
    """Serves until cancelled; `on_ready` gets the URL once the port answers."""
    tls = None
    if options.tls_cert is not None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(options.tls_cert, options.tls_key)
    server = PaperServer(
        seed=options.seed,
        clock=options.clock,
        data_dir=options.data,
        fresh=options.fresh,
        host=options.host,
        port=options.port,
        speed=options.speed,
        link_rule=LinkRule(options.link_rule),
        address_limit=options.address_limit,
        replay=options.replay,
        tls=tls,
    )
    async with server:
        if options.key:
            server.venue.add_account("default", key=options.key, secret=options.secret)
        if on_ready is not None:
            on_ready(server.url)
        await asyncio.Event().wait()
