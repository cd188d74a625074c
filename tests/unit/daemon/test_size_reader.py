"""Reading sizes when Bybit is silent, tells half, or lives in another time."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from positiond.daemon.domain.model import Category, Holding, Verdict

from ...builders import BTC, SHORT, component, holding, position, symbol_key
from .compares import Compares, serving
from .fake_time import in_fake_time, now
from .gate import Gate
from .stage import Stage
from .venue import Venue

MANY = [f"S{number:02}USDT" for number in range(40)]


@in_fake_time
async def test_a_silent_exchange_keeps_no_sweep_from_ending() -> None:
    stage = Compares()
    legs = tuple(component("1", symbol=symbol) for symbol in MANY)
    one = await stage.record(position(*legs))
    stage.shelf.failing = {"USDT", *MANY}
    stage.shelf.list_takes = stage.shelf.query_takes = 28.0
    began = now()
    await stage.sweep()
    # The watchdog calls a sweep stuck that does not beat for five minutes.
    assert now() - began < timedelta(minutes=2)
    assert stage.verdict(one) is Verdict.UNVERIFIED
    assert len(stage.portfolio.readings) == len(MANY)


@in_fake_time
async def test_one_silent_symbol_keeps_no_other_from_being_read() -> None:
    stage = Compares()
    odd = await stage.record(position(component("1", symbol=MANY[0], of="odd"), name="odd"))
    sound = await stage.record(position(component("1", symbol=MANY[1], of="ok"), name="ok"))
    stage.shelf.failing = {"USDT", MANY[0]}
    await stage.sweep()
    assert stage.verdict(odd) is Verdict.UNVERIFIED
    assert stage.verdict(sound) is Verdict.IN_SYNC


@in_fake_time
async def test_one_side_of_a_hedge_in_a_list_says_nothing_of_the_other() -> None:
    stage = Compares()
    short = await stage.record(position(component("1", SHORT)), held=False)
    both = [holding("2", idx=1, read_at=now()), holding("-1", idx=2, read_at=now())]

    async def holdings(category: Category, *, settle_coin: str) -> list[Holding]:
        return both[:1]

    async def holdings_in(category: Category, symbol: str, *, urgent: bool = True) -> list[Holding]:
        return both

    stage.shelf.holdings = holdings  # type: ignore[method-assign]  # a partial list
    stage.shelf.holdings_in = holdings_in  # type: ignore[method-assign]  # the whole truth
    await stage.sweep()
    assert stage.verdict(short) is Verdict.IN_SYNC


@in_fake_time
async def test_an_answer_without_one_side_of_the_hedge_is_doubt_and_asked_for_anew() -> None:
    stage = Compares()
    long = await stage.record(position(component("1", of="long"), name="long"), held=False)
    short = await stage.record(
        position(component("2", SHORT, of="short"), name="short"), held=False
    )
    told = [holding("1", idx=1, read_at=now())]

    async def holdings(category: Category, *, settle_coin: str) -> list[Holding]:
        return []

    async def holdings_in(category: Category, symbol: str, *, urgent: bool = True) -> list[Holding]:
        return list(told)

    stage.shelf.holdings = holdings  # type: ignore[method-assign]  # everything by symbol
    stage.shelf.holdings_in = holdings_in  # type: ignore[method-assign]  # one side alone
    async with serving(stage):
        await stage.sweep()
        for one in (long, short):
            assert (stage.verdict(one), stage.is_altered(one)) == (Verdict.UNVERIFIED, False)
            assert "no row for one side" in (stage.reason(one) or "")
        told.append(holding("-2", idx=2, read_at=now()))
        await asyncio.sleep(5)
        assert [stage.verdict(one) for one in (long, short)] == [Verdict.IN_SYNC, Verdict.IN_SYNC]


@in_fake_time
async def test_a_list_that_falls_behind_what_was_read_is_not_believed() -> None:
    stage = Compares()
    one = await stage.record(position(component("1")), held=False)
    old = replace(stage.hold(BTC, "3"), seq=4)
    stage.hold(BTC, "1")
    stage.shelf.seqs[BTC] = 5
    await stage.sweep()
    assert stage.verdict(one) is Verdict.IN_SYNC
    asked = len(stage.shelf.queries)

    async def holdings(category: Category, *, settle_coin: str) -> list[Holding]:
        return [replace(old, read_at=now())]

    stage.shelf.holdings = holdings  # type: ignore[method-assign]  # a list out of a cache
    await stage.sweep()
    assert (stage.verdict(one), len(stage.shelf.queries)) == (Verdict.IN_SYNC, asked + 1)


@in_fake_time
async def test_an_account_that_is_removed_during_a_read_ends_no_loop() -> None:
    stage = Compares()
    one = await stage.record(position(component("1")), held=False)
    stage.shelf.query_takes = 5
    async with serving(stage):
        stage.reconciler.recheck(symbol_key(BTC))
        await asyncio.sleep(3)
        assert stage.shelf.queries == [BTC]
        stage.portfolio.drop(one.id)
        stage.exchanges.clear()
        stage.portfolio.accounts.clear()
        await asyncio.sleep(10)


class Elsewhere(Venue):
    """A venue whose clock is an hour ahead of this machine's."""

    async def holdings_in(
        self, category: Category, symbol: str, *, urgent: bool = True
    ) -> list[Holding]:
        rows = await super().holdings_in(category, symbol, urgent=urgent)
        return [replace(row, read_at=row.read_at + timedelta(hours=1)) for row in rows]


@in_fake_time
async def test_what_a_close_leaves_is_dated_by_our_own_clock() -> None:
    stage = Stage()
    stage.venue = Elsewhere(Gate())
    await stage.close(stage.record(component("1")))
    assert stage.portfolio.readings[symbol_key(BTC)].read_at <= now()
    assert stage.portfolio.readings[symbol_key(BTC)].holdings[0].size == Decimal(0)
