"""Spot legs: sold out of the wallet, never borrowed, never what is another's or locked."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from positiond.daemon.domain.buckets import SymbolKey
from positiond.daemon.domain.model import Category, Component, PositionStatus
from positiond.daemon.domain.orders import LegOutcome, RequestState, SpotSell

from ...builders import ACCOUNT, BTC, SHORT, component, instrument
from .fake_time import in_fake_time, now
from .stage import Stage, outcomes
from .venue import Reaction

DONE, FAILED = RequestState.DONE, RequestState.FAILED
FLAT, SHORTFALL = LegOutcome.FLAT, LegOutcome.SHORTFALL
WALLET = SymbolKey(ACCOUNT, Category.SPOT, "BTC")


def spot(quantity: str, of: str = "pair", symbol: str = BTC) -> Component:
    return replace(component(quantity, symbol=symbol, category=Category.SPOT, of=of), coin="BTC")


@in_fake_time
async def test_a_spot_leg_is_sold_out_of_the_wallet() -> None:
    stage = Stage()
    one = stage.record(spot("1"))
    stage.venue.trade("BTC", "4")
    ended = await stage.close(one)
    assert (ended.state, outcomes(ended)) == (DONE, [FLAT])
    (order,) = stage.venue.sent
    assert isinstance(order, SpotSell)
    assert (order.symbol, order.side, order.quantity) == (BTC, SHORT, 1)
    # What the wallet holds beside it is the trader's.
    assert stage.venue.size("BTC") == 4
    assert stage.status(one) is PositionStatus.CLOSED


@in_fake_time
async def test_a_wallet_is_read_well_after_the_last_fill() -> None:
    stage = Stage()
    ended = await stage.close(stage.record(spot("1")))
    assert ended.ended_at is not None
    assert ended.ended_at >= stage.venue.fills[-1].executed_at + timedelta(seconds=2)
    assert stage.portfolio.readings[WALLET].holdings[0].size == 0


@in_fake_time
async def test_the_fee_that_was_paid_in_the_coin_is_a_shortfall_and_no_refusal() -> None:
    stage = Stage()
    one = stage.record(spot("1"))
    stage.record(spot("1", "other"), name="other")
    stage.venue.trade("BTC", "-0.002")
    ended = await stage.close(one)
    assert (ended.state, outcomes(ended)) == (DONE, [SHORTFALL])
    assert (ended.legs[0].filled, stage.venue.size("BTC")) == (Decimal("0.998"), 1)
    assert stage.status(one) is PositionStatus.CLOSED


@in_fake_time
async def test_more_than_a_fee_is_a_loss_that_nobody_can_attribute() -> None:
    stage = Stage()
    one = stage.record(spot("1"))
    stage.record(spot("1", "other"), name="other")
    stage.venue.trade("BTC", "-0.5")
    ended = await stage.close(one)
    assert (ended.state, ended.code, stage.venue.sent) == (FAILED, "shortfall-unattributed", [])


@in_fake_time
async def test_coin_locked_in_the_traders_own_orders_is_a_blocker() -> None:
    stage = Stage()
    one = stage.record(spot("1"))
    stage.venue.locked["BTC"] = Decimal("0.4")
    ended = await stage.close(one)
    assert (ended.state, ended.code, stage.venue.sent) == (FAILED, "coin-locked", [])
    assert "0.4 is locked" in (ended.detail or "")


@in_fake_time
async def test_a_sale_is_cut_to_the_step_and_its_rest_is_dust() -> None:
    stage = Stage()
    stage.door.rules[BTC] = instrument(step="0.01", category=Category.SPOT)
    one = stage.record(spot("0.997"))
    ended = await stage.close(one)
    assert (ended.state, outcomes(ended)) == (DONE, [LegOutcome.DUST])
    assert stage.venue.quantities(BTC) == [Decimal("0.99")]
    # There is no unassigned coin: what is left is the trader's.
    assert stage.ledger.beside == {}


@in_fake_time
async def test_a_spot_market_order_that_is_part_filled_is_followed_by_its_rest() -> None:
    stage = Stage(Reaction(fills="0.3"))
    ended = await stage.close(stage.record(spot("1")))
    assert (ended.state, stage.venue.quantities(BTC)) == (DONE, [1, Decimal("0.7")])


@in_fake_time
async def test_a_wallet_without_the_coin_is_a_shortfall_to_a_leg_alone() -> None:
    stage = Stage()
    ended = await stage.close(stage.record(spot("1"), held=False))
    assert (ended.state, outcomes(ended), stage.venue.sent) == (DONE, [SHORTFALL], [])


@in_fake_time
async def test_a_lost_sale_is_found_by_its_id_and_never_repeated() -> None:
    stage = Stage(Reaction(hangs=True))
    stage.venue.stream_up = False
    stage.venue.trade("BTC", "3")
    ended = await stage.close(stage.record(spot("1")))
    assert (ended.state, len(stage.venue.sent), stage.venue.size("BTC")) == (DONE, 1, 3)


@pytest.mark.parametrize("settles_in", ["BTC", "USDT"])
@in_fake_time
async def test_coin_that_another_leg_settles_in_is_sold_after_that_leg(settles_in: str) -> None:
    stage = Stage()
    inverse = instrument("BTCUSD", category=Category.INVERSE, settle_coin=settles_in)
    stage.door.rules["BTCUSD"] = inverse
    short = component("3", SHORT, "BTCUSD", category=Category.INVERSE)
    one = stage.record(spot("1"), short)
    stage.venue.slow["BTCUSD"] = 3.0
    ended = await stage.close(one)
    assert (ended.state, outcomes(ended)) == (DONE, [FLAT, FLAT])
    at = {order.symbol: when for when, order in stage.venue.arrived}
    assert (at[BTC] > at["BTCUSD"]) is (settles_in == "BTC")


@in_fake_time
async def test_two_legs_of_one_coin_are_sold_one_after_the_other() -> None:
    stage = Stage()
    one = stage.record(spot("1", "one"), name="one")
    other = stage.record(spot("2", "other"), name="other")
    ended = await stage.close_set(one, other)
    assert [r.state for r in ended] == [DONE, DONE]
    assert stage.venue.quantities(BTC) == [1, 2]
    (first, _), (second, _) = stage.venue.arrived
    assert second > first


@in_fake_time
async def test_a_spot_leg_waits_for_a_leg_that_is_unknown_and_then_goes_on() -> None:
    stage = Stage(Reaction(hangs=True, shows_after=24.0))
    stage.venue.stream_up = False
    stage.door.rules["BTCUSD"] = instrument("BTCUSD", category=Category.INVERSE, settle_coin="BTC")
    one = stage.record(spot("1"), component("3", SHORT, "BTCUSD", category=Category.INVERSE))
    request = stage.ledger.open_close(one)
    async with asyncio.TaskGroup() as group:
        group.create_task(stage.drive(request))
        await asyncio.sleep(20)
        assert [order.symbol for order in stage.venue.sent] == ["BTCUSD"]
    assert stage.ledger.requests[request.id].state is DONE
    assert now() >= request.created_at + timedelta(seconds=24)


@in_fake_time
async def play_killed(passage: int, passed: list[str]) -> None:
    """Close coin and what settles in it, killed at the passage; both are closed once and whole."""
    stage = Stage(Reaction(fills="2"), Reaction(hangs=True, fills="1"), Reaction(fills="0.4"))
    stage.door.rules["BTCUSD"] = instrument("BTCUSD", category=Category.INVERSE, settle_coin="BTC")
    one = stage.record(spot("1"), component("3", SHORT, "BTCUSD", category=Category.INVERSE))
    stage.venue.trade("BTC", "4")
    request = stage.ledger.open_close(one)
    stage.gate.stop_at = passage
    run = asyncio.create_task(stage.drive(request))
    stopped = asyncio.create_task(stage.gate.reached.wait())
    await asyncio.wait({run, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if not run.done():
        run.cancel()
        await asyncio.wait({run})
        stage.restart()
        if stage.ledger.requests[request.id].state.is_open:
            await stage.drive(stage.ledger.requests[request.id])
    ended = stage.ledger.requests[request.id]
    assert (ended.state, outcomes(ended)) == (DONE, [FLAT, FLAT])
    assert (stage.venue.size("BTC"), stage.venue.size("BTCUSD")) == (4, 0)
    at = {order.symbol: when for when, order in stage.venue.arrived}
    first_sale = min(when for when, order in stage.venue.arrived if order.symbol == BTC)
    assert first_sale > at["BTCUSD"]
    passed += stage.gate.passed


def test_killed_at_any_passage_coin_is_still_sold_after_what_settles_in_it() -> None:
    passed: list[str] = []
    play_killed(0, passed)
    for number, what in enumerate(passed, start=1):
        try:
            play_killed(number, [])
        except AssertionError as error:
            raise AssertionError(f"killed at passage {number}, {what!r}: {error}") from error
