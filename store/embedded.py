"""A Postgres of our own under the data directory, driven by its own `initdb` and `pg_ctl`.

Several processes may use it at once (a daemon, the demo around it, an administrator's verb).
Each holds a shared file lock while it does; whoever leaves last stops the server. A process that
is killed leaves the server running, and the next one adopts it. So no process needs to know
whether it was the one that started it, and an administrator's verb never stops a running daemon's.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import NoReturn, Self
from urllib.parse import quote

from . import cluster
from .filelock import UserLock, gate
from .placement import Placement, failure, place, unlinked_homes
from .postmaster import running

_CHECK_EVERY = 1.0


class EmbeddedPostgres:
    """`async with EmbeddedPostgres(directory) as server:`, then connect to `server.url`.

    Raises StoreUnavailable `embedded-postgres`, or SchemaMismatch for another major version's
    cluster. Blocking work runs in a thread; `start` and `stop` may also be called directly.
    """

    def __init__(self, directory: Path) -> None:
        self._data = directory.absolute()
        self._users = UserLock(self._data / "postgres.users")
        self._url: str | None = None

    @property
    def url(self) -> str:
        """How to connect; holds no secret."""
        if self._url is None:
            raise failure("the embedded server is not running")
        return self._url

    async def __aenter__(self) -> Self:
        try:
            await _to_the_end(self.start)
        except asyncio.CancelledError:
            await _to_the_end(self.stop)
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await _to_the_end(self.stop)

    async def keep_running(self) -> NoReturn:
        """Start the server again whenever it is found dead (out of memory, a stray kill)."""
        while True:
            await asyncio.sleep(_CHECK_EVERY)
            if not await asyncio.to_thread(self.is_running):
                await _to_the_end(self.start)

    def is_running(self) -> bool:
        return running(self._data / "postgres" / "cluster") is not None

    def initialise(self) -> None:
        """Make the cluster, role and database if there are none yet; starts nothing."""
        with self._gate() as placement:
            cluster.initialise(placement)

    def start(self) -> None:
        """Adopt the running server or start one, and count as one of its users."""
        with self._gate() as placement:
            alone = self._users.enter()
            try:
                cluster.initialise(placement)
                server = cluster.running_server(placement, alone=alone)
            except BaseException:
                self._users.leave()
                raise
        host = quote(server.socket_dir)
        self._url = f"postgresql://{cluster.ROLE}@/{cluster.DATABASE}?host={host}&port=5432"

    def stop(self) -> None:
        """Stop counting as a user; the last one stops the server."""
        if self._url is None:
            return
        with self._gate() as placement:
            self._url = None
            if self._users.leave():
                cluster.stop(placement)

    def remove(self) -> None:
        """Stop the server and delete all it holds; StoreUnavailable while others use it."""
        with self._gate() as placement:
            alone = self._users.enter()
            self._users.leave()
            if not alone:
                raise failure(f"the database in {self._data} is in use by another process")
            cluster.stop(placement)
            cluster.end(placement.home, at_once=True)
            shutil.rmtree(placement.home)
            (self._data / "postgres").unlink(missing_ok=True)

    @contextmanager
    def _gate(self) -> Iterator[Placement]:
        try:
            self._data.mkdir(mode=0o700, parents=True, exist_ok=True)
            with gate(self._data / "postgres.gate", cluster.PATIENCE):
                _end_orphans(self._data)
                yield place(self._data)
        except OSError as error:
            where = error.filename or self._data
            raise failure(f"cannot use {where}: {error.strerror or error}") from error


def _end_orphans(data: Path) -> None:
    """End servers that a deleted data directory left running; what they stored stays.

    Only root's servers are ever moved out of their data directory.
    """
    if os.geteuid() == 0:
        for home in unlinked_homes(data):
            cluster.end(home)


async def _to_the_end(call: Callable[[], None]) -> None:
    """Run in a thread and wait for its end even if cancelled: nothing is left half started."""
    task = asyncio.ensure_future(asyncio.to_thread(call))
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
