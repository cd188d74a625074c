"""Buckets of one close work on their own: nobody waits for another's slow or unknown order."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from decimal import Decimal

from positiond.daemon.domain.errors import ExchangeUnreachable, PositiondError
from positiond.daemon.domain.model import Category, Holding, OrderReport
from positiond.daemon.domain.orders import MarketOrder, RequestState

from ...builders import BTC, ETH, SHORT, component
from .fake_time import in_fake_time, now
from .stage import Stage, outcomes
from .venue import Reaction

DONE, FAILED = RequestState.DONE, RequestState.FAILED


@in_fake_time
async def test_all_buckets_leave_at_once() -> None:
    stage = Stage()
    legs = [component("1", symbol=f"C{n}USDT", of="wide") for n in range(10)]
    ended = await stage.close(stage.record(*legs, name="wide"))
    assert ended.state is DONE
    times = [when for when, _ in stage.venue.arrived]
    assert len(times) == 10
    assert max(times) - min(times) < timedelta(seconds=0.01)


@in_fake_time
async def test_an_unknown_leg_holds_up_neither_booking_nor_remainders_of_the_other() -> None:
    stage = Stage(Reaction(is_lost=True), Reaction(fills="0.5"), Reaction(fills="1"))
    stage.venue.lookups_fail_until = now() + timedelta(minutes=5)
    one = stage.record(component("1"), component("2", SHORT, ETH))
    request = stage.ledger.open_close(one)
    async with asyncio.TaskGroup() as group:
        group.create_task(stage.drive(request))
        await asyncio.sleep(5)
        (lost, other) = stage.ledger.positions[one.id].components
        assert (lost.open, other.open) == (1, 0)
        assert stage.venue.quantities(ETH) == [2, Decimal("1.5"), Decimal("0.5")]
    assert stage.ledger.requests[request.id].state is DONE


@in_fake_time
async def test_a_hanging_send_holds_up_no_remainder_of_the_other() -> None:
    stage = Stage(Reaction(hangs=True), Reaction(fills="0.5"))
    one = stage.record(component("1"), component("2", SHORT, ETH))
    request = stage.ledger.open_close(one)
    async with asyncio.TaskGroup() as group:
        group.create_task(stage.drive(request))
        await asyncio.sleep(5)
        assert stage.venue.filled(ETH) == 2
        assert stage.ledger.requests[request.id].state is RequestState.SETTLING
    assert stage.ledger.requests[request.id].state is DONE
    assert len(stage.venue.sent) == 3


@in_fake_time
async def test_a_size_that_cannot_be_read_holds_up_one_bucket_alone() -> None:
    stage = Stage(Reaction(fills="0.5"), Reaction(fills="0.5"))
    one = stage.record(component("1"), component("2", SHORT, ETH))
    request = stage.ledger.open_close(one)
    read, failing_until = stage.venue.holdings_in, now() + timedelta(seconds=30)

    async def fail_for_btc(
        category: Category, symbol: str, *, urgent: bool = True
    ) -> list[Holding]:
        if symbol == BTC and stage.venue.sent and now() < failing_until:
            raise ExchangeUnreachable("timeout", "Bybit does not answer")
        return await read(category, symbol, urgent=urgent)

    stage.venue.holdings_in = fail_for_btc  # type: ignore[method-assign]  # one symbol fails
    async with asyncio.TaskGroup() as group:
        group.create_task(stage.drive(request))
        await asyncio.sleep(10)
        assert (stage.venue.filled(BTC), stage.venue.filled(ETH)) == (Decimal("0.5"), 2)
        assert any("Bybit does not answer" in note for note in stage.notes())
    ended = stage.ledger.requests[request.id]
    assert (ended.state, stage.venue.filled(BTC)) == (DONE, 1)


@in_fake_time
async def test_in_hedge_mode_both_sides_of_a_symbol_work_on_their_own() -> None:
    stage = Stage(Reaction(is_lost=True))
    stage.is_hedged = True
    stage.venue.lookups_fail_until = now() + timedelta(minutes=5)
    one = stage.record(component("1"), component("2", SHORT))
    request = stage.ledger.open_close(one)
    async with asyncio.TaskGroup() as group:
        group.create_task(stage.drive(request))
        await asyncio.sleep(5)
        assert [c.open for c in stage.ledger.positions[one.id].components] == [1, 0]
    assert stage.ledger.requests[request.id].state is DONE
    assert (stage.venue.size(BTC, 1), stage.venue.size(BTC, 2)) == (0, 0)


@in_fake_time
async def test_after_a_restart_a_hedged_symbol_is_still_two_buckets() -> None:
    stage = Stage(Reaction(hangs=True), Reaction(fills="0.5"))
    stage.is_hedged = True
    one = stage.record(component("1"), component("2", SHORT))
    request = stage.ledger.open_close(one)
    killed = asyncio.create_task(stage.drive(request))
    await asyncio.sleep(0.5)
    killed.cancel()
    await asyncio.wait({killed})
    stage.restart()
    await stage.drive(stage.ledger.requests[request.id])
    ended = stage.ledger.requests[request.id]
    assert (ended.state, len(outcomes(ended))) == (DONE, 2)
    assert (stage.venue.size(BTC, 1), stage.venue.size(BTC, 2)) == (0, 0)


@in_fake_time
async def test_after_a_restart_neither_side_of_a_hedged_symbol_holds_up_the_other() -> None:
    stage = Stage(Reaction(hangs=True), Reaction(hangs=True, fills="0.5"))
    stage.is_hedged = True
    stage.venue.stream_up = False
    one = stage.record(component("1"), component("2", SHORT))
    request = stage.ledger.open_close(one)
    killed = asyncio.create_task(stage.drive(request))
    await asyncio.sleep(0.035)
    killed.cancel()
    await asyncio.wait({killed})
    stage.restart()
    look_up, failing_until = stage.venue.find_order, now() + timedelta(seconds=60)

    async def fail_for_the_long_side(order: MarketOrder) -> OrderReport | None:
        if order.position_idx == 1 and now() < failing_until:
            raise ExchangeUnreachable("timeout", "Bybit does not answer")
        return await look_up(order)

    stage.venue.find_order = fail_for_the_long_side  # type: ignore[method-assign]  # one side fails
    async with asyncio.TaskGroup() as group:
        group.create_task(stage.drive(stage.ledger.requests[request.id]))
        await asyncio.sleep(20)
        assert [c.open for c in stage.ledger.positions[one.id].components] == [1, 0]
    assert stage.ledger.requests[request.id].state is DONE


@in_fake_time
async def test_what_each_bucket_waits_for_stands_beside_the_others_words() -> None:
    stage = Stage(*[Reaction(is_lost=True)] * 2)
    error: PositiondError = ExchangeUnreachable("timeout", "Bybit does not answer")
    stage.venue.lookups_fail_until = now() + timedelta(seconds=60)
    await stage.close(stage.record(component("1"), component("2", SHORT, ETH)))
    assert any(BTC in note and ETH in note and error.detail in note for note in stage.notes())
