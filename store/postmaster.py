"""Which Postgres server, if any, runs on a cluster directory."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Postmaster:
    """The server as its pid file tells of it."""

    pid: int
    socket_dir: str
    is_ready: bool


class Fate(Enum):
    """GONE includes a zombie: it holds nothing, though its pid is still taken."""

    GONE = "gone"
    ENDING = "ending"
    ANOTHER = "another program"


def read_pid_file(cluster: Path) -> Postmaster | None:
    """What `postmaster.pid` says; None when it is absent or only half written."""
    try:
        lines = (cluster / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return None
    if len(lines) < 8 or not lines[0].strip().isdigit():
        return None
    return Postmaster(int(lines[0]), lines[4].strip(), lines[7].strip() == "ready")


def running(cluster: Path) -> Postmaster | None:
    """The live server of the cluster; None when the pid file is absent or stale."""
    found = read_pid_file(cluster)
    if found is None:
        return None
    seen = processes_in(cluster)
    if seen is None:
        return found if _exists(found.pid) else None
    # A server in another container on the same volume shows no process here, but it answers.
    return found if found.pid in seen or _answers(found.socket_dir) else None


def processes_in(cluster: Path) -> frozenset[int] | None:
    """Every process that works in the cluster directory; None where that cannot be told.

    A Postgres process always has the cluster as its working directory, so this does not fall for
    a pid that was given to some other program since: the pid file alone does.
    """
    if not (_PROC / "self").exists():
        return None
    home = os.path.realpath(cluster)
    found = set()
    for entry in _PROC.iterdir():
        if entry.name.isdigit():
            try:
                if os.readlink(entry / "cwd") == home:
                    found.add(int(entry.name))
            except OSError:
                # Gone meanwhile, a zombie, or another user's: not ours in any case.
                continue
    return frozenset(found)


def fate(pid: int) -> Fate:
    """What has become of a process that does not work in the cluster any more (Linux only)."""
    try:
        os.readlink(_PROC / str(pid) / "cwd")
    except PermissionError:
        return Fate.ANOTHER
    except OSError:
        pass
    else:
        return Fate.ANOTHER
    try:
        state = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return Fate.GONE
    return Fate.GONE if state in "ZX" else Fate.ENDING


def _answers(socket_dir: str) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1)
        try:
            probe.connect(f"{socket_dir}/.s.PGSQL.5432")
        except OSError:
            return False
    return True


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
