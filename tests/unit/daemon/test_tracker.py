"""Rows into memory, prices into the book, changes out to those who watch."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from unittest.mock import patch

from positiond.daemon.domain.buckets import SymbolKey
from positiond.daemon.domain.errors import ConfigError
from positiond.daemon.domain.events import (
    AccountFeedDown,
    AccountFeedUp,
    MarketFeedDown,
    MarketFeedUp,
    PriceTick,
)
from positiond.daemon.domain.model import (
    Account,
    BucketKey,
    Category,
    Credentials,
    Environment,
    Position,
    PositionStatus,
)
from positiond.daemon.domain.orders import CloseRequest
from positiond.daemon.domain.portfolio import Portfolio
from positiond.daemon.domain.ports import AccountFeed

from ...builders import (
    ACCOUNT,
    ALICE,
    BOB,
    BTC,
    ETH,
    OTHER_ACCOUNT,
    SHORT,
    close_request,
    component,
    key_of,
    position,
    symbol_key,
)
from .fake_time import in_fake_time, now
from .house import House
from .streams import Page

PAPER, LINEAR = Environment.PAPER, Category.LINEAR


def tick(symbol: str, mark: str) -> PriceTick:
    return PriceTick(key_of(symbol), Decimal(mark), None, None, now())


# --- rows -----------------------------------------------------------------------------------


@in_fake_time
async def test_an_account_whose_secret_cannot_be_unsealed_harms_no_other() -> None:
    house = House()
    pair = house.write(component("1"))
    locked = replace(house.shop.accounts.on_file[0][0], id=OTHER_ACCOUNT, label="locked")
    house.shop.accounts.on_file.append((locked, ConfigError("seal-key-unknown", "no such key")))
    async with house.watching() as group:
        assert await house.tracker.reload(house.connections, group) == [pair]
        await asyncio.sleep(1)
        assert set(house.exchanges) == {ACCOUNT}
        assert house.portfolio.accounts[OTHER_ACCOUNT].trouble == "no such key"
        assert house.connections.are_settled()


@in_fake_time
async def test_rows_are_shown_and_their_streams_are_opened() -> None:
    house = House()
    pair = house.write(component("1"), component("2", SHORT, ETH))
    async with house.watching() as group:
        assert await house.tracker.reload(house.connections, group) == [pair]
        await asyncio.sleep(1)
        assert set(house.exchanges) == {ACCOUNT}
        assert house.door.streams[PAPER, LINEAR].watched[-1] == {BTC, ETH}
    assert [view.position.id for view in house.board.open_views(ALICE)] == [pair.id]


@in_fake_time
async def test_a_row_written_straight_in_is_new_once() -> None:
    house = House()
    async with house.watching() as group:
        assert await house.tracker.reload(house.connections, group) == []
        one = house.write(component("1"))
        assert await house.tracker.reload(house.connections, group) == [one]
        assert await house.tracker.reload(house.connections, group) == []


@in_fake_time
async def test_within_two_seconds_rows_are_live_without_any_notice() -> None:
    house = House()
    async with house.watching() as group:
        group.create_task(house.tracker.run_watch(house.connections, house.reconciler))
        await house.tracker.loaded.wait()
        one = house.write(component("1"))
        await asyncio.sleep(2)
        assert one.id in house.portfolio.positions
        house.shop.changes.rung.set()
        another = house.write(component("1", of="b"), name="b")
        await asyncio.sleep(0.1)
        assert another.id in house.portfolio.positions


@in_fake_time
async def test_what_is_there_at_the_first_look_is_left_to_the_sweep_and_nothing_later() -> None:
    house = House()
    house.write(component("1"))
    asked: list[SymbolKey] = []

    def note(symbol: SymbolKey) -> None:
        asked.append(symbol)

    house.reconciler.recheck = note  # type: ignore[method-assign]  # what is asked of it
    async with house.watching() as group:
        group.create_task(house.tracker.run_watch(house.connections, house.reconciler))
        await house.tracker.loaded.wait()
        await asyncio.sleep(5)
        assert asked == []
        house.write(component("1", symbol=ETH, of="b"), name="b")
        await asyncio.sleep(5)
    assert asked == [symbol_key(ETH)]


@in_fake_time
async def test_a_database_that_is_away_is_said_and_tried_again() -> None:
    house = House()
    house.shop.accounts.fails = True
    async with house.watching() as group:
        group.create_task(house.tracker.run_watch(house.connections, house.reconciler))
        await asyncio.sleep(30)
        assert "database: connection refused" in house.board.readiness().reasons
        assert not house.tracker.loaded.is_set()
        house.shop.accounts.fails = False
        await asyncio.sleep(6)
        assert house.board.store_trouble is None
        assert house.tracker.loaded.is_set()


@in_fake_time
async def test_a_row_as_it_was_read_before_costs_nothing_and_what_others_put_is_seen() -> None:
    house = House()
    one = house.write(component("1"))
    put: list[str] = []
    real = Portfolio.put

    def noted(portfolio: Portfolio, position: Position) -> bool:
        put.append(position.name)
        return real(portfolio, position)

    async with house.watching() as group:
        with patch.object(Portfolio, "put", noted):
            await house.tracker.reload(house.connections, group)
            await house.tracker.reload(house.connections, group)
        assert put == ["pair"]
        # Somebody shows other legs than are on record: the record is what counts.
        house.tracker.put(replace(one, components=(component("3"),)))
        await house.tracker.reload(house.connections, group)
        assert house.portfolio.positions[one.id].components == one.components
        house.archive.positions[one.id] = replace(one, name="renamed")
        await house.tracker.reload(house.connections, group)
    assert house.portfolio.positions[one.id].name == "renamed"


@in_fake_time
async def test_what_was_put_during_a_look_is_newer_than_the_look() -> None:
    house = House()
    one = house.write(component("1"))
    bucket = symbol_key().bucket(0)
    async with house.watching() as group:
        await house.tracker.reload(house.connections, group)
        closing = replace(one, status=PositionStatus.CLOSING)

        async def meanwhile() -> dict[BucketKey, Decimal]:
            # The look has read the rows already when somebody stores and shows a newer one.
            house.tracker.put(closing)
            house.portfolio.unassigned = {bucket: Decimal(2)}
            return {}

        house.write(component("1", symbol=ETH, of="other"), name="other")
        with patch.object(house.archive, "unassigned", meanwhile):
            await house.tracker.reload(house.connections, group)
        assert house.portfolio.positions[one.id].status is PositionStatus.CLOSING
        assert house.portfolio.unassigned == {bucket: Decimal(2)}
        # What was left out of that look is read by the next, though nothing was stored since.
        await house.tracker.reload(house.connections, group)
    assert house.portfolio.positions[one.id].status is PositionStatus.ACTIVE
    assert house.portfolio.unassigned == {}


@in_fake_time
async def test_a_new_term_opens_every_stream_again_though_nothing_was_stored_since() -> None:
    house = House()
    house.write(component("1"))
    feeds: list[Account] = []
    account_feed = house.door.account_feed

    def counted(account: Account, credentials: Credentials) -> AccountFeed:
        feeds.append(account)
        return account_feed(account, credentials)

    with patch.object(house.door, "account_feed", counted):
        for terms in (1, 2):
            house.connections = house.new_connections()
            async with house.watching() as group:
                group.create_task(house.tracker.run_watch(house.connections, house.reconciler))
                await asyncio.sleep(5)
            assert len(feeds) == terms


@in_fake_time
async def test_rows_are_read_again_only_when_the_store_has_others() -> None:
    house = House()
    house.write(component("1"))
    reads: list[int] = []
    unassigned = house.archive.unassigned

    async def counted() -> Mapping[BucketKey, Decimal]:
        reads.append(1)
        return await unassigned()

    async with house.watching() as group:
        with patch.object(house.archive, "unassigned", counted):
            for _ in range(3):
                await house.tracker.reload(house.connections, group)
            assert len(reads) == 1
            house.archive.beside[symbol_key().bucket(0)] = Decimal(1)
            house.archive.paused = True
            for _ in range(3):
                await house.tracker.reload(house.connections, group)
            assert len(reads) == 2
            assert house.board.trading_paused
            house.archive.paused = False
            await house.tracker.reload(house.connections, group)
            assert not house.board.trading_paused


@in_fake_time
async def test_a_position_that_closed_leaves_and_its_page_is_told() -> None:
    house, page = House(), Page(ALICE)
    one = house.write(component("1"))
    house.tracker.put(one)
    house.tracker.flush(page)
    house.tracker.put(replace(one, status=PositionStatus.CLOSED))
    house.tracker.flush(page)
    assert page.removed[-1] == (ALICE, [one.id])
    assert one.id not in house.portfolio.positions


@in_fake_time
async def test_a_row_that_is_gone_leaves_too() -> None:
    house = House()
    one = house.write(component("1"))
    async with house.watching() as group:
        await house.tracker.reload(house.connections, group)
        del house.archive.positions[one.id]
        await house.tracker.reload(house.connections, group)
    assert house.portfolio.positions == {}


@in_fake_time
async def test_after_a_restart_the_last_close_of_a_position_is_known() -> None:
    house = House()
    one = house.write(component("1"))
    last: CloseRequest = close_request(one)
    house.archive.requests[last.id] = last
    async with house.watching() as group:
        await house.tracker.reload(house.connections, group)
    (view,) = house.board.open_views(ALICE)
    assert view.last_close == last


# --- prices and streams ---------------------------------------------------------------------


@in_fake_time
async def test_every_tick_moves_the_pnl_of_who_holds_the_symbol() -> None:
    house, page = House(), Page(ALICE)
    one = house.write(component("2", entry="100"))
    async with house.watching() as group:
        group.create_task(house.tracker.run_watch(house.connections, house.reconciler))
        await house.tracker.learned.wait()
    house.tracker.flush(page)
    for mark, pnl in (("110", 20), ("99", -2)):
        house.tracker.on_market(tick(BTC, mark))
        house.tracker.flush(page)
        assert house.board.live_view(one.id).unrealized_pnl == pnl
    assert page.changed[-2:] == [(ALICE, [one.id])] * 2
    rounds = len(page.changed)
    house.tracker.on_market(tick(BTC, "99"))
    house.tracker.flush(page)
    assert len(page.changed) == rounds


@in_fake_time
async def test_a_price_stream_that_is_down_makes_its_prices_stale() -> None:
    house = House()
    one = house.write(component("1"))
    async with house.watching() as group:
        group.create_task(house.tracker.run_watch(house.connections, house.reconciler))
        await house.tracker.learned.wait()
    house.tracker.on_market(MarketFeedUp(PAPER, LINEAR))
    house.tracker.on_market(tick(BTC, "110"))
    assert house.board.feed_state(ALICE).public == "live"
    house.tracker.on_market(MarketFeedDown(PAPER, LINEAR, "no pong"))
    assert house.board.live_view(one.id).pnl_incomplete == "no fresh price of BTCUSDT"
    assert house.board.feed_state(ALICE).public == "down"
    assert "prices of paper linear: no pong" in house.board.readiness().reasons


@in_fake_time
async def test_the_private_streams_state_is_its_accounts() -> None:
    house = House()
    house.write(component("1"))
    async with house.watching() as group:
        await house.tracker.reload(house.connections, group)
    house.tracker.on_account(AccountFeedUp(ACCOUNT))
    assert house.board.feed_state(ALICE).private == "live"
    house.tracker.on_account(AccountFeedDown(ACCOUNT, "reset"))
    state = house.portfolio.accounts[ACCOUNT]
    assert (state.stream_up, state.trouble) == (False, "reset")
    assert house.board.feed_state(ALICE).private == "down"
    # Nobody's else's trouble.
    assert house.board.feed_state(BOB).private == "live"


# --- out to the pages -----------------------------------------------------------------------


@in_fake_time
async def test_only_those_who_watch_are_told_and_only_of_their_own() -> None:
    house, page = House(), Page(ALICE)
    mine = position(component("1", of="mine"), name="mine")
    other = position(component("1", of="other"), name="other", user_id=BOB)
    for one in (mine, other):
        house.tracker.put(one)
    house.tracker.flush(page)
    assert page.changed == [(ALICE, [mine.id])]
    house.tracker.flush(page)
    assert len(page.changed) == 1


@in_fake_time
async def test_a_turned_verdict_is_told_beside_the_change() -> None:
    house, page = House(), Page(ALICE)
    one = position()
    house.tracker.put(one)
    house.tracker.flush(page)
    assert page.deviations == []
    house.tracker.turned([one.id])
    house.tracker.mark([one.id])
    house.tracker.flush(page)
    house.tracker.flush(page)
    assert page.deviations == [one.id]


@in_fake_time
async def test_pages_are_told_ten_times_a_second_at_most_and_of_the_feed_once() -> None:
    house, page = House(), Page(ALICE)
    one: Position = position()
    house.tracker.put(one)
    async with house.watching() as group:
        group.create_task(house.tracker.run_publish(page))
        for _ in range(100):
            house.tracker.mark([one.id])
            await asyncio.sleep(0.02)
    assert 19 <= len(page.changed) <= 20
    assert len(page.feeds) == 2
