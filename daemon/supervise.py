"""One TaskGroup owns every loop: a loop that returns is an error, a stop is raised inside.

What a stop does was checked on Python 3.11: the siblings are cancelled, their `finally` blocks
run, and only then do the resources that were opened outside the group close.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import NoReturn

import structlog

from .domain.errors import PositiondError

_log = structlog.get_logger(__name__)

Loop = Callable[[], Awaitable[NoReturn]]


class LoopReturned(RuntimeError):
    """A loop that runs for ever came to an end; `name` says which."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the loop '{name}' ended by itself")
        self.name = name


class _Stop(Exception):
    """Raised inside the group, so that leaving it is the one way out for all loops."""


async def supervise(loops: Mapping[str, Loop], stop: asyncio.Event) -> None:
    """Run all loops until `stop` is set; raises an ExceptionGroup when a loop fails or returns.

    Each error carries a note with the name of its loop.
    """
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_raise_once_set(stop), name="stop")
            for name, loop in loops.items():
                group.create_task(endless(name, loop), name=name)
    except* _Stop:
        _log.info("all loops stopped")


@contextlib.contextmanager
def stop_on_signals(stop: asyncio.Event) -> Iterator[None]:
    """SIGTERM and SIGINT set `stop` while the context is open; needs a running event loop."""
    running = asyncio.get_running_loop()
    numbers = (signal.SIGTERM, signal.SIGINT)
    for number in numbers:
        running.add_signal_handler(number, stop.set)
    try:
        yield
    finally:
        for number in numbers:
            running.remove_signal_handler(number)


def first_errors(error: BaseException) -> list[BaseException]:
    """The errors at the leaves of nested groups, in their order."""
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in first_errors(inner)]
    return [error]


def _is_unforeseen(error: Exception) -> bool:
    """Our own errors say all in one sentence; others need their traceback."""
    return not isinstance(error, PositiondError)


async def _raise_once_set(stop: asyncio.Event) -> NoReturn:
    await stop.wait()
    raise _Stop


async def endless(name: str, loop: Loop) -> NoReturn:
    """Run a loop whose returning is an error; its failure carries the loop's name."""
    try:
        await loop()
    except Exception as error:
        error.add_note(f"in the loop '{name}'")
        _log.error("a loop failed", loop=name, error=str(error), exc_info=_is_unforeseen(error))
        raise
    raise LoopReturned(name)
