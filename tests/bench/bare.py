"""Bare aiohttp servers: what the same work costs with nothing around it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import NoReturn

from aiohttp import web


@asynccontextmanager
async def serving(add: Callable[[web.Application], object]) -> AsyncIterator[str]:
    """A server with the routes that `add` gives it; its URL."""
    app = web.Application()
    add(app)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


class EventStreams:
    """Server-sent events with a queue and a task for each client."""

    def __init__(self) -> None:
        self._queues: set[asyncio.Queue[bytes]] = set()

    def add_to(self, app: web.Application) -> None:
        app.router.add_get("/", self._open)
        app.on_shutdown.append(self._end)

    def push(self, frame: bytes) -> None:
        for queue in self._queues:
            queue.put_nowait(frame)

    async def _open(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        queue: asyncio.Queue[bytes] = asyncio.Queue()
        self._queues.add(queue)
        try:
            await response.prepare(request)
            await response.write(b"event: hello\ndata: {}\n\n")
            while frame := await queue.get():
                await response.write(frame)
        except ConnectionResetError:
            pass
        finally:
            self._queues.discard(queue)
        return response

    async def _end(self, _app: web.Application) -> None:
        self.push(b"")


class Broadcast:
    """WebSockets that all get the same texts, sent one after another."""

    def __init__(self) -> None:
        self._sockets: set[web.WebSocketResponse] = set()

    def add_to(self, app: web.Application) -> None:
        app.router.add_get("/", self._open)

    async def run(self, texts_at: Callable[[int], list[str]], every: float) -> NoReturn:
        """At each beat the texts for the beat's time in milliseconds."""
        beat = time.time()
        while True:
            beat += every
            await asyncio.sleep(max(0.0, beat - time.time()))
            for text in texts_at(int(beat * 1000)):
                for socket in tuple(self._sockets):
                    await socket.send_str(text)

    async def _open(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        self._sockets.add(socket)
        try:
            await socket.send_str('{"op":"hello"}')
            async for _ in socket:
                pass
        finally:
            self._sockets.discard(socket)
        return socket
