"""Every REST endpoint in scope through the official SDK, in all four categories."""

import asyncio
import time
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from positiond.bybit.paper.server import PaperServer
from pybit import exceptions

from .asking import ask, poll, rows

BTC = {"category": "linear", "symbol": "BTCUSDT"}
Script = Callable[[Any, str], None]


def symbols(option: str) -> list[dict[str, str]]:
    return [
        BTC,
        {"category": "linear", "symbol": "BTCPERP"},
        {"category": "inverse", "symbol": "BTCUSD"},
        {"category": "spot", "symbol": "BTCUSDT"},
        {"category": "option", "symbol": option},
    ]


def refused(code: int) -> Any:
    return pytest.raises(exceptions.InvalidRequestError, match=f"ErrCode: {code}")


def read_the_market(sdk: Any, option: str) -> None:
    assert abs(int(ask(sdk.get_server_time)["timeSecond"]) - time.time()) < 2
    for named in symbols(option):
        (instrument,) = rows(sdk.get_instruments_info, **named)
        assert instrument["symbol"] == named["symbol"]
        (ticker,) = rows(sdk.get_tickers, **named)
        assert float(ticker["bid1Price"]) < float(ticker["ask1Price"])
        book = ask(sdk.get_orderbook, **named, limit=5)
        assert 1 <= len(book["b"]) <= 5
        assert book["s"] == named["symbol"]
        if named["category"] != "option":
            limits = ask(sdk.get_price_limit, **named)
            assert float(limits["sellLmt"]) < float(ticker["lastPrice"]) < float(limits["buyLmt"])
    for category in ("linear", "inverse", "spot"):
        assert len(rows(sdk.get_tickers, category=category)) >= 5
    assert len(rows(sdk.get_tickers, category="option", baseCoin="BTC")) >= 20


def page_through_the_instruments(sdk: Any, option: str) -> None:
    del option
    found: list[str] = []
    cursor = ""
    while True:
        page = ask(sdk.get_instruments_info, category="linear", limit=50, cursor=cursor)
        found += [row["symbol"] for row in page["list"]]
        if not (cursor := page["nextPageCursor"]):
            break
    assert len(found) == len(set(found)) > 150


def read_the_account(sdk: Any, option: str) -> None:
    del option
    assert ask(sdk.get_account_info)["unifiedMarginStatus"] in (5, 6)
    key = ask(sdk.get_api_key_information)
    assert (key["uta"], key["readOnly"], key["permissions"]["Wallet"]) == (1, 0, [])
    assert rows(sdk.get_fee_rates, **BTC)[0]["takerFeeRate"] == "0.00055"
    assert rows(sdk.get_fee_rates, category="spot", symbol="BTCUSDT")[0]["takerFeeRate"] == "0.001"
    assert ask(sdk.get_coin_info)["rows"]
    (wallet,) = rows(sdk.get_wallet_balance, accountType="UNIFIED")
    held = {coin["coin"]: coin["walletBalance"] for coin in wallet["coin"]}
    assert held == {"USDT": "1000000", "USDC": "1000000", "BTC": "10"}
    deposits = rows(sdk.get_transaction_log, accountType="UNIFIED", type="TRANSFER_IN")
    assert {row["currency"] for row in deposits} == set(held)


def switch_leverage_and_mode(sdk: Any, option: str) -> None:
    del option
    ask(sdk.set_leverage, **BTC, buyLeverage="20", sellLeverage="20")
    with refused(110043):
        sdk.set_leverage(**BTC, buyLeverage="20", sellLeverage="20")
    with refused(110025):
        sdk.switch_position_mode(**BTC, mode=0)
    ask(sdk.switch_position_mode, **BTC, mode=3)
    assert [row["positionIdx"] for row in rows(sdk.get_positions, **BTC)] == [1, 2]
    market = {**BTC, "orderType": "Market", "qty": "0.1"}
    with refused(10001):
        sdk.place_order(**market, side="Buy")
    ask(sdk.place_order, **market, side="Buy", positionIdx=1)
    ask(sdk.place_order, **market, side="Sell", positionIdx=2)
    held = {"category": "linear", "settleCoin": "USDT"}
    both = poll(lambda: len(found := rows(sdk.get_positions, **held)) == 2 and found)
    assert [(row["positionIdx"], row["side"]) for row in both] == [(1, "Buy"), (2, "Sell")]
    with refused(110024):
        sdk.switch_position_mode(**BTC, mode=0)
    with refused(110029):
        sdk.switch_position_mode(category="linear", symbol="BTCPERP", mode=3)


