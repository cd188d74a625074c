"""How measurements are shown: one small table per benchmark, every ratio from the same run."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from math import ceil
from os import cpu_count, getloadavg, sched_getaffinity
from pathlib import Path

_PACKAGES = ("aiohttp", "asyncpg", "orjson", "pybit", "websockets")


@dataclass(frozen=True, slots=True)
class Row:
    """One line; `against` is what the name's ratio is taken against, None for the peer itself."""

    name: str
    values: tuple[str, ...]
    against: str | None = None
    ratio: float | None = None


@dataclass(frozen=True, slots=True)
class Table:
    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()

    def text(self) -> str:
        head = ("", *self.columns, "ratio")
        body = [(row.name, *row.values, _ratio(row)) for row in self.rows]
        widths = [max(map(len, column)) for column in zip(head, *body, strict=True)]
        lines = [self.title]
        lines += [_line(cells, widths) for cells in (head, *body)]
        lines += [f"  {note}" for note in self.notes]
        return "\n".join(lines) + "\n"


def _ratio(row: Row) -> str:
    return "" if row.ratio is None else f"{row.ratio:.2f} x {row.against}"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    name, *middle, ratio = cells
    aligned = [cell.rjust(width) for cell, width in zip(middle, widths[1:-1], strict=True)]
    return "  ".join(["", name.ljust(widths[0]), *aligned, ratio]).rstrip()


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of all do not exceed (nearest rank)."""
    return sorted(values)[max(0, ceil(share * len(values)) - 1)]


def p50_p99(seconds: Sequence[float]) -> tuple[str, str]:
    """Both in milliseconds, as table cells."""
    return f"{quantile(seconds, 0.5) * 1e3:.2f}", f"{quantile(seconds, 0.99) * 1e3:.2f}"


def machine() -> str:
    """What the figures were taken on; the load tells who else was busy."""
    cpus, usable = cpu_count(), len(sched_getaffinity(0))
    packages = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    return (
        f"{platform.python_implementation()} {platform.python_version()}, {_processor()}, "
        f"{usable} of {cpus} cores, Linux {platform.release()}, load {getloadavg()[0]:.1f}\n"
        f"{packages}\n"
    )


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
