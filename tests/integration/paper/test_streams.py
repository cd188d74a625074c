"""Streams over real sockets: snapshot and deltas, private frames, cuts, slow readers."""

from typing import Any

import aiohttp
from positiond.bybit.paper.server import PaperServer

from .client import Client


async def test_tickers_start_with_a_snapshot_and_go_on_with_sparse_deltas(alice: Client) -> None:
    stream = await alice.stream("tickers.BTCUSDT", account=False)
    snapshot = await stream.pushed("tickers.BTCUSDT")
    assert snapshot["type"] == "snapshot"
    state = dict(snapshot["data"])
    sizes = set()
    for _ in range(12):
        delta = await stream.pushed("tickers.BTCUSDT")
        assert delta["type"] == "delta"
        assert delta["ts"] >= snapshot["ts"]
        sizes.add(len(delta["data"]))
        state |= delta["data"]
    assert max(sizes) < len(state)
    await alice.control("POST", "pause")
    row = (await alice.get("/v5/market/tickers", "category=linear&symbol=BTCUSDT"))["result"]
    while state["markPrice"] != row["list"][0]["markPrice"]:
        state |= (await stream.pushed("tickers.BTCUSDT"))["data"]
    assert state["bid1Price"] == row["list"][0]["bid1Price"]


async def test_a_second_reader_gets_a_snapshot_of_the_same_state(carol: Client) -> None:
    first = await carol.stream("tickers.BTCUSDT", account=False)
    state = dict((await first.pushed("tickers.BTCUSDT"))["data"])
    await carol.control("POST", "step", ms=3000)
    second = await carol.stream("tickers.BTCUSDT", account=False)
    fresh = (await second.pushed("tickers.BTCUSDT"))["data"]
    for _ in range(30):
        if state == fresh:
            break
        state |= (await first.pushed("tickers.BTCUSDT"))["data"]
    assert state == fresh


async def test_the_best_quote_is_always_a_snapshot_and_repeats_itself(carol: Client) -> None:
    stream = await carol.stream("orderbook.1.BTCUSDT", account=False)
    first = await stream.pushed("orderbook.1.BTCUSDT")
    await carol.control("POST", "pause")
    # A trade moves the last price and leaves the best quote as it was: nothing to tell.
    carol.paper.trade(carol.account, "BTCUSDT", "Buy", "0.1")
    await carol.control("POST", "step", ms=3200)
    again = await stream.pushed("orderbook.1.BTCUSDT")
    assert again["type"] == "snapshot"
    assert again["data"]["u"] == first["data"]["u"]
    assert again["ts"] - first["ts"] >= 3000
    await carol.control("POST", "resume")
    await carol.control("POST", "step", ms=1000)
    moved = await stream.pushed("orderbook.1.BTCUSDT")
    assert moved["data"]["u"] == first["data"]["u"] + 1


async def test_a_close_is_told_on_four_topics_in_their_own_words(carol: Client) -> None:
    carol.paper.trade(carol.account, "BTCUSDT", "Buy", "0.3")
    await carol.control("POST", "step", ms=100)
    stream = await carol.stream("order", "execution", "position", "wallet")
    made = await carol.market("Sell", "0.3", reduceOnly=True, orderLinkId="close-1")
    await carol.control("POST", "step", ms=100)
    frames: dict[str, Any] = {}
    while len(frames) < 4:
        frame = await stream.next(lambda frame: "topic" in frame)
        frames[frame["topic"]] = frame
    (order,) = frames["order"]["data"]
    (fill,) = frames["execution"]["data"]
    (position,) = frames["position"]["data"]
    assert order["orderId"] == fill["orderId"] == made["result"]["orderId"]
    assert (order["orderStatus"], order["reduceOnly"], order["leavesQty"]) == ("Filled", True, "0")
    assert (order["category"], fill["category"], position["category"]) == ("linear",) * 3
    assert (position["side"], position["size"], position["entryPrice"]) == ("", "0", "0")
    assert "avgPrice" not in position
    assert fill["seq"] == position["seq"]
    assert (fill["closedSize"], fill["isMaker"]) == ("0.3", False)
    coin = frames["wallet"]["data"][0]["coin"][0]
    balance = await carol.get("/v5/account/wallet-balance", "accountType=UNIFIED")
    assert coin["walletBalance"] == balance["result"]["list"][0]["coin"][0]["walletBalance"]


async def test_categorised_and_fast_topics_carry_their_own_names(carol: Client) -> None:
    stream = await carol.stream("order.linear", "execution.fast.linear", "position.inverse")
    carol.paper.trade(carol.account, "BTCUSDT", "Buy", "0.3")
    await carol.control("POST", "step", ms=100)
    frames = [await stream.next(lambda f: "topic" in f) for _ in range(2)]
    assert {frame["topic"] for frame in frames} == {"order.linear", "execution.fast.linear"}
    (fast,) = (f for f in frames if f["topic"] == "execution.fast.linear")
    assert "id" not in fast
    assert set(fast["data"][0]) == {
        "category",
        "symbol",
        "execId",
        "execPrice",
        "execQty",
        "orderId",
        "isMaker",
        "orderLinkId",
        "side",
        "execTime",
        "seq",
    }


async def test_one_account_never_hears_of_another(
    http: aiohttp.ClientSession, manual: PaperServer, carol: Client
) -> None:
    dave = Client(http, manual, manual.add_account("dave"))
    stream = await carol.stream("order", "wallet")
    manual.trade(dave.account, "BTCUSDT", "Buy", "0.1")
    manual.trade(carol.account, "ETHUSDT", "Buy", "1")
    await carol.control("POST", "step", ms=100)
    assert (await stream.pushed("order"))["data"][0]["symbol"] == "ETHUSDT"
    assert not [f for f in stream.frames if "BTCUSDT" in str(f)]


async def test_a_client_that_stays_silent_is_closed(http: aiohttp.ClientSession) -> None:
    async with (
        PaperServer(seed=1, idle_s=0.2) as paper,
        http.ws_connect(f"{paper.url}/v5/public/linear") as socket,
    ):
        message = await socket.receive(timeout=5)
        assert message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)


async def test_a_cut_ends_every_stream_at_once(alice: Client) -> None:
    private = await alice.stream("order")
    public = await alice.stream("tickers.BTCUSDT", account=False)
    assert (await alice.control("POST", "cut"))["cut"] == 2
    for stream in (private, public):
        while not stream.socket.closed:
            await stream.socket.receive(timeout=5)
