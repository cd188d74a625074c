"""Scripted trouble beyond single replies: lists, streams, batches, half fills."""

import asyncio
from typing import Any

import aiohttp
import pytest

from .client import Client, Stream, until

FLAT = "category=linear&settleCoin=USDT"


async def script(client: Client, **fault: Any) -> int:
    made = await client.control("POST", "faults", **fault)
    assert made["status"] == 200, made
    return int(made["id"])


async def fired(client: Client, ident: int) -> int:
    faults = (await client.control("GET", "faults"))["faults"]
    return next(int(fault["fired"]) for fault in faults if fault["id"] == ident)


async def test_a_stale_list_shows_what_was_when_the_fault_was_set(alice: Client) -> None:
    ident = await script(alice, kind="stale_list", where="/v5/order/*")
    await alice.market("Buy", "0.1", orderLinkId="new")
    query = "category=linear&orderLinkId=new"
    assert (await alice.get("/v5/order/realtime", query))["result"]["list"] == []
    assert await fired(alice, ident) == 1
    await alice.control("DELETE", "faults", id=ident)
    assert len((await alice.get("/v5/order/realtime", query))["result"]["list"]) == 1


async def test_a_truncated_list_ends_early_and_has_no_next_page(alice: Client) -> None:
    for symbol in ("BTCUSDT", "ETHUSDT"):
        alice.paper.trade(alice.account, symbol, "Buy", "1")
    await script(alice, kind="truncated_list", where="*/position/list", keep=1)
    page = (await alice.get("/v5/position/list", FLAT))["result"]
    assert [row["symbol"] for row in page["list"]] == ["BTCUSDT"]
    assert page["nextPageCursor"] == ""
    fills = await alice.get("/v5/execution/list", "category=linear")
    assert len(fills["result"]["list"]) >= 2


async def test_half_of_an_order_fills_and_the_rest_is_cancelled(alice: Client) -> None:
    ident = await script(alice, kind="half_fill", where="BTC*", count=1)
    link = (await alice.market("Buy", "0.5"))["result"]["orderId"]

    async def ended() -> dict[str, Any] | None:
        rows = await alice.get("/v5/order/realtime", f"category=linear&orderId={link}")
        (row,) = rows["result"]["list"]
        return dict(row) if row["orderStatus"] == "Cancelled" else None

    assert (await until(ended))["cumExecQty"] == "0.25"
    assert await fired(alice, ident) == 1


async def test_a_fault_may_strike_one_symbol_of_one_account_alone(alice: Client) -> None:
    bob = Client(alice.http, alice.paper, alice.paper.add_account("bob"))
    await script(alice, kind="reject", code=10000, symbol="BTC*", account="alice", count=9)
    assert (await alice.market("Buy", "0.1"))["retCode"] == 10000
    assert (await bob.market("Buy", "0.1"))["retCode"] == 0
    eth = {"category": "linear", "symbol": "ETHUSDT", "side": "Buy", "qty": "1"}
    assert (await alice.post("/v5/order/create", **eth, orderType="Market"))["retCode"] == 0


async def test_one_order_of_a_batch_is_refused_on_demand(alice: Client) -> None:
    await script(alice, kind="reject_item", symbol="ETHUSDT", code=110007, message="no margin")
    order = {"side": "Buy", "orderType": "Market", "qty": "1"}
    body = [{**order, "symbol": symbol} for symbol in ("BTCUSDT", "ETHUSDT")]
    answer = await alice.post("/v5/order/create-batch", category="linear", request=body)
    assert [item["code"] for item in answer["retExtInfo"]["list"]] == [0, 110007]


async def test_a_muted_stream_says_nothing_not_even_pong(carol: Client) -> None:
    stream = await carol.stream("order")
    ident = await script(carol, kind="mute", account="carol")
    await stream.socket.send_str('{"op":"ping"}')
    carol.paper.trade(carol.account, "BTCUSDT", "Buy", "0.1")
    await carol.control("POST", "step", ms=200)
    with pytest.raises(asyncio.TimeoutError):
        await stream.socket.receive(timeout=0.2)
    assert await fired(carol, ident) >= 2
    await carol.control("DELETE", "faults")
    assert (await stream.ask(op="ping"))["op"] == "pong"


