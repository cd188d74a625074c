"""Compares: what is read, when, and what a verdict may and may not do."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from decimal import Decimal

import pytest
from positiond.daemon.domain.model import DeviationKind, Verdict

from ...builders import (
    ACCOUNT,
    BTC,
    ETH,
    NOON,
    SHORT,
    component,
    position,
    symbol_key,
)
from .compares import Compares, serving
from .fake_time import in_fake_time, now

IN_SYNC, ALTERED, UNVERIFIED = Verdict.IN_SYNC, Verdict.ALTERED, Verdict.UNVERIFIED


# --- the sweep ------------------------------------------------------------------------------


@in_fake_time
async def test_a_sweep_finds_a_pair_as_recorded_in_sync_by_one_list() -> None:
    stage = Compares()
    pair = await stage.record(position(component("1"), component("2", SHORT, ETH)))
    await stage.sweep()
    assert (stage.verdict(pair), stage.is_altered(pair)) == (IN_SYNC, False)
    assert (stage.shelf.lists, stage.shelf.queries) == (["USDT"], [])
    assert stage.portfolio.positions[pair.id].verified_at == now() - timedelta(seconds=0.01)
    (written,) = stage.archive.written
    assert written.flags == {pair.id: False}
    assert len(written.cleared) == 2


@in_fake_time
async def test_a_deviation_flags_every_position_of_its_bucket_and_no_other() -> None:
    stage = Compares()
    first = await stage.record(position(component("1", of="a"), name="a"))
    second = await stage.record(position(component("2", of="b"), name="b"))
    third = await stage.record(position(component("2", symbol=ETH, of="c"), name="c"))
    stage.hold(BTC, "2.5")
    await stage.sweep()
    assert [stage.is_altered(p) for p in (first, second, third)] == [True, True, False]
    (deviation,) = stage.archive.written[-1].deviating
    assert (deviation.kind, deviation.expected, deviation.actual) == (
        DeviationKind.MISSING,
        3,
        Decimal("2.5"),
    )


@in_fake_time
async def test_absence_from_a_list_is_confirmed_by_the_symbol() -> None:
    stage = Compares()
    pair = await stage.record(position(component("1"), component("2", SHORT, ETH)))
    stage.shelf.left_out.add(BTC)
    await stage.sweep()
    assert stage.shelf.queries == [BTC]
    assert (stage.verdict(pair), stage.is_altered(pair)) == (IN_SYNC, False)
    stage.hold(BTC, "0")
    await stage.sweep()
    assert (stage.verdict(pair), stage.is_altered(pair)) == (ALTERED, True)


@in_fake_time
async def test_an_empty_answer_about_a_symbol_is_no_answer() -> None:
    stage = Compares()
    one = await stage.record(position(component("1")))
    stage.hold(BTC, "0")
    stage.shelf.silent.add(BTC)
    await stage.sweep()
    assert (stage.verdict(one), stage.is_altered(one)) == (UNVERIFIED, False)
    assert stage.archive.written == []


@pytest.mark.parametrize("was_altered", [True, False])
@in_fake_time
async def test_a_failed_read_makes_doubt_and_neither_sets_nor_clears(was_altered: bool) -> None:
    stage = Compares()
    pair = await stage.record(position(component("1"), component("2", SHORT, ETH)))
    if was_altered:
        stage.flag(pair)
    stage.shelf.failing |= {"USDT", BTC}
    await stage.sweep()
    assert (stage.verdict(pair), stage.is_altered(pair)) == (UNVERIFIED, was_altered)
    assert stage.reason(pair) == "BTCUSDT: no answer about BTCUSDT"
    assert all(not written.flags for written in stage.archive.written)
    buckets = [b.symbol for w in stage.archive.written for b in w.cleared]
    assert buckets == [ETH]


@in_fake_time
async def test_a_failed_list_is_made_up_for_symbol_by_symbol() -> None:
    stage = Compares()
    pair = await stage.record(position(component("1"), component("2", SHORT, ETH)))
    stage.shelf.failing.add("USDT")
    await stage.sweep()
    assert stage.verdict(pair) is IN_SYNC
    assert sorted(stage.shelf.queries) == [BTC, ETH]


@in_fake_time
async def test_an_account_that_is_not_connected_is_unverified_and_says_why() -> None:
    stage = Compares()
    one = await stage.record(position(component("1")))
    stage.exchanges.clear()
    stage.portfolio.accounts[ACCOUNT].trouble = "Bybit refuses the API key"
    await stage.sweep()
    assert (stage.verdict(one), stage.reason(one)) == (
        UNVERIFIED,
        "BTCUSDT: Bybit refuses the API key",
    )


@in_fake_time
async def test_twenty_one_positions_are_compared_in_one_sweep() -> None:
    stage = Compares()
    symbols = [f"S{n:02}USDT" for n in range(21)]
    many = [await stage.record(position(component("1", symbol=s, of=s), name=s)) for s in symbols]
    stage.hold(symbols[20], "3")
    await stage.sweep()
    assert [stage.verdict(p) for p in many] == [IN_SYNC] * 20 + [ALTERED]
    assert (len(stage.shelf.lists), stage.shelf.queries) == (1, [])


@in_fake_time
async def test_what_nobody_holds_is_not_even_asked_for() -> None:
    stage = Compares()
    await stage.record(position(component("1")))
    stage.hold("DOGEUSDT", "500")
    await stage.sweep()
    assert stage.shelf.queries == []
    assert set(stage.portfolio.readings) == {symbol_key(BTC)}


@in_fake_time
async def test_the_flag_goes_when_a_compare_finds_the_bucket_as_expected_again() -> None:
    stage = Compares()
    one = await stage.record(position(component("1")))
    stage.hold(BTC, "0.4")
    await stage.sweep()
    stage.hold(BTC, "1")
    await stage.sweep()
    assert (stage.verdict(one), stage.is_altered(one)) == (IN_SYNC, False)
    assert [b.symbol for b in stage.archive.written[-1].cleared] == [BTC]


@in_fake_time
async def test_a_flag_shows_only_after_the_store_has_it() -> None:
    stage = Compares()
    one = await stage.record(position(component("1")))
    stage.hold(BTC, "0.4")
    await stage.sweep()
    assert stage.archive.written[-1].shown_before == {one.id: False}
    stage.hold(BTC, "1")
    await stage.sweep()
    assert stage.archive.written[-1].shown_before == {one.id: True}
    assert not stage.is_altered(one)


@in_fake_time
async def test_a_verdict_that_was_not_stored_is_not_shown_and_tried_again() -> None:
    stage = Compares()
    one = await stage.record(position(component("1")))
    stage.hold(BTC, "0.4")
    stage.archive.fails = True
    async with serving(stage):
        await stage.sweep()
        assert (stage.verdict(one), stage.is_altered(one)) == (UNVERIFIED, False)
        assert stage.reconciler.sweeps == 0
        stage.archive.fails = False
        await asyncio.sleep(5)
    assert (stage.verdict(one), stage.is_altered(one)) == (ALTERED, True)


@in_fake_time
async def test_a_sweep_writes_the_pnl_of_all_positions_at_once() -> None:
    stage = Compares()
    first = await stage.record(position(component("1", of="a"), name="a"))
    second = await stage.record(position(component("2", of="b"), name="b"))
    await stage.sweep()
    assert [[row.position_id for row in rows] for rows in stage.archive.pnl] == [
        [first.id, second.id]
    ]
    assert stage.reconciler.last_sweep_at == now()
    assert stage.changed[-1] == {first.id, second.id}


# --- the clock ------------------------------------------------------------------------------


@in_fake_time
async def test_sweeps_come_at_once_and_then_on_the_clock() -> None:
    stage = Compares()
    await asyncio.sleep(117)
    await stage.record(position(component("1")))
    sweeps = asyncio.create_task(stage.reconciler.run_sweeps(lambda: True))
    await asyncio.sleep(1)
    first_at = stage.reconciler.last_sweep_at
    assert first_at is not None
    assert first_at - NOON < timedelta(seconds=118)
    for minute in (5, 10, 15):
        await asyncio.sleep((NOON + timedelta(minutes=minute, seconds=2) - now()).total_seconds())
        at = stage.reconciler.last_sweep_at
        assert at is not None
        assert timedelta(0) <= at - NOON - timedelta(minutes=minute) < timedelta(seconds=1)
    assert (stage.reconciler.sweeps, stage.reconciler.overlaps) == (4, 0)
    sweeps.cancel()
    await asyncio.wait({sweeps})


@in_fake_time
async def test_what_had_no_price_at_the_sweep_is_written_when_it_comes() -> None:
    stage = Compares()
    await stage.record(position(component("1")))
    sweeps = asyncio.create_task(stage.reconciler.run_sweeps(lambda: True))
    await asyncio.sleep(5)
    assert [[row.unrealized_pnl for row in rows] for rows in stage.archive.pnl] == [[None]]
    stage.worth = Decimal("1.5")
    await asyncio.sleep(5)
    assert [row.unrealized_pnl for row in stage.archive.pnl[-1]] == [Decimal("1.5")]
    assert (len(stage.archive.pnl), stage.reconciler.sweeps) == (2, 1)
    sweeps.cancel()
    await asyncio.wait({sweeps})


@in_fake_time
async def test_the_first_sweep_waits_for_the_accounts_but_not_for_ever() -> None:
    stage = Compares()
    await stage.record(position(component("1")))
    sweeps = asyncio.create_task(stage.reconciler.run_sweeps(lambda: False))
    await asyncio.sleep(9.9)
    assert stage.reconciler.sweeps == 0
    await asyncio.sleep(0.3)
    assert stage.reconciler.sweeps == 1
    sweeps.cancel()
    await asyncio.wait({sweeps})


@in_fake_time
async def test_a_sweep_that_outlasts_its_interval_skips_and_counts() -> None:
    stage = Compares()
    await stage.record(position(component("1")))
    stage.shelf.list_takes = 660
    sweeps = asyncio.create_task(stage.reconciler.run_sweeps(lambda: True))
    await asyncio.sleep(661)
    stage.shelf.list_takes = 610
    await asyncio.sleep(900 + 611 - 661)
    assert (stage.reconciler.sweeps, stage.reconciler.overlaps) == (2, 2)
    sweeps.cancel()
    await asyncio.wait({sweeps})
