"""What a page sees of every position of the table, and when it saw it first."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from tests.unit.http.frames import Page

Shown = dict[str, Any]
Sees = Callable[[Shown], Any]


@dataclass
class Watch:
    """One stream of one user, shared by all rows; a position is known by its id."""

    page: Page = field(default_factory=Page)
    verdicts: dict[str, list[str]] = field(default_factory=dict)
    _waiting: list[tuple[str, Sees, asyncio.Future[float]]] = field(default_factory=list)

    def take(self, event: bytes) -> None:
        self.page.apply(event)
        now = time.monotonic()
        for position_id, shown in self.page.positions.items():
            told = self.verdicts.setdefault(position_id, [])
            if not told or told[-1] != _told(shown):
                told.append(_told(shown))
        for waiter in list(self._waiting):
            position_id, sees, seen = waiter
            if seen.done() or self._is_seen(position_id, sees):
                self._waiting.remove(waiter)
                if not seen.done():
                    seen.set_result(now)

    async def until(self, position_id: str, sees: Sees, within: float, what: str) -> float:
        """When (monotonic) the page first showed it, from now on."""
        if self._is_seen(position_id, sees):
            return time.monotonic()
        seen: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._waiting.append((position_id, sees, seen))
        try:
            async with asyncio.timeout(within):
                return await seen
        except TimeoutError:
            shown = self.page.positions.get(position_id)
            raise AssertionError(f"not within {within} s: {what}; shown: {shown}") from None

    def _is_seen(self, position_id: str, sees: Sees) -> bool:
        shown = self.page.positions.get(position_id)
        return shown is not None and bool(sees(shown))


def _told(shown: Shown) -> str:
    # The flag in the table may differ from the verdict only where there is doubt.
    return f"{shown['verdict']}, flagged" if shown["is_altered"] else str(shown["verdict"])


@asynccontextmanager
async def watching(http: aiohttp.ClientSession) -> AsyncIterator[Watch]:
    """A stream that is read in the background for as long as the context is open."""
    watch = Watch()
    async with http.get("/api/stream", timeout=aiohttp.ClientTimeout()) as reply:
        assert reply.status == 200
        reader = asyncio.create_task(_read(reply.content, watch))
        try:
            yield watch
        finally:
            reader.cancel()
            await asyncio.wait([reader])
        if not reader.cancelled():
            reader.result()


async def _read(content: aiohttp.StreamReader, watch: Watch) -> None:
    buffer = b""
    async for chunk in content.iter_any():
        *events, buffer = (buffer + chunk).split(b"\n\n")
        for event in events:
            watch.take(event + b"\n\n")
