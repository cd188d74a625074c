"""Fans pushes out to the open streams: encoded once per user, shared by all the user's clients."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from ..daemon.domain.errors import Throttled
from ..daemon.domain.model import PositionId, UserId
from ..daemon.domain.orders import CloseRequest
from ..daemon.domain.views import FeedState, PositionView
from . import render, reports
from .channel import Channel, unnumbered
from .counters import HubCounters

# Seconds for which a user without streams keeps the channel, so that a reload can resume.
_KEPT: Final = 300.0
_MOST_STREAMS: Final = 20
_BACKLOG_BYTES: Final = 1 << 20


class Client:
    """One open stream's backlog. The hub fills it, the stream's own task empties it."""

    def __init__(self, greeting: Sequence[bytes], most_bytes: int, abort: Callable[[], None]):
        self._backlog = deque(greeting)
        # The greeting does not count: a snapshot may be as large as it must.
        self._bytes = 0
        self._most_bytes = most_bytes
        self._abort = abort
        self._news = asyncio.Event()
        self._news.set()
        self.is_ended = False

    def offer(self, frame: bytes) -> bool:
        """Queue the frame; False when the client is too far behind to be kept."""
        if self._bytes + len(frame) > self._most_bytes:
            return False
        self._backlog.append(frame)
        self._bytes += len(frame)
        self._news.set()
        return True

    async def news(self, timeout: float) -> bytes:
        """All that is queued, waiting up to `timeout` seconds for some; empty if there is none."""
        try:
            async with asyncio.timeout(timeout):
                await self._news.wait()
        except TimeoutError:
            return b""
        self._news.clear()
        queued = b"".join(self._backlog)
        self._backlog.clear()
        self._bytes = 0
        return queued

    def end(self) -> None:
        """Ask the stream's task to finish."""
        self.is_ended = True
        self._news.set()

    def drop(self) -> None:
        """End it now: its task may be stuck in a write to a peer that reads nothing."""
        self.end()
        self._abort()


class Hub:
    """The daemon's Publisher. Every call returns at once; a slow client costs nobody but itself."""

    def __init__(
        self,
        *,
        backlog_bytes: int = _BACKLOG_BYTES,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.counters = HubCounters()
        self._backlog_bytes = backlog_bytes
        self._monotonic = monotonic
        self._channels: dict[UserId, Channel] = {}
        self._clients: dict[UserId, set[Client]] = {}
        self._idle_since: dict[UserId, float] = {}
        self._is_shut = False

    # --- Publisher --------------------------------------------------------------------------

    def watchers(self) -> frozenset[UserId]:
        return frozenset(self._clients)

    def positions(
        self, user_id: UserId, changed: Sequence[PositionView], removed: Sequence[PositionId]
    ) -> None:
        channel = self._channels.get(user_id)
        if channel is not None:
            self._send(user_id, channel.positions(changed, removed))

    def close(self, user_id: UserId, request: CloseRequest) -> None:
        channel = self._channels.get(user_id)
        if channel is not None:
            self._send(user_id, channel.frame("close", reports.close_report(request)))

    def deviation(self, user_id: UserId, view: PositionView) -> None:
        channel = self._channels.get(user_id)
        if channel is not None:
            self._send(user_id, channel.frame("deviation", render.deviation(view)))

    def feed(self, user_id: UserId, state: FeedState) -> None:
        channel = self._channels.get(user_id)
        if channel is not None:
            self._send(user_id, channel.frame("feed", render.feed(state)))

    # --- streams ----------------------------------------------------------------------------

    def join(
        self,
        user_id: UserId,
        views: Sequence[PositionView],
        feed: FeedState,
        last_event_id: str | None,
        abort: Callable[[], None],
    ) -> Client:
        """A new stream of the user, greeted with what it missed or with a snapshot of `views`.

        `views` are the user's open positions now; no await may lie between reading them and this.
        """
        self._forget_idle()
        self._refuse_too_many(user_id)
        channel = self._channel(user_id, views)
        missed = channel.since(last_event_id)
        greeting = [channel.snapshot()] if missed is None else missed
        self.counters.snapshots += missed is None
        self.counters.resumed += missed is not None
        # Unnumbered: the feed's state is no step of the channel, and only this client needs it.
        greeting.append(unnumbered("feed", render.feed(feed)))
        client = Client(greeting, self._backlog_bytes, abort)
        if self._is_shut:
            client.end()
        self._clients.setdefault(user_id, set()).add(client)
        self._idle_since.pop(user_id, None)
        return client

    def leave(self, user_id: UserId, client: Client) -> None:
        """Forget the stream; harmless when it was dropped before."""
        clients = self._clients.get(user_id)
        if clients is None:
            return
        clients.discard(client)
        if not clients:
            del self._clients[user_id]
            self._idle_since[user_id] = self._monotonic()

    def streams(self) -> int:
        """How many are open."""
        return sum(map(len, self._clients.values()))

    def shut(self) -> None:
        """End every stream, and each that joins from now on."""
        self._is_shut = True
        for clients in self._clients.values():
            for client in clients:
                client.end()

    def _channel(self, user_id: UserId, views: Sequence[PositionView]) -> Channel:
        """The user's channel, its state exactly `views`."""
        channel = self._channels.get(user_id)
        if channel is None:
            self._channels[user_id] = channel = Channel(views)
        else:
            self._send(user_id, channel.bring_up_to_date(views))
        return channel

    def _send(self, user_id: UserId, frame: bytes | None) -> None:
        if frame is None:
            return
        self.counters.frames += 1
        # A copy: dropping a client changes the set.
        for client in tuple(self._clients.get(user_id, ())):
            if not client.offer(frame):
                self.counters.dropped_slow += 1
                self.leave(user_id, client)
                client.drop()

    def _refuse_too_many(self, user_id: UserId) -> None:
        if len(self._clients.get(user_id, ())) >= _MOST_STREAMS:
            raise Throttled(
                "too-many-streams",
                f"You have {_MOST_STREAMS} streams open; close one first.",
                retry_after=5,
            )

    def _forget_idle(self) -> None:
        now = self._monotonic()
        for user_id, since in tuple(self._idle_since.items()):
            if now - since > _KEPT:
                del self._idle_since[user_id], self._channels[user_id]
