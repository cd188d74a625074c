"""A gate before the exchange: it lets connections through, or cuts and refuses some of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

PUBLIC = "/v5/public/"
EVERYTHING = "/"


class Gate:
    """A TCP proxy; what is shut is told by the path that a connection asks for first."""

    def __init__(self, target: str) -> None:
        parts = urlsplit(target)
        assert parts.hostname is not None
        self._target = (parts.hostname, parts.port)
        self._shut: set[str] = set()
        self._open: dict[asyncio.StreamWriter, str] = {}
        self.url = ""

    def shut(self, path: str = EVERYTHING) -> None:
        """Cut the connections to paths that begin so, and refuse new ones."""
        self._shut.add(path)
        for writer, asked in tuple(self._open.items()):
            if asked.startswith(path):
                writer.transport.abort()

    def open(self) -> None:
        self._shut.clear()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection from its first line to its end."""
        try:
            first = await reader.readline()
            words = first.split()
            asked = words[1].decode() if len(words) > 1 else EVERYTHING
            if any(asked.startswith(path) for path in self._shut):
                return
            self._open[writer] = asked
            there, there_writer = await asyncio.open_connection(*self._target)
            there_writer.write(first)
            try:
                await _both(_pipe(reader, there_writer), _pipe(there, writer))
            finally:
                there_writer.transport.abort()
        except OSError:
            # Whoever was connected sees the cut; that is all a gate has to tell.
            pass
        finally:
            self._open.pop(writer, None)
            writer.transport.abort()


@asynccontextmanager
async def gate_before(target: str) -> AsyncIterator[Gate]:
    gate = Gate(target)
    connections: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(gate.serve(reader, writer))
        connections.add(task)
        task.add_done_callback(connections.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()[:2]
    gate.url = f"http://{host}:{port}"
    try:
        yield gate
    finally:
        server.close()
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(65536):
        writer.write(chunk)
        await writer.drain()


async def _both(*directions: Coroutine[Any, Any, None]) -> None:
    """Until either direction ends: half a connection is of no use here."""
    tasks = [asyncio.create_task(direction) for direction in directions]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
