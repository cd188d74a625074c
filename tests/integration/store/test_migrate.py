"""The schema: applied once, refused when it is not this version's."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest
from positiond.daemon.domain.errors import SchemaMismatch
from positiond.store.migrate import check_schema, migrate, migrations
from positiond.store.sealing import SealKey
from positiond.store.sql import SQL
from positiond.store.store import open_store


async def test_a_second_migration_applies_nothing(postgres_url: str) -> None:
    assert await migrate(postgres_url) == []


async def test_migrations_that_start_together_apply_each_file_once(postgres_url: str) -> None:
    connection = await asyncpg.connect(postgres_url)
    await connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    await connection.close()
    applied = await asyncio.gather(*(migrate(postgres_url) for _ in range(3)))
    assert sorted(name for names in applied for name in names) == [
        f"{m.version:04d}_{m.name}" for m in migrations()
    ]


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("INSERT INTO schema_migrations VALUES (999, 'later', 'x')", "schema-newer"),
        ("UPDATE schema_migrations SET checksum = 'other'", "schema-unknown"),
        ("DELETE FROM schema_migrations", "schema-older"),
    ],
)
async def test_a_schema_of_another_version_is_refused(
    postgres_url: str, seal_key: SealKey, statement: str, code: str
) -> None:
    connection = await asyncpg.connect(postgres_url)
    await connection.execute(statement)
    with pytest.raises(SchemaMismatch) as refused:
        await check_schema(connection)
    await connection.close()
    assert refused.value.code == code
    with pytest.raises(SchemaMismatch):
        async with open_store(postgres_url, seal_key):
            pass


async def test_every_query_prepares_against_the_schema(postgres_url: str) -> None:
    connection = await asyncpg.connect(postgres_url)
    for name, text in SQL.items():
        try:
            await connection.prepare(text)
        except asyncpg.PostgresError as error:
            pytest.fail(f"{name}: {error}")
    await connection.close()
