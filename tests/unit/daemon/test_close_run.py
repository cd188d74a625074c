"""A close from its acceptance to its end: what is sent, what counts, and what it ends as."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from positiond.daemon.domain.model import OrderReport, Position, PositionId, PositionStatus
from positiond.daemon.domain.orders import LegOutcome, RequestState
from positiond.daemon.domain.plan import IDLE_ATTEMPTS

from ...builders import BTC, ETH, SHORT, component, instrument, symbol_key
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


@in_fake_time
async def test_a_contract_is_closed_whatever_the_wallet_holds() -> None:
    stage = Stage()
    one = stage.record(component("1"), component("2", SHORT, ETH))
    stage.venue.trade("USDT", "-1000000")
    ended = await stage.close(one)
    assert (ended.state, outcomes(ended)) == (DONE, [FLAT, FLAT])
    assert set(stage.venue.reads) == {BTC, ETH}, "no check of our own stands in the way"


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
async def test_what_self_match_prevention_cuts_is_sent_again_and_named_if_it_never_passes() -> None:
    def cut(found: OrderReport) -> OrderReport:
        return replace(found, reason="EC_BySelfMatch, CancelBySmp")

    stage = Stage(
        Reaction(fills="0.4", altered=cut), *[Reaction(fills="0", altered=cut)] * IDLE_ATTEMPTS
    )
    ended = await stage.close(stage.record(component("1")))
    assert (ended.state, outcomes(ended)) == (FAILED, [RESIDUAL])
    assert stage.venue.quantities(BTC)[:2] == [1, Decimal("0.6")]
    assert ended.legs[0].filled == Decimal("0.4")
    assert ended.legs[0].detail == "0.6 is still open: EC_BySelfMatch, CancelBySmp"


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
async def test_dust_is_noted_in_the_moment_in_which_the_position_ends() -> None:
    stage = Stage(Reaction(fills="0.96"))
    stage.door.rules[BTC] = instrument(BTC, step="0.01", least="0.05")
    one, eth = stage.record(component("1")), symbol_key(ETH).bucket(0)
    stage.portfolio.put(one)
    stage.portfolio.unassigned = {eth: Decimal(7)}
    at_load: list[object] = []
    load = stage.ledger.load

    async def loaded(position_id: PositionId) -> Position | None:
        at_load.append(dict(stage.portfolio.unassigned))
        return await load(position_id)

    stage.ledger.load = loaded  # type: ignore[method-assign] # to see what compares would see
    await stage.close(one)
    assert at_load == [{eth: 7}]
    # Only its own symbol: others may have changed theirs since the rows were read.
    assert stage.portfolio.unassigned == {eth: 7, symbol_key().bucket(0): Decimal("0.04")}


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


@in_fake_time
async def test_a_leg_that_was_closed_before_is_neither_asked_for_nor_in_the_way() -> None:
    stage = Stage()
    stage.door.rules[ETH] = instrument(ETH, status="Closed")
    one = stage.record(component("1"), component("2", SHORT, ETH, closed="2"))
    ended = await stage.close(one)
    assert (ended.state, outcomes(ended)) == (DONE, [FLAT, FLAT])
    assert set(stage.venue.reads) == {BTC}


@in_fake_time
async def test_a_position_with_nothing_open_ends_closed_without_a_word_to_bybit() -> None:
    stage = Stage()
    one = stage.record(component("1", closed="1"), held=False)
    ended = await stage.close(one)
    assert (ended.state, stage.venue.reads) == (DONE, [])
    assert stage.status(one) is PositionStatus.CLOSED


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
