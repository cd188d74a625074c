"""Locks by symbol: one close at a time, no deadlock, and stamps that every close changes."""

from __future__ import annotations

import asyncio

import pytest
from positiond.daemon.bucket_locks import BucketLocks, Turn
from positiond.daemon.domain.buckets import SymbolKey

from ...builders import BTC, ETH, symbol_key
from .fake_time import in_fake_time, now

A, B = symbol_key(BTC), symbol_key(ETH)


@in_fake_time
async def test_a_symbol_is_busy_for_as_long_as_it_is_held() -> None:
    locks = BucketLocks()
    async with locks.held([A]):
        assert locks.busy == {A}
    assert locks.busy == set()


@in_fake_time
async def test_waiters_are_served_in_the_order_they_came() -> None:
    locks, served = BucketLocks(), []

    async def one(number: int) -> None:
        await asyncio.sleep(number / 10)
        async with locks.held([A]):
            served.append(number)
            await asyncio.sleep(5)

    async with asyncio.TaskGroup() as group:
        for number in (3, 1, 2, 0):
            group.create_task(one(number))
    assert served == [0, 1, 2, 3]


@in_fake_time
async def test_two_closes_that_need_both_symbols_never_wait_for_one_another() -> None:
    locks, ended = BucketLocks(), []

    async def one(*symbols: SymbolKey) -> None:
        async with locks.held(symbols):
            await asyncio.sleep(1)
            ended.append(symbols)

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        for symbols in [(A, B), (B, A)] * 2:
            group.create_task(one(*symbols))
    assert len(ended) == 4


@in_fake_time
async def test_a_symbol_named_twice_is_locked_once() -> None:
    locks = BucketLocks()
    async with asyncio.timeout(1), locks.held([A, A]):
        assert locks.busy == {A}


@in_fake_time
async def test_different_symbols_are_held_side_by_side() -> None:
    locks, began = BucketLocks(), now()
    async with asyncio.TaskGroup() as group:
        for symbol in (A, B):
            group.create_task(_hold(locks, symbol, 5))
    assert (now() - began).total_seconds() == 5


async def _hold(locks: BucketLocks, symbol: SymbolKey, seconds: float) -> None:
    async with locks.held([symbol]):
        await asyncio.sleep(seconds)


@in_fake_time
async def test_a_stamp_is_none_while_held_and_another_one_afterwards() -> None:
    locks = BucketLocks()
    before = locks.stamp(A)
    assert before is not None
    async with locks.held([A]):
        assert locks.stamp(A) is None
        assert locks.stamp(B) == before
    after = locks.stamp(A)
    assert after not in (None, before)


@in_fake_time
async def test_whoever_fails_or_is_cancelled_lets_go_of_everything() -> None:
    locks = BucketLocks()

    async def fail() -> None:
        async with locks.held([A, B]):
            raise ValueError("half-way")

    with pytest.raises(ValueError, match="half-way"):
        await fail()
    async with locks.held([B]):
        waiting = asyncio.create_task(_hold_both(locks))
        await asyncio.sleep(1)
        assert (locks.busy, locks.wanted) == ({B}, {A, B})
        waiting.cancel()
        await asyncio.wait({waiting})
        assert (locks.busy, locks.wanted) == ({B}, {B})
    async with asyncio.timeout(1), locks.held([A, B]):
        assert locks.busy == {A, B}


async def _hold_both(locks: BucketLocks) -> None:
    async with locks.held([A, B]):
        await asyncio.sleep(1)


@in_fake_time
async def test_the_next_holder_makes_the_symbol_busy_at_once() -> None:
    locks = BucketLocks()
    async with asyncio.TaskGroup() as group:
        async with locks.held([A]):
            group.create_task(_hold(locks, A, 5))
            await asyncio.sleep(1)
        await asyncio.sleep(1)
        assert locks.busy == {A}
    assert locks.busy == set()


@in_fake_time
async def test_nobody_overtakes_who_waits_for_one_of_the_symbols() -> None:
    locks, served = BucketLocks(), []

    async def one(*symbols: SymbolKey) -> None:
        async with locks.held(symbols):
            served.append(symbols)
            await asyncio.sleep(5)

    async with asyncio.TaskGroup() as group:
        for symbols in [(A,), (A, B), (B,), (A,)]:
            group.create_task(one(*symbols))
    assert served == [(A,), (A, B), (B,), (A,)]


@in_fake_time
async def test_while_shut_only_who_goes_first_gets_in_and_stays_before_the_others() -> None:
    locks, served = BucketLocks(is_shut=True), []

    async def one(name: str, turn: Turn) -> None:
        async with turn:
            served.append(name)
            await asyncio.sleep(5)

    async with asyncio.TaskGroup() as group:
        group.create_task(one("new", locks.held([A, B])))
        await asyncio.sleep(1)
        group.create_task(one("left", locks.line_up([A], goes_first=True)))
        group.create_task(one("left later", locks.line_up([A, B], goes_first=True)))
        await asyncio.sleep(1)
        assert locks.busy == {A}
        await asyncio.sleep(60)
        assert served == ["left", "left later"]
        locks.open()
    assert (served[2:], locks.busy) == (["new"], set())


@in_fake_time
async def test_a_place_that_nobody_enters_is_given_back_by_leaving() -> None:
    locks = BucketLocks()
    turn = locks.line_up([A], goes_first=True)
    assert locks.busy == {A}
    turn.leave()
    turn.leave()
    assert (locks.busy, locks.stamp(A)) == (set(), 1)
