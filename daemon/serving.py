"""The verbs that run for long, `serve` and `paper`, and `config`, which shows what they use."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from . import heap, logs
from .config import Config, LogConfig, credential_reader, effective, load
from .domain.errors import InvalidInput
from .presence import present
from .settings import SETTINGS
from .supervise import stop_on_signals

_log = structlog.get_logger(__name__)

# Longer than a stop ever takes; systemd's own patience (90 s) must not run out first.
STOP_WITHIN: Final = 45.0


def loaded_config() -> Config:
    """The configuration of this process; ConfigError with every fault."""
    return load(os.environ, credential_reader(os.environ))


def add_serve_arguments(parser: argparse.ArgumentParser) -> None:
    _add_with_parent(parser)


def run_serve(args: argparse.Namespace) -> int:
    """Run the daemon until SIGTERM or SIGINT."""
    config = loaded_config()
    logs.configure(config.log)
    from .app import serve

    async def daemon(stop: asyncio.Event) -> None:
        with present(config.data_dir, "daemon"):
            await serve(config, settled=heap.freeze, stop=stop)

    asyncio.run(until_stopped(daemon, with_parent=args.with_parent))
    return 0


def add_paper_arguments(parser: argparse.ArgumentParser) -> None:
    from ..bybit.paper.options import add_paper_arguments as add

    add(parser)
    _add_with_parent(parser)


def run_paper(args: argparse.Namespace) -> int:
    """Run the paper exchange until SIGTERM or SIGINT; its URL is the one line on stdout."""
    from ..bybit.paper.options import OptionError, PaperOptions

    try:
        options = PaperOptions.of(args)
    except OptionError as error:
        raise InvalidInput("bad-option", str(error)) from error
    logs.configure(LogConfig(level="warning", format="console"))
    from ..bybit.paper import server

    def ready(url: str) -> None:
        heap.freeze()
        print(url, flush=True)

    async def exchange(_stop: asyncio.Event) -> None:
        with present(options.data, "paper") if options.data else contextlib.nullcontext():
            await server.run_paper(options, on_ready=ready)

    asyncio.run(until_stopped(exchange, patience=0, with_parent=args.with_parent))
    return 0


def add_config_arguments(parser: argparse.ArgumentParser) -> None:
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="as one JSON object")
    form.add_argument("--table", action="store_true", help="every setting and what it means")


def run_config(args: argparse.Namespace) -> int:
    """Print what is in force; all faults together when there are any."""
    if args.table:
        print("\n".join(settings_table()))
        return 0
    values = effective(loaded_config())
    if args.json:
        print(json.dumps(values, indent=2))
    else:
        for name, value in values.items():
            print(f"{name}={value}")
    return 0


def settings_table() -> list[str]:
    """The Markdown table of all settings, as it stands in the README."""
    rows = ["| name | default | meaning |", "|---|---|---|"]
    rows += [f"| `{item.name}` | {item.default} | {item.meaning} |" for item in SETTINGS]
    return rows


async def until_stopped(
    run: Callable[[asyncio.Event], Awaitable[None]],
    *,
    patience: float = STOP_WITHIN,
    with_parent: bool = False,
) -> None:
    """Run with a stop event that signals set; cancelled if it then lasts longer than `patience`.

    `with_parent`: the end of stdin is a stop too, so that nothing outlives whoever started it.
    """
    stop = asyncio.Event()
    with stop_on_signals(stop):
        if with_parent:
            _stop_at_end_of_input(stop)
        async with asyncio.TaskGroup() as group:
            main = group.create_task(_awaited(run(stop)), name="main")
            late = group.create_task(_cancel_when_late(main, stop, patience), name="patience")
            main.add_done_callback(lambda _: late.cancel())


async def _awaited(result: Awaitable[None]) -> None:
    await result


async def _cancel_when_late(main: asyncio.Task[None], stop: asyncio.Event, patience: float) -> None:
    await stop.wait()
    if patience > 0:
        await asyncio.sleep(patience)
        _log.error("stopping took too long; cancelled", seconds=patience)
    main.cancel()


def _stop_at_end_of_input(stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    descriptor = sys.stdin.fileno()

    def read() -> None:
        if not os.read(descriptor, 4096):
            loop.remove_reader(descriptor)
            stop.set()

    loop.add_reader(descriptor, read)


def _add_with_parent(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--with-parent",
        action="store_true",
        help="stop when standard input ends, that is with the process that holds it open",
    )
