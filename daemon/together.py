"""Several awaits at once that fail as one: the first domain error, not a group of them."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

from .domain.errors import PositiondError

T = TypeVar("T")


async def together(works: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Run all at once, results in order; on the first failure the others are cancelled.

    A PositiondError comes out bare, so that callers handle it as they would without concurrency.
    A caller that was cancelled meanwhile stays cancelled, whatever else failed.
    """
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(work) for work in works]
    except BaseExceptionGroup as errors:
        expected, others = errors.split(PositiondError)
        if others is not None or expected is None:
            raise
        heed_cancellation()
        raise _first(expected) from errors
    return [task.result() for task in tasks]


def heed_cancellation() -> None:
    """Raise CancelledError where a task group handed on its errors in place of a cancellation.

    A group that is cancelled while one of its tasks fails raises the failure alone (Python 3.11):
    whoever handles that and goes on would run for ever.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    first = errors.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
