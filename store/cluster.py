"""Making, starting and stopping a cluster; every function runs under the gate of `embedded`."""

from __future__ import annotations

import os
import shutil
import signal
import time
from contextlib import suppress
from pathlib import Path

from ..daemon.domain.errors import PositiondError, SchemaMismatch
from .placement import Placement, failure
from .postmaster import Fate, Postmaster, fate, processes_in, read_pid_file, running

ROLE = "positiond"
DATABASE = "positiond"
PATIENCE = 60.0
_SUPERUSER = "postgres"
_PAUSE = 0.05
_LARGEST_LOG = 5_000_000

# Nobody but our own role may connect at all, and that one needs no password: the socket lies in a
# directory with mode 0700 and there is no other way in. The superuser acts only in `_bootstrap`.
_ACCESS = f"local all {ROLE} trust\n"

# The trailing line feeds end each statement in single-user mode.
_BOOTSTRAP = f"CREATE ROLE {ROLE} LOGIN\nCREATE DATABASE {DATABASE} OWNER {ROLE}\n"

# Terse and without statements, so that a log line never repeats what a row holds.
_SETTINGS = """\
# Written anew at every start.
listen_addresses = ''
unix_socket_directories = '{socket_dir}'
unix_socket_permissions = 0700
max_connections = 60
shared_buffers = 64MB
max_wal_size = 256MB
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
log_min_messages = warning
log_checkpoints = off
log_error_verbosity = terse
log_min_error_statement = panic
"""


def initialise(placement: Placement) -> None:
    """Make the cluster with its role and database, or check that the one there is ours."""
    if placement.cluster.exists():
        _check_version(placement)
        return
    # Renamed into place as the last step: what a crash leaves half made is never mistaken for it.
    fresh = placement.home / "cluster.new"
    shutil.rmtree(fresh, ignore_errors=True)
    placement.private(fresh)
    options = ["--auth=trust", "--no-locale", "--encoding=UTF8", "--no-instructions"]
    _run(placement, "initdb", "-D", fresh, f"--username={_SUPERUSER}", *options)
    options = ["-c", "exit_on_error=on", "-c", "log_min_messages=error"]
    _run(placement, "postgres", "--single", "-D", fresh, *options, "postgres", text=_BOOTSTRAP)
    _write(fresh / "pg_hba.conf", _ACCESS)
    fresh.rename(placement.cluster)


def running_server(placement: Placement, *, alone: bool) -> Postmaster:
    """The server of the cluster, adopted or started; `alone`: no other process uses it."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found = running(placement.cluster)
        if found is not None and found.is_ready:
            return found
        if found is None and _is_clear(placement.cluster, alone=alone):
            _start(placement)
        else:
            # It is starting, recovering or stopping, or what a killed server left is still ending.
            time.sleep(_PAUSE)
    raise failure(f"Postgres did not come up within {PATIENCE:.0f} s, see {placement.log}")


def stop(placement: Placement) -> None:
    """Stop the server cleanly; at once where it does not within half a minute."""
    if running(placement.cluster) is None:
        return
    command = ("pg_ctl", "stop", "-s", "-w", "-t", "30", "-D", placement.cluster)
    try:
        _run(placement, *command, "-m", "fast")
    except PositiondError:
        if running(placement.cluster) is not None:
            _run(placement, *command, "-m", "immediate")


def _check_version(placement: Placement) -> None:
    theirs = (placement.cluster / "PG_VERSION").read_text().strip()
    answer = _run(placement, "postgres", "--version")
    ours = answer.split()[-1].split(".")[0]
    if theirs != ours:
        raise SchemaMismatch(
            "postgres-version",
            f"the database in {placement.home} was made by Postgres {theirs}, this installation "
            f"brings {ours}: dump it with the old one and restore it",
        )


def _is_clear(cluster: Path, *, alone: bool) -> bool:
    """Whether a start may be tried; sweeps up the pid file of a server that was killed.

    Postgres sees to a stale pid file itself, unless the pid is taken: by a zombie that nobody
    reaps (as in many containers), or by another program since. Then it refuses to start, for ever.
    Removing the file switches its own safeguard off, so that is done only when no process works
    in the cluster, and for another program's pid only when nobody else uses the cluster: not even
    in another container, whose processes do not show.
    """
    left = processes_in(cluster)
    if left is None:
        return True
    found = read_pid_file(cluster)
    became = fate(found.pid) if found is not None else Fate.GONE
    if left or became is Fate.ENDING:
        return False
    if alone or became is Fate.GONE:
        (cluster / "postmaster.pid").unlink(missing_ok=True)
    return True


def _start(placement: Placement) -> None:
    socket_dir = placement.socket_dir()
    if processes_in(placement.cluster) is not None:
        # The same trap as the pid file's, in a directory that no other server uses.
        (socket_dir / ".s.PGSQL.5432.lock").unlink(missing_ok=True)
    quoted = str(socket_dir).replace("'", "''")
    _write(placement.cluster / "postgresql.conf", _SETTINGS.format(socket_dir=quoted))
    log = placement.log
    placement.private(log.parent)
    if log.exists() and log.stat().st_size > _LARGEST_LOG:
        log.replace(log.with_suffix(".log.1"))
    before = log.stat().st_size if log.exists() else 0
    options = ("-s", "-w", "-t", str(int(PATIENCE)), "-l", log)
    try:
        _run(placement, "pg_ctl", "start", "-D", placement.cluster, *options)
    except PositiondError as error:
        raise failure(f"Postgres does not start: {_reason(log, before)} (see {log})") from error


def _run(placement: Placement, program: str, *args: str | Path, text: str | None = None) -> str:
    return placement.user.run([placement.binaries / program, *args], text)


def _write(path: Path, text: str) -> None:
    """Replace a file in a directory of the server's user without following what lies there.

    We may be root and that user not: a link in the file's place must not lead our hand.
    """
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644), "w") as file:
        file.write(text)
    fresh.chmod(0o644)
    fresh.replace(path)


def _reason(log: Path, before: int) -> str:
    """The first fatal line that this start added to the log."""
    if not log.exists():
        return "it wrote no log"
    with log.open("rb") as file:
        file.seek(before)
        lines = file.read().decode(errors="replace").splitlines()
    fatal = [line for line in lines if "FATAL:" in line or "PANIC:" in line]
    return (fatal or lines or ["it said nothing"])[0].split(":  ", 1)[-1].strip()


def end(home: Path, *, at_once: bool = False) -> None:
    """End what runs on a cluster that nothing leads to any more; StoreUnavailable if it stays."""
    deadline = time.monotonic() + PATIENCE
    while left := processes_in(home / "cluster"):
        if time.monotonic() > deadline:
            raise failure(f"Postgres in {home} does not end")
        found = running(home / "cluster")
        # The postmaster takes its children with it; without one, they are ended one by one.
        for pid in [found.pid] if found is not None else left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGQUIT if at_once else signal.SIGINT)
        time.sleep(_PAUSE)
