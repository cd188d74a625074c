"""Waiting for what tells nobody when it happens: other processes, the exchange, our own API."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def poll(
    read: Callable[[], Awaitable[T]], is_it: Callable[[T], bool], *, every: float = 0.1
) -> T:
    """Read every so many seconds until it is so; the deadline is the caller's."""
    while not is_it(found := await read()):  # noqa: ASYNC110  # nobody could set an event
        await asyncio.sleep(every)
    return found


async def until(condition: Callable[[], object], *, every: float = 0.1) -> None:
    """The same for something that is looked at without waiting."""
    while not condition():  # noqa: ASYNC110  # nobody could set an event
        await asyncio.sleep(every)
