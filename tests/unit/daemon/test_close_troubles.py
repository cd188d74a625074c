"""Clocks, limits and bans: each a clear reason on every leg, and nothing lost."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from positiond.daemon.domain.errors import ExchangeUnreachable
from positiond.daemon.domain.orders import (
    LegOutcome,
    NotExecuted,
    OrderState,
    RequestState,
    SendOutcome,
    SignedOrder,
)
from positiond.daemon.trade_closer import TradeCloser

from ...builders import BTC, ETH, SHORT, component, instrument
from .fake_time import in_fake_time, now, timing
from .gate import Gate
from .stage import Stage, outcomes
from .venue import Reaction, Venue

DONE, FAILED = RequestState.DONE, RequestState.FAILED
FLAT, REJECTED, RESIDUAL = LegOutcome.FLAT, LegOutcome.REJECTED, LegOutcome.RESIDUAL


# --- instruments, limits, clocks ------------------------------------------------------------


@in_fake_time
async def test_an_instrument_that_stops_trading_half_way_is_named_on_its_leg() -> None:
    stage = Stage()

    def stop() -> None:
        stage.door.rules[BTC] = instrument(BTC, status="Closed")

    stage.venue.script.append(Reaction(fills="0.4", before=stop))
    one = stage.record(component("1"))
    request = stage.ledger.open_close(one)
    # The rules of the last hour are believed until then; the next process asks anew.
    killed = asyncio.create_task(stage.drive(request))
    await asyncio.sleep(0.055)
    killed.cancel()
    await asyncio.wait({killed})
    stage.restart()
    await stage.drive(stage.ledger.requests[request.id])
    ended = stage.ledger.requests[request.id]
    assert (ended.state, ended.code, outcomes(ended)) == (FAILED, "residual", [RESIDUAL])
    assert "BTCUSDT is Closed" in ended.legs[0].detail


@in_fake_time
async def test_a_rate_limit_that_never_ends_is_the_reason_at_the_deadline() -> None:
    stage = Stage(*[Reaction(busy=60.0)] * 50)
    ended = await stage.close(stage.record(component("1")))
    assert (ended.state, ended.code, outcomes(ended)) == (FAILED, "expired", [RESIDUAL])
    assert "too many visits" in ended.legs[0].detail
    assert set(stage.venue.link_ids()) == {"link-1"}


@in_fake_time
async def test_an_exchange_that_never_answers_is_the_reason_until_the_deadline() -> None:
    stage = Stage()
    stage.venue.refuses_reads = ExchangeUnreachable("timeout", "Bybit does not answer")
    request = stage.ledger.open_close(stage.record(component("1")))
    stage.at(905, lambda: setattr(stage.venue, "refuses_reads", None))
    await stage.drive(request)
    ended = stage.ledger.requests[request.id]
    assert (ended.state, ended.code, stage.venue.sent) == (FAILED, "expired", [])
    assert "Bybit does not answer" in stage.notes()


def reads_fail_past_the_deadline(stage: Stage) -> None:
    stage.venue.refuses_reads = ExchangeUnreachable("timeout", "Bybit does not answer")
    stage.at(905, lambda: setattr(stage.venue, "refuses_reads", None))


@pytest.mark.parametrize(
    ("reactions", "code"),
    [
        ([Reaction(refused=(110007, "not enough balance"))], "rejected"),
        ([Reaction(fills="0.4"), *[Reaction(fills="0")] * 5], "residual"),
    ],
)
@in_fake_time
async def test_what_failed_in_time_is_no_expiry_when_it_is_verified_late(
    reactions: list[Reaction], code: str
) -> None:
    stage = Stage(*reactions)
    stage.once[RequestState.VERIFYING] = lambda: reads_fail_past_the_deadline(stage)
    ended = await stage.close(stage.record(component("1")))
    assert ended.ended_at is not None
    assert ended.ended_at > ended.expires_at
    assert (ended.state, ended.code) == (FAILED, code)


@in_fake_time
async def test_a_leg_that_ran_out_of_time_is_not_told_before_one_that_was_rejected() -> None:
    stage = Stage(Reaction(fills="0.4"), Reaction(refused=(110007, "not enough balance")))
    stage.once[RequestState.SETTLING] = lambda: reads_fail_past_the_deadline(stage)
    ended = await stage.close(stage.record(component("1"), component("2", SHORT, ETH)))
    assert (ended.state, ended.code) == (FAILED, "rejected")
    assert sorted(outcomes(ended)) == [REJECTED, RESIDUAL]
    assert "expired" in (ended.detail or "") or "does not answer" in (ended.detail or "")


class Skewed(Venue):
    """A venue that finds the first three timestamps outside its window, as Bybit does (10002)."""

    async def send(self, signed: SignedOrder) -> SendOutcome:
        if len(self.sent) < 3:
            self.sent.append(signed.order)
            return NotExecuted(10002, "the timestamp is outside the window", now())
        return await super().send(signed)


@in_fake_time
async def test_a_clock_that_is_off_delays_an_order_and_loses_none() -> None:
    stage = Stage()
    inboxes = stage.venue.inboxes
    stage.venue = Skewed(Gate())
    stage.venue.inboxes = inboxes
    ended = await stage.close(stage.record(component("1")))
    assert (ended.state, stage.venue.quantities(BTC)) == (DONE, [1])
    assert stage.venue.link_ids() == ["link-1"] * 4
    assert any("outside the window" in note for note in stage.notes())


# --- bans -----------------------------------------------------------------------------------


async def run_for(stage: Stage, closer: TradeCloser, seconds: float) -> None:
    task = asyncio.create_task(closer.run())
    await asyncio.sleep(seconds)
    task.cancel()
    await asyncio.wait({task})


@in_fake_time
async def test_time_in_which_our_address_is_banned_does_not_count() -> None:
    until = now() + timedelta(minutes=10)
    stage = Stage(*[Reaction(busy=300.0)] * 2)
    stage.ledger.expiry = timedelta(minutes=2)
    request = stage.ledger.open_close(stage.record(component("1")))
    closer = TradeCloser(
        stage.closing(),
        timing("closes"),
        asyncio.Event(),
        lambda _: max((until - now()).total_seconds(), 0.0),
    )
    await run_for(stage, closer, 900)
    ended = stage.ledger.requests[request.id]
    assert (ended.state, len(stage.ledger.rows)) == (DONE, 1)
    # The whole ban and no more; what is left of it is told anew all the time.
    longer = ended.expires_at - request.expires_at
    assert timedelta(minutes=9, seconds=55) < longer <= timedelta(minutes=10)


@in_fake_time
async def test_a_close_that_waits_its_turn_does_not_expire_in_a_ban_either() -> None:
    until = now() + timedelta(minutes=10)
    stage = Stage()
    stage.ledger.expiry = timedelta(minutes=2)
    stage.ledger.paused = True
    request = stage.ledger.open_close(stage.record(component("1")))
    stage.at(601, lambda: setattr(stage.ledger, "paused", False))
    closer = TradeCloser(
        stage.closing(),
        timing("closes"),
        asyncio.Event(),
        lambda _: max((until - now()).total_seconds(), 0.0),
    )
    await run_for(stage, closer, 700)
    assert stage.ledger.requests[request.id].state is DONE


@in_fake_time
async def test_without_a_ban_a_deadline_stands() -> None:
    stage = Stage()
    stage.ledger.expiry = timedelta(minutes=2)
    stage.ledger.paused = True
    request = stage.ledger.open_close(stage.record(component("1")))
    await run_for(stage, TradeCloser(stage.closing(), timing("closes"), asyncio.Event()), 200)
    ended = stage.ledger.requests[request.id]
    assert (ended.state, ended.code, ended.expires_at) == (FAILED, "expired", request.expires_at)


# --- a look at once -------------------------------------------------------------------------


@in_fake_time
async def test_a_recheck_moves_a_close_that_waits_for_its_next_look() -> None:
    stage = Stage(Reaction(hangs=True))
    stage.venue.stream_up = False
    stage.venue.lookups_fail_until = now() + timedelta(seconds=600)
    request = stage.ledger.open_close(stage.record(component("1")))
    closer = TradeCloser(stage.closing(), timing("closes"), asyncio.Event())
    task = asyncio.create_task(closer.run())
    await asyncio.sleep(400)
    assert stage.ledger.requests[request.id].state.is_open
    stage.venue.lookups_fail_until = None
    assert closer.recheck(request.id)
    await asyncio.sleep(0.5)
    assert stage.ledger.requests[request.id].state is DONE
    assert not closer.recheck(request.id)
    task.cancel()
    await asyncio.wait({task})


@in_fake_time
async def test_a_recheck_proves_no_absence_any_sooner() -> None:
    stage = Stage(Reaction(is_lost=True))
    request = stage.ledger.open_close(stage.record(component("1")))
    closer = TradeCloser(stage.closing(), timing("closes"), asyncio.Event())
    task = asyncio.create_task(closer.run())
    for _ in range(20):
        await asyncio.sleep(1)
        closer.recheck(request.id)
    assert [row.state for row in stage.ledger.rows.values()] == [OrderState.UNKNOWN]
    await asyncio.sleep(30)
    assert stage.ledger.requests[request.id].state is DONE
    task.cancel()
    await asyncio.wait({task})


# --- a set is one job -----------------------------------------------------------------------


@in_fake_time
async def test_the_requests_of_a_set_are_picked_up_as_one_job() -> None:
    stage = Stage()
    long = stage.record(component("1", of="long"), name="long")
    short = stage.record(component("0.4", SHORT, of="short"), name="short")
    requests = stage.ledger.open_set(long, short)
    await run_for(stage, TradeCloser(stage.closing(), timing("closes"), asyncio.Event()), 10)
    assert {stage.ledger.requests[r.id].state for r in requests} == {DONE}
    assert stage.venue.quantities(BTC) == [Decimal("0.6")]


@in_fake_time
async def test_a_set_left_by_a_dead_process_goes_before_new_closes() -> None:
    stage = Stage()
    new = stage.ledger.open_close(stage.record(component("5", of="new"), name="new"))
    long = stage.record(component("1", of="long"), name="long")
    short = stage.record(component("0.4", SHORT, of="short"), name="short")
    left = stage.ledger.open_set(long, short)
    for request in left:
        stage.ledger.requests[request.id] = replace(request, state=RequestState.SETTLING)
    await run_for(stage, TradeCloser(stage.closing(), timing("closes"), asyncio.Event()), 10)
    assert [r.id for r, _ in stage.ended] == [*(r.id for r in left), new.id]
