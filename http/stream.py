"""GET /api/stream: a snapshot, then what changed, as server-sent events."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import structlog
from aiohttp import web

from ..daemon.domain.errors import StoreUnavailable, Unauthenticated
from ..daemon.domain.people import Identity
from ..daemon.domain.services import Board
from .access import Gate
from .hub import Client, Hub
from .services import HttpSettings

_log = structlog.get_logger(__name__)

_HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store",
    # nginx would otherwise hold frames back until its buffer is full.
    "X-Accel-Buffering": "no",
}
_RETRY = b"retry: 2000\n\n"
_HEARTBEAT = b": still here\n\n"
# Small, so that a client that reads nothing is noticed by its backlog and not by our memory.
_WRITE_BUFFER = 64 * 1024
# Frames queue up meanwhile: a database that hangs must not look like a slow client.
_SECONDS_TO_RECHECK = 5


@dataclass(frozen=True, slots=True)
class StreamRoute:
    board: Board
    hub: Hub
    gate: Gate
    settings: HttpSettings

    async def open(self, request: web.Request, identity: Identity) -> web.StreamResponse:
        response = web.StreamResponse(headers=_HEADERS)
        transport = request.transport
        if transport is None:
            raise ConnectionResetError("the client left before its stream began")
        transport.set_write_buffer_limits(high=_WRITE_BUFFER)
        user_id = identity.user.id
        # Joined before the headers go out: a refusal can still be answered as one.
        client = self.hub.join(
            user_id,
            self.board.open_views(user_id),
            self.board.feed_state(user_id),
            request.headers.get("Last-Event-ID"),
            transport.abort,
        )
        try:
            await response.prepare(request)
            await self._write(response, _RETRY)
            await self._pump(request, response, client)
        except (ConnectionResetError, TimeoutError):
            # The peer is gone, or takes nothing: either way there is nobody to tell.
            transport.abort()
        finally:
            self.hub.leave(user_id, client)
        return response

    async def _pump(
        self, request: web.Request, response: web.StreamResponse, client: Client
    ) -> None:
        loop = asyncio.get_running_loop()
        recheck_at = loop.time() + self.settings.recheck
        heartbeat_at = loop.time() + self.settings.heartbeat
        while not client.is_ended:
            wait = min(heartbeat_at, recheck_at) - loop.time()
            queued = await client.news(max(0.0, wait))
            now = loop.time()
            if queued:
                await self._write(response, queued)
                heartbeat_at = now + self.settings.heartbeat
            elif now >= heartbeat_at:
                await self._write(response, _HEARTBEAT)
                heartbeat_at = now + self.settings.heartbeat
            if now >= recheck_at:
                if not await self._is_still_welcome(request):
                    return
                recheck_at = now + self.settings.recheck

    async def _write(self, response: web.StreamResponse, chunk: bytes) -> None:
        async with asyncio.timeout(self.settings.stalled_write):
            await response.write(chunk)

    async def _is_still_welcome(self, request: web.Request) -> bool:
        try:
            async with asyncio.timeout(_SECONDS_TO_RECHECK):
                await self.gate.identify(request)
        except Unauthenticated:
            return False
        except (StoreUnavailable, TimeoutError) as error:
            # The live picture does not need the database: a trader keeps it through an outage.
            _log.warning("a stream's session could not be checked", error=str(error))
        return True
