"""`positiond demo`: what it says, and what happens on its stage."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Final

from . import logs
from .config import LogConfig, default_data_dir
from .daemon_api import ApiRefused, DaemonApi
from .demo_cast import ALTERATION, ALTERED
from .demo_stage import Options, Stage, staged
from .domain.errors import PositiondError, StoreUnavailable
from .domain.model import Side
from .paper_control import PaperControl
from .presence import pids_in
from .serving import until_stopped
from .waiting import poll, until

_PORT: Final = 8080
_PAPER_PORT: Final = 8081
_ALTER_AFTER: Final = 60.0
_LOOK_EVERY: Final = 1.0


def add_demo_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--port", type=int, default=_PORT, help="of the dashboard (default %(default)s, 0: free)")
    add("--paper-port", type=int, default=_PAPER_PORT, help="of the exchange (%(default)s)")
    add("--data", type=Path, metavar="DIR", help="kept between starts (default: one of its own)")
    add("--fresh", action="store_true", help="forget what earlier starts left in DIR")
    add("--json", action="store_true", help="one line of JSON on stdout when all is ready")
    add("--alter-after", type=float, default=_ALTER_AFTER, help=argparse.SUPPRESS)


def run_demo(args: argparse.Namespace) -> int:
    """Run until Ctrl-C; everything it started is gone when it returns."""
    logs.configure(LogConfig(level="warning", format="console"))
    data_dir = args.data or default_data_dir(os.environ, "positiond-demo")
    options = Options(data_dir.absolute(), args.port, args.paper_port, fresh=args.fresh)
    voice = Voice(as_json=args.json)

    async def demo(stop: asyncio.Event) -> None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, stop.set)
        voice.say("Starting Postgres, the paper exchange and the daemon ...")
        async with staged(options) as stage:
            voice.ready(stage, args.alter_after)
            async with asyncio.TaskGroup() as group:
                group.create_task(_watch_daemon(stage, options.data_dir, voice))
                group.create_task(_watch_paper(stage, voice))
                group.create_task(_alter(stage, args.alter_after, voice))

    asyncio.run(until_stopped(demo, patience=0))
    voice.say("Stopped; the positions are kept for the next start.")
    return 0


class Voice:
    """Speaks to a person on stdout, or, with `--json`, one line there and the rest on stderr."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json

    def say(self, text: str) -> None:
        print(text, file=sys.stderr if self._as_json else sys.stdout, flush=True)

    def ready(self, stage: Stage, alter_after: float) -> None:
        if self._as_json:
            print(json.dumps(_facts(stage)), flush=True)
            return
        found = "found again" if stage.found_again else "opened on the paper exchange"
        self.say(f"""
  Dashboard   {stage.url}
  Sign in     {stage.sign_in_url}

  The positions of two accounts were {found}, and their P&L is moving.
  In {alter_after:.0f} seconds somebody will sell {ALTERATION.quantity} DOT by hand: then
  "{ALTERED.name}" turns Altered, because Bybit no longer holds what was recorded.
  Press Close on any row: it is closed with reduce-only market orders, its own share only.

  Exchange    {stage.paper_url}  (Bybit V5 on this machine; no money moves)
  API token   {stage.token}

  Ctrl-C stops everything. The next start finds these positions again; ARGS=--fresh forgets them.
""")


async def _watch_daemon(stage: Stage, data_dir: Path, voice: Voice) -> None:
    """A daemon that was killed by hand is the visitor's experiment: say so and stay up."""
    how = await stage.daemon.wait()
    while True:
        voice.say(f"The daemon {how}. Start it again with:\n  {stage.serve_command}")
        await until(lambda: pids_in(data_dir, "daemon"), every=_LOOK_EVERY)
        voice.say("A daemon runs again.")
        await until(lambda: not pids_in(data_dir, "daemon"), every=_LOOK_EVERY)
        how = "ended"


async def _watch_paper(stage: Stage, voice: Voice) -> None:
    how = await stage.paper.wait()
    voice.say(f"The paper exchange {how}. Stop with Ctrl-C and start the demo again.")


async def _alter(stage: Stage, after: float, voice: Voice) -> None:
    """The scripted hand trade; once the position is altered or closed, there is nothing to do."""
    await asyncio.sleep(after)
    async with DaemonApi(stage.url, stage.token) as api:
        verdict = await poll(lambda: _verdict(api), lambda found: found != "unverified")
    if verdict != "in_sync":
        voice.say(f'"{ALTERED.name}" is {verdict} already: no hand trade this time.')
        return
    key = next(keys.key for account, keys in stage.accounts if account.label == ALTERED.account)
    try:
        async with PaperControl(stage.paper_url) as control:
            done = await control.trade(key, ALTERATION)
    except PositiondError as error:
        voice.say(f"The hand trade did not happen: {error.detail}")
        return
    verb = "sold" if ALTERATION.side is Side.SELL else "bought"
    voice.say(f'{done.quantity} {ALTERATION.symbol} {verb} by hand: "{ALTERED.name}" is altered.')


async def _verdict(api: DaemonApi) -> str:
    """The altered-to-be position's verdict; `closed` when it is no longer open."""
    try:
        positions = await api.positions()
    except (StoreUnavailable, ApiRefused):
        return "unverified"
    for position in positions:
        if position.get("external_id") == ALTERED.key:
            return "closing" if position["status"] == "CLOSING" else str(position["verdict"])
    return "closed"


def _facts(stage: Stage) -> dict[str, object]:
    return {
        "url": stage.url,
        "sign_in_url": stage.sign_in_url,
        "token": stage.token,
        "paper_url": stage.paper_url,
        "accounts": [
            {"id": str(account.id), "label": account.label, "key": keys.key, "secret": keys.secret}
            for account, keys in stage.accounts
        ],
        "daemon_pid": stage.daemon.pid,
        "paper_pid": stage.paper.pid,
        "database_url": stage.database_url,
        "serve_command": stage.serve_command,
    }
