"""`make chaos N=… SEED=…`: so many accounts closed under fire, judged by the exchange's books."""

from __future__ import annotations

import argparse
import asyncio
import logging
import secrets
import sys
from pathlib import Path

from positiond.daemon import logs
from positiond.daemon.config import LogConfig

from tests.chaos.campaign import Campaign, Order
from tests.chaos.markets import FRACTIONS_OFFERED, MARKETS, OFFERED


def main() -> int:
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("runs", type=int, nargs="?", default=50)
    parser.add_argument("--seed", type=int, help="of the first batch (default: a new one)")
    parser.add_argument(
        "--batch", type=int, default=25, help="runs that share a daemon (%(default)s)"
    )
    parser.add_argument("--lanes", type=int, default=3, help="batches at a time (%(default)s)")
    parser.add_argument("--seconds", type=float, help="start no batch later than this")
    parser.add_argument("--markets", nargs="+", choices=sorted(MARKETS), default=list(OFFERED))
    parser.add_argument(
        "--fractions", action=argparse.BooleanOptionalAction, default=FRACTIONS_OFFERED
    )
    parser.add_argument("--journal", type=Path, default=Path("build/chaos"), metavar="DIR")
    args = parser.parse_args()
    logs.configure(LogConfig(level="error", format="console"))
    # Streams that are cut while they open are meant, and the exchange runs in this process.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    seed = secrets.randbelow(10**6) if args.seed is None else args.seed
    order = Order(
        args.runs,
        seed,
        args.batch,
        args.lanes,
        args.seconds,
        tuple(args.markets),
        args.fractions,
        args.journal,
    )
    return asyncio.run(Campaign(order).run())


if __name__ == "__main__":
    sys.exit(main())
