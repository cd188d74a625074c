"""The connection pool, and the edge where the driver's errors become ours."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Literal

import asyncpg

from ..daemon.domain.errors import ConfigError, InvalidInput, StoreUnavailable

_CONNECT_TIMEOUT = 5.0
_COMMAND_TIMEOUT = 10.0
_ACQUIRE_TIMEOUT = 10.0
_CLOSE_TIMEOUT = 5.0
# The server's own limits lie a little above ours: they end what we could not cancel any more.
_SETTINGS = {
    "application_name": "positiond",
    "timezone": "UTC",
    "statement_timeout": "12s",
    "idle_in_transaction_session_timeout": "30s",
}

# asyncpg has no types: its records and connections are named so here and nowhere else.
Row = Any
Connection = Any

_UNAVAILABLE = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.TransactionRollbackError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InternalClientError,
)


@contextmanager
def translated() -> Iterator[None]:
    """Raise our errors for the driver's, cause kept. Broken constraints and bugs pass through."""
    try:
        yield
    except asyncpg.DataError as error:
        raise InvalidInput("invalid-value", f"the database refuses a value: {error}") from error
    except asyncpg.ClientConfigurationError as error:
        # The driver's text may repeat the URL, and that may hold a password.
        raise ConfigError("database-url", "the database URL is not valid") from error
    except _UNAVAILABLE as error:
        _heed_cancellation(error)
        raise unavailable(error) from error
    except asyncpg.InterfaceError as error:
        _heed_cancellation(error)
        # "connection is closed", "pool is closing": the driver has no class of its own for these.
        if "clos" not in str(error):
            raise
        raise unavailable(error) from error


def _heed_cancellation(error: BaseException) -> None:
    """The rollback of a statement that was cut off may fail too: being cancelled goes first.

    Our loops outlive a database that does not answer; they must not outlive their cancellation.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError from error


def unavailable(error: BaseException) -> StoreUnavailable:
    reason = str(error) or type(error).__name__
    return StoreUnavailable("store-unavailable", f"the database does not answer: {reason}")


async def connect(url: str) -> Connection:
    """A connection of one's own, for locks and notifications; without a command timeout."""
    settings = {**_SETTINGS, "statement_timeout": "0"}
    with translated():
        return await asyncpg.connect(url, timeout=_CONNECT_TIMEOUT, server_settings=settings)


async def close(connection: Connection | None) -> None:
    """Close a connection of one's own; cut it if the server does not answer."""
    if connection is None:
        return
    try:
        await connection.close(timeout=_CLOSE_TIMEOUT)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
        # It may be dead already: closing has nothing more to achieve.
        connection.terminate()


class Database:
    """Statements on pooled connections; a lost one is replaced when the server is back."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    async def fetch(self, query: str, *values: object) -> Sequence[Row]:
        with translated():
            rows: Sequence[Row] = await self._pool.fetch(query, *values, timeout=_COMMAND_TIMEOUT)
            return rows

    async def row(self, query: str, *values: object) -> Row | None:
        with translated():
            return await self._pool.fetchrow(query, *values, timeout=_COMMAND_TIMEOUT)

    @asynccontextmanager
    async def transaction(
        self, isolation: Literal["read_committed", "repeatable_read"] = "read_committed"
    ) -> AsyncIterator[Connection]:
        """A connection inside a transaction: committed at the end, rolled back on any error."""
        with translated():
            async with (
                self._pool.acquire(timeout=_ACQUIRE_TIMEOUT) as connection,
                connection.transaction(isolation=isolation),
            ):
                yield connection


@asynccontextmanager
async def open_pool(url: str, size: int = 10) -> AsyncIterator[Database]:
    """A pool that connects with its first statement, so that it opens without a server too."""
    with translated():
        pool = await asyncpg.create_pool(
            url,
            min_size=0,
            max_size=size,
            timeout=_CONNECT_TIMEOUT,
            command_timeout=_COMMAND_TIMEOUT,
            server_settings=_SETTINGS,
        )
    try:
        yield Database(pool)
    finally:
        await _close(pool)


async def _close(pool: Any) -> None:
    """Let running statements end, for a few seconds; then cut the connections."""
    try:
        async with asyncio.timeout(_CLOSE_TIMEOUT):
            await pool.close()
    except TimeoutError:
        pool.terminate()
