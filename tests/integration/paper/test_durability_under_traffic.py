"""`kill -9` at random moments of busy traffic: what was acknowledged or told is there again, and
the books are whole, as an independent replay of all executions shows."""

import asyncio
import random
import signal
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from positiond.bybit.paper.listing import default_listing
from positiond.bybit.paper.model import Execution
from positiond.bybit.paper.records import from_json

from tests.property.paper.flow import deal_of
from tests.property.paper.slow_model import SlowAccount

from .client import Client, Stream
from .test_durability import Child, client_of

# An exchange that dies by its own hand while it stores the changes of its nth request.
MORTAL = """
import asyncio, os, signal, sys
from pathlib import Path
from positiond.bybit.paper.ledger import SqliteLedger
from positiond.bybit.paper.server import PaperOptions, run_paper

place, left = sys.argv[2], int(sys.argv[3])

class Database:
    def __init__(self, real):
        self.real = real
    def __getattr__(self, name):
        return getattr(self.real, name)
    def execute(self, sql, *more):
        if left == 0 and sql == "COMMIT" and place == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        done = self.real.execute(sql, *more)
        if left == 0 and sql == "COMMIT" and place == "after":
            os.kill(os.getpid(), signal.SIGKILL)
        return done
    def executemany(self, sql, rows):
        global left
        left -= any(kind == "execution" for kind, _, _ in rows)
        if left == 0 and place == "amid":
            self.real.executemany(sql, rows[: len(rows) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        return self.real.executemany(sql, rows)

made = SqliteLedger.__init__
def make(self, *args, **more):
    made(self, *args, **more)
    self._db = Database(self._db)
SqliteLedger.__init__ = make

options = PaperOptions(port=0, key="k", secret="s", data=Path(sys.argv[1]))
asyncio.run(run_paper(options, lambda url: print(url, flush=True)))
"""
SYMBOLS = ("BTCUSDT", "ETHUSDT", "XRPUSDT")
QTY = {"BTCUSDT": "0.01", "ETHUSDT": "0.1", "XRPUSDT": "50"}


@dataclass
class Witness:
    """What a client was told over all lives of the exchange."""

    placed: dict[str, str] = field(default_factory=dict)
    cancelled: set[str] = field(default_factory=set)
    traded: set[str] = field(default_factory=set)
    fills: dict[str, str] = field(default_factory=dict)


async def trade(alice: Client, rng: random.Random, witness: Witness, name: str) -> None:
    """Orders, cancels and hand trades until the line is cut; what is not acked is not noted."""
    n = 0
    while True:
        n += 1
        symbol = rng.choice(SYMBOLS)
        side = rng.choice(("Buy", "Sell"))
        at = {"category": "linear", "symbol": symbol}
        link = f"{name}-{n}"
        what = rng.random()
        if what < 0.5:
            body = {"account": "k", "symbol": symbol, "side": side, "qty": QTY[symbol]}
            reply = await alice.control("POST", "trade", **body)
            if reply["status"] == 200:
                witness.traded.add(reply["order"]["orderId"])
        elif what < 0.9:
            order = at | {"side": side, "qty": QTY[symbol], "orderLinkId": link}
            order |= {"orderType": "Limit", "price": "1"} if what < 0.6 else {"orderType": "Market"}
            reply = await alice.post("/v5/order/create", **order)
            if reply["retCode"] == 0:
                witness.placed[link] = reply["result"]["orderId"]
        elif witness.placed:
            gone = rng.choice(sorted(witness.placed))
            reply = await alice.post("/v5/order/cancel", **at, orderLinkId=gone)
            if reply["retCode"] == 0:
                witness.cancelled.add(gone)


async def listen(stream: Stream, witness: Witness) -> None:
    while True:
        frame = await stream.pushed("execution")
        for row in frame["data"]:
            witness.fills[row["execId"]] = row["execQty"]


async def live_and_die(
    http: aiohttp.ClientSession, directory: Path, rng: random.Random, witness: Witness, name: str
) -> None:
    """One life of the exchange under traffic, ended by `kill -9` at a random moment."""
    await under_traffic(
        http, await Child.start(directory), rng, witness, name, rng.uniform(0.2, 0.7)
    )


