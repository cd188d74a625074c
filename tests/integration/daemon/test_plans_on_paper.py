"""What a plan estimates is what its order then costs: real sockets, the real client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, cast

import aiohttp
import pytest
from positiond.bybit.gateway import BybitGateway, open_gateway
from positiond.bybit.paper.server import PaperAccount, PaperServer
from positiond.bybit.vocab import Hosts
from positiond.daemon.bucket_locks import BucketLocks
from positiond.daemon.catalogue import Catalogue
from positiond.daemon.close_context import Closing
from positiond.daemon.close_inbox import Inboxes
from positiond.daemon.close_planner import ClosePlanner
from positiond.daemon.close_quotes import CloseQuotes
from positiond.daemon.domain.model import (
    AccountId,
    Category,
    CloseOrderId,
    Component,
    Credentials,
    Environment,
    Fill,
    InstrumentKey,
    Position,
    PositionId,
    Side,
)
from positiond.daemon.domain.orders import MarketOrder, ReduceOnlyOrder, SpotSell
from positiond.daemon.domain.portfolio import AccountState, Portfolio
from positiond.daemon.domain.ports import AccountExchange
from positiond.daemon.domain.records import BucketClaims
from positiond.daemon.domain.services import PlannedLeg
from positiond.daemon.in_flight import InFlight
from positiond.daemon.pulse import Pulse
from positiond.daemon.timing import Timing

from ...builders import ACCOUNT, ALICE, account, component, position, uuid_of

D = Decimal
BALANCES = {"USDT": D(1_000_000), "USDC": D(100_000), "BTC": D(5)}


class Records:
    """Positions, as far as a plan reads them: one, with all of its legs at their places."""

    def __init__(self, one: Position) -> None:
        self.one = one

    async def load(self, position_id: PositionId) -> Position | None:
        return self.one

    async def claims(self, account_id: AccountId, category: Category, symbol: str) -> BucketClaims:
        there = [c for c in self.one.components if symbol in (c.symbol, c.coin)]
        return BucketClaims(tuple(c for c in there if c.category is category), {})


@dataclass
class Floor:
    """One account on an exchange whose prices stand still."""

    paper: PaperServer
    trader: PaperAccount
    gateway: BybitGateway
    exchange: AccountExchange

    def open(self, leg: Component) -> Component:
        self.paper.control(
            "trade",
            account="trader",
            category=leg.category.value,
            symbol=leg.symbol,
            side=leg.side.value,
            qty=str(leg.quantity),
        )
        return leg

    async def index(self, key: InstrumentKey) -> Decimal:
        asked = {"category": key.category.value, "symbol": key.symbol}
        url = f"{self.paper.url}/v5/market/tickers"
        async with aiohttp.ClientSession() as session, session.get(url, params=asked) as reply:
            (row,) = (await reply.json())["result"]["list"]
        return D(row["indexPrice"])

    async def planned(self, leg: Component) -> PlannedLeg:
        index = None
        if leg.category is Category.OPTION:
            index = await self.index(InstrumentKey(Environment.PAPER, leg.category, leg.symbol))
        clock = asyncio.get_running_loop().time
        timing = Timing(lambda: datetime.now(UTC), clock, Pulse(clock))
        portfolio = Portfolio()
        portfolio.accounts[ACCOUNT] = AccountState(account())
        one = position(leg)
        portfolio.put(one)
        closing = Closing(
            closes=cast(Any, None),
            positions=cast(Any, Records(one)),
            switches=cast(Any, None),
            portfolio=portfolio,
            catalogue=Catalogue(self.gateway, timing.now),
            locks=BucketLocks(),
            in_flight=InFlight(portfolio, timing.now),
            inboxes=Inboxes(),
            timing=timing,
            new_link_id=lambda: "unused",
            new_order_id=lambda: CloseOrderId(uuid_of("unused")),
            exchange=lambda _: self.exchange,
            shown=lambda _: None,
            ended=lambda request, one: None,
        )
        quotes = CloseQuotes(self.gateway, closing.exchange, timing)
        planner = ClosePlanner(closing, quotes, lambda _: index)
        (found,) = (await planner.plan(ALICE, one.id, None)).legs
        return found

    async def fills(self, order: MarketOrder) -> list[Fill]:
        await self.exchange.send(self.exchange.sign(order))
        async with asyncio.timeout(5):
            while True:
                found = await self.exchange.fills_of(order, None)
                if sum((fill.quantity for fill in found), D(0)) == order.quantity:
                    return found
                await asyncio.sleep(0.05)


@pytest.fixture
async def floor() -> AsyncIterator[Floor]:
    async with PaperServer(seed=7) as paper:
        paper.control("pause")
        hosts = {Environment.PAPER: Hosts(paper.url, paper.ws_url, paper.ws_url)}
        async with open_gateway(hosts) as gateway:
            trader = paper.add_account("trader", balances=BALANCES)
            keys = Credentials(trader.key, trader.secret)
            yield Floor(paper, trader, gateway, gateway.account(account(), keys))


def _order(planned: PlannedLeg) -> MarketOrder:
    leg = planned.component
    if leg.category is Category.SPOT:
        return SpotSell(leg.symbol, planned.quantity, "pd-1")
    side = leg.side.reverse
    return ReduceOnlyOrder(leg.category, leg.symbol, 0, side, planned.quantity, "pd-1")


@pytest.mark.parametrize(
    ("category", "symbol", "side", "quantity", "coin"),
    [
        (Category.LINEAR, "BTCUSDT", Side.BUY, "3", "USDT"),
        (Category.LINEAR, "BTCUSDT", Side.SELL, "3", "USDT"),
        (Category.INVERSE, "BTCUSD", Side.BUY, "90000", "BTC"),
        (Category.SPOT, "BTCUSDT", Side.BUY, "1.5", "USDT"),
        (Category.OPTION, "", Side.BUY, "2", "USDC"),
    ],
)
async def test_price_and_fee_are_those_of_the_fills(
    floor: Floor, category: Category, symbol: str, side: Side, quantity: str, coin: str
) -> None:
    if category is Category.OPTION:
        listed = await floor.gateway.instruments(Environment.PAPER, category)
        symbol = next(i.key.symbol for i in listed if i.is_trading and i.base_coin == "BTC")
    leg = component(quantity, side, symbol, category=category)
    if category is Category.SPOT:
        leg = replace(leg, coin="BTC")
    else:
        floor.open(leg)
    planned = await floor.planned(leg)
    assert planned.quantity == D(quantity)
    assert planned.blockers == ()
    fills = await floor.fills(_order(planned))
    assert planned.estimated_price is not None
    assert planned.estimated_fee is not None
    worth = sum((f.quantity * f.price for f in fills), D(0)) / planned.quantity
    if category is Category.INVERSE:
        worth = planned.quantity / sum((f.quantity / f.price for f in fills), D(0))
    assert abs(planned.estimated_price / worth - 1) < D("0.001")
    fee = sum((f.fee for f in fills), D(0))
    assert abs(planned.estimated_fee / fee - 1) < D("0.001")
    assert {planned.fee_coin} == {fill.fee_coin for fill in fills} == {coin}
