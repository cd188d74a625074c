"""File locks that tell who uses the embedded server; the kernel frees them at any death."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..daemon.domain.errors import StoreUnavailable

_PAUSE = 0.02


class UserLock:
    """Held shared by every process that uses the server; exclusive means nobody else does."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def enter(self) -> bool:
        """Count as a user from now on; True if there is no other. Call under the gate only.

        Trying exclusive first gives up a shared lock for an instant: the gate hides that.
        """
        if self._descriptor is None:
            self._descriptor = open_lock_file(self._path)
        alone = _try_lock(self._descriptor, fcntl.LOCK_EX)
        fcntl.flock(self._descriptor, fcntl.LOCK_SH)
        return alone

    def leave(self) -> bool:
        """Stop counting; True if nobody is left. Call under the gate only."""
        if self._descriptor is None:
            return False
        alone = _try_lock(self._descriptor, fcntl.LOCK_EX)
        os.close(self._descriptor)
        self._descriptor = None
        return alone


@contextmanager
def gate(path: Path, patience: float) -> Iterator[None]:
    """One process at a time starts or stops the server; StoreUnavailable after `patience` s."""
    descriptor = open_lock_file(path)
    try:
        deadline = time.monotonic() + patience
        while not _try_lock(descriptor, fcntl.LOCK_EX):
            if time.monotonic() > deadline:
                raise StoreUnavailable(
                    "embedded-postgres",
                    f"another process has been starting or stopping Postgres for {patience:.0f} s "
                    f"(it holds {path})",
                )
            time.sleep(_PAUSE)
        yield
    finally:
        os.close(descriptor)


def open_lock_file(path: Path) -> int:
    """Open or create it for its directory's owner, so that root does not lock others out."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    if os.geteuid() == 0:
        owner = path.parent.stat()
        os.fchown(descriptor, owner.st_uid, owner.st_gid)
    return descriptor


def _try_lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
