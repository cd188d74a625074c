"""What a close keeps its hands off, and what keeps it from sending: shares, refusals, stops."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from unittest.mock import patch

import pytest
from positiond.daemon.close_run import CloseRun
from positiond.daemon.domain.errors import ExchangeUnreachable
from positiond.daemon.domain.model import Category, Holding, Instrument, KeyInfo, PositionStatus
from positiond.daemon.domain.orders import LegOutcome, OrderState, RequestState

from ...builders import ACCOUNT, ALICE, BTC, ETH, SHORT, component, instrument, symbol_key
from .fake_time import in_fake_time, now
from .stage import Stage, outcomes
from .venue import Reaction

DONE, FAILED = RequestState.DONE, RequestState.FAILED
FLAT, RESIDUAL = LegOutcome.FLAT, LegOutcome.RESIDUAL


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
async def test_reduce_only_refused_while_the_position_is_there_is_tried_once_more() -> None:
    stage = Stage(Reaction(refused=(110017, "Reduce-only rule not satisfied")))
    one = stage.record(component("1"))
    ended = await stage.close(one)
    assert (ended.state, stage.venue.size(BTC)) == (DONE, 0)
    assert [order.attempt for order in await stage.ledger.orders([ended.id])] == [1, 2]


@in_fake_time
async def test_reduce_only_refused_again_and_again_ends_with_the_reason() -> None:
    refused = Reaction(refused=(110017, "Reduce-only rule not satisfied"))
    stage = Stage(*[refused] * 20)
    ended = await stage.close(stage.record(component("1")))
    assert (ended.state, ended.code) == (FAILED, "rejected")
    assert "110017" in ended.legs[0].detail
    assert len(await stage.ledger.orders([ended.id])) == 5


@in_fake_time
async def test_a_refused_order_is_not_repeated_and_its_words_are_kept() -> None:
    stage = Stage(Reaction(refused=(110007, "not enough")))
    ended = await stage.close(stage.record(component("1"), component("2", SHORT, ETH)))
    assert (ended.state, ended.code) == (FAILED, "rejected")
    assert sorted(outcomes(ended)) == [FLAT, LegOutcome.REJECTED]
    assert len(stage.venue.sent) == 2
    assert "Bybit 110007: not enough" in (ended.detail or "")


@in_fake_time
async def test_legs_that_failed_alike_are_told_once_and_by_name() -> None:
    refused = Reaction(refused=(110007, "not enough"))
    stage = Stage(refused, refused)
    ended = await stage.close(stage.record(component("1"), component("2", SHORT, ETH)))
    assert ended.state is FAILED
    assert ended.detail == f"{BTC}, {ETH}: Bybit 110007: not enough"


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
async def test_a_leg_halted_since_its_rules_were_read_keeps_the_other_from_being_sent() -> None:
    stage = Stage()
    one = stage.record(component("1"), component("2", SHORT, ETH))
    closing = stage.closing()
    await closing.catalogue.instrument(instrument(ETH).key)
    stage.door.rules[ETH] = instrument(ETH, status="Closed")
    await asyncio.sleep(60)
    request = stage.ledger.open_close(one)
    await CloseRun(closing, [request], [one]).drive()
    ended = stage.ledger.requests[request.id]
    assert (ended.state, ended.code, stage.venue.sent) == (FAILED, "instrument-not-trading", [])


@pytest.mark.parametrize("hangs", [True, False])
@in_fake_time
async def test_rules_that_cannot_be_read_anew_keep_no_close_waiting(hangs: bool) -> None:
    stage = Stage()
    one = stage.record(component("1"))
    closing = stage.closing()
    await closing.catalogue.instrument(instrument(BTC).key)
    await asyncio.sleep(60)

    async def fail(*_: object, **__: object) -> list[Instrument]:
        await asyncio.sleep(600 if hangs else 0)
        raise ExchangeUnreachable("timeout", "Bybit does not answer")

    request = stage.ledger.open_close(one)
    with patch.object(stage.door, "instruments", fail):
        await CloseRun(closing, [request], [one]).drive()
    ended = stage.ledger.requests[request.id]
    assert (ended.state, stage.venue.size(BTC)) == (DONE, 0)
    assert now() < request.created_at + timedelta(seconds=2)


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
async def test_a_request_that_expires_while_it_waits_its_turn_sends_nothing() -> None:
    stage = Stage()
    request = stage.ledger.open_close(stage.record(component("1")))
    async with asyncio.TaskGroup() as group, stage.locks.held([symbol_key()]):
        group.create_task(stage.drive(request))
        await asyncio.sleep(timedelta(minutes=16).total_seconds())
        # The other close is not over yet: a deadline is no reason to wait for it.
        ended = stage.ledger.requests[request.id]
        assert stage.locks.busy == {symbol_key()}
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


@in_fake_time
async def test_a_pause_while_the_legs_are_looked_at_keeps_the_first_order_back() -> None:
    stage = Stage()
    one = stage.record(component("1"))
    stage.once[RequestState.PREFLIGHT] = lambda: setattr(stage.ledger, "paused", True)
    request = stage.ledger.open_close(one)
    async with asyncio.TaskGroup() as group:
        group.create_task(stage.drive(request))
        await asyncio.sleep(60)
        assert (stage.venue.sent, stage.ledger.rows) == ([], {})
        assert stage.notes()[-1] == "trading is paused by the operator"
        stage.ledger.paused = False
    assert stage.ledger.requests[request.id].state is DONE


@in_fake_time
async def test_a_request_that_expires_while_the_legs_are_looked_at_sends_nothing() -> None:
    stage = Stage()
    stage.ledger.expiry = timedelta(seconds=5)
    one = stage.record(component("1"))
    read = stage.venue.holdings_in

    async def slowly(category: Category, symbol: str, *, urgent: bool = True) -> list[Holding]:
        await asyncio.sleep(6)
        return await read(category, symbol, urgent=urgent)

    stage.venue.holdings_in = slowly  # type: ignore[method-assign]
    ended = await stage.close(one)
    assert (ended.state, ended.code, stage.venue.sent) == (FAILED, "expired", [])
