"""Two versions of the daemon on one database: nobody's schema is changed while he leads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import asyncpg
import pytest
from positiond.daemon import wiring
from positiond.daemon.config import LoopConfig, load
from positiond.daemon.domain.errors import SchemaMismatch
from positiond.daemon.storage import opened_store
from positiond.http.hub import Hub
from positiond.store.migrate import migrate, migrations, missing
from positiond.store.sealing import SealKey
from positiond.store.store import unconnected_store

LAST = migrations()[-1]


@pytest.fixture
async def older(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a database with the schema of the version before this one."""
    await empty(postgres_url)
    with monkeypatch.context() as patched:
        patched.setattr("positiond.store.migrate.migrations", lambda: migrations()[:-1])
        await migrate(postgres_url)
    return postgres_url


async def empty(url: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    await connection.close()


class Serving:
    """A daemon of this version that does nothing but lead, and says when it does."""

    def __init__(self, daemon: wiring.Daemon) -> None:
        self.daemon = daemon
        self.leads = asyncio.Event()
        daemon._term = self._term  # type: ignore[method-assign]  # nothing else of it is wanted

    async def _term(self) -> None:
        self.leads.set()
        await asyncio.Event().wait()


@asynccontextmanager
async def serving(url: str, seal_key: SealKey) -> AsyncIterator[Serving]:
    async with unconnected_store(url, seal_key) as store:
        loops = LoopConfig(sweep_minutes=5, close_expiry=timedelta(minutes=15))
        gateway = cast(Any, _NoBybit())
        one = Serving(wiring.Daemon(loops, store, gateway, Hub(), url))
        task = asyncio.create_task(one.daemon.lead())
        try:
            yield one
        finally:
            task.cancel()
            await asyncio.wait({task})


class _NoBybit:
    """A Gateway that nobody goes through."""

    def ban_left(self, _environment: object) -> float:
        return 0.0


async def test_the_older_leaders_schema_stays_until_it_is_gone(
    older: str, seal_key: SealKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = asyncio.Event()

    async def noted(url: str) -> list[str]:
        found = await missing(url)
        looked.set()
        return found

    monkeypatch.setattr(wiring, "missing", noted)
    async with unconnected_store(older, seal_key) as store:
        async with store.leadership.held() as first, serving(older, seal_key) as standby:
            async with asyncio.timeout(10):
                await looked.wait()
            # Longer than it takes to try for the lock once more.
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1.5):
                    await standby.leads.wait()
            assert await missing(older) == [LAST.title]
            (reason, *_) = standby.daemon.board.readiness().reasons
            assert "older" in reason
        async with serving(older, seal_key) as successor:
            async with asyncio.timeout(10):
                await successor.leads.wait()
            assert await missing(older) == []
            assert successor.daemon.board.store_trouble is None
        async with store.leadership.held() as later:
            assert later == first + 2


async def test_a_verb_of_a_newer_version_changes_the_schema_under_no_leader(
    older: str, seal_key: SealKey, tmp_path: Path
) -> None:
    environ = {"POSITIOND_DATABASE_URL": older, "POSITIOND_DATA_DIR": str(tmp_path)}
    config = load(environ, lambda _: None)
    async with unconnected_store(older, seal_key) as store:
        async with store.leadership.held():
            with pytest.raises(SchemaMismatch, match="positiond migrate"):
                async with opened_store(config):
                    pass
            assert await missing(older) == [LAST.title]
        async with opened_store(config):
            assert await missing(older) == []


async def test_two_that_start_on_an_empty_database_lead_one_after_the_other(
    postgres_url: str, seal_key: SealKey
) -> None:
    await empty(postgres_url)
    async with serving(postgres_url, seal_key) as one, serving(postgres_url, seal_key) as other:
        ready = [asyncio.create_task(each.leads.wait()) for each in (one, other)]
        done, waiting = await asyncio.wait(ready, timeout=20, return_when="FIRST_COMPLETED")
        assert (len(done), len(waiting)) == (1, 1)
        assert await missing(postgres_url) == []
        for task in waiting:
            task.cancel()


async def test_a_standby_refuses_a_newer_schema_without_waiting_for_the_lock(
    postgres_url: str, seal_key: SealKey
) -> None:
    connection = await asyncpg.connect(postgres_url)
    await connection.execute("INSERT INTO schema_migrations VALUES (999, 'later', 'x')")
    await connection.close()
    async with unconnected_store(postgres_url, seal_key) as store, store.leadership.held():
        loops = LoopConfig(sweep_minutes=5, close_expiry=timedelta(minutes=15))
        daemon = wiring.Daemon(loops, store, cast(Any, _NoBybit()), Hub(), postgres_url)
        async with asyncio.timeout(10):
            with pytest.raises(SchemaMismatch):
                await daemon.lead()
