"""The edge where the driver's errors become ours."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest
from positiond.daemon.domain.errors import StoreUnavailable
from positiond.store.pool import Database


class BrokenWire:
    """A pool and its one connection: whatever is cut off cannot even be rolled back."""

    @asynccontextmanager
    async def acquire(self, timeout: float) -> AsyncIterator[BrokenWire]:
        yield self

    @asynccontextmanager
    async def transaction(self, isolation: str) -> AsyncIterator[None]:
        try:
            yield
        finally:
            raise asyncpg.ConnectionDoesNotExistError("connection was closed in the middle")


async def test_a_transaction_on_a_lost_connection_is_said_to_be_unavailable() -> None:
    with pytest.raises(StoreUnavailable):
        async with Database(BrokenWire()).transaction():
            pass


async def test_a_cancelled_transaction_stays_cancelled_when_its_rollback_fails() -> None:
    began = asyncio.Event()

    async def statement() -> None:
        async with Database(BrokenWire()).transaction():
            began.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(statement())
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
