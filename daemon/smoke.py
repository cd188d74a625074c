"""`positiond smoke`: a position's whole life against the paper exchange, testnet or demo.

Everything real: the gateway, a private daemon on a database of its own, the HTTP API. The only
thing here that the daemon never does is to open: a position has to exist before it can be closed.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Final
from uuid import uuid4

from ..bybit.gateway import open_gateway
from ..bybit.opening import Opener
from . import logs
from .config import LogConfig, load
from .domain.errors import InvalidInput
from .domain.model import Account, AccountId, Category, Credentials, Environment, Side, UserId
from .secret_input import read_key_pair
from .serving import until_stopped
from .smoke_life import Life, World
from .smoke_report import Report

_SYMBOLS: Final = ("BTCUSDT", "ETHUSDT")
_ALLOWED: Final = (Environment.PAPER, Environment.TESTNET, Environment.DEMO)
_HOSTS_END: Final = ("_REST_URL", "_WS_URL", "_PAPER_URL")


def add_smoke_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--env", default="paper", metavar="ENV", help="paper, testnet or demo; never mainnet")
    add("--symbols", default=",".join(_SYMBOLS), help="the two legs (default %(default)s)")
    add("--report", type=Path, metavar="FILE", help="write what happened as JSON")
    add(
        "--key-file",
        type=Path,
        metavar="FILE",
        help="API key and secret on two lines (else POSITIOND_SMOKE_KEY and _SECRET, else asked)",
    )


def run_smoke(args: argparse.Namespace) -> int:
    """0 when every step passed; the account is left as it was found either way."""
    environment = _environment(args.env)
    symbols = _pair(args.symbols)
    logs.configure(LogConfig(level="error", format="console"))
    report = Report(environment.value, lambda line: print(line, flush=True))

    async def smoke(_stop: asyncio.Event) -> None:
        async with _world(environment, args.key_file, report) as world:
            await Life(world, symbols, report).live()

    try:
        asyncio.run(until_stopped(smoke, patience=0))
    finally:
        if args.report is not None:
            report.write(args.report)
    if not report.passed:
        print("positiond: interrupted", file=sys.stderr)
        return 1
    print(f"{len(report.steps)} steps passed against {environment}")
    return 0


def _environment(text: str) -> Environment:
    if text not in _ALLOWED:
        why = "never runs on mainnet" if text == Environment.MAINNET else f"knows no {text!r}"
        raise InvalidInput("bad-environment", f"the smoke test {why}: paper, testnet or demo")
    return Environment(text)


def _pair(text: str) -> tuple[str, str]:
    first, _, second = text.partition(",")
    if not first or not second or "," in second or first == second:
        raise InvalidInput("bad-symbols", f"--symbols wants two different symbols, not {text!r}")
    return first, second


@asynccontextmanager
async def _world(
    environment: Environment, key_file: Path | None, report: Report
) -> AsyncIterator[World]:
    """The exchange, a key for it, and a configuration for a daemon that knows nothing else."""
    environ = {name: value for name, value in os.environ.items() if name.endswith(_HOSTS_END)}
    async with AsyncExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="positiond-smoke-")))
        own_paper: Credentials | None = None
        if environment is Environment.PAPER and "POSITIOND_PAPER_URL" not in environ:
            from ..bybit.paper.server import PaperServer

            paper = await stack.enter_async_context(PaperServer())
            environ["POSITIOND_PAPER_URL"] = paper.url
            made = paper.add_account("smoke")
            own_paper = Credentials(made.key, made.secret)
        environ["POSITIOND_DATA_DIR"] = str(scratch)
        environ["POSITIOND_HTTP_PORT"] = "0"
        config = load(environ, lambda _name: None)
        gateway = await stack.enter_async_context(open_gateway(config.hosts))
        # Asked first: whoever has no network should not be asked for a key.
        async with report.step("clock") as step:
            client = gateway.client(environment)
            await client.measure_clock()
            step.note = f"the exchange is {client.clock.offset.total_seconds() * 1000:+.0f} ms off"
        credentials = own_paper or read_key_pair(key_file)
        account = Account(
            AccountId(uuid4()), UserId(uuid4()), "smoke", environment, credentials.key
        )
        opener = Opener(gateway, account, credentials)

        async def open_at_market(symbol: str, side: Side, quantity: Decimal) -> None:
            link_id = f"smoke-{uuid4().hex[:24]}"
            await opener.open_at_market(Category.LINEAR, symbol, side, quantity, link_id)

        yield World(account, credentials, config, gateway, open_at_market)
