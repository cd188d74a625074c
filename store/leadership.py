"""One daemon per database trades: an advisory lock, and an epoch that outdated leaders lack."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from types import TracebackType

from ..daemon.domain.errors import Conflict, StoreUnavailable
from .pool import Connection, close, connect, translated
from .sql import SQL

# Any number, as long as nothing else in the database locks it.
_LOCK = 0x706F_7369_0002
_RETRY_EVERY = 1.0
_CHECK_EVERY = 2.0
_CHECK_TIMEOUT = 5.0

log = logging.getLogger(__name__)

Prepare = Callable[[], Awaitable[object]]


async def _nothing() -> None:
    pass


async def while_nobody_leads(url: str, prepare: Prepare) -> bool:
    """Await `prepare` with the trading lock held, but in no epoch; False where somebody has it."""
    connection = await connect(url)
    try:
        with translated():
            is_free = await connection.fetchval(
                SQL["try_trading_lock"], _LOCK, timeout=_CHECK_TIMEOUT
            )
        if is_free:
            await prepare()
        return bool(is_free)
    finally:
        await close(connection)


class HeldEpoch:
    """The epoch in which this process leads; None while it does not."""

    def __init__(self) -> None:
        self.value: int | None = None

    async def fence(self, connection: Connection) -> int:
        """Keep others from taking over until the transaction ends; Conflict `not-leader`."""
        current = await connection.fetchval(SQL["fence"])
        if self.value is None or self.value != current:
            raise Conflict("not-leader", "another daemon has taken over trading, or none leads")
        return self.value


class Leadership:
    """The port `Leadership` on an advisory lock of a connection of its own."""

    def __init__(self, url: str, held: HeldEpoch) -> None:
        self._url = url
        self._held = held

    def held(self, prepare: Prepare = _nothing) -> Term:
        """Waits for the lock as long as it takes, also for the database to come back.

        `prepare` is awaited with the lock, before the epoch begins: the schema, say, is changed
        under nobody who leads. Its errors are raised, StoreUnavailable but has it try again.

        If the connection is lost while leading, the body is cancelled and StoreUnavailable
        `leadership-lost` is raised in its place.
        """
        return Term(self._url, self._held, prepare)


class Term:
    """One term of leadership, from entering to leaving the context."""

    def __init__(self, url: str, held: HeldEpoch, prepare: Prepare) -> None:
        self._url = url
        self._held = held
        self._prepare = prepare
        self._gone = asyncio.Event()
        self._is_lost = False
        self._connection: Connection | None = None
        self._watcher: asyncio.Task[None] | None = None

    async def __aenter__(self) -> int:
        connection, epoch = await self._wait_for_lock()
        body = asyncio.current_task()
        assert body is not None
        self._connection = connection
        self._held.value = epoch
        connection.add_termination_listener(lambda _: self._gone.set())
        # Owned by this context: awaited in __aexit__.
        self._watcher = asyncio.create_task(self._watch(body, epoch), name="leadership")
        return epoch

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._held.value = None
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.wait([self._watcher])
        await close(self._connection)
        if self._is_lost:
            # Our own cancellation, taken back; one that came from outside as well stays in force.
            body = asyncio.current_task()
            outside = body is not None and body.uncancel() > 0
            if not outside and (error is None or isinstance(error, asyncio.CancelledError)):
                raise StoreUnavailable(
                    "leadership-lost", "the connection that held the trading lock was lost"
                ) from error

    async def _wait_for_lock(self) -> tuple[Connection, int]:
        """Polls rather than waits in the server, so that a dead connection is noticed."""
        while True:
            try:
                connection = await connect(self._url)
                try:
                    return connection, await self._take(connection)
                except BaseException:
                    await close(connection)
                    raise
            except StoreUnavailable as error:
                # The database is away, so that nobody leads. Taken as soon as it is back.
                log.warning("waiting for the trading lock: %s", error.detail)
            await asyncio.sleep(_RETRY_EVERY)

    async def _take(self, connection: Connection) -> int:
        with translated():
            while True:
                if await connection.fetchval(
                    SQL["try_trading_lock"], _LOCK, timeout=_CHECK_TIMEOUT
                ):
                    break
                await asyncio.sleep(_RETRY_EVERY)
            await self._prepare()
            epoch: int = await connection.fetchval(SQL["next_epoch"], timeout=_CHECK_TIMEOUT)
            return epoch

    async def _watch(self, body: asyncio.Task[object], epoch: int) -> None:
        """Cancel the body once the connection, and with it the lock, is gone."""
        while not self._gone.is_set():
            try:
                async with asyncio.timeout(_CHECK_EVERY):
                    await self._gone.wait()
            except TimeoutError:
                if not await self._still_leads(epoch):
                    break
        # Nothing more may be written in this epoch, from this instant on.
        self._held.value = None
        self._is_lost = True
        body.cancel()

    async def _still_leads(self, epoch: int) -> bool:
        assert self._connection is not None
        try:
            with translated():
                current = await self._connection.fetchval(
                    SQL["current_epoch"], timeout=_CHECK_TIMEOUT
                )
        except StoreUnavailable as error:
            log.error("the trading lock is lost: %s", error.detail)
            return False
        return bool(current == epoch)
