"""What moves a position without an order of ours, as lists and streams show it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import aiohttp
import pytest
from positiond.bybit.paper.server import PaperServer

from .client import Client

BALANCES = {"USDT": Decimal(1_000_000), "USDC": Decimal(100_000), "BTC": Decimal(2)}
BTC = {"account": "dora", "symbol": "BTCUSDT"}
SPOT = {**BTC, "category": "spot"}
LINEAR = "category=linear&symbol=BTCUSDT"


@pytest.fixture
async def dora(http: aiohttp.ClientSession, manual: PaperServer) -> Client:
    """Long 1 BTC."""
    client = Client(http, manual, manual.add_account("dora", balances=BALANCES))
    manual.trade(client.account, "BTCUSDT", "Buy", "1")
    await manual.step(100)
    return client


async def rows(client: Client, path: str, query: str) -> list[dict[str, Any]]:
    reply = await client.get(path, query)
    assert reply["retCode"] == 0, reply
    return list(reply["result"]["list"])


async def told(client: Client, name: str, **body: Any) -> dict[str, Any]:
    """The execution that an operation makes: the same on the stream and in the list."""
    stream = await client.stream("execution")
    done = await client.control("POST", name, **body)
    assert done["status"] == 200, done
    await client.control("POST", "step", ms=200)
    pushed = (await stream.pushed("execution"))["data"][0]
    category = body.get("category", "linear")
    listed = await rows(client, "/v5/execution/list", f"category={category}")
    (same,) = [row for row in listed if row["execId"] == pushed["execId"]]
    for key in ("execType", "stopOrderType", "orderLinkId", "side", "execQty"):
        assert same[key] == pushed[key]
    assert pushed.get("createType", same["createType"]) == same["createType"]
    return dict(same)


def words(row: dict[str, Any]) -> tuple[str, str, str]:
    return row["execType"], row["createType"], row["stopOrderType"]


@pytest.mark.parametrize(
    ("create_type", "stop_type"),
    [
        ("CreateByUser", "UNKNOWN"),
        ("CreateByClosing", "UNKNOWN"),
        ("CreateByStopOrder", "Stop"),
        ("CreateByTakeProfit", "TakeProfit"),
        ("CreateByPartialTakeProfit", "PartialTakeProfit"),
        ("CreateByStopLoss", "StopLoss"),
        ("CreateByPartialStopLoss", "PartialStopLoss"),
        ("CreateByTrailingStop", "TrailingStop"),
        ("CreateByMmRateClose", "MmRateClose"),
        ("CreateByLiq", "UNKNOWN"),
        ("CreateByFGridBot", "UNKNOWN"),
        ("CreateByTVSignal", "UNKNOWN"),
        ("CreateByDdh", "UNKNOWN"),
        ("CreateByUnlisted", "UNKNOWN"),
    ],
)
async def test_a_trade_plays_any_kind_of_order(
    dora: Client, create_type: str, stop_type: str
) -> None:
    row = await told(dora, "trade", **BTC, side="Sell", qty="0.4", create_type=create_type)
    assert words(row) == ("Trade", create_type, stop_type)
    assert (row["orderLinkId"], row["side"], row["closedSize"]) == ("", "Sell", "0.4")
    query = f"category=linear&orderId={row['orderId']}"
    (order,) = await rows(dora, "/v5/order/realtime", query)
    assert order["createType"] == create_type
    assert order["stopOrderType"] == ("" if stop_type == "UNKNOWN" else stop_type)


async def test_a_kind_of_order_that_is_a_typing_mistake_is_refused(dora: Client) -> None:
    done = await dora.control(
        "POST", "trade", **BTC, side="Sell", qty="0.4", create_type="CreateByTakeProfits"
    )
    assert done["status"] == 400
    assert "create_type is none of" in done["error"]


async def test_a_stop_on_spot_shows_in_its_stop_type_alone_on_the_stream(dora: Client) -> None:
    stream = await dora.stream("execution")
    await dora.control(
        "POST", "trade", **SPOT, side="Sell", qty="0.4", create_type="CreateByStopLoss"
    )
    await dora.control("POST", "step", ms=200)
    row = (await stream.pushed("execution"))["data"][0]
    assert row["stopOrderType"] == "tpslOrder"
    assert "createType" not in row


@pytest.mark.parametrize(
    ("name", "body", "shown"),
    [
        ("liquidate", {}, ("BustTrade", "CreateByTakeOver_PassThrough")),
        ("adl", {"qty": "0.4"}, ("AdlTrade", "CreateByAdl_PassThrough")),
        (
            "move",
            {"to": "bob", "qty": "0.4"},
            ("MovePosition", "CreateByBlockTradeMovePosition_PassThrough"),
        ),
        (
            "execution",
            {"side": "Sell", "qty": "0.4", "exec_type": "BlockTrade"},
            ("BlockTrade", "CreateByBlock_PassThrough"),
        ),
        (
            "execution",
            {"side": "Sell", "qty": "0.4", "exec_type": "FutureSpread"},
            ("FutureSpread", "CreateByFutureSpread"),
        ),
        (
            "execution",
            {"side": "Buy", "qty": "1", "exec_type": "CorporateAction"},
            ("CorporateAction", ""),
        ),
        ("execution", {"side": "Sell", "qty": "0.4", "exec_type": "UNKNOWN"}, ("UNKNOWN", "")),
    ],
)
async def test_what_the_venue_does_is_no_order_of_the_account_s(
    dora: Client, name: str, body: dict[str, Any], shown: tuple[str, str]
) -> None:
    dora.paper.add_account("bob")
    row = await told(dora, name, **BTC, **body)
    assert words(row) == (*shown, "UNKNOWN")
    assert row["orderLinkId"] == ""


async def test_an_imposed_execution_changes_the_position_and_its_stream(dora: Client) -> None:
    stream = await dora.stream("position")
    done = await dora.control(
        "POST", "execution", **BTC, side="Sell", qty="1.4", exec_type="BlockTrade", price="60000"
    )
    assert done["executions"][0]["execPrice"] == "60000"
    assert (done["position"]["side"], done["position"]["size"]) == ("Sell", "0.4")
    await dora.control("POST", "step", ms=200)
    row = (await stream.pushed("position"))["data"][0]
    assert (row["side"], row["size"]) == ("Sell", "0.4")


async def test_in_hedge_mode_an_execution_takes_no_more_than_is_held(dora: Client) -> None:
    flat = {"account": "dora", "symbol": "ETHUSDT"}
    await dora.control("POST", "mode", **flat, mode="hedge")
    body = {**flat, "position_idx": 1, "exec_type": "BlockTrade"}
    opened = await dora.control("POST", "execution", **body, side="Buy", qty="2")
    assert (opened["position"]["positionIdx"], opened["position"]["size"]) == (1, "2")
    refused = await dora.control("POST", "execution", **body, side="Sell", qty="3")
    assert (refused["status"], refused["code"]) == (409, 110017)


async def test_a_perpetual_that_is_delisted_is_delivered(dora: Client) -> None:
    row = await told(dora, "deliver", symbol="BTCUSDT")
    assert words(row) == ("Delivery", "CreateBySettle", "UNKNOWN")
    (record,) = await rows(dora, "/v5/asset/delivery-record", LINEAR)
    assert (record["side"], record["position"]) == ("Buy", "1")
    assert await rows(dora, "/v5/order/realtime", f"{LINEAR}&orderId={row['orderId']}") == []


async def test_a_coin_leaves_the_wallet_without_an_execution(dora: Client) -> None:
    stream = await dora.stream("wallet", "execution")
    done = await dora.control("POST", "deposit", account="dora", coin="BTC", amount="-0.5")
    assert done["balance"] == "1.5"
    await dora.control("POST", "step", ms=200)
    coins = (await stream.pushed("wallet"))["data"][0]["coin"]
    assert {c["coin"]: c["walletBalance"] for c in coins}["BTC"] == "1.5"
    assert await rows(dora, "/v5/execution/list", "category=spot") == []


async def test_lists_may_tell_late_what_the_stream_told_at_once(dora: Client) -> None:
    made = await dora.control(
        "POST", "faults", kind="late_list", where="/v5/execution/list", ms=5000
    )
    before = await rows(dora, "/v5/execution/list", LINEAR)
    stream = await dora.stream("execution")
    await dora.control("POST", "trade", **BTC, side="Sell", qty="0.4")
    await dora.control("POST", "step", ms=200)
    assert (await stream.pushed("execution"))["data"][0]["execQty"] == "0.4"
    assert await rows(dora, "/v5/execution/list", LINEAR) == before
    await dora.control("POST", "step", ms=5000)
    assert len(await rows(dora, "/v5/execution/list", LINEAR)) > len(before)
    (fault,) = (await dora.control("GET", "faults"))["faults"]
    assert (fault["id"], fault["fired"]) == (made["id"], 3)


async def test_a_delivery_record_may_be_late(dora: Client) -> None:
    await dora.control("POST", "faults", kind="late_list", where="/v5/asset/*", ms=6_000)
    await dora.control("POST", "deliver", symbol="BTCUSDT")
    await dora.control("POST", "step", ms=200)
    assert await rows(dora, "/v5/asset/delivery-record", LINEAR) == []
    await dora.control("POST", "step", ms=6_000)
    assert len(await rows(dora, "/v5/asset/delivery-record", LINEAR)) == 1
