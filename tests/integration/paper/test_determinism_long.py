"""The same seed, steps and requests: everything a client can see and everything that is kept is
the same byte for byte, in all categories, and also where one of two exchanges was restarted."""

import json
import random
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from positiond.bybit.paper.ledger import FILE_NAME
from positiond.bybit.paper.model import Uid
from positiond.bybit.paper.server import PaperAccount, PaperServer

from .client import Client, Stream

pytestmark = pytest.mark.thorough

SEED = 11
BALANCES = {"USDT": "1000000", "USDC": "1000000", "BTC": "10", "ETH": "100"}
SYMBOLS = {
    "linear": ("BTCUSDT", "1000PEPEUSDT", "ETHPERP"),
    "inverse": ("BTCUSD", "ETHUSD"),
    "spot": ("BTCUSDT", "ETHUSDT"),
    "option": ("BTC-31OCT25-100000-P-USDT", "ETH-31OCT25-3800-P"),
}
KEY, SECRET = "k" * 18, "s" * 36
QTY = {
    "BTCUSDT": "0.013",
    "1000PEPEUSDT": "120000",
    "ETHPERP": "0.4",
    "BTCUSD": "1500",
    "ETHUSD": "900",
    "ETHUSDT": "0.25",
}
PRIVATE = ("order", "execution", "position", "wallet")
# A restart numbers these anew, as the venue does.
COUNTED_ANEW = ("id", "u")

Action = tuple[str, str, dict[str, Any]]


def script(seed: int, count: int) -> list[Action]:
    """(verb, path, body) of random requests, cancels, prices and steps in all categories."""
    rng = random.Random(seed)
    actions: list[Action] = []
    for n in range(count):
        category = rng.choice(list(SYMBOLS))
        symbol = rng.choice(SYMBOLS[category])
        at = {"category": category, "symbol": symbol}
        match rng.choices(["order", "cancel", "list", "time", "step"], [8, 2, 2, 2, 5])[0]:
            case "order":
                actions.append(("POST", "/v5/order/create", at | _order(rng, symbol, n)))
            case "cancel":
                body = at | {"orderLinkId": f"d-{rng.randrange(count)}"}
                actions.append(("POST", "/v5/order/cancel", body))
            case "list":
                path = rng.choice(("order/realtime", "execution/list", "position/list"))
                actions.append(("GET", f"/v5/{path}", at))
            case "time":
                actions.append(_of_the_venue(rng, at))
            case _:
                ms = rng.choice((1, 7, 30, 250, 900))
                actions.append(("POST", "/_paper/step", {"ms": ms}))
    return actions


def _order(rng: random.Random, symbol: str, n: int) -> dict[str, Any]:
    side = rng.choice(("Buy", "Sell"))
    order = {"side": side, "qty": QTY.get(symbol, "0.1"), "orderLinkId": f"d-{n}"}
    if rng.random() < 0.3:
        return order | {"orderType": "Market", "reduceOnly": True}
    if rng.random() < 0.3:
        return order | {"orderType": "Limit", "price": "100000"}
    return order | {"orderType": "Market"}


def _of_the_venue(rng: random.Random, at: dict[str, Any]) -> Action:
    """What no client asks for: a price out of the blue, a position taken away."""
    mark = str(rng.randrange(95_000, 106_000))
    what: dict[str, dict[str, Any]] = {
        "price": {"symbol": "BTCUSDT", "mark": mark},
        "adl": at | {"account": KEY},
        "liquidate": at | {"account": KEY},
        "fund": {"rate": "0.0003"},
        "settle": {},
    }
    name = rng.choice(list(what))
    return "POST", f"/_paper/{name}", what[name]


class Run:
    """One exchange, its only client, and all that was seen so far."""

    def __init__(self, http: aiohttp.ClientSession, directory: Path) -> None:
        self._http = http
        self.directory = directory
        self.replies: list[str] = []
        self.frames: dict[str, list[str]] = {}

    @asynccontextmanager
    async def up(self, *, same_ids: bool) -> AsyncIterator["Session"]:
        async with PaperServer(seed=SEED, clock="manual", data_dir=self.directory) as paper:
            client = Client(self._http, paper, PaperAccount(Uid(""), KEY, SECRET))
            await client.control("POST", "accounts", key=KEY, secret=SECRET, balances=BALANCES)
            yield Session(self, client, same_ids=same_ids)

    def kept(self) -> list[tuple[str, str, bytes]]:
        """Every record on disk, and the prices."""
        database = sqlite3.connect(self.directory / FILE_NAME)
        rows = database.execute("SELECT kind, key, body FROM records ORDER BY kind, key").fetchall()
        prices = database.execute("SELECT 'prices', '', body FROM prices").fetchall()
        database.close()
        return [*rows, *prices]


