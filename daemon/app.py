"""The composition root: opens the edges in their order, and runs the daemon inside them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Final, NoReturn

import structlog

from ..bybit.gateway import open_gateway
from ..http.app import build_app, serving
from ..http.hub import Hub
from ..http.services import HttpSettings
from ..store.embedded import EmbeddedPostgres
from ..store.store import unconnected_store
from .config import Config
from .presence import make_data_dir
from .sdnotify import Notifier
from .storage import seal_key
from .supervise import Loop, supervise
from .wiring import Daemon

_log = structlog.get_logger(__name__)

_LOOK_EVERY: Final = 0.25
_STREAMS_WITHIN: Final = 20.0


async def serve(
    config: Config,
    *,
    ready: Callable[[str], None] | None = None,
    settled: Callable[[], None] = lambda: None,
    stop: asyncio.Event | None = None,
) -> None:
    """Run the daemon until `stop` is set.

    `ready` is called with the URL once HTTP answers, which is before the first compare and even
    before the database is reached: /readyz says what is missing. The service manager hears READY
    after the first full compare. `settled` is called when much of what stays has come: after the
    set-up, at READY, and once nothing is missing any more.
    """
    loops: dict[str, Loop] = {}
    notifier = Notifier(os.environ)
    async with AsyncExitStack() as stack:
        url = config.database.url
        if url is None:
            embedded = await stack.enter_async_context(
                EmbeddedPostgres(make_data_dir(config.database.embedded_dir))
            )
            url = embedded.url
            loops["embedded postgres"] = embedded.keep_running
        # The store outlives the gateway: a close that is cut off still stores how it stands.
        store = await stack.enter_async_context(unconnected_store(url, seal_key(config)))
        memory = config.data_dir / "limits"
        gateway = await stack.enter_async_context(open_gateway(config.hosts, memory=memory))
        hub = Hub()
        daemon = Daemon(config.loops, store, gateway, hub, url)
        app = build_app(
            daemon.services(),
            HttpSettings(public_url=config.http.public_url, behind_proxy=config.http.behind_proxy),
        )
        address = await stack.enter_async_context(serving(app, config.http.host, config.http.port))
        _log.info("listening", url=address)
        if ready is not None:
            ready(address)
        stack.callback(notifier.stopping)
        loops["lead"] = daemon.lead
        loops["notify"] = lambda: _keep_notified(daemon, notifier, settled)
        settled()
        await supervise(loops, stop or asyncio.Event())


async def _keep_notified(
    daemon: Daemon, notifier: Notifier, settled: Callable[[], None]
) -> NoReturn:
    """READY once the first full compare is done; WATCHDOG while every loop beats.

    READY waits a while for what else readiness asks, but no longer: one mistyped key, or the
    streams of hundreds of accounts, must not have the manager kill what does its work.
    """
    told, complete, status, due = False, False, "", float("inf")
    clock = asyncio.get_running_loop().time
    while True:
        readiness = daemon.board.readiness()
        now = "tracking" if readiness.is_ready else "; ".join(readiness.reasons)
        if due == float("inf") and daemon.reconciler.last_sweep_at is not None:
            due = clock() + _STREAMS_WITHIN
        if not told and (readiness.is_ready or clock() >= due):
            notifier.ready(now)
            told = True
            settled()
        if readiness.is_ready and not complete:
            complete = True
            settled()
        if now != status:
            notifier.status(now)
            status = now
        if not daemon.board.late_loops():
            notifier.watchdog()
        await asyncio.sleep(_LOOK_EVERY)
