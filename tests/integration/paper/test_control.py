"""Hand trades, forced trades, prices and faults under `/_paper/`."""

import asyncio
import json
import time
from functools import partial

import aiohttp
import pytest

from .client import Client, until


async def test_accounts_are_made_found_and_listed_without_secrets(alice: Client) -> None:
    made = await alice.control("POST", "accounts", label="bob", balances={"USDT": "500"})
    assert made["uid"] != alice.account.uid
    assert made["key"]
    assert made["secret"]
    again = await alice.control("POST", "accounts", key=made["key"], secret="other")
    assert (again["uid"], again["secret"]) == (made["uid"], made["secret"])
    listed = await alice.control("GET", "accounts")
    assert [row["label"] for row in listed["accounts"]] == ["alice", "bob"]
    assert made["secret"] not in json.dumps([listed, await alice.control("GET", "state")])


async def test_the_state_can_be_that_of_one_account(alice: Client) -> None:
    await alice.control("POST", "accounts", label="bob")
    for account, qty in (("alice", "0.4"), ("bob", "0.3")):
        await alice.control(
            "POST", "trade", account=account, symbol="BTCUSDT", side="Sell", qty=qty
        )
    whole = await alice.control("GET", "state")
    assert (len(whole["accounts"]), len(whole["orders"])) == (2, 2)
    bobs = await alice.control("GET", "state", account="bob")
    assert [row["label"] for row in bobs["accounts"]] == ["bob"]
    assert [row["qty"] for row in bobs["orders"]] == ["0.3"]
    assert {
        row["uid"] for name in ("wallets", "positions", "executions") for row in bobs[name]
    } == {bobs["accounts"][0]["uid"]}


async def test_a_hand_trade_answers_with_its_execution(alice: Client) -> None:
    done = await alice.control(
        "POST", "trade", account="alice", symbol="BTCUSDT", side="Sell", qty="0.4"
    )
    assert done["order"]["orderStatus"] == "Filled"
    assert (done["order"]["orderLinkId"], done["order"]["createType"]) == ("", "CreateByUser")
    assert (done["position"]["side"], done["position"]["size"]) == ("Sell", "0.4")
    assert sum(float(row["execQty"]) for row in done["executions"]) == pytest.approx(0.4)
    refused = await alice.control(
        "POST", "trade", account="alice", symbol="BTCUSDT", side="Sell", qty="1", reduce_only=True
    )
    assert (refused["status"], refused["code"]) == (409, 110017)


async def test_liquidation_and_deleveraging_name_themselves(alice: Client) -> None:
    alice.paper.trade(alice.account, "BTCUSDT", "Buy", "0.5")
    adl = await alice.control("POST", "adl", account="alice", symbol="BTCUSDT", qty="0.2")
    assert adl["executions"][0]["execType"] == "AdlTrade"
    assert adl["position"]["size"] == "0.3"
    end = await alice.control("POST", "liquidate", account=alice.account.uid, symbol="BTCUSDT")
    assert end["executions"][0]["execType"] == "BustTrade"
    assert end["order"]["createType"] == "CreateByTakeOver_PassThrough"
    assert end["position"]["size"] == "0"


async def test_a_price_set_is_the_mark_of_rest_and_stream(carol: Client) -> None:
    stream = await carol.stream("tickers.ETHUSDT", account=False)
    await carol.control("POST", "price", symbol="ETHUSDT", mark="4000.05")
    row = (await carol.get("/v5/market/tickers", "category=linear&symbol=ETHUSDT"))["result"]
    assert row["list"][0]["markPrice"] == "4000.05"
    await stream.next(lambda f: f.get("data", {}).get("markPrice") == "4000.05")


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("trade", {"account": "alice", "symbol": "BTCUSDT", "side": "Up", "qty": "1"}),
        ("trade", {"symbol": "BTCUSDT"}),
        ("price", {"symbol": "BTCUSDT", "mark": "-1"}),
        ("price", {"symbol": "BTCUSDT", "mark": "x"}),
        ("step", {"ms": 100}),
        ("faults", {"kind": "nonsense"}),
    ],
)
async def test_a_bad_control_request_is_400(
    alice: Client, name: str, body: dict[str, object]
) -> None:
    answer = await alice.control("POST", name, **body)
    assert answer["status"] == 400
    assert answer["error"]


async def test_an_order_may_be_accepted_although_its_reply_says_otherwise(alice: Client) -> None:
    fault = {"where": "/v5/order/create", "when": "after", "count": 1}
    for n, kind in enumerate(("reject", "http", "reset")):
        made = await alice.control("POST", "faults", kind=kind, **fault)
        if kind == "reset":
            with pytest.raises(aiohttp.ClientError):
                await alice.market("Buy", "0.1", orderLinkId=f"lost-{n}")
        else:
            body = await alice.market("Buy", "0.1", orderLinkId=f"lost-{n}")
            assert body.get("retCode") == (10016 if kind == "reject" else None)
        rows = await alice.get("/v5/order/realtime", f"category=linear&orderLinkId=lost-{n}")
        assert len(rows["result"]["list"]) == 1
        faults = (await alice.control("GET", "faults"))["faults"]
        assert [f["fired"] for f in faults if f["id"] == made["id"]] == [1]
    assert (await alice.market("Buy", "0.1", orderLinkId="lost-0"))["retCode"] == 110072


async def test_an_order_refused_before_acceptance_does_not_exist(alice: Client) -> None:
    await alice.control("POST", "faults", kind="reject", code=10000, message="busy", count=1)
    assert (await alice.market("Buy", "0.1", orderLinkId="never"))["retCode"] == 10000
    rows = await alice.get("/v5/order/realtime", "category=linear&orderLinkId=never")
    assert rows["result"]["list"] == []
    assert (await alice.market("Buy", "0.1", orderLinkId="never"))["retCode"] == 0


