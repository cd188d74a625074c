"""Spot legs whose coin is not known: waited for, told of, and never taken for closed."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from positiond.daemon.domain.buckets import SymbolKey
from positiond.daemon.domain.errors import ExchangeUnreachable
from positiond.daemon.domain.model import (
    Category,
    Component,
    Environment,
    Instrument,
    Position,
    PositionStatus,
)
from positiond.daemon.domain.orders import LegOutcome, RequestState

from ...builders import ACCOUNT, BTC, ETH, component
from .fake_time import in_fake_time, now
from .stage import Stage, outcomes
from .venue import Door, Reaction

DONE, FAILED = RequestState.DONE, RequestState.FAILED
FLAT, REJECTED, RESIDUAL = LegOutcome.FLAT, LegOutcome.REJECTED, LegOutcome.RESIDUAL
WALLET = SymbolKey(ACCOUNT, Category.SPOT, "BTC")


def spot(quantity: str, of: str = "pair", symbol: str = BTC, coin: str | None = "BTC") -> Component:
    leg = component(quantity, symbol=symbol, category=Category.SPOT, of=of)
    return replace(leg, coin=coin)


def learn(stage: Stage, one: Position) -> None:
    """The tracker stores the coin of the position's legs."""
    stored = stage.ledger.positions[one.id]
    legs = tuple(replace(leg, coin="BTC") for leg in stored.components)
    stage.ledger.positions[one.id] = replace(stored, components=legs)


class Catalogueless(Door):
    """A gateway that lists what `listed` names; while it is down it lists nothing at all."""

    def __init__(self, *listed: str) -> None:
        super().__init__()
        self.listed = listed
        self.is_down = False

    async def instruments(
        self,
        environment: Environment,
        category: Category,
        symbol: str | None = None,
        *,
        urgent: bool = False,
    ) -> list[Instrument]:
        if self.is_down:
            raise ExchangeUnreachable("timeout", "Bybit does not answer")
        found = await super().instruments(environment, category, symbol, urgent=urgent)
        return [one for one in found if one.key.symbol in self.listed]


@in_fake_time
async def test_a_leg_whose_coin_is_learnt_while_the_close_waits_is_sold_and_locked_there() -> None:
    stage = Stage()
    one = stage.record(spot("1", coin=None), held=False)
    stage.venue.trade("BTC", "3")
    request = stage.ledger.open_close(one)
    task = asyncio.create_task(stage.drive(request))
    await asyncio.sleep(20)
    assert stage.ledger.requests[request.id].state is RequestState.WAITING
    assert f"the coin of {BTC} is not known yet" in stage.notes()
    assert stage.locks.wanted == frozenset()
    learn(stage, one)
    wanted: list[object] = []
    stage.once[RequestState.SENDING] = lambda: wanted.append(set(stage.locks.busy))
    await task
    ended = stage.ledger.requests[request.id]
    assert (ended.state, outcomes(ended), wanted) == (DONE, [FLAT], [{WALLET}])
    assert (stage.venue.quantities(BTC), stage.venue.size("BTC")) == ([1], 2)


@in_fake_time
async def test_a_coin_that_is_never_learnt_ends_the_close_with_that_reason() -> None:
    stage = Stage()
    stage.door = door = Catalogueless()
    door.is_down = True
    ended = await stage.close(stage.record(spot("1", coin=None), held=False))
    assert (ended.state, ended.code, stage.venue.sent) == (FAILED, "expired", [])
    assert f"the coin of {BTC} is not known yet" in (ended.detail or "")
    assert now() < ended.expires_at + timedelta(seconds=5)


@in_fake_time
async def test_a_mistyped_pair_ends_its_close_at_once_and_names_the_leg() -> None:
    stage = Stage()
    stage.door = Catalogueless(BTC)
    legs = spot("1"), spot("1", symbol="BTCUSDX", coin=None)
    one = stage.record(*legs, held=False)
    ended = await stage.close(one)
    assert (ended.state, ended.code, stage.venue.sent) == (FAILED, "instrument-not-trading", [])
    assert [(leg.outcome, leg.detail) for leg in ended.legs] == [
        (RESIDUAL, "nothing was sent"),
        (REJECTED, "BTCUSDX is not listed"),
    ]
    assert stage.status(one) is PositionStatus.ACTIVE
    assert now() < ended.created_at + timedelta(seconds=2)


