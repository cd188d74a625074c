"""A paper exchange with one account, and a gateway to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from positiond.bybit.account_feed import BybitAccountFeed
from positiond.bybit.exchange import BybitAccount
from positiond.bybit.gateway import BybitGateway, open_gateway
from positiond.bybit.market_feed import BybitMarketFeed
from positiond.bybit.paper.server import PaperAccount, PaperServer
from positiond.bybit.rest import Patience
from positiond.bybit.vocab import Hosts
from positiond.daemon.domain.model import Category, Credentials, Environment

from . import stubs


@dataclass
class Venue:
    """The paper exchange, the trader's account on it, and our door to it."""

    paper: PaperServer
    trader: PaperAccount
    gateway: BybitGateway

    @property
    def credentials(self) -> Credentials:
        return Credentials(self.trader.key, self.trader.secret)

    @property
    def account(self) -> BybitAccount:
        return self.gateway.account(stubs.account(), self.credentials)

    @property
    def account_feed(self) -> BybitAccountFeed:
        return self.gateway.account_feed(stubs.account(), self.credentials)

    @property
    def market_feed(self) -> BybitMarketFeed:
        return self.gateway.market_feed(Environment.PAPER, Category.LINEAR)

    def fault(self, kind: str, **spec: object) -> None:
        venue = self.paper.venue
        venue.faults.add({"kind": kind, **spec}, venue.books, venue.seed)

    def buy(self, quantity: str = "0.5", symbol: str = "BTCUSDT", category: str = "linear") -> None:
        self.paper.trade(self.trader, symbol, "Buy", quantity, category=category)

    async def options(self, coin: str) -> list[str]:
        """The symbols of a coin's options that trade, in their order."""
        listed = await self.gateway.instruments(Environment.PAPER, Category.OPTION)
        return sorted(one.key.symbol for one in listed if one.base_coin == coin and one.is_trading)


@pytest.fixture
async def venue() -> AsyncIterator[Venue]:
    async with PaperServer(seed=7) as paper:
        hosts = {Environment.PAPER: Hosts(paper.url, paper.ws_url, paper.ws_url)}
        async with open_gateway(
            hosts, patience=Patience(read=5.0, send=1.0), persistence=stubs.PROMPT
        ) as gateway:
            yield Venue(paper, paper.add_account("trader"), gateway)
