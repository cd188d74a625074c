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
        return await apart(_grouped(works))
    except BaseExceptionGroup as errors:
        expected, others = errors.split(PositiondError)
        if others is not None or expected is None:
            raise
        raise _first(expected) from errors


async def apart(work: Coroutine[Any, Any, T]) -> T:
    """Await work that ends in a task group, for a caller that handles its errors and goes on.

    A group that is cancelled while one of its tasks fails raises the failure alone, and one whose
    tasks fail leaves its own task counted as being cancelled (both Python 3.11). The one lets the
    caller outlive its cancellation, the other makes it see one where there was none. In a task of
    its own the count ends with it, so that the caller's tells the truth.
    """
    task = asyncio.create_task(work)
    try:
        # Being cancelled here cancels the task and waits for its end: it is never left behind.
        return await task
    except (Exception, BaseExceptionGroup):
        caller = asyncio.current_task()
        if caller is not None and caller.cancelling():
            raise asyncio.CancelledError from None
        raise


async def _grouped(works: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(work) for work in works]
    return [task.result() for task in tasks]


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    first = errors.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
