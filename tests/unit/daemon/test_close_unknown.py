"""Orders whose outcome nobody told: looked up until there is proof, and never sent twice."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from positiond.daemon.close_run import CloseRun
from positiond.daemon.domain.model import OrderStatus, PositionStatus
from positiond.daemon.domain.orders import LegOutcome, OrderState, RequestState
from positiond.daemon.domain.plan import IDLE_ATTEMPTS

from ...builders import BTC, ETH, SHORT, component, instrument
from .fake_time import in_fake_time, now
from .stage import Stage, outcomes
from .venue import HANGS, RECV_WINDOW, Reaction

DONE, FAILED = RequestState.DONE, RequestState.FAILED
MARGIN = SILENT = timedelta(seconds=10)


@pytest.mark.parametrize("stream_up", [True, False])
@in_fake_time
async def test_a_lost_acknowledgement_is_found_and_not_sent_again(stream_up: bool) -> None:
    stage = Stage(Reaction(hangs=True))
    stage.venue.stream_up = stream_up
    ended = await stage.close(stage.record(component("1")))
    assert (ended.state, outcomes(ended)) == (DONE, [LegOutcome.FLAT])
    assert len(stage.venue.sent) == 1
    assert stage.venue.filled(BTC) == 1


@in_fake_time
async def test_an_order_that_shows_up_late_is_not_sent_again() -> None:
    stage = Stage(Reaction(hangs=True, shows_after=24.0))
    stage.venue.stream_up = False
    ended = await stage.close(stage.record(component("1")))
    assert (ended.state, len(stage.venue.sent)) == (DONE, 1)


@in_fake_time
async def test_an_order_that_never_arrived_is_sent_again_only_once_proven_absent() -> None:
    stage = Stage(Reaction(is_lost=True))
    ended = await stage.close(stage.record(component("1")))
    assert (ended.state, outcomes(ended)) == (DONE, [LegOutcome.FLAT])
    # The same id and the same frozen quantity, and one row for both sendings.
    first, second = stage.venue.sent
    assert first == second
    assert len(stage.ledger.rows) == 1
    (arrived_at, _), *_ = stage.venue.arrived
    signed_at = ended.created_at
    assert arrived_at >= signed_at + RECV_WINDOW + MARGIN + SILENT
    assert any("outcome unknown" in note for note in stage.notes())


@in_fake_time
async def test_lookups_that_fail_prove_no_absence() -> None:
    stage = Stage(Reaction(is_lost=True))
    stage.venue.lookups_fail_until = now() + timedelta(minutes=5)
    ended = await stage.close(stage.record(component("1")))
    assert ended.state is DONE
    (arrived_at, _), *_ = stage.venue.arrived
    assert arrived_at >= stage.venue.lookups_fail_until + SILENT


@in_fake_time
async def test_a_lookup_that_fails_in_between_starts_the_silence_anew() -> None:
    stage = Stage(Reaction(is_lost=True))

    def fail() -> None:
        stage.venue.lookups_fail_until = now() + timedelta(seconds=40)

    stage.at(22, fail)
    ended = await stage.close(stage.record(component("1")))
    (arrived_at, _), *_ = stage.venue.arrived
    assert arrived_at >= ended.created_at + timedelta(seconds=22 + 40) + SILENT


@in_fake_time
async def test_an_execution_under_the_id_contradicts_its_absence() -> None:
    stage = Stage(Reaction(hangs=True, shows_after=120.0))
    stage.venue.stream_up = False
    ended = await stage.close(stage.record(component("1")))
    # No list knew the order for two minutes, but its execution was there all the time.
    assert (ended.state, outcomes(ended), ended.legs[0].filled) == (DONE, [LegOutcome.FLAT], 1)
    assert (len(stage.venue.sent), stage.venue.filled(BTC)) == (1, 1)


@in_fake_time
async def test_while_an_order_is_unknown_the_close_neither_ends_nor_tries_again() -> None:
    stage = Stage(Reaction(is_lost=True))
    stage.venue.lookups_fail_until = now() + timedelta(minutes=40)
    one = stage.record(component("1"), component("2", SHORT, ETH))
    ended = await stage.close(one)
    # Older than its expiry by then: what was sent is settled, nothing more is sent.
    assert (ended.state, ended.code) == (FAILED, "expired")
    assert len(stage.venue.sent) == 2
    assert ended.ended_at is not None
    assert ended.ended_at >= stage.venue.lookups_fail_until
    assert stage.venue.filled(BTC) == 0
    assert stage.status(one) is PositionStatus.ACTIVE
    (absent, _) = stage.ledger.rows.values()
    assert absent.state is OrderState.ABSENT


@in_fake_time
async def test_a_pause_keeps_an_absent_order_from_being_sent_again() -> None:
    stage = Stage()

    def pause() -> None:
        stage.ledger.paused = True

    stage.venue.script.append(Reaction(is_lost=True, before=pause))
    ended = await stage.close(stage.record(component("1")))
    assert (ended.state, ended.code) == (FAILED, "residual")
    assert len(stage.venue.sent) == 1


@in_fake_time
async def test_a_pause_keeps_a_throttled_order_from_being_sent_again() -> None:
    stage = Stage()

    def pause() -> None:
        stage.ledger.paused = True

    stage.venue.script.append(Reaction(busy=5.0, before=pause))
    ended = await stage.close(stage.record(component("1")))
    assert (ended.state, len(stage.venue.sent)) == (FAILED, 1)


@in_fake_time
async def test_an_absent_order_that_no_longer_fits_is_not_sent_again() -> None:
    stage = Stage()
    stage.venue.script.append(Reaction(is_lost=True, before=lambda: stage.venue.trade(BTC, "-0.5")))
    ended = await stage.close(stage.record(component("1")))
    assert (ended.state, outcomes(ended)) == (DONE, [LegOutcome.SHORTFALL])
    # What is left is an order of its own: the frozen one stays what it was.
    assert stage.venue.quantities(BTC) == [Decimal("0.5")]
    assert len(set(stage.venue.link_ids())) == 2


@in_fake_time
async def test_a_throttled_order_that_no_longer_fits_is_given_up_and_planned_anew() -> None:
    stage = Stage()
    stage.venue.script.append(Reaction(busy=5.0, before=lambda: stage.venue.trade(BTC, "-0.25")))
    ended = await stage.close(stage.record(component("1")))
    assert ended.state is DONE
    assert stage.venue.quantities(BTC) == [Decimal("0.75")]


@in_fake_time
async def test_an_id_that_the_venue_keeps_reserved_is_followed_by_a_new_one() -> None:
    # Taken, ended unfilled, never listed: sent again it is refused as a duplicate (110072).
    stage = Stage(Reaction(hangs=True, fills="0", shows_after=7200.0))
    ended = await stage.close(stage.record(component("1")))
    assert (ended.state, outcomes(ended)) == (DONE, [LegOutcome.FLAT])
    assert stage.venue.link_ids()[:2] == ["link-1", "link-1"]
    assert len(stage.venue.sent) == 3
    assert stage.venue.filled(BTC) == 1


@in_fake_time
async def test_orders_that_never_arrive_are_bounded_too() -> None:
    stage = Stage(*[Reaction(is_lost=True)] * 100)
    stage.ledger.expiry = timedelta(hours=2)
    ended = await stage.close(stage.record(component("1")))
    assert (ended.state, ended.code) == (FAILED, "residual")
    assert len(stage.venue.sent) == 2 * IDLE_ATTEMPTS


@in_fake_time
async def test_an_order_that_the_venue_hides_for_long_is_still_not_sold_twice() -> None:
    stage = Stage(Reaction(hangs=True, shows_after=60.0))
    stage.venue.stream_up = False
    stage.venue.executions_lag = timedelta(seconds=60)
    stage.record(component("1", of="other"), name="other")
    ended = await stage.close(stage.record(component("1")))
    # What the bucket holds now is the other's: nothing of it is sent.
    assert (ended.state, ended.code) == (FAILED, "residual")
    assert (stage.venue.size(BTC), len(stage.venue.sent)) == (1, 1)


@in_fake_time
async def test_an_acknowledged_order_without_a_trace_ended_unfilled_after_a_minute() -> None:
    stage = Stage(Reaction(fills="0", shows_after=3600.0))
    ended = await stage.close(stage.record(component("1")))
    assert (ended.state, len(stage.venue.sent)) == (DONE, 2)
    assert len(set(stage.venue.link_ids())) == 2
    (_, (second_at, _)) = stage.venue.arrived
    assert second_at >= ended.created_at + timedelta(seconds=60)


@in_fake_time
async def test_one_empty_look_after_an_outage_ends_no_acknowledged_order() -> None:
    stage = Stage(Reaction(shows_after=75.0))
    stage.venue.stream_up = False
    stage.venue.lookups_fail_until = now() + timedelta(seconds=70)
    stage.venue.executions_lag = timedelta(seconds=75)
    one = stage.record(component("1"))
    ended = await stage.close(one)
    assert (ended.state, outcomes(ended)) == (DONE, [LegOutcome.FLAT])
    assert stage.ledger.positions[one.id].components[0].open == 0


@in_fake_time
async def test_an_order_seen_open_is_waited_for() -> None:
    stage = Stage(
        Reaction(
            altered=lambda found: replace(found, status=OrderStatus.OPEN, filled=Decimal("0.5"))
        )
    )
    one = stage.record(component("1"))
    request = stage.ledger.open_close(one)

    def end() -> None:
        seen_from, report = stage.venue.orders["link-1"]
        ended = replace(report, status=OrderStatus.FILLED, filled=Decimal(1))
        stage.venue.orders["link-1"] = (seen_from, ended)

    stage.at(40, end)
    await stage.drive(request)
    assert stage.ledger.requests[request.id].state is DONE
    assert now() >= request.created_at + timedelta(seconds=40)
    assert len(stage.venue.sent) == 1


@in_fake_time
async def test_one_unknown_leg_does_not_undo_the_other() -> None:
    stage = Stage(Reaction(), Reaction(hangs=True))
    ended = await stage.close(stage.record(component("1"), component("2", SHORT, ETH)))
    assert (ended.state, outcomes(ended)) == (DONE, [LegOutcome.FLAT, LegOutcome.FLAT])
    assert now() >= ended.created_at + timedelta(seconds=HANGS)
    assert (stage.venue.filled(BTC), stage.venue.filled(ETH)) == (1, 2)


@in_fake_time
async def test_what_proves_an_absence_is_asked_before_other_reads() -> None:
    stage = Stage(Reaction(is_lost=True))
    ended = await stage.close(stage.record(component("1")))
    assert ended.state is DONE
    assert stage.venue.hurried
    assert all(stage.venue.hurried)


@pytest.mark.parametrize("known_for", [0, 60])
@in_fake_time
async def test_the_rules_of_a_close_are_asked_before_other_reads(known_for: int) -> None:
    stage = Stage()
    one = stage.record(component("1"))
    closing = stage.closing()
    if known_for:
        await closing.catalogue.instrument(instrument(BTC).key)
        await asyncio.sleep(known_for)
    stage.door.hurried.clear()
    await CloseRun(closing, [stage.ledger.open_close(one)], [one]).drive()
    assert stage.door.hurried == [True]
