"""Closing: every open request has one task that drives it; requests come from the store alone."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import NoReturn

import structlog

from .backoff import Backoff
from .close_context import Closing
from .close_run import CloseRun
from .domain.errors import PositiondError
from .domain.events import AccountEvent
from .domain.model import CloseId
from .domain.orders import CloseRequest, RequestState
from .timing import Timing

_log = structlog.get_logger(__name__)

# A lost wake-up costs this long at most: the store is asked again anyway.
_POLL = 1.0
_MAY_HAVE_SENT = frozenset({RequestState.SENDING, RequestState.SETTLING, RequestState.VERIFYING})


class TradeCloser:
    """Picks up open close requests, also those a dead process left, and closes their positions.

    `wake` is set when a request was accepted: it is looked for at once, not with the next poll.
    """

    def __init__(self, closing: Closing, timing: Timing, wake: asyncio.Event) -> None:
        self._closing = closing
        self._timing = timing
        self._running: dict[CloseId, asyncio.Task[None]] = {}
        self._wake = wake

    def on_account(self, event: AccountEvent) -> None:
        self._closing.inboxes.deliver(event)

    async def run(self) -> NoReturn:
        """Start a task per open request, for ever."""
        backoff = Backoff(first=0.2, most=5.0)
        async with asyncio.TaskGroup() as group:
            while True:
                self._timing.beat("closes")
                self._wake.clear()
                try:
                    requests = await self._closing.closes.open_requests()
                except PositiondError as error:
                    _log.warning("close requests were not read", code=error.code)
                    await self._timing.sleep(backoff.next())
                    continue
                backoff.reset()
                self._start(group, requests)
                await self._timing.wait_for(self._wake, _POLL)
        raise AssertionError("the loop above has no end")

    def _start(self, group: asyncio.TaskGroup, requests: list[CloseRequest]) -> None:
        # Those that may have orders out come first: they take their locks before any new close.
        for request in sorted(requests, key=lambda r: r.state not in _MAY_HAVE_SENT):
            if request.id not in self._running:
                task = group.create_task(self.close_position(request), name=f"close {request.id}")
                self._running[request.id] = task
                task.add_done_callback(partial(self._forget, request.id))

    def _forget(self, close_id: CloseId, _task: asyncio.Task[None]) -> None:
        del self._running[close_id]

    async def close_position(self, request: CloseRequest) -> None:
        """Close one position by one request: reduce-only, own share only, to a verified end."""
        # From the store, which froze the legs with the request: what is in memory may lag behind
        # rows written straight into the tables, and a leg unknown here would stay open unseen.
        try:
            position = await self._closing.positions.load(request.position_id)
        except PositiondError as error:
            # Begun again with the next look at the open requests.
            _log.warning("the position of a close was not read", code=error.code)
            return
        if position is None:
            _log.error("a close request has no position", close=str(request.id))
            return
        await CloseRun(self._closing, request, position).drive()
