"""What the smoke test tells: a line for each step with its time, and all of it as JSON."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from .domain.errors import ExchangeUnreachable, PositiondError
from .supervise import first_errors


class SmokeFailed(PositiondError):
    """A step did not come out as it must."""


@dataclass(slots=True)
class Step:
    """One step while it runs and after; `note` is what it found."""

    name: str
    passed: bool = False
    seconds: float = 0.0
    note: str = ""


@dataclass(slots=True)
class Report:
    environment: str
    say: Callable[[str], None]
    started_at: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    steps: list[Step] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        return bool(self.steps) and all(step.passed for step in self.steps)

    @asynccontextmanager
    async def step(self, name: str, *, within: float = 20.0) -> AsyncIterator[Step]:
        """SmokeFailed if the body fails or takes too long; ExchangeUnreachable stays what it is."""
        step = Step(name)
        self.steps.append(step)
        started = time.monotonic()
        try:
            async with asyncio.timeout(within):
                yield step
            step.passed = True
        except TimeoutError as error:
            step.note = f"not within {within:.0f} s{f' ({step.note})' if step.note else ''}"
            raise SmokeFailed("smoke-failed", f"{name}: {step.note}") from error
        except Exception as error:
            first = first_errors(error)[0]
            step.note = first.detail if isinstance(first, PositiondError) else repr(first)
            if isinstance(first, ExchangeUnreachable):
                raise ExchangeUnreachable(first.code, f"{name}: {step.note}") from error
            raise SmokeFailed("smoke-failed", f"{name}: {step.note}") from error
        finally:
            step.seconds = round(time.monotonic() - started, 3)
            self.say(_line(step))

    def write(self, path: Path) -> None:
        shown = {
            "environment": self.environment,
            "started_at": self.started_at,
            "passed": self.passed,
            "steps": [asdict(step) for step in self.steps],
        }
        path.write_text(json.dumps(shown, indent=2) + "\n")


def _line(step: Step) -> str:
    mark = "ok  " if step.passed else "FAIL"
    note = f": {step.note}" if step.note else ""
    return f"{step.seconds:7.2f} s  {mark}  {step.name}{note}"
