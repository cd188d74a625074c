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
    """
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(work) for work in works]
    except BaseExceptionGroup as errors:
        expected, others = errors.split(PositiondError)
        if others is not None or expected is None:
            raise
        raise _first(expected) from errors
    return [task.result() for task in tasks]


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    first = errors.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
