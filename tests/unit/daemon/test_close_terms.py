"""What is said with a close: a fraction, a cap on slippage, a plan agreed to, orders to cancel."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from decimal import Decimal

import pytest
from positiond.daemon.domain.bucket_plan import WantedLeg, plan_bucket, plan_hash
from positiond.daemon.domain.model import CloseId, Position, PositionStatus
from positiond.daemon.domain.orders import CloseTerms, LegOutcome, RequestState

from ...builders import BTC, ETH, LONG, SHORT, component, instrument, symbol_key, uuid_of
from ..domain.surroundings import resting
from .fake_time import in_fake_time, now
from .stage import Stage, outcomes
from .venue import Reaction

DONE, FAILED = RequestState.DONE, RequestState.FAILED
FLAT = LegOutcome.FLAT
HALF = CloseTerms(fraction=Decimal("0.5"))


# --- fractions ------------------------------------------------------------------------------


@in_fake_time
async def test_a_fraction_closes_that_part_of_every_leg_and_the_position_goes_on() -> None:
    stage = Stage()
    pair = stage.record(component("1"), component("2", SHORT, ETH))
    ended = await stage.close(pair, HALF)
    assert (ended.state, outcomes(ended)) == (DONE, [FLAT, FLAT])
    assert (stage.venue.size(BTC), stage.venue.size(ETH)) == (Decimal("0.5"), -1)
    assert stage.status(pair) is PositionStatus.ACTIVE
    rest = await stage.close(pair)
    assert (rest.state, stage.venue.size(BTC), stage.venue.size(ETH)) == (DONE, 0, 0)
    assert stage.status(pair) is PositionStatus.CLOSED


@in_fake_time
async def test_a_fraction_is_floored_to_the_step_and_leaves_no_dust() -> None:
    stage = Stage()
    stage.door.rules[BTC] = instrument(BTC, step="0.01")
    one = stage.record(component("0.99"))
    ended = await stage.close(one, CloseTerms(fraction=Decimal("0.333")))
    assert (ended.state, outcomes(ended), stage.ledger.beside) == (DONE, [FLAT], {})
    assert stage.venue.quantities(BTC) == [Decimal("0.32")]


@in_fake_time
async def test_a_fraction_too_small_to_trade_is_reported_and_sends_nothing() -> None:
    stage = Stage()
    stage.door.rules[BTC] = instrument(BTC, step="0.01", least="0.05")
    one = stage.record(component("1"), component("2", SHORT, ETH))
    ended = await stage.close(one, CloseTerms(fraction=Decimal("0.02")))
    assert (ended.state, outcomes(ended)) == (DONE, [LegOutcome.DUST, FLAT])
    assert (stage.venue.quantities(BTC), stage.ledger.beside) == ([], {})
    assert stage.status(one) is PositionStatus.ACTIVE
    assert stage.ledger.positions[one.id].components[0].open == 1


@in_fake_time
async def test_a_fraction_whose_whole_steps_are_sold_is_done_whatever_a_hand_trade_took() -> None:
    stage = Stage()
    stage.door.rules[BTC] = instrument(BTC, step="0.1")
    one = stage.record(component("1.23", of="one"), name="one")
    stage.record(component("1", of="other"), name="other")
    stage.venue.script.append(Reaction(before=lambda: stage.venue.trade(BTC, "-0.5")))
    ended = await stage.close(one, HALF)
    assert (ended.state, ended.detail, outcomes(ended)) == (DONE, None, [FLAT])
    assert stage.venue.quantities(BTC) == [Decimal("0.6")]
    assert stage.ledger.positions[one.id].components[0].open == Decimal("0.63")


@in_fake_time
async def test_a_fraction_is_floored_alike_by_a_process_that_knows_no_instrument_yet() -> None:
    stage = Stage()
    stage.door.rules[BTC] = instrument(BTC, step="0.1")
    one = stage.record(component("1.23", of="one"), name="one")
    stage.record(component("1", of="other"), name="other")
    request = stage.ledger.open_close(one, HALF)
    sent = asyncio.Event()
    stage.once[RequestState.SETTLING] = sent.set
    dying = asyncio.create_task(stage.drive(request))
    await sent.wait()
    dying.cancel()
    await asyncio.wait({dying})
    stage.restart()
    stage.venue.trade(BTC, "-0.5")
    await stage.drive(stage.ledger.requests[request.id])
    ended = stage.ledger.requests[request.id]
    assert (ended.state, outcomes(ended)) == (DONE, [FLAT])
    assert stage.venue.quantities(BTC) == [Decimal("0.6")]


@in_fake_time
async def test_a_fraction_too_small_to_trade_is_dust_though_the_bucket_is_short_too() -> None:
    stage = Stage()
    stage.door.rules[BTC] = instrument(BTC, step="0.01", least="0.05")
    one = stage.record(component("1", of="one"), component("2", SHORT, ETH), name="one")
    stage.record(component("1", of="other"), name="other")
    stage.venue.trade(BTC, "-0.5")
    ended = await stage.close(one, CloseTerms(fraction=Decimal("0.02")))
    assert (ended.state, outcomes(ended)) == (DONE, [LegOutcome.DUST, FLAT])
    assert (stage.venue.quantities(BTC), stage.ledger.beside) == ([], {})


@in_fake_time
async def test_a_part_filled_fraction_is_completed_and_never_exceeded() -> None:
    stage = Stage(Reaction(fills="0.2"), Reaction(fills="0.1"))
    one = stage.record(component("1"))
    ended = await stage.close(one, HALF)
    assert (ended.state, stage.venue.size(BTC)) == (DONE, Decimal("0.5"))
    assert stage.venue.quantities(BTC) == [Decimal("0.5"), Decimal("0.3"), Decimal("0.2")]


@in_fake_time
async def test_a_whole_close_by_the_fraction_of_one_is_a_whole_close() -> None:
    stage = Stage(Reaction(fills="0.96"))
    stage.door.rules[BTC] = instrument(BTC, step="0.01", least="0.05")
    one = stage.record(component("1"))
    ended = await stage.close(one, CloseTerms(fraction=Decimal(1)))
    assert (ended.state, outcomes(ended)) == (DONE, [LegOutcome.DUST])
    assert stage.status(one) is PositionStatus.CLOSED
    assert stage.ledger.beside == {symbol_key().bucket(0): Decimal("0.04")}


# --- slippage -------------------------------------------------------------------------------


@in_fake_time
async def test_every_order_of_a_close_carries_the_cap_on_its_slippage() -> None:
    stage = Stage(Reaction(fills="0.4"))
    one = stage.record(component("1"))
    await stage.close(one, CloseTerms(slippage=Decimal("0.5")))
    assert [order.slippage for order in stage.venue.sent] == [Decimal("0.5")] * 2
    assert {row.slippage for row in stage.ledger.rows.values()} == {Decimal("0.5")}


# --- the plan that was agreed to ------------------------------------------------------------


async def plan_of(stage: Stage, one: Position) -> str:
    """The name of the plan as a preview makes it."""
    reader, plans = stage.closing().reader, []
    for leg in one.components:
        around = await reader.around(
            symbol_key(leg.symbol),
            instrument(leg.symbol).key,
            stage.venue,
            {leg.side},
            with_resting=True,
        )
        plans.append(plan_bucket([WantedLeg(leg, CloseId(uuid_of("preview")), leg.open)], around))
    return plan_hash(plans)


@in_fake_time
async def test_a_close_by_a_plan_that_still_holds_goes_on() -> None:
    stage = Stage()
    one = stage.record(component("1"), component("2", SHORT, ETH))
    terms = CloseTerms(expected_plan=await plan_of(stage, one))
    assert (await stage.close(one, terms)).state is DONE


@in_fake_time
async def test_a_close_by_a_plan_that_holds_no_more_sends_nothing() -> None:
    stage = Stage()
    one = stage.record(component("1"), component("2", SHORT, ETH))
    terms = CloseTerms(expected_plan=await plan_of(stage, one))
    stage.venue.trade(ETH, "0.5")
    ended = await stage.close(one, terms)
    assert (ended.state, ended.code, stage.venue.sent) == (FAILED, "plan-changed", [])
    assert stage.status(one) is PositionStatus.ACTIVE


# --- resting orders in the way --------------------------------------------------------------


@in_fake_time
async def test_resting_reduce_only_orders_in_the_way_are_named_and_left_alone() -> None:
    stage = Stage()
    stage.venue.resting = [resting("1")]
    ended = await stage.close(stage.record(component("1")))
    assert (ended.state, ended.code, stage.venue.sent) == (FAILED, "resting-orders", [])
    assert len(stage.venue.resting) == 1


@in_fake_time
async def test_resting_orders_are_cancelled_where_the_request_says_so() -> None:
    stage = Stage()
    stage.venue.resting = [resting("0.5"), resting("0.4"), resting("1", side="Buy")]
    stage.venue.cancels_take = 2.0
    one = stage.record(component("1"))
    ended = await stage.close(one, CloseTerms(cancel_resting=True))
    assert (ended.state, stage.venue.size(BTC)) == (DONE, 0)
    assert [order.side for order in stage.venue.resting] == [SHORT.reverse]
    assert now() >= ended.created_at + timedelta(seconds=2)
    (sent_at, _), *_ = stage.venue.arrived
    assert sent_at >= ended.created_at + timedelta(seconds=2)


@in_fake_time
async def test_a_resting_order_that_fills_instead_of_going_is_sized_anew() -> None:
    stage = Stage()
    stage.venue.resting = [resting("0.75")]
    one = stage.record(component("1"))

    def fill_it() -> None:
        stage.venue.resting = []
        stage.venue.trade(BTC, "-0.75")

    stage.at(0.1, fill_it)
    ended = await stage.close(one, CloseTerms(cancel_resting=True))
    assert (ended.state, outcomes(ended)) == (DONE, [LegOutcome.SHORTFALL])
    assert stage.venue.quantities(BTC) == [Decimal("0.25")]


def fill_instead_of_going(stage: Stage, quantity: str) -> None:
    """What rests fills a moment before it would be cancelled."""

    def fill() -> None:
        stage.venue.resting = []
        stage.venue.trade(BTC, f"-{quantity}")

    stage.at(0.06, fill)


@in_fake_time
async def test_an_agreed_plan_that_a_resting_order_changes_by_filling_sends_nothing() -> None:
    stage = Stage()
    stage.venue.resting = [resting("0.4")]
    one = stage.record(component("1"))
    fill_instead_of_going(stage, "0.4")
    terms = CloseTerms(expected_plan=await plan_of(stage, one), cancel_resting=True)
    ended = await stage.close(one, terms)
    assert (ended.state, ended.code, stage.venue.sent) == (FAILED, "plan-changed", [])
    assert stage.venue.size(BTC) == Decimal("0.6")


@in_fake_time
async def test_an_agreed_plan_goes_on_once_what_rested_in_its_way_is_cancelled() -> None:
    stage = Stage()
    stage.venue.resting = [resting("0.4")]
    one = stage.record(component("1"))
    terms = CloseTerms(expected_plan=await plan_of(stage, one), cancel_resting=True)
    ended = await stage.close(one, terms)
    assert (ended.state, stage.venue.quantities(BTC), stage.venue.resting) == (DONE, [1], [])


@in_fake_time
async def test_clearing_stops_as_soon_as_something_else_is_in_the_way() -> None:
    stage = Stage()
    stage.venue.cancels_take = 60.0
    one = stage.record(component("1"))
    stage.record(component("1", of="other"), name="other")
    stage.venue.resting = [resting("1.5")]
    stage.at(1, lambda: stage.venue.trade(BTC, "-0.5"))
    ended = await stage.close(one, CloseTerms(cancel_resting=True))
    assert (ended.state, ended.code) == (FAILED, "shortfall-unattributed")
    assert now() < ended.created_at + timedelta(seconds=2)


@in_fake_time
async def test_a_resting_order_that_will_not_go_ends_the_close_before_any_order() -> None:
    stage = Stage()
    stage.venue.resting = [resting("1")]
    stage.venue.cancels_take = 3600.0
    one = stage.record(component("1"))
    ended = await stage.close(one, CloseTerms(cancel_resting=True))
    assert (ended.state, ended.code, stage.venue.sent) == (FAILED, "resting-orders", [])
    assert now() < ended.created_at + timedelta(seconds=20)


@pytest.mark.parametrize("other", ["netted", "not trading"])
@in_fake_time
async def test_nothing_is_cancelled_while_anything_else_is_in_the_way(other: str) -> None:
    stage = Stage()
    stage.venue.resting = [resting("1")]
    one = stage.record(component("1"), component("2", SHORT, ETH))
    if other == "netted":
        stage.record(component("2", LONG, ETH, of="rival"), name="rival")
    else:
        stage.door.rules[ETH] = instrument(ETH, status="Closed")
    ended = await stage.close(one, CloseTerms(cancel_resting=True))
    assert (ended.state, stage.venue.sent) == (FAILED, [])
    assert len(stage.venue.resting) == 1
