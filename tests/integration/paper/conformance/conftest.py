"""The official SDK pointed at the exchange: nothing of it changes but its URL constants."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from decimal import Decimal
from typing import Any

import pytest
from positiond.bybit.paper.server import PaperAccount, PaperServer
from positiond.bybit.vocab import Category, OptionsType
from pybit import _http_manager, unified_trading

RICH = {
    "USDT": Decimal(1_000_000),
    "USDC": Decimal(1_000_000),
    "BTC": Decimal(10),
}
Run = Callable[..., Awaitable[Any]]


@pytest.fixture
def account(paper: PaperServer, monkeypatch: pytest.MonkeyPatch) -> PaperAccount:
    """A rich account on an exchange that pybit takes for the real one."""
    # It notes a subscription after sending it, and a thread may wait long for its turn in between.
    monkeypatch.setattr("positiond.bybit.paper.stream.ANSWER_AFTER_S", 0.3)
    monkeypatch.setattr(_http_manager, "HTTP_URL", paper.url)
    monkeypatch.setattr(unified_trading, "PUBLIC_WSS", paper.ws_url + "/v5/public/{CHANNEL_TYPE}")
    monkeypatch.setattr(unified_trading, "PRIVATE_WSS", paper.ws_url + "/v5/private")
    return paper.add_account("alice", balances=RICH)


@pytest.fixture
async def sdk(account: PaperAccount) -> AsyncIterator[Any]:
    session = unified_trading.HTTP(testnet=False, api_key=account.key, api_secret=account.secret)
    yield session
    await asyncio.to_thread(session.client.close)


@pytest.fixture
def option(paper: PaperServer) -> str:
    """A put near the money, whose book fills what we ask of it."""
    market = paper.venue.market
    puts = [
        i
        for i in market.listing.of(Category.OPTION)
        if i.option is not None and i.option.kind is OptionsType.PUT and i.base == "BTC"
    ]
    nearest = min(
        puts,
        key=lambda i: (
            abs(i.option.strike - market.usd("BTC")) if i.option else 0,
            -i.delivery_ms,
            i.symbol,
        ),
    )
    return nearest.symbol
