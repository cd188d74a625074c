"""A process that can be killed between any two of its steps.

A step is what one of its tasks does from one await to the next. From the step of its death on none
of its tasks does anything, not even clean up; what it had put on the wire lands all the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator, Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar, copy_context
from typing import Any

from positiond.daemon.domain.orders import OutcomeUnknown, SendOutcome, SignedOrder

from .gate import Gate
from .venue import HANGS, Reaction, Venue

_LIFE: ContextVar[Life | None] = ContextVar("life", default=None)


class Killed(BaseException):
    """What a dead process gets for every write, while its remains are cleared away."""


class Life:
    """One process; it dies in place of its step `dies_at`."""

    def __init__(self, dies_at: int | None = None) -> None:
        self._dies_at = dies_at
        self.steps = 0
        self.is_over = False
        self.is_buried = False
        self.tasks: list[asyncio.Task[Any]] = []
        self._died = asyncio.Event()

    def step(self) -> bool:
        """Whether a task may take its next step."""
        self.steps += not self.is_over
        if self.steps == self._dies_at:
            self.is_over = True
            self._died.set()
        return not self.is_over

    async def live(self, work: Coroutine[Any, Any, None]) -> bool:
        """Do the work; False if the process was killed before its end."""
        context = copy_context()
        context.run(_LIFE.set, self)
        running = asyncio.get_running_loop().create_task(work, context=context)
        died = asyncio.create_task(self._died.wait())
        await asyncio.wait({running, died}, return_when=asyncio.FIRST_COMPLETED)
        died.cancel()
        if not self.is_over:
            running.result()
            return True
        await self._bury()
        return False

    async def _bury(self) -> None:
        """Let the dead tasks unwind, which leave no trace: whatever they write is refused."""
        self.is_buried = True
        while left := [task for task in self.tasks if not task.done()]:
            for task in left:
                task.cancel()
            await asyncio.wait(left)
        for task in self.tasks:
            if not task.cancelled():
                task.exception()


class MortalGate(Gate):
    """A gate that nothing of a dead process passes."""

    async def __call__(self, what: str) -> None:
        life = _LIFE.get()
        if life is not None and life.is_over:
            raise Killed
        await super().__call__(what)


class WiredVenue(Venue):
    """What was sent to it lands after `latency` seconds, whether or not the sender still lives.

    Of Bybit's two rules for ids it has the laxer one: they are unique among open orders alone, so
    that what is sent again without need is executed again.
    """

    latency = 0.02

    async def send(self, signed: SignedOrder) -> SendOutcome:
        await self.gate("before send")
        self.sent.append(signed.order)
        reaction = self.script.popleft() if self.script else Reaction()
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[SendOutcome] = loop.create_future()

        def land() -> None:
            self.orders.pop(signed.order.link_id, None)
            outcome = self._take(signed, reaction)
            if not answer.done():
                answer.set_result(outcome)

        loop.call_later(self.latency, land)
        outcome = await answer
        await self.gate("after send")
        if reaction.is_lost or reaction.hangs:
            await asyncio.sleep(HANGS)
            return OutcomeUnknown("no answer")
        return outcome


@contextmanager
def mortality() -> Iterator[None]:
    """While it is open, every task that a process starts lives and dies with the process."""
    loop = asyncio.get_running_loop()
    loop.set_task_factory(_task)
    try:
        yield
    finally:
        loop.set_task_factory(None)


def _task(
    loop: asyncio.AbstractEventLoop,
    work: Coroutine[Any, Any, Any] | Generator[Any, None, Any],
    context: Context | None = None,
) -> asyncio.Task[Any]:
    life = _LIFE.get() if context is None else context.get(_LIFE)
    assert isinstance(work, Coroutine)
    if life is None:
        return asyncio.Task(work, loop=loop, context=context)
    task = asyncio.Task(_Steps(work, life), loop=loop, context=context)
    life.tasks.append(task)
    return task


class _Steps(Coroutine[Any, Any, Any]):
    """The work of a task, taken step by step for as long as its process lives."""

    def __init__(self, work: Coroutine[Any, Any, Any], life: Life) -> None:
        self._work = work
        self._life = life

    def send(self, value: Any) -> Any:
        return self._work.send(value) if self._goes_on() else _never()

    def throw(self, *error: Any) -> Any:
        return self._work.throw(*error) if self._goes_on() else _never()

    def close(self) -> None:
        self._work.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        raise NotImplementedError("a task takes the steps itself")

    def _goes_on(self) -> bool:
        return self._life.step() or self._life.is_buried


def _never() -> Any:
    """What a task yields that is never to go on."""
    return next(iter(asyncio.get_running_loop().create_future().__await__()))