def open_and_close(sdk: Any, named: dict[str, str], qty: str) -> None:
    """A position opened, seen, closed by reduce-only, and found again in every list."""
    name = f"{named['category']}-{named['symbol']}"[:28].replace(".", "-")
    market = {**named, "orderType": "Market", "qty": qty}
    ask(sdk.place_order, **market, side="Buy", orderLinkId=f"{name}-open")
    row = poll(lambda: [p for p in rows(sdk.get_positions, **named) if p["side"]])[0]
    assert (row["side"], row["size"]) == ("Buy", qty)
    made = ask(sdk.place_order, **market, side="Sell", reduceOnly=True, orderLinkId=f"{name}-close")
    closed = poll(lambda: rows(sdk.get_order_history, **named, orderLinkId=f"{name}-close"))[0]
    assert closed["orderId"] == made["orderId"]
    assert (closed["orderStatus"], closed["cumExecQty"]) == ("Filled", qty)
    assert closed["reduceOnly"] is True
    fills = rows(sdk.get_executions, **named)
    assert {fill["orderLinkId"] for fill in fills} == {f"{name}-open", f"{name}-close"}
    assert sum(Decimal(f["execQty"]) for f in fills if f["side"] == "Sell") == Decimal(qty)
    with refused(110017):
        sdk.place_order(**market, side="Sell", reduceOnly=True, orderLinkId=f"{name}-again")
    traded = rows(sdk.get_transaction_log, category=named["category"], type="TRADE")
    assert {row["symbol"] for row in traded} == {named["symbol"]}


def trade_linear(sdk: Any, option: str) -> None:
    del option
    open_and_close(sdk, BTC, "0.5")
    (pnl,) = rows(sdk.get_closed_pnl, **BTC)
    assert (pnl["side"], pnl["closedSize"]) == ("Sell", "0.5")


def trade_usdc(sdk: Any, option: str) -> None:
    del option
    open_and_close(sdk, {"category": "linear", "symbol": "BTCPERP"}, "0.1")
    assert rows(sdk.get_usdc_contract_settlement, category="linear") == []


def trade_inverse(sdk: Any, option: str) -> None:
    del option
    named = {"category": "inverse", "symbol": "BTCUSD"}
    open_and_close(sdk, named, "300")
    (pnl,) = rows(sdk.get_closed_pnl, **named)
    assert Decimal(pnl["cumEntryValue"]) < 1  # in coin


def trade_option(sdk: Any, option: str) -> None:
    named = {"category": "option", "symbol": option}
    with refused(10001):
        sdk.place_order(**named, side="Buy", orderType="Market", qty="0.1")
    open_and_close(sdk, named, "0.1")
    (over,) = rows(sdk.get_closed_options_positions, category="option")
    assert (over["symbol"], over["side"], float(over["qty"])) == (option, "Buy", 0.1)


def trade_spot(sdk: Any, option: str) -> None:
    del option
    named = {"category": "spot", "symbol": "BTCUSDT"}
    market = {**named, "orderType": "Market"}

    def done(link: str) -> Any:
        return poll(lambda: rows(sdk.get_order_history, **named, orderLinkId=link))[0]

    ask(sdk.place_order, **market, side="Buy", qty="1000", orderLinkId="by-amount")
    bought = done("by-amount")
    assert bought["orderStatus"] in ("PartiallyFilledCanceled", "Filled")
    assert Decimal(bought["cumExecValue"]) <= 1000
    assert set(bought["cumFeeDetail"]) == {"BTC"}
    ask(
        sdk.place_order,
        **market,
        side="Buy",
        qty="0.01",
        marketUnit="baseCoin",
        orderLinkId="by-quantity",
    )
    assert done("by-quantity")["cumExecQty"] == "0.01"
    ask(sdk.place_order, **market, side="Sell", qty="0.02", orderLinkId="sold")
    sold = done("sold")
    assert (sold["orderStatus"], set(sold["cumFeeDetail"])) == ("Filled", {"USDT"})
    assert sold["orderId"].isdecimal()
    with refused(170131):
        sdk.place_order(**market, side="Sell", qty="11")
    with refused(170141):
        ask(sdk.place_order, **market, side="Sell", qty="0.02", orderLinkId="sold")