async def test_pongs_alone_may_be_lost(carol: Client) -> None:
    stream = await carol.stream("order")
    ident = await script(carol, kind="frame_drop", where="op/ping", count=1)
    await stream.socket.send_str('{"op":"ping","req_id":"lost"}')
    assert (await stream.ask(op="ping", req_id="kept"))["req_id"] == "kept"
    assert await fired(carol, ident) == 1


async def test_dropped_pushes_leave_acks_alone(carol: Client) -> None:
    await script(carol, kind="frame_drop")
    stream = await carol.stream("order")
    assert [frame["success"] for frame in stream.frames] == [True, True]


async def test_public_frames_are_struck_by_topic_and_symbol(carol: Client) -> None:
    stream = await carol.stream("tickers.BTCUSDT", "tickers.ETHUSDT", account=False)
    ident = await script(carol, kind="frame_drop", where="tickers.*", symbol="BTCUSDT")
    seen = len(stream.frames)
    await carol.control("POST", "step", ms=3000)
    while len(stream.frames) < seen + 8:
        await stream.next()
    topics = {frame["topic"] for frame in stream.frames[seen:] if frame.get("type") == "delta"}
    assert topics == {"tickers.ETHUSDT"}
    assert await fired(carol, ident) > 3


@pytest.mark.parametrize(("fault", "status"), [({"kind": "http", "status": 503}, 503), ({}, 403)])
async def test_a_stream_may_be_refused_at_the_door(
    alice: Client, fault: dict[str, Any], status: int
) -> None:
    await script(alice, **{"kind": "reject", **fault}, where="ws/private", count=1)
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await alice.http.ws_connect(alice.paper.url + "/v5/private")
    assert refused.value.status == status
    assert (await alice.stream("order")).frames[0]["success"]


async def test_streams_are_cut_by_kind_and_by_account(alice: Client) -> None:
    bob = Client(alice.http, alice.paper, alice.paper.add_account("bob"))

    async def open_streams() -> list[Stream]:
        public = await alice.stream("tickers.BTCUSDT", account=False)
        return [await alice.stream("order"), await bob.stream("order"), public]

    async def counts() -> dict[str, int]:
        return dict((await alice.control("GET", "state"))["streams"])

    async def left(connections: int, private: int) -> None:
        wanted = {"connections": connections, "private": private}

        async def is_so() -> bool:
            return await counts() == wanted

        await until(is_so)

    held = await open_streams()
    await left(3, 2)
    assert (await alice.control("POST", "cut", account="bob"))["cut"] == 1
    await left(2, 1)
    assert (await alice.control("POST", "cut", kind="public"))["cut"] == 1
    await left(1, 1)
    assert (await alice.control("POST", "cut", kind="private"))["cut"] == 1
    await left(0, 0)
    assert len(held) == 3


async def test_a_skewed_clock_counts_the_looks_at_it(alice: Client) -> None:
    ident = await script(alice, kind="clock_skew", ms=500)
    await alice.get("/v5/market/time")
    assert await fired(alice, ident) > 0


async def test_optional_keys_may_be_missing_on_rest_and_on_the_stream(carol: Client) -> None:
    stream = await carol.stream("position")
    gone = ["seq", "isReduceOnly", "openTime"]
    for where in ("*/position/list", "position"):
        await script(carol, kind="missing_keys", where=where, keys=gone)
    carol.paper.trade(carol.account, "BTCUSDT", "Buy", "0.1")
    await carol.control("POST", "step", ms=200)
    (row,) = (await carol.get("/v5/position/list", FLAT))["result"]["list"]
    (told,) = (await stream.pushed("position"))["data"]
    for shown in (row, told):
        assert not set(gone) & set(shown)
        assert shown["size"] == "0.1"


async def test_a_fault_without_its_fields_is_refused(carol: Client) -> None:
    for faulty in ({"keys": "seq"}, {"depth": "-1"}, {"share": "many"}, {"ms": "1"}):
        answer = await carol.control("POST", "faults", kind="thin_book", **faulty)
        assert answer["status"] == 400
