"""What the venue does to an account, on demand: as REST and the streams show it afterwards."""

from decimal import Decimal
from typing import Any

import aiohttp
import pytest
from positiond.bybit.paper.server import PaperServer
from positiond.bybit.vocab import Category

from .client import Client

BALANCES = {"USDT": Decimal(100_000), "USDC": Decimal(100_000), "BTC": Decimal(2)}
LINEAR = "category=linear&symbol=BTCUSDT"


@pytest.fixture
async def dora(http: aiohttp.ClientSession, manual: PaperServer) -> Client:
    return Client(http, manual, manual.add_account("dora", balances=BALANCES))


async def rows(client: Client, path: str, query: str) -> list[dict[str, Any]]:
    reply = await client.get(path, query)
    assert reply["retCode"] == 0, reply
    return list(reply["result"]["list"])


async def balance(client: Client, coin: str) -> Decimal:
    (wallet,) = await rows(client, "/v5/account/wallet-balance", "accountType=UNIFIED")
    return Decimal(next(c["walletBalance"] for c in wallet["coin"] if c["coin"] == coin))


async def pushed(client: Client, stream: Any, topic: str) -> dict[str, Any]:
    """The first row of the next push of a topic."""
    await client.control("POST", "step", ms=100)
    frame = await stream.pushed(topic)
    return dict(frame["data"][0])


async def test_a_deposit_reaches_wallet_stream_and_log(dora: Client) -> None:
    stream = await dora.stream("wallet")
    made = await dora.control("POST", "deposit", account="dora", coin="ETH", amount="3.5")
    assert made["balance"] == "3.5"
    assert await balance(dora, "ETH") == Decimal("3.5")
    await dora.control("POST", "step", ms=100)
    coins = {coin["coin"] for coin in (await stream.pushed("wallet"))["data"][0]["coin"]}
    assert "ETH" in coins
    (entry, *_) = await rows(dora, "/v5/account/transaction-log", "currency=ETH")
    assert (entry["type"], entry["change"], entry["cashBalance"]) == ("TRANSFER_IN", "3.5", "3.5")


async def test_funding_is_paid_without_touching_the_size(dora: Client) -> None:
    dora.paper.trade(dora.account, "BTCUSDT", "Buy", "0.5")
    await dora.paper.step(100)
    before = await balance(dora, "USDT")
    stream = await dora.stream("execution", "position", "wallet")
    paid = await dora.control("POST", "fund", symbol="BTCUSDT", rate="0.0001")
    (made,) = paid["executions"]
    assert (made["execType"], made["execQty"], made["side"]) == ("Funding", "0.5", "Buy")
    assert made["orderLinkId"] == ""
    fee = Decimal(made["execFee"])
    assert fee > 0
    assert await balance(dora, "USDT") == before - fee
    (held,) = await rows(dora, "/v5/position/list", LINEAR)
    assert held["size"] == "0.5"
    told = await pushed(dora, stream, "execution")
    assert (told["execType"], told["category"]) == ("Funding", "linear")
    (entry, *_) = await rows(dora, "/v5/account/transaction-log", "type=SETTLEMENT")
    assert Decimal(entry["funding"]) == -fee


async def test_a_periodic_settlement_moves_the_base_of_the_result(dora: Client) -> None:
    dora.paper.trade(dora.account, "BTCPERP", "Buy", "0.1")
    await dora.control("POST", "price", symbol="BTCPERP", mark="110000")
    paid = await dora.control("POST", "settle", symbol="BTCPERP")
    assert paid["executions"][0]["execType"] == "SessionSettlePnL"
    (held,) = await rows(dora, "/v5/position/list", "category=linear&symbol=BTCPERP")
    assert (held["size"], Decimal(held["sessionAvgPrice"])) == ("0.1", Decimal(110_000))
    assert Decimal(held["avgPrice"]) < 110_000
    assert Decimal(held["unrealisedPnl"]) == 0
    (record,) = await rows(dora, "/v5/asset/settlement-record", "category=linear")
    assert Decimal(record["realisedPnl"]) > 800


async def test_an_option_delivered_in_the_money_pays_and_is_gone(dora: Client) -> None:
    listed = dora.paper.venue.market.listing.of(Category.OPTION)
    call = next(i for i in listed if i.symbol.endswith("-C") and i.base == "BTC")
    assert call.option is not None
    dora.paper.trade(dora.account, call.symbol, "Buy", "0.1", category="option")
    before = await balance(dora, call.settle)
    price = str(call.option.strike + 5000)
    await dora.control("POST", "deliver", category="option", symbol=call.symbol, price=price)
    gained = await balance(dora, call.settle) - before
    assert Decimal(450) < gained <= Decimal(500)
    assert await rows(dora, "/v5/position/list", "category=option") == []
    (record,) = await rows(dora, "/v5/asset/delivery-record", "category=option")
    assert (record["deliveryPrice"], record["strike"]) == (price, str(call.option.strike))
    (over,) = await rows(dora, "/v5/position/get-closed-positions", "category=option")
    assert (over["deliveryPrice"], over["side"]) == (price, "Buy")
    info = f"category=option&symbol={call.symbol}"
    assert await rows(dora, "/v5/market/instruments-info", info) == []
    assert len(await rows(dora, "/v5/market/instruments-info", f"{info}&status=Closed")) == 1
    order = {"category": "option", "symbol": call.symbol, "side": "Buy", "qty": "0.1"}
    late = await dora.post("/v5/order/create", **order, orderType="Market", orderLinkId="late")
    assert late["retCode"] == 110074


