"""Numbered migrations: applied in order, each in a transaction, remembered with its checksum."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.resources import files

from ..daemon.domain.errors import SchemaMismatch
from .pool import Connection, connect, translated

# Any number, as long as nothing else in the database locks it.
_LOCK = 0x706F_7369_0001

_TABLE = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    version    integer PRIMARY KEY,
    name       text NOT NULL,
    checksum   text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""


@dataclass(frozen=True, slots=True)
class Migration:
    version: int
    name: str
    text: str

    @property
    def title(self) -> str:
        return f"{self.version:04d}_{self.name}"

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()


def migrations() -> tuple[Migration, ...]:
    """All that this version brings, in order; the numbers have no gaps."""
    found = []
    for file in files(__package__).joinpath("migrations").iterdir():
        number, _, name = file.name.removesuffix(".sql").partition("_")
        if file.name.endswith(".sql"):
            found.append(Migration(int(number), name, file.read_text("utf-8")))
    found.sort(key=lambda migration: migration.version)
    if [migration.version for migration in found] != list(range(1, len(found) + 1)):
        raise ValueError("the numbers of the migrations have a gap or a repetition")
    return tuple(found)


async def migrate(url: str) -> list[str]:
    """Bring the schema up to date; gives the names of what was applied.

    SchemaMismatch for a schema of a newer version or an altered migration; StoreUnavailable.
    """
    connection = await connect(url)
    try:
        with translated():
            return await _apply_missing(connection)
    finally:
        await connection.close()


async def missing(url: str) -> list[str]:
    """What `migrate` would apply, nothing being applied; errors as there."""
    connection = await connect(url)
    try:
        with translated():
            applied = await _applied(connection)
    finally:
        await connection.close()
    known = migrations()
    _refuse_unknown(applied, known)
    return [migration.title for migration in known[len(applied) :]]


async def check_schema(connection: Connection) -> None:
    """SchemaMismatch unless the schema is exactly this version's."""
    known = migrations()
    applied = await _applied(connection)
    _refuse_unknown(applied, known)
    if len(applied) < len(known):
        raise SchemaMismatch(
            "schema-older",
            f"the database has schema {len(applied)}, this version needs {len(known)}: "
            "run `positiond migrate`",
        )


async def _apply_missing(connection: Connection) -> list[str]:
    # A session lock: the second of two that start together waits and finds the work done. Closing
    # the connection frees it.
    await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
    known = migrations()
    applied = await _applied(connection)
    _refuse_unknown(applied, known)
    done = []
    for migration in known[len(applied) :]:
        async with connection.transaction():
            await connection.execute(_TABLE)
            await connection.execute(migration.text)
            await connection.execute(
                "INSERT INTO schema_migrations (version, name, checksum) VALUES ($1, $2, $3)",
                migration.version,
                migration.name,
                migration.checksum,
            )
        done.append(migration.title)
    return done


async def _applied(connection: Connection) -> list[tuple[int, str]]:
    """Version and checksum of each applied migration, in order."""
    if await connection.fetchval("SELECT to_regclass('schema_migrations')") is None:
        return []
    rows = await connection.fetch(
        "SELECT version, checksum FROM schema_migrations ORDER BY version"
    )
    return [(row["version"], row["checksum"]) for row in rows]


def _refuse_unknown(applied: list[tuple[int, str]], known: tuple[Migration, ...]) -> None:
    if len(applied) > len(known):
        raise SchemaMismatch(
            "schema-newer",
            f"the database has schema {len(applied)}, this version knows {len(known)} only: "
            "run the newer version",
        )
    for (version, checksum), migration in zip(applied, known, strict=False):
        if (version, checksum) != (migration.version, migration.checksum):
            raise SchemaMismatch(
                "schema-unknown",
                f"migration {migration.version} of the database is not the one of this version",
            )
