"""Child processes of the demo: started with a pipe they watch, watched, and surely stopped."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .domain.errors import PositiondError
from .presence import pids_in
from .waiting import until

# What a stop may take: the daemon finishes its writes, the paper exchange its books.
_PATIENCE: Final = 20.0
_LOOK_EVERY: Final = 0.05


class ChildFailed(PositiondError):
    """A child ended before it was ready; `detail` ends with the last line of its log."""


@dataclass(frozen=True, slots=True)
class Command:
    """How a child is started; `role` is what it registers as in `data_dir`."""

    role: str
    data_dir: Path
    arguments: Sequence[str]
    environ: Mapping[str, str]
    log: Path


class Child:
    """A running child, in a session of its own.

    So a Ctrl-C on the terminal reaches the parent alone, and the parent stops its children in
    order. They also watch their standard input: it ends when the parent dies, however it dies.
    """

    def __init__(self, command: Command, process: asyncio.subprocess.Process) -> None:
        self.command = command
        self._process = process

    @classmethod
    async def start(cls, command: Command) -> Child:
        command.log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with command.log.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *command.arguments,
                "--with-parent",
                env=dict(command.environ),
                stdin=asyncio.subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return cls(command, process)

    @property
    def pid(self) -> int:
        return self._process.pid

    async def wait(self) -> str:
        """Wait for its end; says how it ended."""
        code = await self._process.wait()
        if code < 0:
            return f"was killed by {signal.Signals(-code).name}"
        return f"ended with code {code}"

    async def fail_if_it_ends(self) -> None:
        how = await self.wait()
        raise ChildFailed("child-failed", f"the {self.command.role} {how}: {self.last_words()}")

    def last_words(self) -> str:
        """The last line of its log."""
        lines = self.command.log.read_text(errors="replace").splitlines()
        return lines[-1] if lines else f"{self.command.log} is empty"

    async def stop(self) -> None:
        """Stop it, and whoever else is registered under its role on its data."""
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        await stop_all(pids_in(self.command.data_dir, self.command.role))
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()


async def stop_all(pids: Iterable[int]) -> None:
    """SIGTERM, and SIGKILL for what is still there after 20 s; returns when all are gone."""
    left = [pid for pid in pids if _sent(pid, signal.SIGTERM)]
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_PATIENCE):
            await until(lambda: not any(_is_alive(pid) for pid in left), every=_LOOK_EVERY)
    for pid in left:
        _sent(pid, signal.SIGKILL)
    await until(lambda: not any(_is_alive(pid) for pid in left))


def _sent(pid: int, number: signal.Signals) -> bool:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def _is_alive(pid: int) -> bool:
    """A zombie has ended: whoever started it (maybe nobody we know) has only not looked yet."""
    try:
        os.kill(pid, 0)
        stat = Path(f"/proc/{pid}/stat").read_text()
    except ProcessLookupError:
        return False
    except FileNotFoundError:
        # No /proc on this system, or it ended between the two lines: the next look will tell.
        return True
    return stat.rpartition(")")[2].split()[0] not in ("Z", "X")