async def test_a_hanging_request_drops_its_line_in_the_end(alice: Client) -> None:
    await alice.control("POST", "faults", kind="hang", ms=300, where="*/create", count=1)
    started = time.monotonic()
    with pytest.raises(aiohttp.ClientError):
        await alice.market("Buy", "0.1")
    assert time.monotonic() - started > 0.25


async def test_rate_limit_and_403_come_on_demand(alice: Client) -> None:
    await alice.control("POST", "faults", kind="rate_limit", where="*/info", count=1)
    url = f"{alice.paper.url}/v5/account/info"
    async with alice.http.get(url, headers=alice.signed("")) as response:
        assert (await response.json())["retCode"] == 10006
        assert response.headers["X-Bapi-Limit-Status"] == "0"
    await alice.control("POST", "faults", kind="http", status=403, where="*/info", count=1)
    async with alice.http.get(url, headers=alice.signed("")) as response:
        assert response.status == 403


async def test_a_skewed_clock_refuses_an_honest_timestamp(alice: Client) -> None:
    made = await alice.control("POST", "faults", kind="clock_skew", ms=-3000)
    assert (await alice.get("/v5/account/info"))["retCode"] == 10002
    shown = await alice.get("/v5/market/time")
    assert abs(int(shown["result"]["timeSecond"]) - time.time()) > 1.5
    await alice.control("DELETE", "faults", id=made["id"])
    assert (await alice.get("/v5/account/info"))["retCode"] == 0


async def test_position_lists_can_be_stale_or_cut_short(alice: Client) -> None:
    query = "category=linear&settleCoin=USDT"
    alice.paper.trade(alice.account, "BTCUSDT", "Buy", "0.5")
    await alice.control("POST", "faults", kind="stale_list", count=1)
    await alice.control("POST", "faults", kind="truncated_list", keep=1, skip=1, count=1)
    alice.paper.trade(alice.account, "ETHUSDT", "Buy", "1")
    lists = [(await alice.get("/v5/position/list", query))["result"]["list"] for _ in range(3)]
    assert [[row["symbol"] for row in rows] for rows in lists] == [
        ["BTCUSDT"],
        ["BTCUSDT"],
        ["BTCUSDT", "ETHUSDT"],
    ]


async def test_a_thin_book_leaves_a_part_fill(alice: Client) -> None:
    await alice.control("POST", "faults", kind="thin_book", where="BTCUSDT", depth="0.2", count=1)
    order_id = (await alice.market("Buy", "0.5"))["result"]["orderId"]

    async def ended() -> dict[str, str] | None:
        query = f"category=linear&orderId={order_id}"
        (row,) = (await alice.get("/v5/order/realtime", query))["result"]["list"]
        return row if row["orderStatus"] == "Cancelled" else None

    row = await until(ended)
    assert (row["cumExecQty"], row["leavesQty"]) == ("0.2", "0")
    assert row["rejectReason"] == "EC_CancelForNoFullFill"


async def frames_under(carol: Client, fault: dict[str, object], seconds: float = 0.4) -> list[str]:
    """The raw order frames of two trades while a fault is in force for the first."""
    stream = await carol.stream("order")
    await carol.control("POST", "faults", where="order", count=1, **fault)
    for qty in ("0.1", "0.2"):
        carol.paper.trade(carol.account, "BTCUSDT", "Buy", qty)
        await carol.control("POST", "step", ms=100)
    texts: list[str] = []
    while True:
        try:
            message = await stream.socket.receive(timeout=seconds)
        except TimeoutError:
            return texts
        if message.type is not aiohttp.WSMsgType.TEXT:
            return [*texts, "cut"]
        texts.append(message.data)


def quantities(texts: list[str]) -> list[str]:
    return [json.loads(text)["data"][0]["qty"] for text in texts]


async def test_frames_are_dropped_doubled_and_reordered_on_demand(carol: Client) -> None:
    assert quantities(await frames_under(carol, {"kind": "frame_drop"})) == ["0.2"]
    doubled = await frames_under(carol, {"kind": "frame_duplicate"})
    assert quantities(doubled) == ["0.1", "0.1", "0.2"]
    reordered = await frames_under(carol, {"kind": "frame_reorder"})
    assert quantities(reordered) == ["0.2", "0.1"]


async def test_frames_are_corrupted_delayed_and_cut_on_demand(carol: Client) -> None:
    corrupt, good = await frames_under(carol, {"kind": "frame_corrupt"})
    with pytest.raises(json.JSONDecodeError):
        json.loads(corrupt)
    assert quantities([good]) == ["0.2"]
    delayed = await frames_under(carol, {"kind": "frame_delay", "ms": 150})
    assert quantities(delayed) == ["0.2", "0.1"]
    assert await frames_under(carol, {"kind": "cut"}) == ["cut"]


def mentions(text: str, frame: dict[str, object]) -> bool:
    return text in str(frame)


async def test_fills_sometimes_come_before_the_ack(alice: Client) -> None:
    stream = await alice.stream("execution")
    early = 0
    for n in range(40):
        link = f"race-{n}"
        ack = asyncio.create_task(alice.market("Buy", "0.001", orderLinkId=link))
        await stream.next(partial(mentions, link))
        early += not ack.done()
        body = await ack
        if body["retCode"] == 0 and early:
            return
        await asyncio.sleep(0.1)  # ten orders a second are allowed
    pytest.fail("every ack came first")
