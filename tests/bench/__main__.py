"""`python -m tests.bench [NAME …]`: measure, print a small table each, and assert only results."""

from __future__ import annotations

import argparse
import asyncio
import gc
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from positiond.daemon import logs
from positiond.daemon.config import LogConfig

from tests.bench import acceptance, close_latency, fan_out, load, push, sweep, tick_path
from tests.bench.table import Table, machine

BENCHMARKS: Mapping[str, Callable[[], Awaitable[Table]]] = {
    "tick": tick_path.run,
    "accept": acceptance.run,
    "close": close_latency.run,
    "fan-out": fan_out.run,
    "push": push.run,
    "load": load.run,
}
# Run only when named.
ASKED_FOR: Mapping[str, Callable[[], Awaitable[Table]]] = {"load-quick": load.run_quick}


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    named = ", ".join((*BENCHMARKS, *ASKED_FOR, "sweep"))
    parser.add_argument("names", nargs="*", metavar="NAME", help=named)
    parser.add_argument("--accounts", type=int, default=sweep.ACCOUNTS, help="of `sweep`")
    arguments = parser.parse_args()
    names = arguments.names
    known: dict[str, Callable[[], Awaitable[Table]]] = {
        **BENCHMARKS,
        **ASKED_FOR,
        "sweep": partial(sweep.run, arguments.accounts),
    }
    if unknown := sorted(set(names) - known.keys()):
        parser.error(f"no such benchmark: {', '.join(unknown)}")
    logs.configure(LogConfig(level="error", format="console"))
    print(machine())
    began = time.monotonic()
    for name in names or BENCHMARKS:
        gc.collect()
        print(asyncio.run(_table(known[name])).text(), flush=True)
    print(f"{time.monotonic() - began:.0f} s")


async def _table(run: Callable[[], Awaitable[Table]]) -> Table:
    return await run()


main()
