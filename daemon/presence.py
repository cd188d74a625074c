"""Which of our processes work on a data directory: a locked file for each, named by role and pid.

The lock, not the pid, proves life: the kernel drops it with the process, whatever killed it,
and a pid that was given to somebody else never looks like ours.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def present(data_dir: Path, role: str) -> Iterator[None]:
    """Register this process while the context is open; OSError where the directory is closed."""
    path = _directory(data_dir) / f"{role}-{os.getpid()}.lock"
    lock = _locked(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(lock)


def pids_in(data_dir: Path, role: str) -> list[int]:
    """The pids of living processes registered under `role`; leftovers of dead ones are removed."""
    directory = data_dir / "run"
    found = []
    for path in sorted(directory.glob(f"{role}-*.lock")):
        pid = path.stem.rpartition("-")[2]
        if not pid.isdigit():
            continue
        if _is_held(path):
            found.append(int(pid))
    return found


def make_data_dir(path: Path) -> Path:
    """Create it closed to others' eyes, yet passable: as root, Postgres runs as somebody else."""
    path.mkdir(parents=True, exist_ok=True, mode=0o711)
    return path


def _directory(data_dir: Path) -> Path:
    directory = make_data_dir(data_dir) / "run"
    directory.mkdir(exist_ok=True, mode=0o700)
    return directory


def _locked(path: Path) -> int:
    while True:
        lock = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        # Somebody may have swept the file away as a leftover before it was locked.
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_ino == os.fstat(lock).st_ino:
                return lock
        os.close(lock)


def _is_held(path: Path) -> bool:
    try:
        probe = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(probe, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        path.unlink(missing_ok=True)
        return False
    finally:
        os.close(probe)
