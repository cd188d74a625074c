"""Closing: every open job has one task that drives it; requests come from the store alone.

A job is one request, or the requests of a set, which close together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from functools import partial
from typing import Final, NoReturn
from uuid import UUID

import structlog

from .backoff import Backoff
from .close_context import Closing
from .close_run import CloseRun
from .domain.errors import PositiondError
from .domain.events import AccountEvent
from .domain.model import CloseId, Environment, Position
from .domain.orders import CloseRequest, RequestState
from .timing import Timing

_log = structlog.get_logger(__name__)

# A lost wake-up costs this long at most: the store is asked again anyway.
_POLL: Final = 1.0
_MAY_HAVE_SENT = frozenset({RequestState.SENDING, RequestState.SETTLING, RequestState.VERIFYING})


def _no_ban(_environment: Environment) -> float:
    return 0.0


class TradeCloser:
    """Picks up open close requests, also those a dead process left, and closes their positions.

    `wake` is set when a request was accepted: it is looked for at once, not with the next poll.
    `ban_left` is for how many seconds our address may send nothing: so long no request expires.
    """

    def __init__(
        self,
        closing: Closing,
        timing: Timing,
        wake: asyncio.Event,
        ban_left: Callable[[Environment], float] = _no_ban,
    ) -> None:
        self._closing = closing
        self._timing = timing
        self._running: dict[UUID, asyncio.Task[None]] = {}
        self._runs: dict[CloseId, CloseRun] = {}
        self._wake = wake
        self._ban_left = ban_left

    def on_account(self, event: AccountEvent) -> None:
        self._closing.inboxes.deliver(event)

    def recheck(self, close_id: CloseId) -> bool:
        """Have the close look again now for whatever it waits for; False if none is under way."""
        run = self._runs.get(close_id)
        if run is not None:
            run.nudge()
        return run is not None

    async def run(self) -> NoReturn:
        """Start a task per open job, for ever."""
        backoff = Backoff(first=0.2, most=5.0)
        async with asyncio.TaskGroup() as group:
            while True:
                self._timing.beat("closes")
                self._wake.clear()
                try:
                    requests = await self._closing.closes.open_requests()
                    await self._postpone()
                except PositiondError as error:
                    _log.warning("close requests were not read", code=error.code)
                    await self._timing.sleep(backoff.next())
                    continue
                backoff.reset()
                self._start(group, requests)
                await self._timing.wait_for(self._wake, _POLL)
        raise AssertionError("the loop above has no end")

    # --- jobs -------------------------------------------------------------------------------

    def _start(self, group: asyncio.TaskGroup, requests: Iterable[CloseRequest]) -> None:
        jobs: dict[UUID, list[CloseRequest]] = {}
        for request in requests:
            jobs.setdefault(request.set_id or request.id, []).append(request)
        # Those that may have orders out come first: they take their locks before any new close.
        for job_id, job in sorted(jobs.items(), key=lambda one: not _may_have_sent(one[1])):
            if job_id not in self._running:
                task = group.create_task(self.close_positions(job), name=f"close {job_id}")
                self._running[job_id] = task
                task.add_done_callback(partial(self._forget, job_id))

    def _forget(self, job_id: UUID, _task: asyncio.Task[None]) -> None:
        del self._running[job_id]

    async def close_positions(self, requests: Sequence[CloseRequest]) -> None:
        """Close one position, or several together: reduce-only, own share only, to a verified end.

        `requests` are all the open ones of a set, or one that was asked for alone.
        """
        # From the store, which froze the legs with the request: what is in memory may lag behind
        # rows written straight into the tables, and a leg unknown here would stay open unseen.
        positions: list[Position] = []
        for request in requests:
            try:
                position = await self._closing.positions.load(request.position_id)
            except PositiondError as error:
                # Begun again with the next look at the open requests.
                _log.warning("the position of a close was not read", code=error.code)
                return
            if position is None:
                _log.error("a close request has no position", close=str(request.id))
                return
            positions.append(position)
        run = CloseRun(self._closing, requests, positions)
        ids = run.job.close_ids
        self._runs.update(dict.fromkeys(ids, run))
        try:
            await run.drive()
        finally:
            for close_id in ids:
                self._runs.pop(close_id, None)

    # --- bans -------------------------------------------------------------------------------

    async def _postpone(self) -> None:
        """While our address is banned the deadlines stand still, also for who waits his turn."""
        for run in list(dict.fromkeys(self._runs.values())):
            left = self._ban_left(run.job.positions[0].environment)
            if left > 0:
                await run.job.postpone(self._timing.now() + timedelta(seconds=left))


def _may_have_sent(job: Sequence[CloseRequest]) -> bool:
    return any(request.state in _MAY_HAVE_SENT for request in job)
