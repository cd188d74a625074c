"""WebSocket connections over aiohttp: a reader, a writer with a bounded queue, a time limit."""

import asyncio
import random
import re
from collections.abc import Callable
from typing import Any

import orjson
from aiohttp import WSMsgType, web

from ..vocab import Category
from .hub import Hub
from .model import Account
from .sessions import PrivateSession, PublicSession, Session
from .venue import Venue
from .verify import verify_stream

MAX_QUEUE = 5000
MAX_MESSAGE = 64 * 1024
IDLE_S = 600.0
ACTIVE_TIME = re.compile(r"(\d{1,3})(s|m)")


class Client:
    """One connection: frames queue up here, a reader that lags too far is cut off."""

    def __init__(self, session: Session, transport: asyncio.Transport | None) -> None:
        self._session = session
        self._transport = transport
        self._queue: asyncio.Queue[str] = asyncio.Queue(MAX_QUEUE)

    def send(self, text: str) -> None:
        try:
            self._queue.put_nowait(text)
        except asyncio.QueueFull:
            self.cut()

    def cut(self) -> None:
        """Ends the connection without a close frame, as a lost line would."""
        if self._transport is not None:
            self._transport.abort()

    def wants(self, topic: str) -> bool:
        return topic in self._session.topics

    async def write(self, socket: web.WebSocketResponse) -> None:
        """Sends queued frames until the connection ends."""
        while True:
            text = await self._queue.get()
            try:
                await socket.send_str(text)
            except (ConnectionError, RuntimeError):
                return  # the reader sees the end of the line and leaves too


class Streams:
    """The `/v5/public/…` and `/v5/private` paths of one venue."""

    def __init__(self, venue: Venue, hub: Hub, idle_s: float = IDLE_S) -> None:
        self._venue = venue
        self._hub = hub
        self._idle_s = idle_s
        self._ids = random.Random(f"{venue.seed}/connections")

    async def public(self, request: web.Request) -> web.WebSocketResponse:
        """One category's market data."""
        category = Category(request.match_info["category"])
        listing = self._venue.market.listing
        session = PublicSession(
            category,
            self._conn_id(),
            self._venue.server_ms,
            lambda symbol: listing.has(category, symbol),
        )
        known: set[str] = set()

        def heard(client: Client, added: list[str]) -> None:
            for topic in added:
                self._hub.subscribe(client, category, topic)
            for topic in known - session.topics:
                self._hub.unsubscribe(client, category, topic)
            known.clear()
            known.update(session.topics)

        return await self._serve(request, session, heard, self._idle_s)

    async def private(self, request: web.Request) -> web.WebSocketResponse:
        """One account's orders, executions, positions and wallet."""
        session = PrivateSession(self._conn_id(), self._venue.server_ms, self._authenticate)
        joined = False

        def heard(client: Client, added: list[str]) -> None:
            nonlocal joined
            del added  # no snapshot on the private channel
            if session.account is not None and not joined:
                self._hub.join(client, session.account.uid)
                joined = True

        idle = _active_time(request.query.get("max_active_time", "")) or self._idle_s
        return await self._serve(request, session, heard, idle)

    async def _serve(
        self,
        request: web.Request,
        session: Session,
        heard: Callable[[Client, list[str]], None],
        idle_s: float,
    ) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(autoping=True, compress=False, max_msg_size=MAX_MESSAGE)
        await socket.prepare(request)
        client = Client(session, request.transport)
        self._hub.arrive(client)
        try:
            async with asyncio.TaskGroup() as group:
                writer = group.create_task(client.write(socket))
                await self._read(socket, client, session, heard, idle_s)
                writer.cancel()
        finally:
            self._hub.leave(client)
        return socket

    async def _read(
        self,
        socket: web.WebSocketResponse,
        client: Client,
        session: Session,
        heard: Callable[[Client, list[str]], None],
        idle_s: float,
    ) -> None:
        while True:
            try:
                message = await socket.receive(timeout=idle_s)
            except TimeoutError:
                await socket.close()
                return
            if message.type is not WSMsgType.TEXT:
                return
            said = session.hear(message.data)
            for reply in said.replies:
                client.send(orjson.dumps(reply).decode())
            heard(client, said.added)

    def _authenticate(self, key: Any, expires: Any, sign: Any) -> Account | None:
        accounts = self._venue.books.by_api_key
        return verify_stream(key, expires, sign, accounts, self._venue.signing_ms())

    def _conn_id(self) -> str:
        return f"{self._ids.getrandbits(80):020x}"


def _active_time(text: str) -> float | None:
    """30s to 600s, or minutes up to ten; anything else is ignored."""
    found = ACTIVE_TIME.fullmatch(text)
    if found is None:
        return None
    seconds = int(found[1]) * (60 if found[2] == "m" else 1)
    return float(seconds) if 30 <= seconds <= 600 else None
