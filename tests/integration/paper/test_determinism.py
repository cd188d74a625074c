"""Under the manual clock the same seed, steps and requests give the same books, byte for byte."""

import json
from pathlib import Path

import aiohttp
from positiond.bybit.paper.server import PaperServer

from .client import Client

Run = tuple[bytes, list[str]]


async def play(http: aiohttp.ClientSession, seed: int, data_dir: Path | None = None) -> Run:
    """The state after a fixed script, and the private frames on the way."""
    async with PaperServer(seed=seed, clock="manual", data_dir=data_dir) as paper:
        alice = Client(http, paper, paper.add_account("alice"))
        stream = await alice.stream("order", "execution", "position", "wallet")
        await alice.control("POST", "step", ms=1000)
        await alice.market("Buy", "3", orderLinkId="a")
        await alice.control("POST", "step", ms=20)
        await alice.market("Sell", "1.5", reduceOnly=True, orderLinkId="b")
        await alice.control("POST", "step", ms=30)
        await alice.market("Sell", "2", orderLinkId="c")
        await alice.control("POST", "step", ms=5000)
        state = await alice.control("GET", "state")
        seen: list[str] = []
        while len(seen) < 12:
            seen.append(json.dumps(await stream.next(lambda frame: "topic" in frame)))
        return json.dumps(state).encode(), seen


async def test_the_same_script_gives_the_same_books_and_frames(
    http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    first = await play(http, 3)
    assert first == await play(http, 3, tmp_path)
    assert first[0] != (await play(http, 4))[0]


async def test_nothing_happens_between_steps(carol: Client) -> None:
    made = await carol.market("Buy", "0.1")
    query = f"category=linear&orderId={made['result']['orderId']}"
    (row,) = (await carol.get("/v5/order/realtime", query))["result"]["list"]
    assert row["orderStatus"] == "New"
    await carol.control("POST", "step", ms=20)
    (row,) = (await carol.get("/v5/order/realtime", query))["result"]["list"]
    assert row["orderStatus"] == "Filled"
