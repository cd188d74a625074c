"""Notifications of changed rows: a hint that shortens waits, never the truth."""

from __future__ import annotations

import asyncio

from ..daemon.domain.errors import StoreUnavailable
from .pool import Connection, close, connect, translated

_CHANNEL = "positiond_changes"


class Changes:
    """The port `Changes` on LISTEN; for one waiter at a time."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: Connection | None = None
        self._changed = asyncio.Event()

    async def wait(self, timeout: float) -> bool:
        """A lost connection is opened again; what was missed meanwhile counts as a change."""
        try:
            async with asyncio.timeout(timeout):
                if self._connection is None:
                    await self._listen_again()
                await self._changed.wait()
        except TimeoutError:
            return False
        self._changed.clear()
        return True

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        await close(connection)

    async def _listen_again(self) -> None:
        try:
            connection = await connect(self._url)
        except StoreUnavailable:
            # Whoever waits looks for himself when the time is up, and is told of the error there.
            await asyncio.Event().wait()
            return
        try:
            with translated():
                await connection.add_listener(_CHANNEL, self._on_change)
        except BaseException:
            connection.terminate()
            raise
        connection.add_termination_listener(self._on_loss)
        self._connection = connection
        self._changed.set()

    def _on_change(self, *_: object) -> None:
        self._changed.set()

    def _on_loss(self, connection: Connection) -> None:
        if connection is self._connection:
            self._connection = None
            self._changed.set()
