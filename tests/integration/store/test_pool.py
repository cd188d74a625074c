"""A database that goes away is said so, and used again when it is back."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from positiond.daemon.domain.close_ports import Closes
from positiond.daemon.domain.errors import ConfigError, StoreUnavailable
from positiond.daemon.domain.people import AccountBook, People
from positiond.daemon.domain.ports import (
    Changes,
    Leadership,
    Positions,
    Switches,
)
from positiond.store.embedded import EmbeddedPostgres
from positiond.store.migrate import migrate
from positiond.store.pool import open_pool
from positiond.store.postmaster import running
from positiond.store.sealing import SealKey
from positiond.store.store import Store, open_store

from tests.builders_store import add_account


@pytest.fixture
async def server(seal_key: SealKey) -> AsyncIterator[tuple[EmbeddedPostgres, Path]]:
    directory = Path(tempfile.mkdtemp(prefix="positiond-pool-"))
    async with EmbeddedPostgres(directory) as started:
        await migrate(started.url)
        yield started, directory
    shutil.rmtree(directory)


async def test_a_killed_database_is_reported_and_used_again_when_it_is_back(
    server: tuple[EmbeddedPostgres, Path], seal_key: SealKey
) -> None:
    postgres, directory = server
    async with open_store(postgres.url, seal_key) as store:
        await add_account(store)
        found = running(directory / "postgres" / "cluster")
        assert found is not None
        os.kill(found.pid, signal.SIGKILL)
        async with asyncio.timeout(10):
            with pytest.raises(StoreUnavailable) as refused:  # noqa: PT012
                while True:
                    await store.positions.load_open()
        assert refused.value.__cause__ is not None
        assert postgres.url not in refused.value.detail
        await asyncio.to_thread(postgres.start)
        assert [user.username for user in await store.people.users()] == ["ann"]


async def test_nobody_there_is_one_clear_error(seal_key: SealKey) -> None:
    with pytest.raises(StoreUnavailable):
        async with open_store("postgresql://positiond@/x?host=/nonexistent", seal_key):
            pass


async def test_a_malformed_url_is_not_repeated(seal_key: SealKey) -> None:
    with pytest.raises(ConfigError) as refused:
        async with open_store("mysql://ann:pass-word@host/x", seal_key):
            pass
    assert "pass-word" not in refused.value.detail


async def test_a_transaction_leaves_nothing_behind_when_it_fails(postgres_url: str) -> None:
    async with open_pool(postgres_url) as database:

        async def fail_halfway() -> None:
            async with database.transaction() as connection:
                await connection.execute("UPDATE switches SET is_on = true")
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await fail_halfway()
        (row,) = await database.fetch("SELECT is_on FROM switches")
        assert row["is_on"] is False


async def test_a_statement_that_takes_too_long_is_given_up(postgres_url: str) -> None:
    async with open_pool(postgres_url) as database:

        async def dawdle() -> None:
            async with database.transaction() as connection:
                await connection.execute("SET LOCAL statement_timeout = '50ms'")
                await connection.execute("SELECT pg_sleep(30)")

        with pytest.raises(StoreUnavailable):
            await dawdle()
        assert await database.fetch("SELECT 1")


def test_the_store_is_what_the_domain_asks_for() -> None:
    """Read by the type checker: each attribute fits its port."""

    def ports(store: Store) -> tuple[object, ...]:
        positions: Positions = store.positions
        closes: Closes = store.closes
        book: AccountBook = store.accounts
        people: People = store.people
        switches: Switches = store.switches
        changes: Changes = store.changes
        leadership: Leadership = store.leadership
        return positions, closes, book, people, switches, changes, leadership

    assert ports is not None
