"""An account's key: looked at before it is used, and again for as long as it is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import NoReturn

from positiond.daemon.domain.errors import ConfigError, ExchangeUnreachable, PositiondError
from positiond.daemon.domain.events import AccountFeedDown, AccountFeedUp, AccountSink
from positiond.daemon.domain.model import Account, Credentials, KeyInfo
from positiond.daemon.domain.ports import AccountExchange, AccountFeed

from ...builders import ACCOUNT, OTHER_ACCOUNT
from .fake_time import in_fake_time
from .house import House
from .streams import KeyShelf, OpenDoor

FIT = KeyInfo("1", False, {"ContractTrade": ("Order", "Position"), "Wallet": ()}, (), None)
READ_ONLY = replace(FIT, read_only=True)
DANGEROUS = replace(FIT, permissions={**FIT.permissions, "Wallet": ("Withdraw",)})
NEW = Credentials("key", "another secret")


class Bybit(OpenDoor):
    """A Gateway to one account; what its key may do is the test's to say."""

    def __init__(self) -> None:
        super().__init__()
        self.key: KeyInfo | PositiondError = FIT
        self.looks = 0
        self.streams_of: list[Credentials] = []
        self.open_streams = 0
        self.cut = asyncio.Event()

    def account(self, account: Account, credentials: Credentials) -> AccountExchange:
        return Told(self)

    def account_feed(self, account: Account, credentials: Credentials) -> AccountFeed:
        self.streams_of.append(credentials)
        return Reconnecting(self)


class Told(KeyShelf):
    def __init__(self, bybit: Bybit) -> None:
        super().__init__()
        self.bybit = bybit

    async def key_info(self) -> KeyInfo:
        self.bybit.looks += 1
        await asyncio.sleep(0.01)
        if isinstance(self.bybit.key, PositiondError):
            raise self.bybit.key
        return self.bybit.key


class Reconnecting:
    """A private stream that comes back a second after every cut."""

    def __init__(self, bybit: Bybit) -> None:
        self.bybit = bybit

    async def run(self, sink: AccountSink) -> NoReturn:
        self.bybit.open_streams += 1
        assert self.bybit.open_streams == 1, "one stream at a time"
        try:
            while True:
                await asyncio.sleep(1)
                sink(AccountFeedUp(ACCOUNT))
                await self.bybit.cut.wait()
                self.bybit.cut.clear()
                sink(AccountFeedDown(ACCOUNT, "reset"))
        finally:
            # Its last words take a moment.
            await asyncio.sleep(0.5)
            self.bybit.open_streams -= 1


class Linked(House):
    """A house whose one account is connected, with its rows looked at on `look`."""

    def __init__(self) -> None:
        self.bybit = Bybit()
        super().__init__(self.bybit)

    def look(self, group: asyncio.TaskGroup) -> None:
        self.connections.keep(group, self.shop.accounts.on_file)

    def put_on_file(self, credentials: Credentials | ConfigError) -> None:
        self.shop.accounts.on_file = [(self.shop.accounts.on_file[0][0], credentials)]

    @property
    def trouble(self) -> str | None:
        return self.portfolio.accounts[ACCOUNT].trouble

    @property
    def is_read_only(self) -> bool:
        return self.portfolio.accounts[ACCOUNT].is_read_only

    @asynccontextmanager
    async def linked(self) -> AsyncIterator[asyncio.TaskGroup]:
        async with self.watching() as group:
            self.look(group)
            await asyncio.sleep(2)
            yield group


@in_fake_time
async def test_the_first_stream_is_no_reason_to_look_at_the_key_again() -> None:
    house = Linked()
    async with house.linked():
        assert ACCOUNT in house.exchanges
        await asyncio.sleep(600)
        assert house.bybit.looks == 1


@in_fake_time
async def test_a_key_that_was_changed_is_seen_when_the_stream_comes_back() -> None:
    house = Linked()
    house.bybit.key = READ_ONLY
    async with house.linked():
        assert house.is_read_only
        house.bybit.key = FIT
        house.bybit.cut.set()
        await asyncio.sleep(2)
        assert (house.is_read_only, house.bybit.looks) == (False, 2)


