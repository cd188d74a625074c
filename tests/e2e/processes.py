"""The daemon and the exchange as processes, to be killed and started again."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import orjson
from positiond.bybit.paper.server import PaperAccount

from tests.e2e.exchange import control
from tests.e2e.world import eventually

_START_WITHIN = 20
_COMMAND = "positiond.daemon"


class Process:
    """One verb of the command, its output kept in a file."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path, begin: int) -> None:
        self._process = process
        self._log = log
        self._begin = begin
        self.url = ""

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def lines(self) -> list[str]:
        """What it said so far; what an earlier process said into the same file is left out."""
        return self._log.read_bytes()[self._begin :].decode().splitlines()

    async def kill(self) -> None:
        """SIGKILL; returns when it is dead."""
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGKILL)
        await self._process.wait()

    async def stop(self) -> None:
        """SIGTERM, and a clean end."""
        self._process.terminate()
        async with asyncio.timeout(20):
            assert await self._process.wait() == 0, self.lines[-5:]

    async def readiness(self) -> tuple[int, list[str]]:
        async with (
            aiohttp.ClientSession(base_url=self.url) as http,
            http.get("/readyz") as reply,
        ):
            answer: dict[str, Any] = await reply.json()
            return reply.status, list(answer["reasons"])

    async def ready(self, within: float = _START_WITHIN) -> None:
        """Wait until it says that it may be relied on."""

        async def is_ready() -> bool:
            return (await self.readiness())[0] == 200

        await eventually(is_ready, within, "the daemon is ready")


@asynccontextmanager
async def _running(
    log: Path, environ: Mapping[str, str], *arguments: str, module: str = _COMMAND
) -> AsyncIterator[Process]:
    settings = {k: v for k, v in os.environ.items() if not k.startswith("POSITIOND_")}
    with log.open("ab") as output:
        begin = output.tell()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", module, *arguments),
            env={**settings, **environ},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    running = Process(process, log, begin)
    try:
        yield running
    finally:
        await running.kill()


@asynccontextmanager
async def serving(
    environ: Mapping[str, str], log: Path, module: str = _COMMAND
) -> AsyncIterator[Process]:
    """`positiond serve`, answering on `url`; killed at the end if the test has not ended it."""
    async with _running(log, environ, "serve", module=module) as process:

        async def address() -> str | None:
            for line in process.lines:
                record = orjson.loads(line) if line.startswith("{") else {}
                if record.get("event") == "listening":
                    return str(record["url"])
            return None

        process.url = await eventually(address, _START_WITHIN, "the daemon listens")
        yield process


@asynccontextmanager
async def exchange(data_dir: Path | None, log: Path, port: int = 0) -> AsyncIterator[Process]:
    """`positiond paper` with its books in `data_dir`, or in memory alone."""
    options: tuple[str, ...] = ("--port", str(port), "--seed", "11")
    if data_dir is not None:
        options = ("--data", str(data_dir), *options)
    async with _running(log, {}, "paper", *options) as process:

        async def address() -> str | None:
            told = [line for line in process.lines if line.startswith("http://")]
            return told[0] if told else None

        process.url = await eventually(address, _START_WITHIN, "the exchange listens")
        yield process


async def account_on(url: str, label: str) -> PaperAccount:
    made = await control(url, "POST", "accounts", label=label)
    return PaperAccount(made["uid"], made["key"], made["secret"])


async def hand_trade(url: str, account: PaperAccount, symbol: str, side: str, qty: str) -> str:
    """The average price of a hand trade's fills."""
    done = await control(
        url, "POST", "trade", account=account.uid, symbol=symbol, side=side, qty=qty
    )
    assert done["order"]["cumExecQty"] == qty
    return str(done["order"]["avgPrice"])