async def test_hedge_mode_shows_two_rows_and_asks_for_the_index(dora: Client) -> None:
    await dora.control("POST", "mode", account="dora", symbol="BTCUSDT", mode="hedge")
    both = await rows(dora, "/v5/position/list", LINEAR)
    assert [(row["positionIdx"], row["side"]) for row in both] == [(1, ""), (2, "")]
    assert (await dora.market("Buy", "0.1"))["retMsg"] == "position idx not match position mode"
    assert (await dora.market("Buy", "0.1", positionIdx=1))["retCode"] == 0
    assert (await dora.market("Sell", "0.2", positionIdx=2))["retCode"] == 0
    await dora.control("POST", "step", ms=200)
    both = await rows(dora, "/v5/position/list", LINEAR)
    assert [(row["side"], row["size"]) for row in both] == [("Buy", "0.1"), ("Sell", "0.2")]
    closed = await dora.market("Sell", "0.1", positionIdx=1, reduceOnly=True)
    assert closed["retCode"] == 0
    answer = await dora.control("POST", "mode", account="dora", coin="USDT", mode="one_way")
    assert (answer["status"], answer["code"]) == (409, 110024)


async def test_a_resting_reduce_only_order_goes_with_its_position(dora: Client) -> None:
    dora.paper.trade(dora.account, "BTCUSDT", "Buy", "0.2")
    resting = {"symbol": "BTCUSDT", "side": "Sell", "qty": "0.2", "price": "102500"}
    made = await dora.control("POST", "order", account="dora", **resting, reduce_only=True)
    assert made["order"]["orderStatus"] == "New"
    dora.paper.trade(dora.account, "BTCUSDT", "Sell", "0.2")
    ident = made["order"]["orderId"]
    (ended,) = await rows(dora, "/v5/order/realtime", f"category=linear&orderId={ident}")
    assert (ended["orderStatus"], ended["cancelType"]) == ("Cancelled", "CancelByReduceOnly")


async def test_a_position_moves_to_another_account(dora: Client) -> None:
    dora.paper.add_account("bob")
    dora.paper.trade(dora.account, "BTCUSDT", "Sell", "0.4")
    made = await dora.control("POST", "move", account="dora", to="bob", symbol="BTCUSDT", qty="0.1")
    assert [(row["side"], row["size"]) for row in made["positions"]] == [
        ("Sell", "0.3"),
        ("Sell", "0.1"),
    ]
    fills = await rows(dora, "/v5/execution/list", f"{LINEAR}&execType=MovePosition")
    assert [fill["execQty"] for fill in fills] == ["0.1"]


async def test_an_account_whose_margin_is_gone_is_liquidated_unless_told_not_to(
    dora: Client,
) -> None:
    poor = dora.paper.add_account("poor", balances={"USDT": Decimal(2000)})
    client = Client(dora.http, dora.paper, poor)
    dora.paper.trade(poor, "BTCUSDT", "Buy", "0.15")
    await dora.paper.step(100)
    (held,) = await rows(client, "/v5/position/list", LINEAR)
    liquidation = Decimal(held["liqPrice"])
    assert 0 < liquidation < Decimal(held["avgPrice"])
    stream = await client.stream("position", "execution")
    await client.control("POST", "auto_liquidation", on=False)
    await client.control("POST", "pause")
    await client.control("POST", "price", symbol="BTCUSDT", mark=str(liquidation - 2000))
    await client.control("POST", "resume")
    await client.control("POST", "step", ms=3000)
    assert (await rows(client, "/v5/position/list", LINEAR))[0]["side"] == "Buy"
    await client.control("POST", "auto_liquidation", on=True)
    await client.control("POST", "step", ms=3000)
    assert (await rows(client, "/v5/position/list", LINEAR))[0]["side"] == ""
    told = (await stream.pushed("execution"))["data"][0]
    assert (told["execType"], told["createType"]) == ("BustTrade", "CreateByTakeOver_PassThrough")


async def test_spot_has_no_positions_and_locks_what_its_orders_may_spend(dora: Client) -> None:
    assert (await dora.get("/v5/position/list", "category=spot"))["retCode"] == 10001
    order = {"category": "spot", "symbol": "BTCUSDT", "side": "Sell", "qty": "1.5"}
    made = await dora.post("/v5/order/create", **order, orderType="Limit", price="102000")
    assert made["retCode"] == 0
    await dora.control("POST", "step", ms=100)
    (wallet,) = await rows(dora, "/v5/account/wallet-balance", "accountType=UNIFIED&coin=BTC")
    assert [Decimal(coin["locked"]) for coin in wallet["coin"]] == [Decimal("1.5")]
    more = await dora.post("/v5/order/create", **order, orderType="Market")
    assert more["retCode"] == 170131


async def test_position_lists_page_and_filter_by_coin(dora: Client) -> None:
    for symbol, qty in (("BTCUSDT", "0.1"), ("ETHUSDT", "1"), ("BTCPERP", "0.1")):
        dora.paper.trade(dora.account, symbol, "Buy", qty)
    dora.paper.trade(dora.account, "BTCUSD", "Sell", "100", category="inverse")

    async def seen(query: str) -> list[str]:
        return [row["symbol"] for row in await rows(dora, "/v5/position/list", query)]

    assert await seen("category=linear&settleCoin=USDT") == ["BTCUSDT", "ETHUSDT"]
    assert await seen("category=linear&settleCoin=USDC") == ["BTCPERP"]
    assert await seen("category=inverse") == ["BTCUSD"]
    assert (await dora.get("/v5/position/list", "category=linear"))["retCode"] == 10001
    first = (await dora.get("/v5/position/list", "category=linear&settleCoin=USDT&limit=1"))[
        "result"
    ]
    cursor = first["nextPageCursor"]
    assert "%3A" in cursor
    assert await seen(f"category=linear&settleCoin=USDT&limit=1&cursor={cursor}") == ["ETHUSDT"]
