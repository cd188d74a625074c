"""Listeners in a process of their own, so that reading costs the servers under test nothing.

`listening` starts `python -m tests.bench.crowd`, which reads what to listen to from its input as
one line of JSON, says `ready` when every listener heard something, listens until its input ends,
and then writes what was heard and when, by the wall clock of the machine.
"""

from __future__ import annotations

import asyncio
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field

import aiohttp
import orjson

_LIMIT = 1 << 26
_READY = b"ready\n"


@dataclass(frozen=True, slots=True)
class Target:
    """A stream to open: WebSocket for ws://, with what to say first; else server-sent events."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    says: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Heard:
    at: float
    """Seconds of the wall clock."""
    text: str


@dataclass(slots=True)
class Crowd:
    """`heard` is there once the context has ended: a list for each target, in its order."""

    heard: list[list[Heard]] = field(default_factory=list)


@asynccontextmanager
async def listening(targets: Sequence[Target]) -> AsyncIterator[Crowd]:
    """Listen to all the targets while the context lasts."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.crowd", stdin=PIPE, stdout=PIPE, limit=_LIMIT
    )
    crowd = Crowd()
    try:
        await _start(process, targets)
        yield crowd
        assert process.stdin is not None
        process.stdin.close()
        assert process.stdout is not None
        rows = orjson.loads(await process.stdout.read())
        crowd.heard = [[Heard(at, text) for at, text in heard] for heard in rows]
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _start(process: Process, targets: Sequence[Target]) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(orjson.dumps([asdict(target) for target in targets]) + b"\n")
    await process.stdin.drain()
    async with asyncio.timeout(30):
        assert await process.stdout.readline() == _READY, "the listeners did not come up"


# --- inside the process ------------------------------------------------------------------------


class _Listener:
    def __init__(self, target: Target) -> None:
        self._target = target
        self.first = asyncio.Event()
        self.heard: list[tuple[float, str]] = []

    async def listen(self, http: aiohttp.ClientSession) -> None:
        if self._target.url.startswith("ws"):
            await self._messages(http)
        else:
            await self._events(http)

    async def _messages(self, http: aiohttp.ClientSession) -> None:
        async with http.ws_connect(self._target.url, compress=0, max_msg_size=0) as socket:
            for text in self._target.says:
                await socket.send_str(text)
            while (message := await socket.receive()).type is aiohttp.WSMsgType.TEXT:
                self._note(message.data)
        raise ConnectionError(f"{self._target.url} ended with {message.type!r}")

    async def _events(self, http: aiohttp.ClientSession) -> None:
        async with http.get(self._target.url, headers=dict(self._target.headers)) as reply:
            reply.raise_for_status()
            while event := await reply.content.readuntil(b"\n\n"):
                self._note(event.decode())
        raise ConnectionError(f"{self._target.url} ended")

    def _note(self, text: str) -> None:
        self.heard.append((time.time(), text))
        self.first.set()


async def _main() -> None:
    targets = [Target(**row) for row in orjson.loads(sys.stdin.readline())]
    listeners = [_Listener(target) for target in targets]
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout()
    async with (
        aiohttp.ClientSession(connector=connector, timeout=timeout, read_bufsize=_LIMIT) as http,
        asyncio.TaskGroup() as group,
    ):
        tasks = [group.create_task(listener.listen(http)) for listener in listeners]
        for listener in listeners:
            await listener.first.wait()
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.read)
        for task in tasks:
            task.cancel()
    sys.stdout.buffer.write(orjson.dumps([listener.heard for listener in listeners]))


if __name__ == "__main__":
    asyncio.run(_main())