def rest_amend_and_cancel(sdk: Any, option: str) -> None:
    del option
    order = {**BTC, "side": "Buy", "orderType": "Limit", "qty": "0.1", "price": "99500.00"}
    made = ask(sdk.place_order, **order)
    poll(lambda: rows(sdk.get_open_orders, **BTC))
    assert ask(sdk.amend_order, **BTC, orderId=made["orderId"], price="99400.00") == made
    amended = poll(
        lambda: [row for row in rows(sdk.get_open_orders, **BTC) if row["price"] == "99400.00"]
    )
    assert amended[0]["orderId"] == made["orderId"]
    assert ask(sdk.cancel_order, **BTC, orderId=made["orderId"]) == made
    assert rows(sdk.get_open_orders, **BTC) == []
    assert rows(sdk.get_open_orders, **BTC, openOnly=1)[0]["orderStatus"] == "Cancelled"
    with refused(110001):
        sdk.cancel_order(**BTC, orderId=made["orderId"])
    for category, code in (("inverse", 110001), ("spot", 170213)):
        symbol = "BTCUSD" if category == "inverse" else "BTCUSDT"
        with refused(code):
            sdk.cancel_order(category=category, symbol=symbol, orderId="1")


def _rest(sdk: Any, named: dict[str, str], count: int) -> bool:
    return len(rows(sdk.get_open_orders, **named)) == count


def batch_and_cancel_all(sdk: Any, option: str) -> None:
    del option
    for named in (BTC, {"category": "spot", "symbol": "BTCUSDT"}):
        category = named["category"]
        order = {
            "symbol": "BTCUSDT",
            "side": "Buy",
            "orderType": "Limit",
            "qty": "0.1",
            "price": "99500.0",
        }
        reply = sdk.place_batch_order(category=category, request=[order, {"symbol": "FOO"}, order])
        good, bad, last = reply["result"]["list"]
        assert (bool(good["orderId"]), bad["orderId"], bad["createAt"]) == (True, "", "")
        codes = [item["code"] for item in reply["retExtInfo"]["list"]]
        assert codes == [0, 10001, 0]
        poll(partial(_rest, sdk, named, 2))
        gone = [{"symbol": "BTCUSDT", "orderId": good["orderId"]}]
        reply = sdk.cancel_batch_order(category=category, request=gone * 2)
        assert reply["retExtInfo"]["list"][0]["code"] == 0
        assert reply["retExtInfo"]["list"][1]["code"] in (110001, 170213)
        (ended,) = rows(sdk.cancel_all_orders, **named)
        assert ended["orderId"] == last["orderId"]
        assert rows(sdk.get_open_orders, **named) == []


SCRIPTS: list[Script] = [
    read_the_market,
    page_through_the_instruments,
    read_the_account,
    switch_leverage_and_mode,
    trade_linear,
    trade_usdc,
    trade_inverse,
    trade_option,
    trade_spot,
    rest_amend_and_cancel,
    batch_and_cancel_all,
]


@pytest.mark.parametrize("script", SCRIPTS)
async def test_the_sdk_works_unchanged(sdk: Any, option: str, script: Script) -> None:
    await asyncio.to_thread(script, sdk, option)


async def test_the_sdk_sees_an_option_delivered(
    paper: PaperServer, sdk: Any, account: Any, option: str
) -> None:
    paper.trade(account, option, "Buy", "0.1", category="option")
    paper.control("deliver", category="option", symbol=option, price="50000")
    record = await asyncio.to_thread(rows, sdk.get_option_delivery_record, category="option")
    (row,) = record
    assert (row["symbol"], row["deliveryPrice"], row["position"]) == (option, "50000", "0.1")
    assert float(row["deliveryRpl"]) > 0
    assert await asyncio.to_thread(rows, sdk.get_positions, category="option") == []


async def test_the_sdk_sees_a_usdc_settlement(paper: PaperServer, sdk: Any, account: Any) -> None:
    paper.trade(account, "BTCPERP", "Buy", "0.1")
    paper.control("settle")
    (row,) = await asyncio.to_thread(rows, sdk.get_usdc_contract_settlement, category="linear")
    assert (row["symbol"], row["side"], row["size"]) == ("BTCPERP", "Buy", "0.1")
    fills = await asyncio.to_thread(rows, sdk.get_executions, category="linear", symbol="BTCPERP")
    assert fills[0]["execType"] == "SessionSettlePnL"