async def under_traffic(
    http: aiohttp.ClientSession,
    child: Child,
    rng: random.Random,
    witness: Witness,
    name: str,
    seconds: float,
) -> None:
    """Traffic until the exchange dies, by itself or else after so many seconds."""
    alice = client_of(http, child)
    stream = await alice.stream("execution")
    tasks = [asyncio.create_task(trade(alice, rng, witness, f"{name}{lane}")) for lane in "ab"]
    tasks.append(asyncio.create_task(listen(stream, witness)))
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await child.process.wait()
    if child.process.returncode is None:
        await child.kill()
    # Each of them ends by the loss of its line.
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(end, aiohttp.ClientError | TypeError | OSError) for end in ends), ends


def check(state: Mapping[str, Any], witness: Witness) -> None:
    orders = {row["order_id"]: row for row in state["orders"]}
    by_link = {row["link_id"]: row for row in orders.values() if row["link_id"]}
    assert {link: by_link[link]["order_id"] for link in witness.placed} == witness.placed
    assert {by_link[link]["status"] for link in witness.cancelled} <= {"Cancelled"}
    assert {orders[order_id]["status"] for order_id in witness.traded} <= {"Filled"}
    executions = [_execution(row) for row in state["executions"]]
    told = {e.exec_id: format(e.qty, "f") for e in executions}
    assert len(told) == len(executions)
    assert witness.fills.items() <= told.items()
    filled: dict[str, Decimal] = {}
    slow = SlowAccount()
    slow.coins["USDT"] += 1_000_000
    listing = default_listing()
    for execution in sorted(executions, key=lambda e: e.serial):
        slow.play(deal_of(execution, listing.get(execution.category, execution.symbol)))
        order_id = execution.order_id
        filled[order_id] = filled.get(order_id, Decimal(0)) + execution.qty
    assert {o: Decimal(row["cum_qty"]) for o, row in orders.items() if o in filled} == filled
    wallet = next(w for w in state["wallets"] if w["coin"] == "USDT" and w["uid"] == "100001")
    assert Decimal(wallet["balance"]) == slow.coins["USDT"]
    for row in state["positions"]:
        holding = slow.holdings[row["category"], row["symbol"], row["idx"]]
        assert Decimal(row["size"]) == abs(holding.net)
        assert Decimal(row["avg_price"]) == holding.entry


def _execution(row: Mapping[str, Any]) -> Execution:
    record = from_json("execution", orjson.dumps(row))
    assert isinstance(record, Execution)
    return record


async def check_after_restart(
    http: aiohttp.ClientSession, directory: Path, witness: Witness
) -> None:
    child = await Child.start(directory)
    try:
        check(await client_of(http, child).control("GET", "state"), witness)
    finally:
        await child.kill()


async def many_lives(http: aiohttp.ClientSession, directory: Path, seed: int, lives: int) -> None:
    rng, witness = random.Random(seed), Witness()
    for n in range(lives):
        await live_and_die(http, directory, rng, witness, f"{n}")
        await check_after_restart(http, directory, witness)
    assert witness.placed
    assert witness.traded
    assert witness.fills


@pytest.mark.thorough
async def test_nothing_acknowledged_is_lost_or_torn_by_kill_9(
    http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    await many_lives(http, tmp_path, seed=1, lives=2)


@pytest.mark.parametrize("place", ["amid", "before", "after"])
async def test_a_death_while_storing_leaves_all_of_a_change_or_nothing(
    http: aiohttp.ClientSession, tmp_path: Path, place: str
) -> None:
    witness = Witness()
    child = await Child.start(tmp_path, MORTAL, place, "6")
    await under_traffic(http, child, random.Random(place), witness, "a", seconds=20)
    assert child.process.returncode == -signal.SIGKILL
    assert witness.traded
    await check_after_restart(http, tmp_path, witness)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(2, 6))
async def test_nothing_is_lost_over_many_lives(
    http: aiohttp.ClientSession, tmp_path: Path, seed: int
) -> None:
    await many_lives(http, tmp_path, seed, lives=15)
