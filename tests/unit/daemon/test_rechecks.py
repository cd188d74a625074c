"""The event path: which events ask, when, and beside closes and other compares."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

from positiond.daemon.domain.events import (
    AccountEvent,
    AccountFeedDown,
    AccountFeedUp,
    FillSeen,
    HoldingSeen,
)
from positiond.daemon.domain.model import Verdict
from positiond.daemon.domain.verdict import Reading

from ...builders import (
    ACCOUNT,
    BTC,
    ETH,
    OTHER_ACCOUNT,
    SHORT,
    component,
    fill,
    position,
    symbol_key,
)
from .compares import Compares, serving
from .fake_time import in_fake_time, now

IN_SYNC, ALTERED, UNVERIFIED = Verdict.IN_SYNC, Verdict.ALTERED, Verdict.UNVERIFIED


# --- the event path -------------------------------------------------------------------------


async def told(stage: Compares, *events: AccountEvent) -> int:
    """How many symbol queries the events lead to."""
    before = len(stage.shelf.queries)
    async with serving(stage):
        for event in events:
            stage.reconciler.on_account(event)
        await asyncio.sleep(15)
    return len(stage.shelf.queries) - before


@in_fake_time
async def test_a_push_that_changes_size_is_asked_about_once_it_is_quiet() -> None:
    stage = Compares()
    one = await stage.record(position(component("1")))
    await stage.sweep()
    async with serving(stage):
        began = now()
        row = stage.hold(BTC, "0.4")
        stage.reconciler.on_account(HoldingSeen(ACCOUNT, row))
        await asyncio.sleep(1.9)
        assert stage.shelf.queries == []
        await asyncio.sleep(0.3)
        assert (stage.shelf.queries, stage.is_altered(one)) == ([BTC], True)
        assert now() - began < timedelta(seconds=5)


@in_fake_time
async def test_a_push_without_a_change_of_size_does_nothing() -> None:
    stage = Compares()
    await stage.record(position(component("1")))
    await stage.sweep()
    row = replace(stage.shelf.row(BTC), seq=99, updated_at=now())
    assert await told(stage, HoldingSeen(ACCOUNT, row)) == 0


@in_fake_time
async def test_funding_does_nothing_and_a_trade_asks() -> None:
    stage = Compares()
    await stage.record(position(component("1")))
    await stage.sweep()
    funding = fill(exec_type="Funding", changes_size=False)
    assert await told(stage, FillSeen(ACCOUNT, funding)) == 0
    assert await told(stage, FillSeen(ACCOUNT, fill())) == 1


@in_fake_time
async def test_events_of_symbols_and_accounts_without_positions_are_ignored() -> None:
    stage = Compares()
    await stage.record(position(component("1")))
    await stage.sweep()
    foreign = FillSeen(OTHER_ACCOUNT, fill())
    unheld = FillSeen(ACCOUNT, fill(symbol="DOGEUSDT"))
    assert await told(stage, foreign, unheld) == 0


@in_fake_time
async def test_a_burst_is_one_question_at_most_eight_seconds_after_it_began() -> None:
    stage = Compares()
    one = await stage.record(position(component("1")))
    await stage.sweep()
    async with serving(stage):
        stage.hold(BTC, "0.4")
        for _ in range(9):
            stage.reconciler.on_account(FillSeen(ACCOUNT, fill()))
            await asyncio.sleep(0.99)
        assert (stage.shelf.queries, stage.is_altered(one)) == ([BTC], True)


@in_fake_time
async def test_after_a_failed_read_any_push_is_news() -> None:
    stage = Compares()
    one = await stage.record(position(component("1")))
    stage.shelf.failing |= {"USDT", BTC}
    await stage.sweep()
    stage.shelf.failing.clear()
    assert await told(stage, HoldingSeen(ACCOUNT, stage.shelf.row(BTC))) == 1
    assert stage.verdict(one) is IN_SYNC


@in_fake_time
async def test_a_stream_that_came_up_asks_for_everything() -> None:
    stage = Compares()
    pair = await stage.record(position(component("1"), component("2", SHORT, ETH)))
    stage.hold(ETH, "-1")
    async with serving(stage):
        stage.reconciler.on_account(AccountFeedUp(ACCOUNT))
        await asyncio.sleep(0.2)
    assert (stage.shelf.lists, stage.is_altered(pair)) == (["USDT"], True)


@in_fake_time
async def test_an_account_whose_key_is_good_at_last_is_compared_before_its_stream_is_up() -> None:
    stage = Compares()
    one = await stage.record(position(component("1")))
    stage.exchanges.clear()
    await stage.sweep()
    assert stage.verdict(one) is UNVERIFIED
    async with serving(stage):
        await asyncio.sleep(20)
        assert (stage.shelf.lists, stage.shelf.queries) == ([], [])
        stage.exchanges[ACCOUNT] = stage.shelf
        await asyncio.sleep(60)
    assert stage.verdict(one) is IN_SYNC


@in_fake_time
async def test_a_sweep_that_reads_the_account_next_is_what_a_stream_asks_for() -> None:
    stage = Compares()
    await stage.record(position(component("1")))
    async with serving(stage):
        stage.reconciler.on_account(AccountFeedUp(ACCOUNT))
        await stage.sweep()
        await asyncio.sleep(5)
    assert stage.shelf.lists == ["USDT"]


@in_fake_time
async def test_a_sweep_whose_read_has_begun_is_not_what_a_stream_asks_for() -> None:
    stage = Compares()
    await stage.record(position(component("1")))
    async with serving(stage), asyncio.TaskGroup() as group:
        group.create_task(stage.sweep())
        await asyncio.sleep(stage.shelf.list_takes / 2)
        stage.reconciler.on_account(AccountFeedUp(ACCOUNT))
        await asyncio.sleep(5)
    assert stage.shelf.lists == ["USDT", "USDT"]


@in_fake_time
async def test_a_cut_stream_makes_doubt_until_the_compare_after_it_is_up_again() -> None:
    stage = Compares()
    pair = await stage.record(position(component("1"), component("2", SHORT, ETH)))
    await stage.sweep()
    stage.flag(pair)
    async with serving(stage):
        stage.reconciler.on_account(AccountFeedDown(ACCOUNT, "no pong"))
        await asyncio.sleep(4.9)
        assert stage.verdict(pair) is IN_SYNC
        await asyncio.sleep(0.2)
        assert (stage.verdict(pair), stage.is_altered(pair)) == (UNVERIFIED, True)
        assert stage.reason(pair) == "the private stream is down: no pong"
        stage.reconciler.on_account(AccountFeedUp(ACCOUNT))
        await asyncio.sleep(1)
    assert (stage.verdict(pair), stage.is_altered(pair)) == (IN_SYNC, False)


@in_fake_time
async def test_rows_that_are_still_behind_after_a_reconnect_are_read_once_more() -> None:
    stage = Compares()
    one = await stage.record(position(component("1")))
    await stage.sweep()
    async with serving(stage):
        stage.reconciler.on_account(AccountFeedDown(ACCOUNT, "no pong"))
        await asyncio.sleep(1)
        # Sold a moment ago: no stream tells it, and Bybit's rows do not show it yet.
        stage.reconciler.on_account(AccountFeedUp(ACCOUNT))
        await asyncio.sleep(1)
        assert stage.verdict(one) is IN_SYNC
        stage.hold(BTC, "0.4")
        await asyncio.sleep(5)
        assert stage.verdict(one) is ALTERED
        asked = len(stage.shelf.lists)
        await asyncio.sleep(30)
        assert len(stage.shelf.lists) == asked


@in_fake_time
async def test_a_reconnect_within_five_seconds_asks_for_everything_and_doubts_nothing() -> None:
    stage = Compares()
    pair = await stage.record(position(component("1"), component("2", SHORT, ETH)))
    await stage.sweep()
    stage.changed.clear()
    async with serving(stage):
        stage.reconciler.on_account(AccountFeedDown(ACCOUNT, "no pong"))
        stage.reconciler.on_account(AccountFeedDown(ACCOUNT, "refused"))
        await asyncio.sleep(4)
        stage.hold(ETH, "-1")
        stage.reconciler.on_account(AccountFeedUp(ACCOUNT))
        await asyncio.sleep(10)
    assert stage.verdict(pair) is ALTERED
    assert stage.turned == [{pair.id}]


@in_fake_time
async def test_where_nobody_is_connected_a_lost_stream_is_doubted_at_once() -> None:
    stage = Compares()
    one = await stage.record(position(component("1")))
    await stage.sweep()
    stage.exchanges.clear()
    stage.reconciler.on_account(AccountFeedDown(ACCOUNT, "this process does not lead"))
    assert stage.verdict(one) is UNVERIFIED


@in_fake_time
async def test_only_a_verdict_that_turns_is_news_and_the_first_one_is_none() -> None:
    stage = Compares()
    one = await stage.record(position(component("1")))
    await stage.sweep()
    await stage.sweep()
    assert stage.turned == []
    stage.hold(BTC, "0.4")
    await stage.sweep()
    await stage.sweep()
    assert stage.turned == [{one.id}]


@in_fake_time
async def test_an_event_read_that_fails_changes_no_flag() -> None:
    stage = Compares()
    one = await stage.record(position(component("1")))
    await stage.sweep()
    stage.hold(BTC, "0")
    stage.shelf.failing.add(BTC)
    await told(stage, FillSeen(ACCOUNT, fill()))
    assert (stage.verdict(one), stage.is_altered(one)) == (UNVERIFIED, False)


# --- beside closes, and one compare beside another ------------------------------------------


@in_fake_time
async def test_while_a_close_works_in_a_symbol_its_positions_keep_their_verdict() -> None:
    stage = Compares()
    one = await stage.record(position(component("1", of="a"), name="a"))
    other = await stage.record(position(component("1", symbol=ETH, of="b"), name="b"))
    await stage.sweep()
    async with stage.locks.held([symbol_key(BTC)]):
        stage.hold(BTC, "0.3")
        stage.hold(ETH, "0.3")
        await stage.sweep()
        assert (stage.verdict(one), stage.verdict(other)) == (IN_SYNC, ALTERED)
        assert [d.bucket.symbol for d in stage.archive.written[-1].deviating] == [ETH]


@in_fake_time
async def test_a_read_that_a_close_began_and_ended_in_is_dropped() -> None:
    stage = Compares()
    one = await stage.record(position(component("1")))
    await stage.sweep()
    stage.shelf.list_takes = 10
    sweep = asyncio.create_task(stage.sweep())
    await asyncio.sleep(1)
    async with stage.locks.held([symbol_key(BTC)]):
        stage.hold(BTC, "0")
        stage.portfolio.put(replace(one, components=(component("1", closed="1"),)))
        stage.portfolio.readings[symbol_key(BTC)] = Reading((stage.shelf.row(BTC),), now())
    await sweep
    # The list said 1 where nothing is recorded any more: no verdict comes of that.
    assert not stage.is_altered(one)
    assert stage.portfolio.readings[symbol_key(BTC)].holdings[0].size == 0


@in_fake_time
async def test_a_symbol_whose_read_was_dropped_is_read_again_soon() -> None:
    stage = Compares()
    one = await stage.record(position(component("1")))
    await stage.sweep()
    stage.shelf.list_takes = 3
    stage.hold(BTC, "0.4")
    async with serving(stage):
        sweep = asyncio.create_task(stage.sweep())
        await asyncio.sleep(1)
        async with stage.locks.held([symbol_key(BTC)]):
            await asyncio.sleep(1)
        await sweep
        assert not stage.is_altered(one)
        await asyncio.sleep(3)
    assert stage.is_altered(one)


@in_fake_time
async def test_a_change_seen_while_a_symbol_is_locked_is_compared_afterwards() -> None:
    stage = Compares()
    one = await stage.record(position(component("1")))
    await stage.sweep()
    async with serving(stage):
        async with stage.locks.held([symbol_key(BTC)]):
            stage.reconciler.on_account(HoldingSeen(ACCOUNT, stage.hold(BTC, "0.4")))
            await asyncio.sleep(20)
            assert stage.shelf.queries == []
        await asyncio.sleep(5)
    assert stage.is_altered(one)


@in_fake_time
async def test_a_slow_sweep_never_puts_back_what_a_recheck_saw_later() -> None:
    stage = Compares()
    one = await stage.record(position(component("1")))
    await stage.sweep()
    async with serving(stage):
        stage.shelf.list_takes = 8
        sweep = asyncio.create_task(stage.sweep())
        await asyncio.sleep(1)
        stage.reconciler.on_account(HoldingSeen(ACCOUNT, stage.hold(BTC, "0.4")))
        await asyncio.sleep(3)
        assert stage.is_altered(one)
        await sweep
        assert (stage.verdict(one), stage.is_altered(one)) == (ALTERED, True)


@in_fake_time
async def test_a_recheck_judges_only_who_holds_the_symbol() -> None:
    stage = Compares()
    one = await stage.record(position(component("1", of="a"), name="a"))
    other = await stage.record(position(component("1", symbol=ETH, of="b"), name="b"))
    await stage.sweep()
    stage.changed.clear()
    stage.hold(BTC, "2")
    await told(stage, FillSeen(ACCOUNT, fill()))
    assert stage.changed == [{one.id}]
    assert other.id not in stage.archive.written[-1].flags
