"""Both WebSockets of the official SDK: every public channel, every private topic."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from positiond.bybit.paper.server import PaperAccount, PaperServer
from pybit import unified_trading

PRIVATE = {"order", "execution", "position", "wallet", "execution.fast"}


class Ears:
    """What the SDK's threads call back with, until all that is wanted was heard."""

    def __init__(self, wanted: set[str]) -> None:
        self.heard: dict[str, list[Any]] = {}
        self.enough = threading.Event()
        self._wanted = wanted

    def take(self, message: Any) -> None:
        self.heard.setdefault(message["topic"], []).append(message)
        if self._wanted <= set(self.heard):
            self.enough.set()


@contextmanager
def connected(**options: Any) -> Iterator[Any]:
    stream = unified_trading.WebSocket(testnet=False, **options)
    try:
        yield stream
    finally:
        stream.exit()


def listen_to_the_market(category: str, symbol: str) -> Ears:
    topics = {f"tickers.{symbol}"}
    if category != "option":
        topics.add(f"orderbook.1.{symbol}")
    ears = Ears(topics)
    with connected(channel_type=category) as stream:
        stream.ticker_stream(symbol=symbol, callback=ears.take)
        if category != "option":
            stream.orderbook_stream(depth=1, symbol=symbol, callback=ears.take)
        assert ears.enough.wait(10), set(ears.heard)
    return ears


@pytest.mark.parametrize(
    ("category", "symbol"), [("linear", "BTCUSDT"), ("inverse", "BTCUSD"), ("spot", "BTCUSDT")]
)
async def test_the_public_channels_work_unchanged(
    account: PaperAccount, category: str, symbol: str
) -> None:
    ears = await asyncio.to_thread(listen_to_the_market, category, symbol)
    ticker = ears.heard[f"tickers.{symbol}"][0]["data"]
    assert float(ticker["lastPrice"]) > 0
    assert ears.heard[f"orderbook.1.{symbol}"][0]["data"]["s"] == symbol


async def test_the_option_channel_works_unchanged(account: PaperAccount, option: str) -> None:
    ears = await asyncio.to_thread(listen_to_the_market, "option", option)
    ticker = ears.heard[f"tickers.{option}"][0]["data"]
    assert float(ticker["markPrice"]) > 0


def listen_to_the_account(account: PaperAccount, ears: Ears, stop: threading.Event) -> None:
    keys = {"api_key": account.key, "api_secret": account.secret}
    with connected(channel_type="private", **keys) as stream:
        stream.order_stream(callback=ears.take)
        stream.execution_stream(callback=ears.take)
        stream.position_stream(callback=ears.take)
        stream.wallet_stream(callback=ears.take)
        stream.fast_execution_stream(callback=ears.take)
        stop.wait(20)


@pytest.mark.parametrize("category", ["linear", "inverse", "option"])
async def test_the_private_topics_work_unchanged(
    paper: PaperServer, account: PaperAccount, option: str, category: str
) -> None:
    symbol = {"linear": "BTCUSDT", "inverse": "BTCUSD", "option": option}[category]
    qty = {"linear": "0.1", "inverse": "100", "option": "0.1"}[category]
    ears, stop = Ears(PRIVATE), threading.Event()
    listening = asyncio.create_task(asyncio.to_thread(listen_to_the_account, account, ears, stop))
    try:
        # The SDK sends its subscriptions without waiting for their acks.
        for _ in range(8):
            paper.trade(account, symbol, "Buy", qty, category=category)
            if await asyncio.to_thread(ears.enough.wait, 1):
                break
    finally:
        stop.set()
        await listening
    assert set(ears.heard) == PRIVATE
    for topic in ("order", "execution", "position", "execution.fast"):
        row = ears.heard[topic][0]["data"][0]
        assert (row["category"], row["symbol"]) == (category, symbol)
