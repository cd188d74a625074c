"""Subscribers in a process of their own that keep only how late each frame was.

`python -m tests.bench.ears` reads from its input one line of JSON, a list of [url, topics]; says
`ready` when every connection got its snapshots, listens until its input ends, and then writes
one line of JSON: for each connection its lags in milliseconds, and a digest of its frames.
"""

from __future__ import annotations

import asyncio
import sys
import time
import zlib
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import orjson

_LIMIT = 1 << 28
_READY = b"ready\n"
# Frames of tickers end with their stamp, frames of best quotes begin with it.
_STAMP = '"ts":'
_TOPICS_AT_ONCE = 10  # the spot stream takes no more


@dataclass(frozen=True, slots=True)
class Target:
    url: str
    topics: Sequence[str]


@dataclass(frozen=True, slots=True)
class Heard:
    """One connection: (stamp of the exchange, lag) of each delta in milliseconds."""

    lags: list[tuple[int, float]]
    digest: int


@dataclass(slots=True)
class Ears:
    """`heard` is there once the context has ended: one for each target, in its order."""

    heard: list[Heard] = field(default_factory=list)


@asynccontextmanager
async def ears(targets: Sequence[Target]) -> AsyncIterator[Ears]:
    """Listen to all the targets while the context lasts."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.ears", stdin=PIPE, stdout=PIPE, limit=_LIMIT
    )
    result = Ears()
    try:
        await _start(process, targets)
        yield result
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        rows = orjson.loads(await process.stdout.read())
        result.heard = [Heard([(s, lag) for s, lag in lags], digest) for lags, digest in rows]
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _start(process: Process, targets: Sequence[Target]) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(orjson.dumps([[t.url, t.topics] for t in targets]) + b"\n")
    await process.stdin.drain()
    async with asyncio.timeout(30):
        assert await process.stdout.readline() == _READY, "the subscribers did not come up"


# --- inside the process ------------------------------------------------------------------------


class _Listener:
    def __init__(self, url: str, topics: Sequence[str]) -> None:
        self._url = url
        self._topics = topics
        self.complete = asyncio.Event()
        self.lags: list[tuple[int, float]] = []
        self.digest = 0

    async def listen(self, http: aiohttp.ClientSession) -> None:
        snapshots = 0
        async with http.ws_connect(self._url, compress=0, max_msg_size=0) as socket:
            for at in range(0, len(self._topics), _TOPICS_AT_ONCE):
                args = self._topics[at : at + _TOPICS_AT_ONCE]
                await socket.send_str(orjson.dumps({"op": "subscribe", "args": args}).decode())
            while (message := await socket.receive()).type is aiohttp.WSMsgType.TEXT:
                now = time.time() * 1000
                text = message.data
                at = text.rfind(_STAMP)
                if at < 0:
                    continue
                if not self.complete.is_set():
                    snapshots += '"snapshot"' in text
                    if snapshots >= len(self._topics):
                        self.complete.set()
                    continue
                stamp = int(text[at + 5 : at + 18])
                self.lags.append((stamp, round(now - stamp, 2)))
                # Sums do not mind where a connection began to listen within a round.
                self.digest += zlib.crc32(text.encode())
        raise ConnectionError(f"{self._url} ended with {message.type!r}")


async def _main() -> None:
    listeners = [_Listener(url, topics) for url, topics in orjson.loads(sys.stdin.readline())]
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http,
        asyncio.TaskGroup() as group,
    ):
        tasks = [group.create_task(listener.listen(http)) for listener in listeners]
        for listener in listeners:
            await listener.complete.wait()
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.read)
        for task in tasks:
            task.cancel()
    heard = [(listener.lags, listener.digest) for listener in listeners]
    sys.stdout.buffer.write(orjson.dumps(heard))


if __name__ == "__main__":
    asyncio.run(_main())
