"""When a term of leadership ends: nothing is shown as if somebody still looked after it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, cast

import pytest
from positiond.daemon import wiring
from positiond.daemon.config import LoopConfig
from positiond.daemon.domain.errors import Conflict, ExchangeUnreachable
from positiond.daemon.domain.events import MarketFeedUp, MarketSink, PriceTick
from positiond.daemon.domain.model import (
    Account,
    Category,
    Credentials,
    Environment,
    Instrument,
    NewComponent,
    NewPosition,
    Side,
    Verdict,
)
from positiond.daemon.domain.orders import CloseRequest
from positiond.daemon.domain.portfolio import Portfolio
from positiond.daemon.domain.ports import AccountExchange, MarketFeed
from positiond.http.hub import Hub
from positiond.store import leadership
from positiond.store.leadership import HeldEpoch, Leadership

from ...builders import ACCOUNT, ALICE, BTC, component, key_of, position
from .compares import Archive
from .fake_time import in_fake_time, now
from .streams import KeyShelf, OpenDoor, Shop, Stream


class Ticker(Stream):
    """A price stream that is up, with one price."""

    async def run(self, sink: MarketSink | Any) -> Any:
        sink(MarketFeedUp(Environment.PAPER, Category.LINEAR))
        await asyncio.sleep(1)
        sink(PriceTick(key_of(BTC), Decimal(100), Decimal(100), None, now(), is_snapshot=True))
        await asyncio.Event().wait()


class OneAccount(OpenDoor):
    """A Gateway to one account that holds one BTC."""

    def account(self, account: Account, credentials: Credentials) -> AccountExchange:
        shelf = KeyShelf()
        shelf.sizes[BTC] = Decimal(1)
        return shelf

    def market_feed(self, environment: Environment, category: Category) -> MarketFeed:
        return Ticker()


class SlowRules(OneAccount):
    """It takes its time to tell what it lists."""

    def __init__(self) -> None:
        super().__init__()
        self.shelf = KeyShelf()
        self.shelf.sizes[BTC] = Decimal(1)

    def account(self, account: Account, credentials: Credentials) -> AccountExchange:
        return self.shelf

    async def instruments(
        self,
        environment: Environment,
        category: Category,
        symbol: str | None = None,
        *,
        urgent: bool = False,
    ) -> list[Instrument]:
        await asyncio.sleep(20)
        return await super().instruments(environment, category, symbol, urgent=urgent)


class Lock:
    """A connection with the trading lock; a second one is never had."""

    def __init__(self) -> None:
        self.lose: Callable[[object], None] = lambda _: None
        self.is_first = True

    async def connect(self, _url: str) -> Lock:
        if not self.is_first:
            await asyncio.sleep(3600)
        self.is_first = False
        return self

    async def fetchval(self, _query: str, *_values: object, timeout: float) -> int:
        return 1

    def add_termination_listener(self, lose: Callable[[object], None]) -> None:
        self.lose = lose

    async def close(self, timeout: float) -> None:
        pass


async def nothing_to_migrate(_url: str) -> list[str]:
    return []


LATE = NewPosition(
    ACCOUNT,
    "late",
    None,
    (NewComponent(Category.LINEAR, BTC, Side.BUY, Decimal(1), Decimal(100)),),
)


def wired(
    monkeypatch: pytest.MonkeyPatch, lock: Lock, archive: Archive, door: OpenDoor | None = None
) -> wiring.Daemon:
    monkeypatch.setattr(wiring, "migrate", nothing_to_migrate)
    monkeypatch.setattr(wiring, "missing", nothing_to_migrate)
    monkeypatch.setattr(leadership, "connect", lock.connect)
    shop = Shop(archive)
    store = SimpleNamespace(**vars(shop), leadership=Leadership("", HeldEpoch()), people=None)
    return wiring.Daemon(
        LoopConfig(sweep_minutes=5, close_expiry=timedelta(minutes=15)),
        cast(Any, store),
        door or OneAccount(),
        Hub(),
        "postgresql://nowhere",
    )


@pytest.mark.parametrize("slow", ["open_requests", "open_deviations"])
@in_fake_time
async def test_nothing_is_compared_or_recorded_before_the_closes_of_a_dead_process_are_known(
    monkeypatch: pytest.MonkeyPatch, slow: str
) -> None:
    archive = Archive(Portfolio())
    one = position(component("1"))
    archive.positions[one.id] = one
    answer = getattr(archive, slow)

    async def slowly() -> object:
        await asyncio.sleep(20)
        return await answer()

    monkeypatch.setattr(archive, slow, slowly)
    daemon = wired(monkeypatch, Lock(), archive)
    task = asyncio.create_task(daemon.lead())
    await asyncio.sleep(5)
    with pytest.raises(Conflict, match="close is at work"):
        await daemon.services().recorder.record(ALICE, LATE)
    assert daemon.board.live_view(one.id).verdict is Verdict.UNVERIFIED
    await asyncio.sleep(30)
    assert daemon.board.live_view(one.id).verdict is Verdict.IN_SYNC
    task.cancel()
    await asyncio.wait({task})


@in_fake_time
async def test_closes_go_on_before_the_rules_of_all_symbols_are_known_and_compares_after(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    archive, door = Archive(Portfolio()), SlowRules()
    one = position(component("1"))
    archive.positions[one.id] = one
    open_requests, resumed = archive.open_requests, asyncio.Event()

    async def asked() -> list[CloseRequest]:
        resumed.set()
        return await open_requests()

    monkeypatch.setattr(archive, "open_requests", asked)
    daemon = wired(monkeypatch, Lock(), archive, door)
    task = asyncio.create_task(daemon.lead())
    await asyncio.sleep(1)
    assert resumed.is_set()
    await asyncio.sleep(18)
    assert daemon.board.live_view(one.id).verdict is Verdict.UNVERIFIED
    assert (door.shelf.lists, door.shelf.queries) == ([], [])
    await asyncio.sleep(5)
    assert daemon.board.live_view(one.id).verdict is Verdict.IN_SYNC
    assert (len(door.shelf.lists), door.shelf.queries) == (1, [])
    task.cancel()
    await asyncio.wait({task})


@in_fake_time
async def test_without_the_lock_nothing_is_in_sync_live_or_recorded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lock, archive = Lock(), Archive(Portfolio())
    one = position(component("1"))
    archive.positions[one.id] = one
    daemon = wired(monkeypatch, lock, archive)
    recorder = daemon.services().recorder
    task = asyncio.create_task(daemon.lead())
    await asyncio.sleep(30)
    before = daemon.board.live_view(one.id)
    assert (before.verdict, before.pnl_incomplete) == (Verdict.IN_SYNC, None)
    assert daemon.board.feed_state(ALICE).public == "live"

    lock.lose(None)
    await asyncio.sleep(0.01)
    after = daemon.board.live_view(one.id)
    assert after.verdict is Verdict.UNVERIFIED
    assert after.pnl_incomplete is not None
    assert daemon.board.feed_state(ALICE).public == "down"
    with pytest.raises(ExchangeUnreachable):
        await recorder.record(ALICE, LATE)
    task.cancel()
    await asyncio.wait({task})
