"""The public channel of each category: what it pushes, and how it spells it."""

import json
from typing import Any

import pytest
from positiond.bybit.paper.server import PaperServer
from positiond.bybit.vocab import Category

from .client import Client, Stream

LISTED = {"linear": "BTCUSDT", "inverse": "BTCUSD", "spot": "BTCUSDT"}


def symbol_of(paper: PaperServer, category: str) -> str:
    if category in LISTED:
        return LISTED[category]
    return next(i.symbol for i in paper.venue.market.listing.of(Category.OPTION))


def dated_of(paper: PaperServer) -> str:
    linear = paper.venue.market.listing.of(Category.LINEAR)
    return next(i.symbol for i in linear if i.delivery_ms)


async def subscribed(client: Client, category: str, *topics: str) -> Stream:
    url = f"{client.paper.url}/v5/public/{category}"
    stream = Stream(await client.http.ws_connect(url))
    await stream.socket.send_str(json.dumps({"op": "subscribe", "args": topics}))
    return stream


async def pushes(client: Client, stream: Stream, topic: str, count: int) -> list[dict[str, Any]]:
    """The next pushes of a topic while the manual clock goes on."""
    found: list[dict[str, Any]] = []
    while len(found) < count:
        await client.control("POST", "step", ms=3000)
        found.append(await stream.pushed(topic))
    return found


@pytest.mark.parametrize("category", ["linear", "inverse"])
async def test_contracts_send_a_snapshot_and_then_what_changed(
    carol: Client, category: str
) -> None:
    symbol = symbol_of(carol.paper, category)
    stream = await subscribed(carol, category, f"tickers.{symbol}")
    first, second, third = await pushes(carol, stream, f"tickers.{symbol}", 3)
    assert (first["type"], second["type"], third["type"]) == ("snapshot", "delta", "delta")
    assert {"markPrice", "indexPrice", "lastPrice", "bid1Price", "fundingRate"} <= set(
        first["data"]
    )
    assert len(second["data"]) < len(first["data"])
    assert second["data"]["symbol"] == symbol
    assert first["cs"] < second["cs"] <= third["cs"]


async def test_a_dated_future_shows_its_delivery_as_text_and_has_no_funding(carol: Client) -> None:
    symbol = dated_of(carol.paper)
    stream = await subscribed(carol, "linear", f"tickers.{symbol}")
    (first,) = await pushes(carol, stream, f"tickers.{symbol}", 1)
    assert first["data"]["deliveryTime"].endswith("T08:00:00Z")
    assert (first["data"]["fundingRate"], first["data"]["nextFundingTime"]) == ("", "")
    assert "fundingIntervalHour" not in first["data"]


async def test_spot_sends_snapshots_alone_without_bid_ask_or_mark(carol: Client) -> None:
    stream = await subscribed(carol, "spot", "tickers.BTCUSDT", "orderbook.1.BTCUSDT")
    assert (await stream.next())["ret_msg"] == "subscribe"
    for push in await pushes(carol, stream, "tickers.BTCUSDT", 3):
        assert push["type"] == "snapshot"
        assert {"lastPrice", "usdIndexPrice"} <= set(push["data"])
        assert not {"markPrice", "bid1Price", "ask1Price"} & set(push["data"])
    (book,) = await pushes(carol, stream, "orderbook.1.BTCUSDT", 1)
    assert float(book["data"]["b"][0][0]) < float(book["data"]["a"][0][0])


async def test_option_sends_snapshots_with_its_own_names_and_an_id(carol: Client) -> None:
    symbol = symbol_of(carol.paper, "option")
    topic = f"tickers.{symbol}"
    stream = await subscribed(carol, "option", topic, "tickers.NEVER")
    reply = await stream.next()
    assert (reply["type"], reply["data"]["failTopics"]) == ("COMMAND_RESP", ["tickers.NEVER"])
    assert not {"op", "req_id"} & set(reply)
    for push in await pushes(carol, stream, topic, 3):
        assert push["type"] == "snapshot"
        assert push["id"].startswith(f"{topic}-")
        assert "cs" not in push
        assert {"bidPrice", "askPrice", "markPriceIv", "delta", "underlyingPrice"} <= set(
            push["data"]
        )
        assert "bid1Price" not in push["data"]


@pytest.mark.parametrize("category", ["linear", "inverse", "spot", "option"])
async def test_a_ticker_of_the_stream_and_of_rest_agree(carol: Client, category: str) -> None:
    symbol = symbol_of(carol.paper, category)
    stream = await subscribed(carol, category, f"tickers.{symbol}")
    frame = (await stream.pushed(f"tickers.{symbol}"))["data"]
    rows = await carol.get("/v5/market/tickers", f"category={category}&symbol={symbol}")
    (row,) = rows["result"]["list"]
    shared = set(frame) & set(row)
    assert len(shared) >= 9
    assert {name: frame[name] for name in shared} == {name: row[name] for name in shared}
