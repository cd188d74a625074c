"""Stubs of the doors to Bybit's streams and to the pages."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NoReturn

from positiond.daemon.domain.errors import ConfigError, StoreUnavailable
from positiond.daemon.domain.events import AccountSink, MarketSink
from positiond.daemon.domain.model import (
    Account,
    AccountId,
    Category,
    Credentials,
    Environment,
    KeyInfo,
    PositionId,
    UserId,
)
from positiond.daemon.domain.orders import CloseRequest
from positiond.daemon.domain.ports import AccountExchange, AccountFeed, MarketFeed
from positiond.daemon.domain.views import FeedState, PositionView

from ...builders import account
from .compares import Shelf
from .ledger import Ledger
from .venue import Door

SECRET = Credentials("key", "secret")


class Stream:
    """A MarketFeed and an AccountFeed that never say anything by themselves."""

    def __init__(self) -> None:
        self.watched: list[frozenset[str]] = []

    def watch(self, symbols: frozenset[str]) -> None:
        self.watched.append(symbols)

    async def run(self, sink: MarketSink | AccountSink) -> NoReturn:
        await asyncio.Event().wait()
        raise AssertionError("nobody sets it")


class KeyShelf(Shelf):
    """An exchange that also tells what its key may do."""

    async def key_info(self) -> KeyInfo:
        return KeyInfo("1", False, {"ContractTrade": ("Order", "Position")}, ("10.0.0.1",), None)


class OpenDoor(Door):
    """A Gateway whose streams connect and stay silent."""

    def __init__(self) -> None:
        super().__init__()
        self.streams: dict[tuple[Environment, Category], Stream] = {}

    def account(self, account: Account, credentials: Credentials) -> AccountExchange:
        return KeyShelf()

    def account_feed(self, account: Account, credentials: Credentials) -> AccountFeed:
        return Stream()

    def market_feed(self, environment: Environment, category: Category) -> MarketFeed:
        return self.streams.setdefault((environment, category), Stream())


class Safe:
    """Implements AccountBook as far as reading: the accounts on file."""

    def __init__(self) -> None:
        self.on_file: list[tuple[Account, Credentials | ConfigError]] = [(account(), SECRET)]
        self.fails = False

    async def load_all(self) -> list[tuple[Account, Credentials | ConfigError]]:
        if self.fails:
            raise StoreUnavailable("store-unavailable", "connection refused")
        return self.on_file

    async def add(
        self, user_id: UserId, label: str, environment: Environment, credentials: Credentials
    ) -> Account:
        raise NotImplementedError

    async def of_user(self, user_id: UserId) -> Sequence[Account]:
        return [account for account, _ in self.on_file if account.user_id == user_id]

    async def remove(self, account_id: AccountId) -> None:
        raise NotImplementedError


class Bell:
    """Implements Changes: rings when told, else after the timeout."""

    def __init__(self) -> None:
        self.rung = asyncio.Event()

    async def wait(self, timeout: float) -> bool:
        try:
            async with asyncio.timeout(timeout):
                await self.rung.wait()
        except TimeoutError:
            return False
        self.rung.clear()
        return True


class Shop:
    """The store's parts as the tracker wants them."""

    def __init__(self, ledger: Ledger) -> None:
        self.positions = self.closes = self.switches = self.evidence = ledger
        self.accounts = Safe()
        self.changes = Bell()


class Page:
    """A Publisher that writes down what it is given; `open_for` are those who watch."""

    def __init__(self, *open_for: UserId) -> None:
        self.open_for = frozenset(open_for)
        self.changed: list[tuple[UserId, list[PositionId]]] = []
        self.removed: list[tuple[UserId, list[PositionId]]] = []
        self.deviations: list[PositionId] = []
        self.feeds: list[FeedState] = []

    def watchers(self) -> frozenset[UserId]:
        return self.open_for

    def positions(
        self, user_id: UserId, changed: Sequence[PositionView], removed: Sequence[PositionId]
    ) -> None:
        self.changed.append((user_id, sorted(view.position.id for view in changed)))
        self.removed.append((user_id, list(removed)))

    def close(self, user_id: UserId, request: CloseRequest) -> None:
        raise NotImplementedError("the tracker tells of no close")

    def deviation(self, user_id: UserId, view: PositionView) -> None:
        self.deviations.append(view.position.id)

    def feed(self, user_id: UserId, state: FeedState) -> None:
        self.feeds.append(state)