class Session:
    """A run between two restarts."""

    def __init__(self, run: Run, client: Client, *, same_ids: bool) -> None:
        self._run = run
        self._client = client
        self._same_ids = same_ids

    async def play(self, actions: Sequence[Action]) -> None:
        streams = {name: await self._open(name) for name in (*SYMBOLS, "private")}
        await self.ask(*actions)
        await self._client.control("POST", "step", ms=1500)
        for name, stream in streams.items():
            await stream.socket.send_json({"op": "ping"})
            await stream.next(lambda frame: frame.get("op") in ("ping", "pong"))
            told = [self._shown(frame) for frame in stream.frames if "topic" in frame]
            self._run.frames.setdefault(name, []).extend(told)
            await stream.socket.close()

    async def ask(self, *actions: Action) -> None:
        """Requests without a stream, and without time to settle afterwards."""
        for verb, path, body in actions:
            self._run.replies.append(json.dumps(await self._do(verb, path, body)))

    async def _do(self, verb: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        if path.startswith("/_paper/"):
            return await self._client.control(verb, path.removeprefix("/_paper/"), **body)
        if verb == "GET":
            return await self._client.get(path, "&".join(f"{k}={v}" for k, v in body.items()))
        return await self._client.post(path, **body)

    async def _open(self, name: str) -> Stream:
        if name == "private":
            return await self._client.stream(*PRIVATE)
        url = f"{self._client.paper.url}/v5/public/{name}"
        stream = Stream(await self._client.http.ws_connect(url))
        topics = [f"tickers.{symbol}" for symbol in SYMBOLS[name]]
        if name != "option":
            topics += [f"orderbook.1.{symbol}" for symbol in SYMBOLS[name]]
        reply = await stream.ask(op="subscribe", args=topics)
        assert reply.get("success"), reply
        return stream

    def _shown(self, frame: dict[str, Any]) -> str:
        if not self._same_ids:
            frame = {key: value for key, value in frame.items() if key != "id"}
            if frame["topic"].startswith("orderbook"):
                frame["data"] = {k: v for k, v in frame["data"].items() if k != "u"}
        return json.dumps(frame)


async def test_two_exchanges_show_and_keep_the_same_in_all_categories(
    http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    actions = script(1, 100)
    runs = [Run(http, tmp_path / name) for name in ("one", "two")]
    for run in runs:
        async with run.up(same_ids=True) as session:
            await session.play(actions)
    one, two = runs
    assert one.replies == two.replies
    assert one.frames == two.frames
    assert one.kept() == two.kept()
    assert all(one.frames.values()), "a stream was silent"
    accepted = [reply for reply in one.replies if '"orderId"' in reply]
    assert len(accepted) > 20, "most of it was refused"


async def test_a_restart_midway_changes_nothing(
    http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    actions = script(2, 80)
    first, second = actions[:40], actions[40:]
    steady, restarted = Run(http, tmp_path / "steady"), Run(http, tmp_path / "restarted")
    async with steady.up(same_ids=False) as session:
        await session.play(first)
        await session.play(second)
    for part in (first, second):
        async with restarted.up(same_ids=False) as session:
            await session.play(part)
    assert steady.replies == restarted.replies
    assert steady.frames == restarted.frames
    assert steady.kept() == restarted.kept()


async def test_an_order_in_flight_at_a_restart_is_matched_when_it_would_have_been(
    http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    rng = random.Random(3)
    at = {"category": "linear", "symbol": "BTCUSDT"}
    orders: list[Action] = [
        ("POST", "/v5/order/create", at | _order(rng, "BTCUSDT", n)) for n in range(4)
    ]
    before: list[Action] = [
        ("POST", "/_paper/step", {"ms": 1234}),
        *orders,
        ("POST", "/_paper/step", {"ms": 1}),
    ]
    after: list[Action] = [
        ("GET", "/v5/order/realtime", at),
        ("POST", "/_paper/step", {"ms": 3210}),
    ]
    after.append(("GET", "/v5/execution/list", at))
    steady, restarted = Run(http, tmp_path / "steady"), Run(http, tmp_path / "restarted")
    async with steady.up(same_ids=False) as session:
        await session.ask(*before, *after)
    for part in (before, after):
        async with restarted.up(same_ids=False) as session:
            await session.ask(*part)
    assert '"New"' in steady.replies[-3], "nothing was in flight"
    assert steady.replies == restarted.replies
    assert steady.kept() == restarted.kept()
