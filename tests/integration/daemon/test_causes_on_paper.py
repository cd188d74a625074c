"""From what happens on the exchange to its sentence: real sockets, the real client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, cast

import pytest
from positiond.bybit.gateway import BybitGateway, open_gateway
from positiond.bybit.paper.server import PaperAccount, PaperServer
from positiond.bybit.reconnect import Persistence
from positiond.bybit.rest import Patience
from positiond.bybit.vocab import Hosts
from positiond.daemon.catalogue import Catalogue
from positiond.daemon.cause_finder import CauseFinder
from positiond.daemon.domain.deviations import Cause, CauseKind
from positiond.daemon.domain.events import AccountEvent, AccountFeedUp, FillSeen
from positiond.daemon.domain.model import (
    BucketKey,
    Category,
    Credentials,
    Environment,
    Fill,
    PositionId,
)
from positiond.daemon.domain.portfolio import AccountState, Portfolio
from positiond.daemon.domain.ports import AccountExchange, Evidence
from positiond.daemon.domain.verdict import Deviation, kind_of
from positiond.daemon.pulse import Pulse
from positiond.daemon.timing import Timing
from tenacity import wait_none

from ...builders import ACCOUNT, account, component, key_of, position

D = Decimal
BALANCES = {"USDT": D(1_000_000), "USDC": D(100_000), "BTC": D(5), "ETH": D(50)}


class NoOwners:
    async def owners_of(self, link_ids: Sequence[str]) -> Mapping[str, tuple[PositionId, str]]:
        return {}


@dataclass
class Desk:
    """One account on the exchange, its stream, and the finder that listens to it."""

    paper: PaperServer
    trader: PaperAccount
    gateway: BybitGateway
    portfolio: Portfolio
    catalogue: Catalogue
    finder: CauseFinder
    heard: list[AccountEvent] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def hear(self, event: AccountEvent) -> None:
        self.heard.append(event)
        self.finder.on_account(event)
        self.news.set()

    async def until(self, seen: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not seen():
                self.news.clear()
                await self.news.wait()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        feed = self.gateway.account_feed(account(), self._credentials)
        task = asyncio.create_task(feed.run(self.hear))
        try:
            await self.until(lambda: any(isinstance(e, AccountFeedUp) for e in self.heard))
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    @property
    def _credentials(self) -> Credentials:
        return Credentials(self.trader.key, self.trader.secret)

    async def hold(self, category: Category, symbol: str, coin: str | None = None) -> None:
        leg = replace(component(symbol=symbol, category=category), coin=coin)
        self.portfolio.put(replace(position(leg), opened_at=datetime.now(UTC)))
        await self.catalogue.instrument(key_of(symbol, category))

    def control(self, name: str, **body: Any) -> Mapping[str, Any]:
        return self.paper.control(name, account="trader", **body)

    async def fills(self, name: str, **body: Any) -> None:
        """Does it, and waits until the stream has told all of it."""
        made = {row["execId"] for row in self.control(name, **body)["executions"]}
        assert made
        await self.until(lambda: made <= {fill.exec_id for fill in self._fills})

    def told_of(self, exec_type: str) -> bool:
        return any(fill.exec_type == exec_type for fill in self._fills)

    @property
    def _fills(self) -> list[Fill]:
        return [event.fill for event in self.heard if isinstance(event, FillSeen)]

    async def cause(self, bucket: BucketKey, expected: str, actual: str) -> Cause:
        kind = kind_of(D(expected), D(actual))
        off = Deviation(bucket, kind, D(expected), D(actual))
        found = await self.finder.explain(ACCOUNT, (off,))
        return found[bucket]


def bucket(category: Category, symbol: str, idx: int = 0) -> BucketKey:
    return BucketKey(ACCOUNT, category, symbol, idx)


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    async with PaperServer(seed=7) as paper:
        hosts = {Environment.PAPER: Hosts(paper.url, paper.ws_url, paper.ws_url)}
        prompt = Persistence(
            usual=wait_none(), after_refusal=wait_none(), settled_after=0.0, first_jitter=0.0
        )
        async with open_gateway(
            hosts, patience=Patience(read=5.0, send=1.0), persistence=prompt
        ) as gateway:
            trader = paper.add_account("trader", balances=BALANCES)
            portfolio = Portfolio()
            portfolio.accounts[ACCOUNT] = AccountState(account())
            clock = asyncio.get_running_loop().time
            timing = Timing(lambda: datetime.now(UTC), clock, Pulse(clock))
            catalogue = Catalogue(gateway, timing.now)
            exchange: AccountExchange = gateway.account(
                account(), Credentials(trader.key, trader.secret)
            )
            finder = CauseFinder(
                portfolio,
                {ACCOUNT: exchange},
                cast(Evidence, NoOwners()),
                catalogue,
                timing,
                deadline=5.0,
            )
            yield Desk(paper, trader, gateway, portfolio, catalogue, finder)


@pytest.mark.parametrize(
    ("made_by", "kind", "words"),
    [
        ("CreateByUser", CauseKind.BY_HAND, "Long leg reduced by hand at "),
        ("CreateByTrailingStop", CauseKind.TRAILING_STOP, "Long leg reduced by trailing stop at "),
        ("CreateByUnlisted", CauseKind.UNKNOWN, "of the unknown kind CreateByUnlisted at "),
    ],
)
async def test_a_contract_s_trade_is_named_from_the_stream(
    desk: Desk, made_by: str, kind: CauseKind, words: str
) -> None:
    linear = bucket(Category.LINEAR, "BTCUSDT")
    await desk.hold(Category.LINEAR, "BTCUSDT")
    async with desk.listening():
        await desk.fills("trade", symbol="BTCUSDT", side="Buy", qty="1")
        desk.finder.note_in_order([linear], datetime.now(UTC))
        cut = {"symbol": "BTCUSDT", "side": "Sell", "qty": "0.4"}
        await desk.fills("trade", **cut, create_type=made_by)
        cause = await desk.cause(linear, "1", "0.6")
    assert cause.kind is kind
    assert words in cause.text
    assert cause.quantity == D("0.4")
    assert not cause.while_away


async def test_in_hedge_mode_each_side_has_its_own_cause(desk: Desk) -> None:
    await desk.hold(Category.LINEAR, "BTCUSDT")
    long, short = (bucket(Category.LINEAR, "BTCUSDT", idx) for idx in (1, 2))
    desk.control("mode", symbol="BTCUSDT", mode="hedge")
    async with desk.listening():
        for idx, side in ((1, "Buy"), (2, "Sell")):
            await desk.fills("trade", symbol="BTCUSDT", side=side, qty="1", position_idx=idx)
        desk.finder.note_in_order([long, short], datetime.now(UTC))
        for idx in (1, 2):
            await desk.fills("trade", symbol="BTCUSDT", side="Sell", qty="0.4", position_idx=idx)
        await desk.fills("adl", symbol="BTCUSDT", qty="0.2", position_idx=2)
        of_long = await desk.cause(long, "1", "0.6")
        of_short = await desk.cause(short, "-1", "-1.2")
    assert of_long.text.startswith("Long leg reduced by hand at ")
    assert of_long.kind is CauseKind.BY_HAND
    assert of_short.kind is CauseKind.SEVERAL
    assert of_short.text.startswith("Short leg increased by hand at ")
    assert "then reduced by ADL at " in of_short.text


async def test_what_happened_without_a_stream_is_read_from_the_list(desk: Desk) -> None:
    inverse = bucket(Category.INVERSE, "BTCUSD")
    await desk.hold(Category.INVERSE, "BTCUSD")
    desk.control("trade", category="inverse", symbol="BTCUSD", side="Sell", qty="900")
    desk.finder.note_in_order([inverse], datetime.now(UTC))
    desk.control("liquidate", category="inverse", symbol="BTCUSD")
    cause = await desk.cause(inverse, "-900", "0")
    assert cause.kind is CauseKind.LIQUIDATION
    assert cause.while_away
    assert cause.text.startswith("While we were away: Short leg closed by liquidation at ")
    assert ", 900 USD at " in cause.text


async def test_an_expired_option_is_delivered(desk: Desk) -> None:
    listed = await desk.gateway.instruments(Environment.PAPER, Category.OPTION)
    symbol = sorted(one.key.symbol for one in listed if one.base_coin == "ETH")[0]
    option = bucket(Category.OPTION, symbol)
    await desk.hold(Category.OPTION, symbol)
    one = {"category": "option", "symbol": symbol}
    async with desk.listening():
        await desk.fills("trade", **one, side="Buy", qty="0.2")
        desk.finder.note_in_order([option], datetime.now(UTC))
        desk.paper.control("deliver", **one, price="3000")
        await desk.until(lambda: desk.told_of("Delivery"))
        cause = await desk.cause(option, "0.2", "0")
    assert cause.kind is CauseKind.DELIVERY
    assert cause.text.startswith("Long leg delivered at ")
    assert ", 0.2 ETH at " in cause.text


async def test_a_stop_on_spot_and_a_withdrawal_are_told_apart(desk: Desk) -> None:
    coin = bucket(Category.SPOT, "BTC")
    await desk.hold(Category.SPOT, "BTCUSDT", coin="BTC")
    async with desk.listening():
        desk.finder.note_in_order([coin], datetime.now(UTC))
        desk.control("deposit", coin="BTC", amount="-0.3")
        gone = await desk.cause(coin, "5", "4.7")
        spot = {"category": "spot", "symbol": "BTCUSDT", "create_type": "CreateByStopLoss"}
        await desk.fills("trade", **spot, side="Sell", qty="0.4")
        sold = await desk.cause(coin, "4.7", "4.3")
    assert gone.kind is CauseKind.UNKNOWN
    assert "0.3 BTC less than recorded" in gone.text
    assert "a transfer, a withdrawal or a conversion would look like this" in gone.text
    assert sold.kind is CauseKind.STOP_LOSS
    assert sold.text.startswith("BTC sold by a take-profit or stop-loss order at ")
