"""GET /api/stream as a page follows it: a snapshot, numbered deltas, and all that was told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from tests.unit.http.frames import Frame, Page, parse


@dataclass
class Live:
    """What a page would show now, and every frame that led there."""

    page: Page = field(default_factory=Page)
    frames: list[Frame] = field(default_factory=list)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self, event: bytes) -> None:
        self.frames += parse(event)
        self.page.apply(event)
        self._news.set()

    async def until(self, is_so: Callable[[], Any], within: float, what: str) -> None:
        """Wait for frames until `is_so`."""
        try:
            async with asyncio.timeout(within):
                while not is_so():
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(f"not within {within} s: {what}") from None

    def changes(self, position_id: str, name: str) -> list[Any]:
        """Every value that `name` of the position was told to have, in order."""
        told = []
        for frame in self.frames:
            rows = frame.data.get("positions", []) + frame.data.get("changes", [])
            told += [row[name] for row in rows if row["id"] == position_id and name in row]
        return told

    def alarms(self) -> list[dict[str, Any]]:
        """Everything that would have shown somebody an Altered badge."""
        found = [f.data for f in self.frames if f.event == "deviation" and f.data["is_altered"]]
        for frame in self.frames:
            rows = frame.data.get("positions", []) + frame.data.get("changes", [])
            found += [r for r in rows if r.get("is_altered") or r.get("verdict") == "altered"]
        return found


@asynccontextmanager
async def following(http: aiohttp.ClientSession) -> AsyncIterator[Live]:
    """A stream that is read in the background for as long as the context is open."""
    live = Live()
    async with http.get("/api/stream", timeout=aiohttp.ClientTimeout()) as reply:
        assert reply.status == 200
        reader = asyncio.create_task(_read(reply.content, live))
        try:
            await live.until(lambda: live.page.seq is not None, 5, "the snapshot")
            yield live
        finally:
            reader.cancel()
            await asyncio.wait([reader])
        if not reader.cancelled():
            reader.result()


async def _read(content: aiohttp.StreamReader, live: Live) -> None:
    buffer = b""
    async for chunk in content.iter_any():
        *events, buffer = (buffer + chunk).split(b"\n\n")
        for event in events:
            live.take(event + b"\n\n")