@in_fake_time
async def test_a_key_that_was_changed_is_seen_at_once_by_who_was_refused_for_it() -> None:
    house = Linked()
    house.bybit.key = READ_ONLY
    async with house.linked():
        house.bybit.key = FIT
        house.connections.look_again(ACCOUNT)
        house.connections.look_again(OTHER_ACCOUNT)
        await asyncio.sleep(1)
        assert (house.is_read_only, house.bybit.looks) == (False, 2)


@in_fake_time
async def test_a_connection_that_ends_while_its_key_turns_dangerous_ends() -> None:
    house = Linked()
    async with house.linked():
        (task,) = house.connections._tasks.values()
        house.bybit.key = DANGEROUS
        house.connections.look_again(ACCOUNT)
        await asyncio.sleep(0.2)
        # The stream is at its last words, which take half a second, when the term ends.
        assert house.bybit.open_streams == 1
        task.cancel()
        await asyncio.wait({task}, timeout=60)
        assert task.cancelled()


@in_fake_time
async def test_a_key_that_was_changed_is_seen_within_the_hour_without_any_sign() -> None:
    house = Linked()
    async with house.linked():
        house.bybit.key = READ_ONLY
        await asyncio.sleep(3700)
        assert (house.is_read_only, house.bybit.looks) == (True, 2)


@in_fake_time
async def test_a_look_that_fails_changes_nothing_and_is_made_again_soon() -> None:
    house = Linked()
    async with house.linked():
        house.bybit.key = ExchangeUnreachable("timeout", "no answer")
        house.bybit.cut.set()
        await asyncio.sleep(2)
        assert (house.trouble, ACCOUNT in house.exchanges) == (None, True)
        house.bybit.key = READ_ONLY
        await asyncio.sleep(61)
        assert house.is_read_only


@in_fake_time
async def test_a_key_that_came_to_be_dangerous_is_used_no_more_until_it_is_not() -> None:
    house = Linked()
    async with house.linked():
        house.bybit.key = DANGEROUS
        house.bybit.cut.set()
        await asyncio.sleep(2)
        assert ACCOUNT not in house.exchanges
        assert "Wallet.Withdraw" in (house.trouble or "")
        assert house.bybit.open_streams == 0
        house.bybit.key = FIT
        await asyncio.sleep(32)
        assert (house.trouble, ACCOUNT in house.exchanges) == (None, True)
        assert house.bybit.open_streams == 1


@in_fake_time
async def test_a_dangerous_key_is_never_used_whatever_its_right_is_called() -> None:
    house = Linked()
    house.bybit.key = replace(FIT, permissions={**FIT.permissions, "Wallet": ("SomethingNew",)})
    async with house.linked():
        assert ACCOUNT not in house.exchanges
        assert "Wallet.SomethingNew" in (house.trouble or "")


# --- credentials ----------------------------------------------------------------------------


@in_fake_time
async def test_another_key_on_file_is_used_in_place_of_the_old_one() -> None:
    house = Linked()
    async with house.linked() as group:
        old = house.exchanges[ACCOUNT]
        house.put_on_file(NEW)
        house.look(group)
        # Until the new key was looked at, nobody trades or reads.
        assert ACCOUNT not in house.exchanges
        assert not house.portfolio.accounts[ACCOUNT].stream_up
        await asyncio.sleep(2)
        assert house.exchanges[ACCOUNT] is not old
        assert house.bybit.streams_of[-1] == NEW
        assert house.portfolio.accounts[ACCOUNT].stream_up


@in_fake_time
async def test_another_key_on_file_ends_the_wait_for_one_that_is_refused() -> None:
    house = Linked()
    house.bybit.key = DANGEROUS
    async with house.linked() as group:
        house.bybit.key = FIT
        house.put_on_file(NEW)
        house.look(group)
        await asyncio.sleep(2)
        assert ACCOUNT in house.exchanges


@in_fake_time
async def test_neither_another_label_nor_a_secret_that_cannot_be_unsealed_cuts_the_stream() -> None:
    house = Linked()
    async with house.linked() as group:
        account, known = house.shop.accounts.on_file[0]
        house.shop.accounts.on_file = [(replace(account, label="renamed"), known)]
        house.look(group)
        house.put_on_file(ConfigError("seal-key-unknown", "no such key"))
        house.look(group)
        await asyncio.sleep(2)
        assert len(house.bybit.streams_of) == 1
        assert house.portfolio.accounts[ACCOUNT].account.label == "renamed"
        assert house.portfolio.accounts[ACCOUNT].stream_up
