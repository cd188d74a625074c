"""A close from its acceptance to its end: what is sent, what counts, and what it ends as."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from positiond.daemon.domain.model import KeyInfo, PositionStatus
from positiond.daemon.domain.orders import LegOutcome, OrderState, RequestState
from positiond.daemon.domain.plan import IDLE_ATTEMPTS

from ...builders import ACCOUNT, ALICE, BTC, ETH, SHORT, component, instrument, symbol_key
from .fake_time import in_fake_time, now
from .stage import Stage, outcomes
from .venue import Reaction

DONE, FAILED = RequestState.DONE, RequestState.FAILED
FLAT, RESIDUAL = LegOutcome.FLAT, LegOutcome.RESIDUAL


# --- the whole way --------------------------------------------------------------------------


@in_fake_time
async def test_a_pair_is_closed_leg_by_leg_reduce_only_and_verified() -> None:
    stage = Stage()
    pair = stage.record(component("1"), component("2", SHORT, ETH))
    ended = await stage.close(pair)
    assert (ended.state, ended.code, outcomes(ended)) == (DONE, None, [FLAT, FLAT])
    assert stage.status(pair) is PositionStatus.CLOSED
    assert [(o.symbol, o.side, o.quantity) for o in stage.venue.sent] == [
        (BTC, SHORT, 1),
        (ETH, SHORT.reverse, 2),
    ]
    assert (stage.venue.size(BTC), stage.venue.size(ETH)) == (0, 0)
    assert [c.open for c in stage.ledger.positions[pair.id].components] == [0, 0]
    assert stage.ended == [(stage.ended[0][0], stage.ledger.positions[pair.id])]
    assert stage.ended[0][0].state is DONE


@in_fake_time
async def test_a_close_passes_every_state_in_its_order() -> None:
    stage = Stage()
    await stage.close(stage.record(component("1")))
    states = list(dict.fromkeys(request.state for request in stage.shown))
    assert states == ["WAITING", "PREFLIGHT", "SENDING", "SETTLING", "VERIFYING"]


@in_fake_time
async def test_with_the_stream_up_a_close_needs_no_lookup() -> None:
    stage = Stage()
    stage.venue.lookups_fail_until = now() + timedelta(hours=1)
    ended = await stage.close(stage.record(component("1")))
    assert ended.state is DONE
    assert now() < ended.created_at + timedelta(seconds=2)


@in_fake_time
async def test_with_the_stream_down_lookups_find_the_end() -> None:
    stage = Stage()
    stage.venue.stream_up = False
    ended = await stage.close(stage.record(component("1"), component("2", SHORT, ETH)))
    assert (ended.state, outcomes(ended)) == (DONE, [FLAT, FLAT])
    assert stage.venue.filled(BTC) == 1
    assert sorted(stage.ledger.executions) == ["exec-0", "exec-1"]


@in_fake_time
async def test_stream_and_lookup_together_book_each_execution_once() -> None:
    stage = Stage(Reaction(shows_after=1.2))
    one = stage.record(component("1"))
    await stage.close(one)
    assert stage.ledger.positions[one.id].components[0].closed_quantity == 1
    assert len(stage.ledger.executions) == 1


@in_fake_time
async def test_an_order_row_is_stored_before_its_order_is_sent() -> None:
    stage = Stage()
    await stage.close(stage.record(component("1"), component("2", SHORT, ETH)))
    passed = stage.gate.passed
    assert passed.index("after write-ahead") < passed.index("before send")
    row = next(iter(stage.ledger.rows.values()))
    assert row.signed_at is not None
    assert row.dies_at is not None
    assert row.dies_at - row.signed_at <= timedelta(seconds=5)


# --- own share only -------------------------------------------------------------------------


@in_fake_time
async def test_another_holding_on_the_same_symbol_is_untouched() -> None:
    stage = Stage()
    one = stage.record(component("1"))
    stage.venue.trade(BTC, "5")
    stage.ledger.beside[symbol_key().bucket(0)] = Decimal(5)
    ended = await stage.close(one)
    assert (ended.state, stage.venue.size(BTC)) == (DONE, 5)


@in_fake_time
async def test_two_positions_on_one_symbol_never_take_each_others_share() -> None:
    stage = Stage()
    first = stage.record(component("1", of="first"), name="first")
    second = stage.record(component("0.5", of="second"), name="second")
    requests = [stage.ledger.open_close(first), stage.ledger.open_close(second)]
    async with asyncio.TaskGroup() as group:
        for request in requests:
            group.create_task(stage.drive(request))
    assert stage.venue.quantities(BTC) == [1, Decimal("0.5")]
    assert stage.venue.size(BTC) == 0
    assert any("waiting for another close in BTCUSDT" in note for note in stage.notes())
    for one in (first, second):
        assert stage.status(one) is PositionStatus.CLOSED
        assert stage.ledger.positions[one.id].components[0].open == 0


@in_fake_time
async def test_closing_one_of_two_leaves_the_other_its_own() -> None:
    stage = Stage()
    first = stage.record(component("1", of="first"), name="first")
    second = stage.record(component("0.5", of="second"), name="second")
    assert (await stage.close(first)).state is DONE
    assert stage.venue.size(BTC) == Decimal("0.5")
    assert stage.ledger.positions[second.id].components[0].open == Decimal("0.5")


@in_fake_time
async def test_a_loss_without_an_owner_is_refused_before_any_order() -> None:
    stage = Stage()
    one = stage.record(component("1"), component("2", SHORT, ETH))
    stage.record(component("1", of="other"), name="other")
    stage.venue.trade(BTC, "-0.5")
    ended = await stage.close(one)
    assert (ended.state, ended.code) == (FAILED, "shortfall-unattributed")
    assert stage.venue.sent == []
    assert stage.status(one) is PositionStatus.ACTIVE
    # The leg that could have been closed was not touched either.
    assert outcomes(ended) == [LegOutcome.REJECTED, RESIDUAL]


@in_fake_time
async def test_a_netted_leg_is_refused_before_any_order() -> None:
    stage = Stage()
    one = stage.record(component("1"))
    stage.record(component("1", SHORT, of="other"), name="other")
    ended = await stage.close(one)
    assert (ended.state, ended.code, stage.venue.sent) == (FAILED, "netted", [])


@in_fake_time
async def test_a_leg_alone_closes_what_is_there_and_reports_the_shortfall() -> None:
    stage = Stage()
    one = stage.record(component("1"))
    stage.venue.trade(BTC, "-0.6")
    ended = await stage.close(one)
    assert (ended.state, outcomes(ended)) == (DONE, [LegOutcome.SHORTFALL])
    assert stage.venue.quantities(BTC) == [Decimal("0.4")]


@in_fake_time
async def test_a_leg_that_is_gone_ends_without_an_order() -> None:
    stage = Stage()
    one = stage.record(component("1"), held=False)
    ended = await stage.close(one)
    assert (ended.state, outcomes(ended)) == (DONE, [LegOutcome.SHORTFALL])
    assert stage.venue.sent == []


@in_fake_time
async def test_a_position_that_shrinks_after_the_plan_is_never_flipped() -> None:
    stage = Stage()
    stage.venue.script.append(Reaction(before=lambda: stage.venue.trade(BTC, "-0.7")))
    ended = await stage.close(stage.record(component("1")))
    assert (ended.state, outcomes(ended)) == (DONE, [LegOutcome.SHORTFALL])
    assert (stage.venue.size(BTC), stage.venue.filled(BTC)) == (0, Decimal("0.3"))


# --- remainders and bounds ------------------------------------------------------------------


@in_fake_time
async def test_a_part_fill_is_followed_by_its_remainder_under_a_new_id() -> None:
    stage = Stage(Reaction(fills="0.3"), Reaction(fills="0.5"))
    ended = await stage.close(stage.record(component("1")))
    assert (ended.state, outcomes(ended)) == (DONE, [FLAT])
    assert stage.venue.quantities(BTC) == [1, Decimal("0.7"), Decimal("0.2")]
    assert len(set(stage.venue.link_ids())) == 3
    assert [row.attempt for row in stage.ledger.rows.values()] == [1, 2, 3]
    assert ended.legs[0].filled == 1


@in_fake_time
async def test_a_position_larger_than_an_order_is_sent_in_pieces() -> None:
    stage = Stage()
    stage.door.rules[BTC] = instrument(BTC, most="0.4")
    ended = await stage.close(stage.record(component("1")))
    assert (ended.state, stage.venue.quantities(BTC)) == (
        DONE,
        [Decimal("0.4"), Decimal("0.4"), Decimal("0.2")],
    )


@in_fake_time
async def test_attempts_that_fill_nothing_are_bounded_and_leave_a_residual() -> None:
    stage = Stage(*[Reaction(fills="0")] * 50)
    one = stage.record(component("1"))
    ended = await stage.close(one)
    assert (ended.state, ended.code, outcomes(ended)) == (FAILED, "residual", [RESIDUAL])
    assert len(stage.venue.sent) == IDLE_ATTEMPTS
    assert (stage.status(one), stage.venue.size(BTC)) == (PositionStatus.ACTIVE, 1)


@in_fake_time
async def test_after_a_failure_the_next_close_takes_what_is_still_open() -> None:
    stage = Stage(Reaction(fills="0.4"), *[Reaction(fills="0")] * 20)
    one = stage.record(component("1"), component("2", SHORT, ETH))
    first = await stage.close(one)
    assert first.state is FAILED
    await asyncio.sleep(1)
    stage.venue.script.clear()
    second = await stage.close(one)
    assert second.state is DONE
    assert stage.venue.filled(BTC) + stage.venue.filled(ETH) == 3
    assert all(quantity == 0 for quantity in (stage.venue.size(BTC), stage.venue.size(ETH)))


@in_fake_time
async def test_dust_ends_the_close_and_becomes_unassigned() -> None:
    stage = Stage(Reaction(fills="0.96"))
    stage.door.rules[BTC] = instrument(BTC, step="0.01", least="0.05")
    one = stage.record(component("1"))
    ended = await stage.close(one)
    assert (ended.state, outcomes(ended)) == (DONE, [LegOutcome.DUST])
    assert stage.ledger.beside == {symbol_key().bucket(0): Decimal("0.04")}
    assert stage.status(one) is PositionStatus.CLOSED


@in_fake_time
async def test_the_dust_of_a_short_leg_is_negative() -> None:
    stage = Stage(Reaction(fills="0.96"))
    stage.door.rules[BTC] = instrument(BTC, step="0.01", least="0.05")
    await stage.close(stage.record(component("1", SHORT)))
    assert stage.ledger.beside == {symbol_key().bucket(0): Decimal("-0.04")}


@in_fake_time
async def test_a_rate_limit_uses_up_no_attempt_and_no_id() -> None:
    stage = Stage(*[Reaction(busy=30.0)] * 3)
    ended = await stage.close(stage.record(component("1")))
    assert ended.state is DONE
    assert now() >= ended.created_at + timedelta(seconds=90)
    assert stage.venue.link_ids() == ["link-1"] * 4
    assert stage.venue.quantities(BTC) == [1]
    assert any("too many visits" in note for note in stage.notes())


# --- refusals -------------------------------------------------------------------------------


@in_fake_time
async def test_reduce_only_refused_because_it_is_flat_is_done() -> None:
    stage = Stage()
    stage.venue.script.append(Reaction(before=lambda: stage.venue.trade(BTC, "-1")))
    ended = await stage.close(stage.record(component("1")))
    assert (ended.state, outcomes(ended)) == (DONE, [LegOutcome.SHORTFALL])
    assert len(stage.venue.sent) == 1


@in_fake_time
async def test_reduce_only_refused_because_it_is_flipped_is_a_stop() -> None:
    stage = Stage()
    stage.venue.script.append(Reaction(before=lambda: stage.venue.trade(BTC, "-1.5")))
    ended = await stage.close(stage.record(component("1")))
    assert (ended.state, ended.code) == (FAILED, "rejected")
    assert (len(stage.venue.sent), stage.venue.size(BTC)) == (1, Decimal("-0.5"))


@in_fake_time
async def test_a_refused_order_is_not_repeated_and_its_words_are_kept() -> None:
    stage = Stage(Reaction(refused=(110007, "not enough")))
    ended = await stage.close(stage.record(component("1"), component("2", SHORT, ETH)))
    assert (ended.state, ended.code) == (FAILED, "rejected")
    assert sorted(outcomes(ended)) == [FLAT, LegOutcome.REJECTED]
    assert len(stage.venue.sent) == 2
    assert "Bybit 110007: not enough" in (ended.detail or "")


@in_fake_time
async def test_a_key_that_may_not_trade_is_refused_before_any_order() -> None:
    stage = Stage()
    stage.portfolio.accounts[ACCOUNT].key_info = KeyInfo("1", True, {}, (), None)
    ended = await stage.close(stage.record(component("1")))
    assert (ended.state, ended.code, stage.venue.sent) == (FAILED, "read-only-key", [])


@in_fake_time
async def test_one_leg_that_cannot_trade_keeps_the_other_from_being_sent() -> None:
    stage = Stage()
    stage.door.rules[ETH] = instrument(ETH, status="Closed")
    ended = await stage.close(stage.record(component("1"), component("2", SHORT, ETH)))
    assert (ended.state, ended.code, stage.venue.sent) == (FAILED, "instrument-not-trading", [])


@in_fake_time
async def test_an_order_under_our_id_that_is_not_ours_stops_the_close() -> None:
    foreign = Reaction(altered=lambda found: replace(found, reduce_only=False))
    stage = Stage(foreign)
    one = stage.record(component("1"))
    ended = await stage.close(one)
    assert (ended.state, ended.code, len(stage.venue.sent)) == (FAILED, "rejected", 1)
    assert "differs from what was written down" in (ended.detail or "")
    # Its fills are nobody's: what happened to the bucket is for the compare to say.
    assert stage.ledger.executions == {}
    assert stage.ledger.positions[one.id].components[0].open == 1


@pytest.mark.parametrize("stream_up", [True, False])
@in_fake_time
async def test_a_foreign_order_of_the_other_side_never_holds_the_close_up(stream_up: bool) -> None:
    stage = Stage(Reaction(altered=lambda found: replace(found, side=found.side.reverse)))
    stage.venue.stream_up = stream_up
    ended = await stage.close(stage.record(component("1")))
    assert (ended.state, ended.code) == (FAILED, "rejected")


# --- verified -------------------------------------------------------------------------------


@pytest.mark.parametrize("has_sequence", [True, False])
@in_fake_time
async def test_the_size_read_must_be_as_new_as_the_last_fill(has_sequence: bool) -> None:
    stage = Stage()
    stage.venue.has_sequence = has_sequence
    stage.venue.rows_lag = timedelta(seconds=20)
    one = stage.record(component("1"))
    await asyncio.sleep(30)
    ended = await stage.close(one)
    assert (ended.state, outcomes(ended)) == (DONE, [FLAT])
    assert ended.ended_at is not None
    assert ended.ended_at >= stage.venue.fills[-1].executed_at + timedelta(seconds=20)
    assert stage.portfolio.readings[symbol_key()].holdings[0].size == 0
    assert any("waiting for a position read as new as the fills" in n for n in stage.notes())


@in_fake_time
async def test_the_size_read_must_be_as_new_as_the_newest_of_several_attempts() -> None:
    stage = Stage(Reaction(fills="0.4"))
    stage.venue.rows_lag = timedelta(seconds=20)
    one = stage.record(component("1"))
    await asyncio.sleep(30)
    ended = await stage.close(one)
    assert ended.state is DONE
    assert stage.portfolio.readings[symbol_key()].holdings[0].size == 0


@in_fake_time
async def test_a_close_waits_for_executions_that_lag_behind_their_order() -> None:
    stage = Stage()
    stage.venue.stream_up = False
    stage.venue.executions_lag = timedelta(seconds=15)
    one = stage.record(component("1"))
    ended = await stage.close(one)
    assert (ended.state, ended.legs[0].filled) == (DONE, 1)
    assert any("waiting for the executions" in note for note in stage.notes())


@in_fake_time
async def test_a_late_fill_reopens_the_verification() -> None:
    stage = Stage(Reaction(fills="0.4"), *[Reaction(fills="0")] * 20)
    one = stage.record(component("1"))

    def report_late() -> None:
        (_, first), *_ = stage.venue.arrived
        stage.venue.late_fill(first, "0.6", "exec-late")

    stage.once[RequestState.VERIFYING] = report_late
    ended = await stage.close(one)
    states = [r.state for r in stage.shown]
    assert RequestState.SETTLING in states[states.index(RequestState.VERIFYING) :]
    assert (ended.state, outcomes(ended), ended.legs[0].filled) == (DONE, [FLAT], 1)
    assert "exec-late" in stage.ledger.executions


# --- stops ----------------------------------------------------------------------------------


@in_fake_time
async def test_while_trading_is_paused_an_accepted_close_waits() -> None:
    stage = Stage()
    stage.ledger.paused = True
    one = stage.record(component("1"))
    request = stage.ledger.open_close(one)
    async with asyncio.TaskGroup() as group:
        group.create_task(stage.drive(request))
        await asyncio.sleep(60)
        assert (stage.venue.sent, stage.locks.busy) == ([], set())
        assert stage.notes() == ["trading is paused by the operator"]
        stage.ledger.paused = False
    assert stage.ledger.requests[request.id].state is DONE


@in_fake_time
async def test_a_pause_also_holds_a_close_that_was_waiting_its_turn() -> None:
    stage = Stage()
    request = stage.ledger.open_close(stage.record(component("1")))
    async with asyncio.TaskGroup() as group:
        async with stage.locks.held([symbol_key()]):
            group.create_task(stage.drive(request))
            await asyncio.sleep(5)
            stage.ledger.paused = True
        await asyncio.sleep(30)
        assert (stage.venue.sent, stage.locks.busy) == ([], set())
        stage.ledger.paused = False
    assert stage.ledger.requests[request.id].state is DONE


@in_fake_time
async def test_a_pause_between_attempts_sends_no_remainder() -> None:
    stage = Stage()

    def pause() -> None:
        stage.ledger.paused = True

    stage.venue.script.append(Reaction(fills="0.4", before=pause))
    ended = await stage.close(stage.record(component("1")))
    assert (ended.state, ended.code) == (FAILED, "residual")
    assert len(stage.venue.sent) == 1


@in_fake_time
async def test_an_expired_request_sends_nothing() -> None:
    stage = Stage()
    request = stage.ledger.open_close(stage.record(component("1")))
    await asyncio.sleep(timedelta(minutes=15).total_seconds())
    await stage.drive(request)
    ended = stage.ledger.requests[request.id]
    assert (ended.state, ended.code, stage.venue.sent) == (FAILED, "expired", [])


@in_fake_time
async def test_a_request_that_expires_after_a_part_fill_settles_and_sends_no_more() -> None:
    stage = Stage(Reaction(fills="0.4", shows_after=20))
    stage.venue.stream_up = False
    stage.ledger.expiry = timedelta(seconds=10)
    one = stage.record(component("1"))
    ended = await stage.close(one)
    assert (ended.state, ended.code, len(stage.venue.sent)) == (FAILED, "expired", 1)
    assert stage.ledger.positions[one.id].components[0].open == Decimal("0.6")


@in_fake_time
async def test_a_close_cancelled_while_it_waits_sends_nothing() -> None:
    stage = Stage()
    one = stage.record(component("1"))
    request = stage.ledger.open_close(one)
    async with asyncio.TaskGroup() as group, stage.locks.held([symbol_key()]):
        group.create_task(stage.drive(request))
        await asyncio.sleep(5)
        await stage.ledger.cancel(ALICE, request.id, now())
    assert stage.venue.sent == []
    assert [r.state for r, _ in stage.ended] == [RequestState.CANCELLED]


@in_fake_time
async def test_what_a_close_leaves_for_the_reconciler_is_what_it_verified() -> None:
    stage = Stage()
    one = stage.record(component("1"))
    stage.venue.trade(BTC, "2")
    stage.ledger.beside[symbol_key().bucket(0)] = Decimal(2)
    await stage.close(one)
    assert stage.portfolio.readings[symbol_key()].holdings[0].signed == 2
    assert all(row.state is OrderState.TERMINAL for row in stage.ledger.rows.values())
