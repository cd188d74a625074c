"""The demo as a process: what it promises on its one line, and how it comes and goes."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.e2e.demo_run import demo, gone, is_alive, kill, postmaster, refused
from tests.e2e.world import eventually

FIELDS = {
    "url",
    "sign_in_url",
    "token",
    "paper_url",
    "accounts",
    "daemon_pid",
    "paper_pid",
    "database_url",
    "serve_command",
}


@pytest.fixture
def data_dir() -> Iterator[Path]:
    # Not pytest's own: that lies in a directory which the database's user may not enter.
    with tempfile.TemporaryDirectory(prefix="positiond-demo-") as directory:
        yield Path(directory)


async def _signs_in(facts: dict[str, Any]) -> None:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
        async with http.get(facts["sign_in_url"], allow_redirects=False) as reply:
            assert (reply.status, reply.headers["Location"]) == (303, "/")
        async with http.get(facts["url"] + "/api/session") as reply:
            assert (await reply.json())["user"]["username"] == "demo"


async def test_the_first_start_shows_positions_and_one_is_altered_by_hand(data_dir: Path) -> None:
    async with demo(data_dir, "--alter-after", "5") as running:
        facts = running.facts
        assert facts.keys() == FIELDS
        assert facts["url"].startswith("http://localhost:")
        assert all(row.keys() == {"id", "label", "key", "secret"} for row in facts["accounts"])
        positions = await running.positions()
        assert len(positions) >= 6
        assert {row["verdict"] for row in positions.values()} == {"in_sync"}
        assert len({row["account_id"] for row in positions.values()}) == 2
        assert len(positions["demo-basket"]["components"]) == 3

        async def altered() -> bool:
            return bool((await running.positions())["demo-avax-dot"]["is_altered"])

        await eventually(altered, 20, "the altered position is flagged")
        others = await running.positions()
        assert [key for key, row in others.items() if row["is_altered"]] == ["demo-avax-dot"]
        await _signs_in(facts)


async def test_a_stop_leaves_no_process_and_the_next_start_finds_the_positions(
    data_dir: Path,
) -> None:
    async with demo(data_dir, "--alter-after", "0") as first:
        await first.says("is altered")
        before = await first.positions()
        pids = [first.facts["daemon_pid"], first.facts["paper_pid"], postmaster(data_dir)]
        assert await first.stop(signal.SIGINT) == 0
        assert [pid for pid in pids if pid is not None and is_alive(pid)] == []
        assert postmaster(data_dir) is None
    async with demo(data_dir, "--alter-after", "0") as second:
        assert second.facts["token"] == first.facts["token"]
        assert second.facts["accounts"] == first.facts["accounts"]
        after = await second.positions()
        assert {row["id"] for row in after.values()} == {row["id"] for row in before.values()}
        assert "is altered already" in await second.says("already")


@pytest.mark.thorough
async def test_a_daemon_killed_by_hand_can_be_started_again_alone(data_dir: Path) -> None:
    async with demo(data_dir) as running:
        kill(running.facts["daemon_pid"])
        await running.says("The daemon was killed by SIGKILL")
        assert running.facts["serve_command"] in await running.says("serve")
        assert running.process.returncode is None
        alone = await asyncio.create_subprocess_exec(
            *shlex.split(running.facts["serve_command"]),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        await running.says("A daemon runs again")

        async def answers() -> bool:
            try:
                return len(await running.positions()) >= 6
            except (aiohttp.ClientError, AssertionError):
                return False

        await eventually(answers, 20, "the daemon started by hand answers")
        assert await running.stop(signal.SIGTERM) == 0
        async with asyncio.timeout(10):
            assert await alone.wait() == 0
        assert postmaster(data_dir) is None


async def test_children_do_not_outlive_a_parent_that_was_killed(data_dir: Path) -> None:
    async with demo(data_dir) as running:
        kill(running.process.pid)
        await gone(running.facts["daemon_pid"], running.facts["paper_pid"])
        assert postmaster(data_dir) is None


@pytest.mark.thorough
async def test_after_a_kill_of_everything_the_next_start_takes_over(data_dir: Path) -> None:
    async with demo(data_dir) as first:
        before = await first.positions()
        server = postmaster(data_dir)
        assert server is not None
        for pid in (first.process.pid, first.facts["daemon_pid"], first.facts["paper_pid"], server):
            kill(pid)
        await gone(first.facts["daemon_pid"], first.facts["paper_pid"], server)
    async with demo(data_dir) as second:
        after = await second.positions()
        assert {row["id"] for row in after.values()} == {row["id"] for row in before.values()}
        assert {row["verdict"] for row in after.values()} == {"in_sync"}


@pytest.mark.thorough
async def test_a_fresh_start_forgets_but_not_under_a_running_demo(data_dir: Path) -> None:
    (data_dir / "unrelated").write_text("keep me")
    async with demo(data_dir) as first:
        code, said = await refused(data_dir, "--fresh", "--port", "0", "--paper-port", "0")
        assert code == 1
        assert f"pid {first.process.pid}" in said.splitlines()[-1]
        before = await first.positions()
    async with demo(data_dir, "--fresh") as second:
        after = await second.positions()
    assert after.keys() == before.keys()
    assert after["demo-sol"]["id"] != before["demo-sol"]["id"]
    assert (data_dir / "unrelated").read_text() == "keep me"


async def test_a_port_in_use_is_one_clear_line(data_dir: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, said = await refused(data_dir, "--port", str(port), "--paper-port", "0")
    assert code == 1
    assert f"port {port}" in said.splitlines()[-1]
    assert "Traceback" not in said
    assert os.listdir(data_dir / "run") == []
