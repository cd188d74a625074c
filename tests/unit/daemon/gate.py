"""Where a process may be killed: before and after everything that leaves it."""

from __future__ import annotations

import asyncio


class Gate:
    """Counts the passages; at `stop_at` the process stands still for ever, at `fail_at` it errs."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.stop_at = stop_at
        self.fail_at: dict[int, Exception] = {}
        self.passed: list[str] = []
        self.reached = asyncio.Event()

    async def __call__(self, what: str) -> None:
        self.passed.append(what)
        number = len(self.passed)
        await asyncio.sleep(0)
        if error := self.fail_at.pop(number, None):
            raise error
        if number == self.stop_at:
            self.reached.set()
            await asyncio.Event().wait()
