"""Positions in several coins: one total in dollars, by the exchange's own index prices."""

from __future__ import annotations

from decimal import Decimal, localcontext
from typing import Any

import aiohttp
from positiond.bybit.paper.server import PaperServer

from tests.e2e.exchange import control
from tests.e2e.world import Trader

Row = dict[str, str]


def leg(category: str, symbol: str, side: str, quantity: str, entry: str) -> Row:
    return {
        "category": category,
        "symbol": symbol,
        "side": side,
        "quantity": quantity,
        "entry_price": entry,
    }


async def ticker(paper: PaperServer, category: str, symbol: str) -> Row:
    query = {"category": category, "symbol": symbol}
    async with (
        aiohttp.ClientSession(base_url=paper.url) as http,
        http.get("/v5/market/tickers", params=query) as reply,
    ):
        (row,) = (await reply.json())["result"]["list"]
    return dict(row)


async def test_a_position_in_several_coins_is_told_in_dollars_by_a_pair_that_nobody_holds(
    trader: Trader, paper: PaperServer
) -> None:
    made = await trader.record(
        "cross pair",
        leg("spot", "ETHBTC", "Buy", "2", "0.0384"),
        leg("linear", "ETHUSDT", "Sell", "2", "3890.5"),
    )
    await control(paper.url, "POST", "pause")
    cross = Decimal((await ticker(paper, "spot", "ETHBTC"))["lastPrice"])
    eth = Decimal((await ticker(paper, "linear", "ETHUSDT"))["markPrice"])
    # Held by nobody: watched for its dollar price alone.
    btc = Decimal((await ticker(paper, "spot", "BTCUSDT"))["usdIndexPrice"])
    with localcontext(prec=60):
        expected = 2 * (cross - Decimal("0.0384")) * btc - 2 * (eth - Decimal("3890.5"))

    def is_level(position: dict[str, Any]) -> bool:
        shown = position["unrealized_pnl"]
        return shown is not None and Decimal(shown) == expected

    shown = await trader.until(made["id"], is_level, 5, "the dollars of both legs")
    assert (shown["pnl_currency"], shown["pnl_incomplete"]) == ("USD", None)
    assert shown["net_pnl"] == shown["unrealized_pnl"]
    coins = {part["symbol"]: part["pnl_currency"] for part in shown["components"]}
    assert coins == {"ETHBTC": "BTC", "ETHUSDT": "USDT"}
