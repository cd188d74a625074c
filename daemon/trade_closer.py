"""Closing: every open job has one task that drives it; requests come from the store alone.

A job is one request, or the requests of a set, which close together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import ExitStack
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
        # Set once every close that may have orders out has its place before all others.
        self.resumed = asyncio.Event()

    def on_account(self, event: AccountEvent) -> None:
        self._closing.inboxes.deliver(event)

    def recheck(self, close_id: CloseId) -> bool:
        """Have the close look again now for whatever it waits for; False if none is under way."""
        run = self._runs.get(close_id)
        if run is not None:
            run.nudge()
        return run is not None

    async def run(self) -> NoReturn:
        """Start a task per open job, for ever; what a dead process left goes before all else."""
        locks = self._closing.locks
        locks.shut()
        try:
            with ExitStack() as turns:
                async with asyncio.TaskGroup() as group:
                    for run in await self._left():
                        # Given back even where the task is cancelled before its first step.
                        turns.callback(run.line_up().leave)
                        self._begin(group, self._drive(run), run.job.requests)
                    locks.open()
                    self.resumed.set()
                    await self._follow(group)
        finally:
            # Whatever was at work is cancelled half-way: nobody works there before it is resumed.
            locks.shut()
        raise AssertionError("the loop above has no end")

    async def _left(self) -> list[CloseRun]:
        """The closes of a dead process that may have orders out, oldest first."""
        left = [job for job in _jobs(await self._read()) if _may_have_sent(job)]
        return [CloseRun(self._closing, job, await self._positions(job)) for job in left]

    async def _follow(self, group: asyncio.TaskGroup) -> NoReturn:
        while True:
            self._wake.clear()
            # One that ends while the list is read may still stand in it, as it was.
            at_work = set(self._running)
            for job in _jobs(await self._read()):
                if _job_id(job[0]) not in at_work:
                    self._begin(group, self.close_positions(job), job)
            await self._timing.wait_for(self._wake, _POLL)

    async def _read(self) -> list[CloseRequest]:
        """The open requests, oldest first, whenever the store answers."""
        backoff = Backoff(first=0.2, most=5.0)
        while True:
            self._timing.beat("closes")
            try:
                await self._postpone()
                return await self._closing.closes.open_requests()
            except PositiondError as error:
                _log.warning("close requests were not read", code=error.code)
            await self._timing.sleep(backoff.next())

    # --- jobs -------------------------------------------------------------------------------

    def _begin(
        self,
        group: asyncio.TaskGroup,
        work: Coroutine[None, None, None],
        requests: Sequence[CloseRequest],
    ) -> None:
        job_id = _job_id(requests[0])
        task = group.create_task(work, name=f"close {job_id}")
        self._running[job_id] = task
        task.add_done_callback(partial(self._forget, job_id))

    def _forget(self, job_id: UUID, _task: asyncio.Task[None]) -> None:
        del self._running[job_id]

    async def close_positions(self, requests: Sequence[CloseRequest]) -> None:
        """Close one position, or several together: reduce-only, own share only, to a verified end.

        `requests` are all the open ones of a set, or one that was asked for alone.
        """
        await self._drive(CloseRun(self._closing, requests, await self._positions(requests)))

    async def _drive(self, run: CloseRun) -> None:
        ids = run.job.close_ids
        self._runs.update(dict.fromkeys(ids, run))
        try:
            await run.drive()
        finally:
            for close_id in ids:
                self._runs.pop(close_id, None)

    async def _positions(self, requests: Sequence[CloseRequest]) -> list[Position]:
        # From the store, which froze the legs with the request: what is in memory may lag behind
        # rows written straight into the tables, and a leg unknown here would stay open unseen.
        return [await self._position(request) for request in requests]

    async def _position(self, request: CloseRequest) -> Position:
        """Whenever the store answers: the request keeps its place meanwhile."""
        backoff = Backoff(first=0.2, most=5.0)
        while True:
            try:
                position = await self._closing.positions.load(request.position_id)
            except PositiondError as error:
                _log.warning("the position of a close was not read", code=error.code)
            else:
                if position is None:
                    raise AssertionError(f"close {request.id} has no position")
                return position
            await self._timing.sleep(backoff.next())

    # --- bans -------------------------------------------------------------------------------

    async def _postpone(self) -> None:
        """While our address is banned the deadlines stand still, also for who waits his turn."""
        for run in list(dict.fromkeys(self._runs.values())):
            left = self._ban_left(run.job.positions[0].environment)
            if left > 0:
                await run.job.postpone(self._timing.now() + timedelta(seconds=left))


def _job_id(request: CloseRequest) -> UUID:
    return request.set_id or request.id


def _jobs(requests: Iterable[CloseRequest]) -> list[list[CloseRequest]]:
    """Those of a set together, the oldest first."""
    jobs: dict[UUID, list[CloseRequest]] = {}
    for request in requests:
        jobs.setdefault(_job_id(request), []).append(request)
    return list(jobs.values())


def _may_have_sent(job: Sequence[CloseRequest]) -> bool:
    return any(request.state in _MAY_HAVE_SENT for request in job)