@in_fake_time
async def test_a_leg_that_may_claim_the_coin_is_waited_for_before_anything_is_sold() -> None:
    stage = Stage()
    other = stage.record(spot("1", "other", coin=None), name="other", held=False)
    one = stage.record(spot("1"))
    stage.at(20, lambda: learn(stage, other))
    # Both claim the one coin there is: sized before that was known, it would have been sold.
    ended = await stage.close(one)
    assert (ended.state, ended.code) == (FAILED, "shortfall-unattributed")
    assert now() > ended.created_at + timedelta(seconds=20)
    assert any(f"the coin of {BTC} is not known yet" in note for note in stage.notes())
    assert stage.venue.sent == []


@in_fake_time
async def test_a_leg_that_may_claim_the_coin_for_ever_is_the_reason_at_the_deadline() -> None:
    stage = Stage()
    stage.record(spot("1", "other", "BTCUSDX", None), name="other", held=False)
    ended = await stage.close(stage.record(spot("1")))
    assert (ended.state, ended.code, stage.venue.sent) == (FAILED, "expired", [])
    assert "the coin of BTCUSDX is not known yet" in (ended.detail or "")


@in_fake_time
async def test_a_leg_of_another_coin_is_in_nobodys_way() -> None:
    stage = Stage()
    stage.record(spot("1", "other", ETH, None), name="other", held=False)
    ended = await stage.close(stage.record(spot("1")))
    assert (ended.state, outcomes(ended)) == (DONE, [FLAT])
    assert now() < ended.created_at + timedelta(seconds=10)


@in_fake_time
async def test_a_doubt_that_comes_half_way_ends_with_the_rest_open_and_the_locks_free() -> None:
    stage = Stage()

    def mistype() -> None:
        stage.record(spot("1", "other", "BTCUSDX", None), name="other", held=False)

    stage.venue.script.append(Reaction(fills="0.4", before=mistype))
    one = stage.record(spot("1"))
    ended = await stage.close(one)
    assert (ended.state, ended.code, outcomes(ended)) == (FAILED, "expired", [RESIDUAL])
    assert "the coin of BTCUSDX is not known yet" in ended.legs[0].detail
    assert ended.legs[0].filled == Decimal("0.4")
    assert stage.locks.wanted == frozenset()
    assert (len(stage.venue.sent), stage.status(one)) == (1, PositionStatus.ACTIVE)


@in_fake_time
async def test_a_doubt_that_comes_when_all_is_sold_holds_up_nothing() -> None:
    stage = Stage()

    def mistype() -> None:
        stage.record(spot("1", "other", "BTCUSDX", None), name="other", held=False)

    stage.venue.script.append(Reaction(before=mistype))
    ended = await stage.close(stage.record(spot("1")))
    assert (ended.state, outcomes(ended)) == (DONE, [FLAT])


@pytest.mark.parametrize("state", [RequestState.SETTLING, RequestState.VERIFYING])
@in_fake_time
async def test_a_position_that_was_ended_by_hand_ends_its_close_and_frees_its_symbols(
    state: RequestState,
) -> None:
    stage = Stage(Reaction(fills="0.4"))
    one = stage.record(component("1"))

    def end_by_hand() -> None:
        stored = stage.ledger.positions[one.id]
        stage.ledger.positions[one.id] = replace(
            stored, status=PositionStatus.CLOSED, closed_at=now()
        )

    stage.once[state] = end_by_hand
    ended = await stage.close(one)
    assert not ended.state.is_open
    assert ended.ended_at is not None
    assert ended.ended_at - ended.created_at < timedelta(minutes=5)
    assert not stage.locks.wanted
    assert len(stage.venue.sent) == (1 if state is RequestState.SETTLING else 2)
