"""Runs `positiond demo` as its visitors do: as a process, on ports of its own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from tests.e2e.world import eventually

COMMAND = (sys.executable, "-m", "positiond.daemon", "demo", "--json")


@dataclass
class Demo:
    """A running demo; `facts` is its line of JSON."""

    process: asyncio.subprocess.Process
    facts: dict[str, Any]

    async def api(self, path: str) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self.facts['token']}"}
        async with (
            aiohttp.ClientSession(headers=headers) as http,
            http.get(self.facts["url"] + path) as reply,
        ):
            assert reply.status == 200, await reply.text()
            return dict(await reply.json())

    async def positions(self) -> dict[str, dict[str, Any]]:
        """Open positions by external id."""
        rows = (await self.api("/api/positions?status=ACTIVE,CLOSING"))["positions"]
        return {row["external_id"]: row for row in rows}

    async def says(self, text: str) -> str:
        """The next line on stderr that holds `text`."""
        assert self.process.stderr is not None
        async with asyncio.timeout(20):
            while line := (await self.process.stderr.readline()).decode():
                if text in line:
                    return line
        raise AssertionError(f"it ended without saying {text!r}")

    async def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        with suppress(ProcessLookupError):
            self.process.send_signal(number)
        async with asyncio.timeout(30):
            return await self.process.wait()


@asynccontextmanager
async def demo(data_dir: Path, *arguments: str) -> AsyncIterator[Demo]:
    """Started and ready; stopped at the end if the test has not done so."""
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        *("--data", str(data_dir), "--port", "0", "--paper-port", "0", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    running = Demo(process, {})
    try:
        assert process.stdout is not None
        async with asyncio.timeout(60):
            line = await process.stdout.readline()
        assert line, (await process.communicate())[1].decode()
        running.facts = json.loads(line)
        yield running
    finally:
        await running.stop()
        # Closes the pipes; a test may have left something in them.
        await process.communicate()


async def refused(data_dir: Path, *arguments: str) -> tuple[int, str]:
    """Exit code and stderr of a demo that does not come up."""
    process = await asyncio.create_subprocess_exec(
        *(*COMMAND, "--data", str(data_dir), *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(30):
        _, stderr = await process.communicate()
    assert process.returncode is not None
    return process.returncode, stderr.decode()


def is_alive(pid: int) -> bool:
    """Not a zombie either: who was orphaned is reaped by init, some day."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def postmaster(data_dir: Path) -> int | None:
    """The pid of the embedded server, from its own file; None when it was stopped."""
    try:
        text = (data_dir / "postgres" / "cluster" / "postmaster.pid").read_text()
    except FileNotFoundError:
        return None
    return int(text.split()[0])


async def gone(*pids: int, within: float = 30) -> None:
    async def all_gone() -> bool:
        return not any(is_alive(pid) for pid in pids)

    await eventually(all_gone, within, f"{pids} are gone")


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
