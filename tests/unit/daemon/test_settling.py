"""What a compare leaves behind: causes, open deviations, and doubt where nothing is stored."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from positiond.daemon.domain.deviations import CauseKind
from positiond.daemon.domain.events import FillSeen, HoldingSeen
from positiond.daemon.domain.model import AccountId, Verdict
from positiond.daemon.domain.portfolio import AccountState
from positiond.daemon.domain.verdict import Reading

from ...builders import (
    ACCOUNT,
    BTC,
    ETH,
    NOON,
    SHORT,
    account,
    component,
    fill,
    key_of,
    position,
    symbol_key,
    uuid_of,
)
from .compares import Compares, Shelf, serving
from .fake_time import in_fake_time, now

IN_SYNC, ALTERED, UNVERIFIED = Verdict.IN_SYNC, Verdict.ALTERED, Verdict.UNVERIFIED
BUCKET = symbol_key(BTC).bucket(0)


# --- causes and open deviations -------------------------------------------------------------


@in_fake_time
async def test_a_deviation_is_stored_and_shown_with_its_cause() -> None:
    stage = Compares()
    await stage.record(position(component("1")))
    await stage.sweep()
    stage.hold(BTC, "0.4")
    await stage.sweep()
    (record,) = stage.archive.written[-1].deviating
    assert record.cause is not None
    assert record.cause.kind is CauseKind.BY_HAND
    assert stage.portfolio.deviations[BUCKET].cause == record.cause


@in_fake_time
async def test_a_position_recorded_during_a_sweep_is_judged_by_a_compare_of_its_own() -> None:
    stage = Compares()
    await stage.record(position(component("1", of="old"), name="old"))
    sweep = asyncio.create_task(stage.sweep())
    await asyncio.sleep(0.005)
    new = await stage.record(position(component("2", symbol=ETH, of="new"), name="new"))
    # What its recording left: read ahead of the sweep's end, and judged by nobody.
    stage.reconciler.keep(symbol_key(ETH), [stage.hold(ETH, "1")])
    await sweep
    assert (stage.verdict(new), stage.is_altered(new)) == (UNVERIFIED, False)
    await stage.sweep()
    assert (stage.verdict(new), stage.is_altered(new)) == (ALTERED, True)
    assert set(stage.portfolio.deviations) == {symbol_key(ETH).bucket(0)}


@in_fake_time
async def test_a_deviation_leaves_memory_when_its_bucket_is_in_order_again() -> None:
    stage = Compares()
    await stage.record(position(component("1")))
    stage.hold(BTC, "0.4")
    await stage.sweep()
    stage.hold(BTC, "1")
    await stage.sweep()
    assert stage.portfolio.deviations == {}


@in_fake_time
async def test_a_deviation_ends_with_its_row_when_the_position_mode_is_switched() -> None:
    stage = Compares()
    await stage.record(position(component("1")))
    stage.hold(BTC, "0.4")
    await stage.sweep()
    assert set(stage.portfolio.deviations) == {BUCKET}
    stage.shelf.sides[BTC] = 1
    await stage.sweep()
    assert set(stage.portfolio.deviations) == {symbol_key(BTC).bucket(1)}
    assert stage.archive.written[-1].cleared == [BUCKET]


@in_fake_time
async def test_a_deviation_ends_with_the_last_leg_of_its_side_of_a_hedge() -> None:
    stage = Compares()
    await stage.record(position(component("1", of="long"), name="long"))
    stage.shelf.sides[BTC], stage.shelf.short_sides[BTC] = 1, Decimal(1)
    short = position(component("2", SHORT, of="short"), name="short")
    await stage.record(short, held=False)
    await stage.sweep()
    of_short = symbol_key(BTC).bucket(2)
    assert set(stage.portfolio.deviations) == {of_short}
    stage.portfolio.drop(short.id)
    await stage.sweep()
    # Kept, it would be told of as the cause of whatever deviates there next.
    assert stage.portfolio.deviations == {}
    assert of_short in stage.archive.written[-1].cleared


@in_fake_time
async def test_what_is_in_order_is_told_with_the_time_before_it_was_read() -> None:
    stage = Compares()
    await stage.record(position(component("1")))
    await asyncio.sleep(5)
    stage.shelf.list_takes = 3
    await stage.sweep()
    assert stage.causes.in_order == {BUCKET: NOON + timedelta(seconds=5)}
    assert stage.causes.asked == []


@in_fake_time
async def test_an_unexplained_deviation_is_looked_at_again_until_it_is_explained() -> None:
    stage = Compares()
    await stage.record(position(component("1")))
    stage.causes.finds = False
    async with serving(stage):
        stage.reconciler.on_account(HoldingSeen(ACCOUNT, stage.hold(BTC, "0.4")))
        await asyncio.sleep(60)
        assert stage.portfolio.deviations[BUCKET].cause is None
        assert 4 <= len(stage.causes.asked) <= 30
        stage.causes.finds = True
        await asyncio.sleep(70)
        assert stage.portfolio.deviations[BUCKET].cause is not None
        asked = len(stage.causes.asked)
        await asyncio.sleep(600)
        assert len(stage.causes.asked) == asked


@in_fake_time
async def test_what_nothing_explains_is_left_alone_after_ten_minutes() -> None:
    stage = Compares()
    await stage.record(position(component("1")))
    stage.causes.finds = False
    async with serving(stage):
        stage.reconciler.on_account(HoldingSeen(ACCOUNT, stage.hold(BTC, "0.4")))
        await asyncio.sleep(700)
        asked = len(stage.causes.asked)
        await asyncio.sleep(600)
        assert len(stage.causes.asked) == asked


@pytest.mark.parametrize("lasts", [0.2, 60])
@in_fake_time
async def test_a_close_at_work_while_the_cause_was_looked_for_drops_the_reading(
    lasts: float,
) -> None:
    stage = Compares()
    one = await stage.record(position(component("1")))
    await stage.sweep()
    stage.hold(BTC, "0.4")
    stage.causes.takes = 1

    async def close() -> None:
        await asyncio.sleep(0.5)
        async with stage.locks.held([symbol_key(BTC)]):
            await asyncio.sleep(lasts)

    closing = asyncio.create_task(close())
    await stage.sweep()
    assert len(stage.causes.asked) == 1
    assert (stage.verdict(one), stage.is_altered(one)) == (IN_SYNC, False)
    closing.cancel()
    await asyncio.wait({closing})


@in_fake_time
async def test_open_deviations_are_taken_up_at_the_start_of_a_term() -> None:
    stage = Compares()
    await stage.record(position(component("1")))
    stage.hold(BTC, "0.4")
    await stage.sweep()
    stage.portfolio.deviations.clear()
    row = stage.archive.deviations[BUCKET]
    unheld = replace(row, bucket=symbol_key("DOGEUSDT").bucket(0))
    stage.archive.deviations[unheld.bucket] = unheld
    await stage.reconciler.recall()
    assert stage.portfolio.deviations == {BUCKET: row}


@in_fake_time
async def test_readings_taken_under_the_lock_settle_at_once() -> None:
    stage = Compares()
    one = await stage.record(position(component("1")))
    stage.hold(BTC, "0.4")
    await stage.sweep()
    async with stage.locks.held([symbol_key(BTC)]):
        readings = await stage.reconciler.read_now(ACCOUNT, [symbol_key(BTC)])
        smaller = component("1", closed="0.6")
        stage.portfolio.put(replace(one, components=(smaller,)))
        await stage.reconciler.settle_now([symbol_key(BTC)], readings)
        assert (stage.verdict(one), stage.is_altered(one)) == (IN_SYNC, False)
    assert stage.portfolio.deviations == {}
    assert stage.shelf.urgent == 1


@in_fake_time
async def test_what_is_settled_at_once_was_in_order_when_it_was_read() -> None:
    stage = Compares()
    await stage.record(position(component("1")))
    symbol, read_at = symbol_key(BTC), now()
    readings = {symbol: Reading((stage.shelf.row(BTC),), read_at)}
    # What was filled since is of what makes it deviate from now on.
    await asyncio.sleep(8)
    await stage.reconciler.settle_now(readings, readings)
    assert stage.causes.in_order == {BUCKET: read_at}


@in_fake_time
async def test_a_sweep_begun_before_readings_were_settled_does_not_put_them_back() -> None:
    stage = Compares()
    one = await stage.record(position(component("1")))
    stage.shelf.list_takes = 5
    stage.hold(BTC, "0.4")
    sweep = asyncio.create_task(stage.sweep())
    await asyncio.sleep(1)
    stage.hold(BTC, "1")
    fresh = {symbol_key(BTC): Reading((stage.shelf.row(BTC),), now())}
    await stage.reconciler.settle_now(fresh, fresh)
    await sweep
    assert (stage.verdict(one), stage.is_altered(one)) == (IN_SYNC, False)


# --- the database ---------------------------------------------------------------------------


@in_fake_time
async def test_a_verdict_that_cannot_be_stored_is_doubt_and_comes_back_by_itself() -> None:
    stage = Compares()
    one = await stage.record(position(component("1")))
    await stage.sweep()
    stage.archive.fails = True
    async with serving(stage):
        await stage.sweep()
        assert (stage.verdict(one), stage.is_altered(one)) == (UNVERIFIED, False)
        assert stage.reason(one) == "the database does not answer"
        await asyncio.sleep(300)
        assert stage.verdict(one) is UNVERIFIED
        stage.archive.fails = False
        await asyncio.sleep(61)
    assert stage.verdict(one) is IN_SYNC


@pytest.mark.parametrize("settled_at_once", [True, False])
@in_fake_time
async def test_what_was_not_stored_comes_back_whatever_else_is_stored_meanwhile(
    settled_at_once: bool,
) -> None:
    stage = Compares()
    one = await stage.record(position(component("1", of="one"), name="one"))
    two = await stage.record(position(component("1", symbol=ETH, of="two"), name="two"))
    await stage.sweep()
    async with serving(stage):
        stage.archive.fails = True
        if settled_at_once:
            readings = {symbol_key(BTC): Reading((stage.shelf.row(BTC),), now())}
            await stage.reconciler.settle_now(readings, readings)
        else:
            stage.reconciler.recheck(symbol_key(BTC))
            await asyncio.sleep(2.1)
        assert stage.verdict(one) is UNVERIFIED
        stage.archive.fails = False
        # Sooner than the next look at the account is due.
        other = {symbol_key(ETH): Reading((stage.shelf.row(ETH),), now())}
        await stage.reconciler.settle_now(other, other)
        assert stage.verdict(two) is IN_SYNC
        await asyncio.sleep(61)
        assert stage.verdict(one) is IN_SYNC


@in_fake_time
async def test_a_slow_write_of_one_account_keeps_no_other_waiting() -> None:
    stage = Compares()
    here, there = AccountId(uuid_of("here")), AccountId(uuid_of("there"))
    for where in (here, there):
        stage.exchanges[where] = stage.shelf
        stage.portfolio.accounts[where] = AccountState(account(where))
    slow = replace(position(component("1", of="a"), name="a"), account_id=here)
    quick = replace(position(component("1", of="b"), name="b"), account_id=there)
    for one in (slow, quick):
        stage.portfolio.put(one)
    stage.hold(BTC, "0.4")
    stage.causes.takes = 1.5
    async with serving(stage):
        for where in (here, there):
            stage.reconciler.on_account(FillSeen(where, fill()))
        await asyncio.sleep(3.7)
        assert (stage.is_altered(slow), stage.is_altered(quick)) == (True, True)


# --- many accounts --------------------------------------------------------------------------


@in_fake_time
async def test_five_hundred_accounts_are_swept_many_at_a_time() -> None:
    stage = Compares()
    shelf = Shelf()
    shelf.list_takes = 0.25
    shelf.sizes[BTC] = Decimal(1)
    for number in range(500):
        where = AccountId(uuid_of(f"account {number}"))
        stage.portfolio.accounts[where] = AccountState(account(where))
        stage.exchanges[where] = shelf
        one = position(component("1", of=f"p{number}"), name=f"p{number}")
        stage.portfolio.put(replace(one, account_id=where))
    began = now()
    await stage.catalogue.instrument(key_of(BTC))
    await stage.sweep()
    assert len(shelf.lists) == 500
    # 90 requests a second are what the client lets through; less at once would not use them.
    assert now() - began < timedelta(seconds=6)
    verdicts = {sync.verdict for sync in stage.portfolio.syncs.values()}
    assert verdicts == {IN_SYNC}


@in_fake_time
async def test_an_event_does_not_wait_for_a_full_compare_of_another_account() -> None:
    stage = Compares()
    one = await stage.record(position(component("1")))
    await stage.sweep()
    slow, where = Shelf(), AccountId(uuid_of("slow"))
    slow.list_takes = slow.query_takes = 30
    stage.exchanges[where] = slow
    stage.portfolio.accounts[where] = AccountState(account(where))
    late = position(component("1", symbol=ETH, of="late"), name="late")
    stage.portfolio.put(replace(late, account_id=where))
    async with serving(stage):
        stage.reconciler.resync(where)
        await asyncio.sleep(1)
        stage.reconciler.on_account(HoldingSeen(ACCOUNT, stage.hold(BTC, "0.4")))
        await asyncio.sleep(2.5)
        assert stage.is_altered(one)
