"""The same main flows with another well-known client, ccxt, again with other URLs alone."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import ccxt
import pytest
from positiond.bybit.paper.server import PaperAccount, PaperServer

from .asking import poll
from .conftest import RICH

Script = Callable[[Any], None]


@pytest.fixture
async def exchange(paper: PaperServer) -> AsyncIterator[Any]:
    account: PaperAccount = paper.add_account("alice", balances=RICH)
    client = ccxt.bybit({"apiKey": account.key, "secret": account.secret, "enableRateLimit": False})
    client.urls["api"] = dict.fromkeys(client.urls["api"], paper.url)
    yield client
    await asyncio.to_thread(client.session.close)


def load_the_markets(exchange: Any) -> None:
    markets = exchange.load_markets()
    kinds = {(m["type"], m["linear"], m["inverse"]) for m in markets.values()}
    assert ("swap", True, False) in kinds
    assert ("swap", False, True) in kinds
    assert ("future", True, False) in kinds
    assert {"spot", "option"} <= {m["type"] for m in markets.values()}
    btc = markets["BTC/USDT:USDT"]
    assert btc["precision"] == {"amount": 0.001, "price": 0.1}
    for symbol in ("BTC/USDT:USDT", "BTC/USD:BTC", "BTC/USDT", "BTC/USDC:USDC"):
        ticker = exchange.fetch_ticker(symbol)
        assert 0 < ticker["bid"] < ticker["ask"]
        book = exchange.fetch_order_book(symbol, 5)
        assert book["bids"][0][0] < book["asks"][0][0]


def trade_a_perpetual(exchange: Any) -> None:
    symbol = "BTC/USDT:USDT"
    exchange.set_leverage(20, symbol)
    exchange.create_order(symbol, "market", "buy", 0.1, params={"clientOrderId": "opening"})
    (held,) = poll(lambda: [p for p in exchange.fetch_positions([symbol]) if p["contracts"]])
    assert (held["side"], held["contracts"], held["leverage"]) == ("long", 0.1, 20)
    made = exchange.create_order(symbol, "market", "sell", 0.1, params={"reduceOnly": True})
    (closed,) = poll(
        lambda: [o for o in exchange.fetch_closed_orders(symbol) if o["id"] == made["id"]]
    )
    assert (closed["status"], closed["filled"], closed["reduceOnly"]) == ("closed", 0.1, True)
    trades = exchange.fetch_my_trades(symbol)
    assert {trade["side"] for trade in trades} == {"buy", "sell"}
    assert all(trade["fee"]["currency"] == "USDT" for trade in trades)
    with pytest.raises(ccxt.ExchangeError, match="110017"):
        exchange.create_order(symbol, "market", "sell", 0.1, params={"reduceOnly": True})


def trade_inverse_and_spot(exchange: Any) -> None:
    exchange.create_order("BTC/USD:BTC", "market", "sell", 300)
    (held,) = poll(lambda: [p for p in exchange.fetch_positions(["BTC/USD:BTC"]) if p["contracts"]])
    assert (held["side"], held["contracts"]) == ("short", 300)
    before = exchange.fetch_balance()["BTC"]["total"]
    exchange.create_order("BTC/USDT", "market", "sell", 0.5)
    poll(lambda: exchange.fetch_balance()["BTC"]["total"] < before - 0.4)


def rest_and_cancel(exchange: Any) -> None:
    symbol = "BTC/USDT:USDT"
    for price in (99_000, 99_100):
        exchange.create_order(symbol, "limit", "buy", 0.1, price)
    orders = poll(lambda: len(found := exchange.fetch_open_orders(symbol)) == 2 and found)
    exchange.edit_order(orders[0]["id"], symbol, "limit", "buy", 0.2, 98_900)
    poll(lambda: 98_900 in [o["price"] for o in exchange.fetch_open_orders(symbol)])
    exchange.cancel_order(orders[0]["id"], symbol)
    exchange.cancel_all_orders(symbol)
    assert exchange.fetch_open_orders(symbol) == []


def hedge(exchange: Any) -> None:
    symbol = "ETH/USDT:USDT"
    exchange.set_position_mode(True, symbol)
    exchange.create_order(symbol, "market", "buy", 1, params={"positionIdx": 1})
    exchange.create_order(symbol, "market", "sell", 2, params={"positionIdx": 2})

    def both() -> Any:
        found = [p for p in exchange.fetch_positions([symbol]) if p["contracts"]]
        return len(found) == 2 and found

    held = {p["side"]: p["contracts"] for p in poll(both)}
    assert held == {"long": 1, "short": 2}


@pytest.mark.parametrize(
    "script",
    [load_the_markets, trade_a_perpetual, trade_inverse_and_spot, rest_and_cancel, hedge],
)
async def test_ccxt_works_unchanged(exchange: Any, script: Script) -> None:
    await asyncio.to_thread(script, exchange)
