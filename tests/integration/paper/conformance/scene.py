"""One run of the exchange that answers everything the samples show."""

import os
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
from positiond.bybit.paper.server import PaperServer
from positiond.bybit.vocab import Category, OptionsType

from ..client import Client, Stream

ROOT = Path(__file__).parents[4]
SAMPLES = Path(os.environ.get("POSITIOND_BYBIT_SAMPLES", ROOT.parent / "shared/bybit-samples"))
RICH = {"USDT": Decimal(1_000_000), "USDC": Decimal(1_000_000), "BTC": Decimal(10)}
BTC = "category=linear&symbol=BTCUSDT"
TOPICS = ("order", "execution", "position", "wallet", "execution.fast")


class Scene:
    """Replies and frames by the name of the sample they are held against."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.got: dict[str, Any] = {}

    async def get(self, name: str, path: str, query: str = "") -> Any:
        reply = await self.client.get(path, query)
        assert reply["retCode"] == 0, (path, query, reply)
        self.got[f"rest/{name}"] = reply
        return reply["result"]

    async def post(self, name: str, path: str, **body: Any) -> Any:
        reply = await self.client.post(path, **body)
        assert reply["retCode"] == 0, (path, body, reply)
        self.got[f"rest/{name}"] = reply
        return reply["result"]

    def option(self) -> str:
        """A put that settles in USDT."""
        listed = self.client.paper.venue.market.listing.of(Category.OPTION)
        return next(
            i.symbol
            for i in listed
            if i.option and i.option.kind is OptionsType.PUT and i.settle == "USDT"
        )

    def future(self) -> str:
        listed = self.client.paper.venue.market.listing.of(Category.LINEAR)
        return next(i.symbol for i in listed if i.delivery_ms)


async def play() -> dict[str, Any]:
    """Everything once, over REST and all streams, with the clock in our hands."""
    async with (
        aiohttp.ClientSession() as http,
        PaperServer(seed=7, clock="manual") as paper,
    ):
        client = Client(http, paper, paper.add_account("alice", balances=RICH))
        scene = Scene(client)
        await _market(scene)
        await _streams(scene)
        await _account(scene)
        await _trade(scene)
        return scene.got


async def _market(scene: Scene) -> None:
    await scene.get("time-1", "/v5/market/time")
    info, option = "/v5/market/instruments-info", scene.option()
    await scene.get("instrument-1", info, BTC)
    await scene.get("instrument-2", info, BTC)
    await scene.get("instrument-3", info, f"category=option&symbol={option}")
    await scene.get("instrument-4", info, "category=spot&symbol=BTCUSDT")
    tickers = "/v5/market/tickers"
    await scene.get("tickers-1", tickers, "category=inverse&symbol=BTCUSD")
    await scene.get("tickers-2", tickers, f"category=option&symbol={option}")
    await scene.get("tickers-3", tickers, "category=spot&symbol=BTCUSDT")


async def _streams(scene: Scene) -> None:
    """The acks, pongs and snapshots of each public channel."""
    listed = (
        ("ticker-1", "linear", "BTCUSDT"),
        ("ticker-2", "linear", scene.future()),
        ("ticker-3", "option", scene.option()),
        ("ticker-4", "spot", "BTCUSDT"),
    )
    acks = {"linear": "12", "option": "13", "spot": "11"}
    pongs = {"linear": "4", "option": "5", "spot": "3"}
    for name, category, symbol in listed:
        url = f"{scene.client.paper.url}/v5/public/{category}"
        stream = Stream(await scene.client.http.ws_connect(url))
        identified = {"req_id": "10001"} if category == "spot" else {}
        ack = await stream.ask(op="subscribe", args=[f"tickers.{symbol}"], **identified)
        scene.got[f"ws/wss-authentication-{acks[category]}"] = ack
        scene.got[f"ws/{name}"] = await stream.pushed(f"tickers.{symbol}")
        pong = await stream.ask(op="ping")
        scene.got[f"ws/wss-authentication-{pongs[category]}"] = pong


async def _account(scene: Scene) -> None:
    await scene.get("account-info-1", "/v5/account/info")
    await scene.get("apikey-info-1", "/v5/user/query-api")
    await scene.get("wallet-balance-1", "/v5/account/wallet-balance", "accountType=UNIFIED")


async def _trade(scene: Scene) -> None:
    client = scene.client
    private = await client.stream(*TOPICS)
    scene.got["ws/wss-authentication-2"], scene.got["ws/wss-authentication-10"] = private.frames
    scene.got["ws/wss-authentication-6"] = await private.ask(op="ping", req_id="test")

    create = "/v5/order/create"
    btc = {"category": "linear", "symbol": "BTCUSDT"}
    await scene.post(
        "create-order-9", create, **btc, side="Buy", orderType="Market", qty="0.1", orderLinkId="a"
    )
    await client.control("POST", "step", ms=200)
    await _hear(scene, private)
    client.paper.trade(client.account, scene.option(), "Buy", "0.1", category="option")
    await client.control("POST", "step", ms=200)
    scene.got["ws/order-2"] = await private.next(_is_an_option_s)
    await scene.get("execution-1", "/v5/execution/list", BTC)
    limit = {**btc, "side": "Buy", "orderType": "Limit", "qty": "0.1", "price": "99500.0"}
    made = await scene.post("create-order-9", create, **limit, orderLinkId="b")
    await client.control("POST", "step", ms=200)
    await scene.get("open-order-1", "/v5/order/realtime", BTC)
    await scene.post("cancel-order-2", "/v5/order/cancel", **btc, orderId=made["orderId"])
    close = {**btc, "side": "Sell", "orderType": "Market", "qty": "0.1", "reduceOnly": True}
    await scene.post("create-order-9", create, **close)
    await client.control("POST", "step", ms=3000)
    await scene.get("close-pnl-1", "/v5/position/closed-pnl", "category=linear")
    await scene.get("order-list-1", "/v5/order/history", BTC)

    inverse = {"category": "inverse", "symbol": "BTCUSD", "side": "Sell", "qty": "300"}
    await client.post(create, **inverse, orderType="Market")
    await client.control("POST", "step", ms=200)
    await scene.get("position-1", "/v5/position/list", "category=inverse&symbol=BTCUSD")
    pair = [
        {"symbol": "BTCUSDT", "side": "Buy", "orderType": "Limit", "qty": "0.05", "price": price}
        for price in ("99500.0", "99400.0")
    ]
    await scene.post("batch-place-2", "/v5/order/create-batch", category="spot", request=pair)


def _is_an_option_s(frame: dict[str, Any]) -> bool:
    return frame.get("topic") == "order" and frame["data"][0]["category"] == "option"


async def _hear(scene: Scene, private: Stream) -> None:
    """The first frame of each topic."""
    samples = {
        "order": "order-2",
        "execution": "execution-2",
        "position": "position-2",
        "wallet": "wallet-2",
        "execution.fast": "fast-execution-2",
    }
    while missing := [topic for topic, name in samples.items() if f"ws/{name}" not in scene.got]:
        frame = await private.next(lambda frame: "topic" in frame)
        if frame["topic"] in missing:
            scene.got[f"ws/{samples[frame['topic']]}"] = frame
