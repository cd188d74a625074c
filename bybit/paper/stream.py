"""WebSocket connections over aiohttp: a reader, a bounded way out, a time limit.

Frames go past aiohttp's writer, straight into the transport: a text is framed once for all its
subscribers, and what one moment tells a connection leaves in one write.
"""

import asyncio
import random
import re
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import orjson
from aiohttp import WSMsgType, web
from websockets.frames import Frame, Opcode

from ..vocab import Category, Op
from .faults import REPLY_KINDS, FaultKind
from .hub import Hub
from .model import Account
from .refusals import Refused
from .rights import check_use
from .sessions import PrivateSession, PublicSession, Session
from .venue import Venue
from .verify import verify_stream

WRITE_AT = 16 * 1024  # bytes after which a reader need not wait for the rest of the round
MAX_BEHIND = 8 * 1024 * 1024  # bytes that may wait for a slow reader
MAX_MESSAGE = 64 * 1024
IDLE_S = 600.0
# Nothing answers at once over a network. pybit notes a subscription only after sending it, and
# closes the connection over an ack that is there before.
ANSWER_AFTER_S = 0.03
ACTIVE_TIME = re.compile(r"(\d{1,3})(s|m)")


class Client:
    """One connection; a reader that lags too far is cut off and never slows the others."""

    def __init__(
        self,
        session: Session,
        socket: web.WebSocketResponse,
        transport: asyncio.Transport | None,
    ) -> None:
        self._session = session
        self._socket = socket
        self._transport = transport
        self._frames: list[bytes] = []
        self._gathered = 0

    def send(self, text: str) -> None:
        frame = framed(text)
        if not self._frames:
            asyncio.get_running_loop().call_soon(self._flush)
        self._frames.append(frame)
        self._gathered += len(frame)
        if self._gathered >= WRITE_AT:
            self._flush()

    def cut(self) -> None:
        """Ends the connection without a close frame, as a lost line would."""
        if self._transport is not None:
            self._transport.abort()

    def wants(self, topic: str) -> bool:
        return topic in self._session.topics

    def _flush(self) -> None:
        """Writes what came together; nothing may follow a close frame."""
        data = b"".join(self._frames)
        self._frames.clear()
        self._gathered = 0
        transport = self._transport
        if transport is None or transport.is_closing() or self._socket.closed:
            return
        if transport.get_write_buffer_size() + len(data) > MAX_BEHIND:
            self.cut()
        else:
            transport.write(data)


@lru_cache(maxsize=8)
def framed(text: str) -> bytes:
    """The text as a frame; the same for every subscriber, since a server does not mask."""
    return Frame(Opcode.TEXT, text.encode()).serialize(mask=False)


class Streams:
    """The `/v5/public/…` and `/v5/private` paths of one venue."""

    def __init__(self, venue: Venue, hub: Hub, idle_s: float = IDLE_S) -> None:
        self._venue = venue
        self._hub = hub
        self._idle_s = idle_s
        self._ids = random.Random(f"{venue.seed}/connections")

    async def public(self, request: web.Request) -> web.StreamResponse:
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

        address, addresses = request.remote or "", self._venue.addresses
        refusal = await self._refusal(request, f"ws/public/{category}")
        if refusal is None and not addresses.enter(address, category):
            refusal = web.Response(status=403)
        if refusal is not None:
            return refusal
        try:
            return await self._serve(request, session, heard, self._idle_s)
        finally:
            addresses.leave(address, category)

    async def private(self, request: web.Request) -> web.StreamResponse:
        """One account's orders, executions, positions and wallet."""
        refusal = await self._refusal(request, "ws/private")
        if refusal is not None:
            return refusal
        session = PrivateSession(
            self._conn_id(), self._venue.server_ms, partial(self._authenticate, request.remote)
        )
        joined = False

        def heard(client: Client, added: list[str]) -> None:
            nonlocal joined
            del added  # no snapshot on the private channel
            if session.account is not None and not joined:
                self._hub.join(client, session.account.uid)
                joined = True

        idle = _active_time(request.query.get("max_active_time", "")) or self._idle_s
        return await self._serve(request, session, heard, idle)

    async def _refusal(self, request: web.Request, where: str) -> web.Response | None:
        """Why this connection does not come about; None where it does."""
        venue = self._venue
        address, now = request.remote or "", venue.now_ms()
        if not venue.is_manual and not venue.addresses.may_connect(address, now):
            return web.Response(status=403)
        fault = venue.faults.take(REPLY_KINDS, where, "")
        if fault is None:
            return None
        if fault.kind is FaultKind.HANG:
            await asyncio.sleep(fault.ms / 1000)
        if fault.kind in (FaultKind.HANG, FaultKind.RESET) and request.transport is not None:
            request.transport.abort()
        return web.Response(status=fault.status if fault.kind is FaultKind.HTTP else 403)

    async def _serve(
        self,
        request: web.Request,
        session: Session,
        heard: Callable[[Client, list[str]], None],
        idle_s: float,
    ) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(autoping=True, compress=False, max_msg_size=MAX_MESSAGE)
        await socket.prepare(request)
        client = Client(session, socket, request.transport)
        self._hub.arrive(client)
        try:
            await self._read(socket, client, session, heard, idle_s)
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
            if said.op == Op.SUBSCRIBE:
                await asyncio.sleep(ANSWER_AFTER_S)
            for reply in said.replies:
                text = orjson.dumps(reply).decode()
                self._hub.reply(client, session.uid, said.op, text)
            heard(client, said.added)

    def _authenticate(
        self, address: str | None, key: Any, expires: Any, sign: Any
    ) -> Account | None:
        venue = self._venue
        account = verify_stream(key, expires, sign, venue.books.by_api_key, venue.signing_ms())
        try:
            if account is not None:
                check_use(account, address, venue.now_ms())
        except Refused:
            return None
        return account

    def _conn_id(self) -> str:
        return f"{self._ids.getrandbits(80):020x}"


def _active_time(text: str) -> float | None:
    """30s to 600s, or minutes up to ten; anything else is ignored."""
    found = ACTIVE_TIME.fullmatch(text)
    if found is None:
        return None
    seconds = int(found[1]) * (60 if found[2] == "m" else 1)
    return float(seconds) if 30 <= seconds <= 600 else None
