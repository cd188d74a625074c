"""A real Postgres for the tests: one server per run, a freshly migrated database per test."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
from positiond.store.embedded import EmbeddedPostgres
from positiond.store.migrate import migrate
from positiond.store.sealing import SealKey
from positiond.store.store import Store, open_store

TEMPLATE = "positiond"


class PostgresServer:
    """Hands out databases that are clones of one migrated template."""

    def __init__(self, url: str) -> None:
        self._url = url

    def url(self, database: str, role: str = "positiond") -> str:
        return self._url.replace("positiond@/positiond", f"{role}@/{database}")

    async def create(self) -> str:
        name = f"test_{uuid4().hex}"
        await self._as_superuser(
            f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} OWNER positiond STRATEGY file_copy"
        )
        return name

    async def drop(self, name: str) -> None:
        await self._as_superuser(f"DROP DATABASE {name} WITH (FORCE)")

    async def _as_superuser(self, statement: str) -> None:
        connection = await asyncpg.connect(self.url("postgres", "postgres"))
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """The run's server, with the superuser let in and without fsync."""
    directory = Path(tempfile.mkdtemp(prefix="positiond-tests-"))
    server = EmbeddedPostgres(directory)
    try:
        server.initialise()
        cluster = directory / "postgres" / "cluster"
        with (cluster / "pg_hba.conf").open("a") as access:
            access.write("local all postgres trust\n")
        (cluster / "postgresql.auto.conf").write_text("fsync = off\nfull_page_writes = off\n")
        server.start()
        with asyncio.Runner() as runner:
            runner.run(migrate(server.url))
        yield PostgresServer(server.url)
    finally:
        server.stop()
        server.remove()
        shutil.rmtree(directory)


@pytest.fixture
async def postgres_url(postgres_server: PostgresServer) -> AsyncIterator[str]:
    """The URL of a fresh, migrated database of the role `positiond`; dropped after the test."""
    name = await postgres_server.create()
    yield postgres_server.url(name)
    await postgres_server.drop(name)


@pytest.fixture
def seal_key() -> SealKey:
    return SealKey(bytes(range(32)))


@pytest.fixture
async def store(postgres_url: str, seal_key: SealKey) -> AsyncIterator[Store]:
    """The whole store, open, on a fresh database."""
    async with open_store(postgres_url, seal_key) as opened:
        yield opened


@pytest.fixture
async def epoch(store: Store) -> AsyncIterator[int]:
    """Leadership, held for the test: without it the store refuses to write orders."""
    async with store.leadership.held() as held:
        yield held
