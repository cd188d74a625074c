"""What was sent of late, kept over the death of the process that sent it.

Bybit counts an address, not a process: a daemon that is killed and started again within seconds
would otherwise take itself for innocent, and earn the ban for both lives together.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog

_log = structlog.get_logger(__name__)

_STAMP: Final = struct.Struct("<d")
_CLOSED: Final = -1
_NEVER: Final = 0.0
_UNSAFE: Final = re.compile(r"[^a-z0-9.-]+")
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


class Tally:
    """A ring of `slots` stamps in a file, of the monotonic clock that all of a boot share.

    The file says of which boot it is; what another boot left is nothing. Each write is one small
    `pwrite` into the page cache: no flush, since only the end of the boot loses it. Where the file
    cannot be used there is no memory and a warning, and all else goes on.
    """

    def __init__(self, path: Path, slots: int, *, boot: bytes | None = None) -> None:
        self._slots = slots
        self._next = 0
        self._file = _CLOSED
        self._head = 0
        self._stamps: tuple[float, ...] = ()
        self._try(lambda: self._open(path, boot or _BOOT_ID.read_bytes()))

    def recent(self, now: float, span: float) -> list[float]:
        """The stamps of earlier lives within the last `span` seconds, oldest first."""
        since = max(now - span, _NEVER)
        return sorted(stamp for stamp in self._stamps if since < stamp <= now)

    def note(self, now: float) -> None:
        self._put(now)
        self._next = (self._next + 1) % self._slots

    def take_back(self) -> None:
        """The newest was never sent."""
        self._next = (self._next - 1) % self._slots
        self._put(_NEVER)

    def close(self) -> None:
        if self._file != _CLOSED:
            os.close(self._file)
            self._file = _CLOSED

    def _open(self, path: Path, boot: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o711)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._head, size = len(boot), self._slots * _STAMP.size
        held = os.pread(self._file, self._head + size, 0)
        if not held.startswith(boot):
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, boot, 0)
            held = boot
        rows = held[self._head :].ljust(size, b"\0")
        self._stamps = tuple(stamp for (stamp,) in _STAMP.iter_unpack(rows))
        # The oldest makes room first.
        self._next = self._stamps.index(min(self._stamps))

    def _put(self, stamp: float) -> None:
        if self._file != _CLOSED:
            file, at = self._file, self._head + self._next * _STAMP.size
            self._try(lambda: os.pwrite(file, _STAMP.pack(stamp), at))

    def _try(self, work: Callable[[], object]) -> None:
        try:
            work()
        except OSError as error:
            _log.warning("what was sent is not remembered over a restart", reason=str(error))
            self.close()


class Tallies:
    """The tallies in one directory, by name; without a directory there are none."""

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory
        self._opened: list[Tally] = []

    def open(self, name: str, slots: int) -> Tally | None:
        """`slots` have to hold what may be sent within the longest span that is asked for."""
        if self._directory is None:
            return None
        tally = Tally(self._directory / _UNSAFE.sub("_", name.lower()), slots)
        self._opened.append(tally)
        return tally

    def close(self) -> None:
        while self._opened:
            self._opened.pop().close()
