"""`positiond serve` as a service manager sees it: READY, WATCHDOG, STOPPING and exit codes."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from positiond.daemon import app
from positiond.daemon.domain.model import Credentials, Environment

from tests.e2e.world import World, eventually, readiness, started

SERVE = (sys.executable, "-m", "positiond.daemon", "serve")


@asynccontextmanager
async def serving(**environ: str) -> AsyncIterator[asyncio.subprocess.Process]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("POSITIOND")}
    process = await asyncio.create_subprocess_exec(
        *SERVE,
        env={**kept, **environ},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def heard(manager: socket.socket, text: bytes) -> bytes:
    """The first message that holds `text`."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(30):
        while text not in (message := await loop.sock_recv(manager, 4096)):
            pass
    return message


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_the_manager_hears_ready_once_it_is_true_then_the_watchdog_then_the_stop(
    world: World, tmp_path: Path
) -> None:
    address, port = str(tmp_path / "notify"), str(free_port())
    await world.trader(await world.user("ann"), "main")
    environ = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "30000000", "POSITIOND_HTTP_PORT": port}
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address)
        manager.setblocking(False)
        async with serving(**{**world.environ, **environ}) as process:
            await heard(manager, b"READY=1")
            async with (
                aiohttp.ClientSession() as http,
                http.get(f"http://127.0.0.1:{port}/readyz") as reply,
            ):
                assert reply.status == 200
            await heard(manager, b"WATCHDOG=1")
            process.send_signal(signal.SIGTERM)
            await heard(manager, b"STOPPING=1")
            async with asyncio.timeout(20):
                assert await process.wait() == 0


async def test_one_account_with_a_wrong_key_does_not_keep_the_manager_from_ready(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = str(tmp_path / "notify")
    user = await world.user("ann")
    await world.trader(user, "main")
    await world.store.accounts.add(
        user.id, "mistyped", Environment.PAPER, Credentials("nobody's key", "and secret")
    )
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    monkeypatch.setattr(app, "_STREAMS_WITHIN", 1.0)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address)
        manager.setblocking(False)
        async with started(world.environ):
            said = await heard(manager, b"READY=1")
    assert b"mistyped" in said


async def test_it_tells_three_times_that_much_of_what_stays_has_come(world: World) -> None:
    await world.trader(await world.user("ann"), "main")
    told: list[float] = []

    async def often_enough() -> bool:
        return len(told) == 3

    async with started(world.environ, lambda: told.append(time.monotonic())) as url:
        # Set up; at READY; with all streams up.
        await eventually(often_enough, 30, "told")
        assert (await readiness(url))[0] == 200


async def test_a_wrong_configuration_ends_with_78_and_names_every_fault() -> None:
    async with serving(POSITIOND_HTTP_PORT="x", POSITIOND_LOG_LEVEL="loud") as process:
        _, said = await process.communicate()
        assert process.returncode == 78
        assert said.decode().count("positiond: POSITIOND_") == 2


async def test_a_port_in_use_is_one_line(world: World) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        environ = {**world.environ, "POSITIOND_HTTP_PORT": str(taken.getsockname()[1])}
        async with serving(**environ) as process:
            _, said = await process.communicate()
    assert process.returncode == 1
    assert "address already in use" in said.decode().splitlines()[-1]
    assert "Traceback" not in said.decode()
