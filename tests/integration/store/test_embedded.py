"""The embedded server outlives kills, serves several processes, and leaves nothing running."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import asyncpg
import pytest
from positiond.daemon.domain.errors import SchemaMismatch, StoreUnavailable
from positiond.store.embedded import EmbeddedPostgres
from positiond.store.placement import RELOCATED
from positiond.store.postmaster import processes_in, running

pytestmark = pytest.mark.thorough

IS_ROOT = os.geteuid() == 0

# Another process that uses the server: says its url, then waits to be told to leave, or be killed.
USER = """
import sys
from pathlib import Path
from positiond.store.embedded import EmbeddedPostgres
server = EmbeddedPostgres(Path(sys.argv[1]))
server.start()
print(server.url, flush=True)
sys.stdin.read()
server.stop()
"""

# The same without root's powers; everything is imported while its files can still be read.
UNPRIVILEGED = """
import os, pwd, sys
import positiond.store.embedded
os.setgroups([]); os.setgid(65534); os.setuid(65534); os.chdir("/")
exec(sys.argv[2])
"""


@pytest.fixture
def data() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="positiond-embedded-"))
    # Reachable for the server's user, so that nothing is moved out of it.
    directory.chmod(0o711)
    yield directory
    kill_all(cluster_of(directory))
    shutil.rmtree(directory)


def cluster_of(data: Path) -> Path:
    return data / "postgres" / "cluster"


async def ask(url: str, statement: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


def start_user(data: Path) -> subprocess.Popen[str]:
    user = subprocess.Popen(
        [sys.executable, "-c", USER, str(data)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert user.stdout is not None
    assert user.stdout.readline().startswith("postgresql://")
    return user


def bystander(uid: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(["sleep", "60"], user=uid if IS_ROOT else None, cwd="/")


def kill(user: subprocess.Popen[str]) -> None:
    user.kill()
    user.communicate()


def kill_all(cluster: Path) -> None:
    for pid in processes_in(cluster) or ():
        # Some end by themselves as soon as the postmaster is gone.
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def kill_postmaster(data: Path) -> int:
    server = running(cluster_of(data))
    assert server is not None
    os.kill(server.pid, signal.SIGKILL)
    return server.pid


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


async def test_what_is_stored_is_there_in_the_next_run_and_nothing_runs_between(
    data: Path,
) -> None:
    async with EmbeddedPostgres(data) as server:
        await ask(server.url, "CREATE TABLE kept AS SELECT 42 AS n")
        assert server.is_running()
    assert not processes_in(cluster_of(data))
    with pytest.raises(StoreUnavailable):
        _ = server.url
    async with EmbeddedPostgres(data) as server:
        assert await ask(server.url, "SELECT n FROM kept") == 42


async def test_the_daemon_s_role_is_no_superuser_and_nobody_else_gets_in(data: Path) -> None:
    async with EmbeddedPostgres(data) as server:
        assert await ask(server.url, "SELECT current_user::text") == "positiond"
        assert not await ask(
            server.url,
            "SELECT rolsuper OR rolcreatedb OR rolcreaterole FROM pg_roles"
            " WHERE rolname = current_user",
        )
        assert await ask(server.url, "SHOW listen_addresses") == ""
        with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError):
            await ask(server.url.replace("positiond@", "postgres@"), "SELECT 1")
    mode = stat.S_IMODE((data / "postgres" / "socket").stat().st_mode)
    assert mode == 0o700


async def test_a_server_whose_user_was_killed_is_adopted_and_then_stopped(data: Path) -> None:
    kill(start_user(data))
    orphan = running(cluster_of(data))
    assert orphan is not None
    async with EmbeddedPostgres(data) as server:
        assert await ask(server.url, "SELECT 1") == 1
        assert running(cluster_of(data)) == orphan
    assert not processes_in(cluster_of(data))


async def test_committed_rows_survive_the_kill_of_everything(data: Path) -> None:
    async with EmbeddedPostgres(data):
        pass
    user = start_user(data)
    server = running(cluster_of(data))
    assert server is not None
    url = f"postgresql://positiond@/positiond?host={server.socket_dir}"
    await ask(url, "CREATE TABLE kept AS SELECT 42 AS n")
    kill(user)
    kill_all(cluster_of(data))
    assert (cluster_of(data) / "postmaster.pid").exists()
    async with EmbeddedPostgres(data) as again:
        assert await ask(again.url, "SELECT n FROM kept") == 42


async def test_a_killed_postmaster_is_replaced_at_once_by_the_next_start(data: Path) -> None:
    async with EmbeddedPostgres(data) as server:
        killed = kill_postmaster(data)
        async with EmbeddedPostgres(data) as second:
            assert await ask(second.url, "SELECT 1") == 1
            adopted = running(cluster_of(data))
            assert adopted is not None
            assert adopted.pid != killed
        assert await ask(server.url, "SELECT 1") == 1
    assert not processes_in(cluster_of(data))


async def test_a_killed_postmaster_is_replaced_while_the_daemon_runs(data: Path) -> None:
    async with EmbeddedPostgres(data) as server:
        keeper = asyncio.create_task(server.keep_running())
        killed = kill_postmaster(data)
        async with asyncio.timeout(15):
            while True:
                found = await asyncio.to_thread(running, cluster_of(data))
                if found is not None and found.pid != killed and found.is_ready:
                    break
                await asyncio.sleep(0.05)
        assert await ask(server.url, "SELECT 1") == 1
        keeper.cancel()
        await asyncio.wait([keeper])
    assert not processes_in(cluster_of(data))


async def test_a_pid_that_now_belongs_to_another_program_does_not_keep_it_from_starting(
    data: Path,
) -> None:
    pid_file = cluster_of(data) / "postmaster.pid"
    async with EmbeddedPostgres(data):
        kill_postmaster(data)
        eventually(lambda: not processes_in(cluster_of(data)))
        # A process of the same user: Postgres takes those of others for no server of its own.
        another = bystander(pid_file.stat().st_uid)
        for stale in (pid_file, data / "postgres" / "socket" / ".s.PGSQL.5432.lock"):
            lines = stale.read_text().splitlines()
            stale.write_text("\n".join([str(another.pid), *lines[1:]]) + "\n")
    async with EmbeddedPostgres(data) as server:
        assert await ask(server.url, "SELECT 1") == 1
    assert another.poll() is None
    another.kill()
    another.wait()


async def test_whoever_leaves_last_stops_the_server(data: Path) -> None:
    user = start_user(data)
    async with EmbeddedPostgres(data) as server:
        assert await ask(server.url, "SELECT 1") == 1
    assert running(cluster_of(data)) is not None
    with pytest.raises(StoreUnavailable, match="in use"):
        EmbeddedPostgres(data).remove()
    user.communicate("leave")
    assert user.returncode == 0
    assert not processes_in(cluster_of(data))


async def test_processes_that_start_together_share_one_server(data: Path) -> None:
    servers = [EmbeddedPostgres(data) for _ in range(4)]
    await asyncio.gather(*(server.__aenter__() for server in servers))
    assert len({server.url for server in servers}) == 1
    for server in servers:
        assert server.is_running()
        await server.__aexit__(None, None, None)
    assert not processes_in(cluster_of(data))


async def test_a_start_that_is_cancelled_leaves_nothing_running(data: Path) -> None:
    starting = asyncio.create_task(EmbeddedPostgres(data).__aenter__())
    half = data / "postgres" / "cluster.new"
    await asyncio.to_thread(eventually, lambda: half.exists() or starting.done())
    starting.cancel()
    await asyncio.wait([starting])
    assert starting.cancelled()
    assert not processes_in(cluster_of(data))


async def test_a_half_made_cluster_is_made_again(data: Path) -> None:
    half = data / "postgres" / "cluster.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    async with EmbeddedPostgres(data) as server:
        assert await ask(server.url, "SELECT 1") == 1
    assert not half.exists()


async def test_a_data_directory_with_a_long_path_gets_a_short_socket(data: Path) -> None:
    deep = data / ("d" * 60) / ("e" * 60)
    async with EmbeddedPostgres(deep) as server:
        assert await ask(server.url, "SELECT 1") == 1
        used = running(cluster_of(deep))
        assert used is not None
        assert stat.S_IMODE(os.stat(used.socket_dir).st_mode) == 0o700
        assert not used.socket_dir.startswith(str(deep))
        assert (deep / "postgres" / "cluster" / "PG_VERSION").exists()
        assert not (deep / "postgres").is_symlink()
    os.rmdir(used.socket_dir)


async def test_a_cluster_of_another_major_version_is_refused(data: Path) -> None:
    EmbeddedPostgres(data).initialise()
    (cluster_of(data) / "PG_VERSION").write_text("17\n")
    with pytest.raises(SchemaMismatch, match="Postgres 17") as refused:
        async with EmbeddedPostgres(data):
            pass
    assert "\n" not in refused.value.detail


async def test_a_data_directory_that_cannot_be_used_is_one_clear_line(data: Path) -> None:
    (data / "file").write_text("")
    with pytest.raises(StoreUnavailable, match="cannot use") as refused:
        async with EmbeddedPostgres(data / "file" / "below"):
            pass
    assert "\n" not in refused.value.detail


async def test_a_start_that_fails_says_why(data: Path) -> None:
    EmbeddedPostgres(data).initialise()
    (cluster_of(data) / "global" / "pg_control").unlink()
    with pytest.raises(StoreUnavailable, match="could not find the database system") as refused:
        async with EmbeddedPostgres(data):
            pass
    assert "\n" not in refused.value.detail


async def test_removing_leaves_an_empty_place_for_a_fresh_start(data: Path) -> None:
    async with EmbeddedPostgres(data) as server:
        await ask(server.url, "CREATE TABLE kept AS SELECT 42 AS n")
    kill(start_user(data))
    EmbeddedPostgres(data).remove()
    assert not (data / "postgres").exists()
    async with EmbeddedPostgres(data) as server:
        assert await ask(server.url, "SELECT to_regclass('kept')") is None


@pytest.mark.skipif(not IS_ROOT, reason="only root runs the server as somebody else")
async def test_below_a_private_directory_the_server_lives_elsewhere_and_opens_nothing(
    data: Path,
) -> None:
    private = data / "home"
    private.mkdir(mode=0o700)
    below = private / "data"
    async with EmbeddedPostgres(below) as server:
        await ask(server.url, "CREATE TABLE kept AS SELECT 42 AS n")
    first = (below / "postgres").resolve()
    assert first.parent == RELOCATED
    assert stat.S_IMODE(private.stat().st_mode) == 0o700
    async with EmbeddedPostgres(below) as server:
        assert await ask(server.url, "SELECT n FROM kept") == 42
    kill(start_user(below))
    # Away and made anew: the old server ends, its database neither comes back nor is lost.
    below.rename(private / "aside")
    async with EmbeddedPostgres(below) as server:
        assert await ask(server.url, "SELECT to_regclass('kept')") is None
        assert not processes_in(first / "cluster")
    second = (below / "postgres").resolve()
    EmbeddedPostgres(below).remove()
    shutil.rmtree(below)
    (private / "aside").rename(below)
    async with EmbeddedPostgres(below) as server:
        assert await ask(server.url, "SELECT n FROM kept") == 42
    EmbeddedPostgres(below).remove()
    assert not first.exists()
    assert not second.exists()


@pytest.mark.skipif(not IS_ROOT, reason="needs to become somebody else")
def test_without_root_the_server_runs_as_its_user(data: Path) -> None:
    own = data / "own"
    own.mkdir(mode=0o700)
    data.chmod(0o711)
    os.chown(own, 65534, 65534)
    done = subprocess.run(
        [sys.executable, "-c", UNPRIVILEGED, str(own), USER],
        input="",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.startswith("postgresql://"), done.stderr
    assert cluster_of(own).stat().st_uid == 65534
    assert stat.S_IMODE(own.stat().st_mode) == 0o700
    # An administrator's visit as root leaves it usable for its owner.
    visit = EmbeddedPostgres(own)
    visit.start()
    visit.stop()
    assert not processes_in(cluster_of(own))
    done = subprocess.run(
        [sys.executable, "-c", UNPRIVILEGED, str(own), USER],
        input="",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.startswith("postgresql://"), done.stderr
    assert not processes_in(cluster_of(own))
