"""Positions that close together: one order for what nets on Bybit, and one end for each of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest
from positiond.daemon.domain.errors import ExchangeRefused
from positiond.daemon.domain.model import Category, Holding, Position, PositionStatus
from positiond.daemon.domain.orders import (
    CloseRequest,
    LegOutcome,
    OrderState,
    RequestState,
    RestingOrder,
)

from ...builders import ALICE, BTC, ETH, SHORT, component, instrument, symbol_key
from .fake_time import in_fake_time, now
from .stage import Stage, outcomes
from .venue import Reaction, Venue

DONE, FAILED = RequestState.DONE, RequestState.FAILED
FLAT = LegOutcome.FLAT


def pair(stage: Stage, long: str = "1", short: str = "0.4") -> tuple[Position, Position]:
    """Two positions that net on Bybit: 1 long and 0.4 short of one contract."""
    return (
        stage.record(component(long, of="long"), name="long"),
        stage.record(component(short, SHORT, of="short"), name="short"),
    )


def open_of(stage: Stage, *positions: Position) -> list[Decimal]:
    return [c.open for one in positions for c in stage.ledger.positions[one.id].components]


# --- rule 4: the net ------------------------------------------------------------------------


@in_fake_time
async def test_legs_that_net_on_bybit_are_closed_by_one_order_of_their_net() -> None:
    stage = Stage()
    long, short = pair(stage)
    ended = await stage.close_set(long, short)
    assert [r.state for r in ended] == [DONE, DONE]
    assert stage.venue.quantities(BTC) == [Decimal("0.6")]
    assert [r.legs[0].filled for r in ended] == [1, Decimal("0.4")]
    assert {r.legs[0].average_price for r in ended} == {Decimal(110)}
    assert [stage.status(one) for one in (long, short)] == [PositionStatus.CLOSED] * 2
    assert (stage.venue.size(BTC), open_of(stage, long, short)) == (0, [0, 0])


@in_fake_time
async def test_a_part_fill_closes_both_sides_in_proportion_and_its_remainder_the_rest() -> None:
    stage = Stage(Reaction(fills="0.3"), Reaction(fills="0.1"))
    long, short = pair(stage)
    ended = await stage.close_set(long, short)
    assert [r.state for r in ended] == [DONE, DONE]
    assert stage.venue.quantities(BTC) == [Decimal("0.6"), Decimal("0.3"), Decimal("0.2")]
    assert open_of(stage, long, short) == [0, 0]
    first, *_ = stage.ledger.rows.values()
    assert [(p.quantity, p.is_light) for p in first.parts] == [(1, False), (Decimal("0.4"), True)]


@in_fake_time
async def test_what_a_failed_set_leaves_open_is_what_bybit_still_holds() -> None:
    stage = Stage(Reaction(fills="0.3"), *[Reaction(fills="0")] * 20)
    long, short = pair(stage)
    ended = await stage.close_set(long, short)
    assert [(r.state, r.code) for r in ended] == [(FAILED, "residual")] * 2
    assert open_of(stage, long, short) == [Decimal("0.5"), Decimal("0.2")]
    assert stage.venue.size(BTC) == Decimal("0.3")
    assert [stage.status(one) for one in (long, short)] == [PositionStatus.ACTIVE] * 2


@in_fake_time
async def test_legs_that_net_to_nothing_close_against_each_other_without_an_order() -> None:
    stage = Stage()
    long, short = pair(stage, "1", "1")
    ended = await stage.close_set(long, short)
    assert [(r.state, outcomes(r)) for r in ended] == [(DONE, [FLAT])] * 2
    assert stage.venue.sent == []
    assert {n.price for n in stage.ledger.netted.values()} == {Decimal(105)}
    assert {r.legs[0].average_price for r in ended} == {Decimal(105)}
    assert open_of(stage, long, short) == [0, 0]


@in_fake_time
async def test_legs_are_netted_at_a_fresh_price_or_not_at_all() -> None:
    stage = Stage()
    long, short = pair(stage, "1", "1")
    stage.prices.clear()
    stage.at(30, lambda: stage.prices.update({BTC: Decimal(99)}))
    ended = await stage.close_set(long, short)
    assert [r.state for r in ended] == [DONE, DONE]
    assert now() >= ended[0].created_at + timedelta(seconds=30)
    assert {n.price for n in stage.ledger.netted.values()} == {Decimal(99)}
    assert any("waiting for a price" in note for note in stage.notes())


@in_fake_time
async def test_without_a_price_a_net_of_nothing_expires_and_says_so() -> None:
    stage = Stage()
    long, short = pair(stage, "1", "1")
    stage.prices.clear()
    ended = await stage.close_set(long, short)
    assert [(r.state, r.code) for r in ended] == [(FAILED, "expired")] * 2
    assert open_of(stage, long, short) == [1, 1]


@in_fake_time
async def test_a_bucket_that_holds_anything_beside_a_net_of_nothing_is_refused() -> None:
    stage = Stage()
    long, short = pair(stage, "1", "1")
    stage.venue.trade(BTC, "0.3")
    ended = await stage.close_set(long, short)
    assert {(r.state, r.code) for r in ended} == {(FAILED, "shortfall-unattributed")}
    assert open_of(stage, long, short) == [1, 1]


@in_fake_time
async def test_a_loss_among_the_legs_of_a_set_is_nobodys_to_guess() -> None:
    stage = Stage()
    one = stage.record(component("1", of="one"), name="one")
    other = stage.record(component("1", of="other"), name="other")
    stage.venue.trade(BTC, "-0.5")
    ended = await stage.close_set(one, other)
    assert {(r.state, r.code) for r in ended} == {(FAILED, "shortfall-unattributed")}
    assert stage.venue.sent == []


@in_fake_time
async def test_two_legs_of_one_position_net_like_those_of_two() -> None:
    stage = Stage()
    one = stage.record(component("1"), component("0.4", SHORT))
    ended = await stage.close(one)
    assert (ended.state, stage.venue.quantities(BTC)) == (DONE, [Decimal("0.6")])
    assert open_of(stage, one) == [0, 0]


@in_fake_time
async def test_in_hedge_mode_both_sides_are_closed_by_orders_of_their_own() -> None:
    stage = Stage()
    stage.is_hedged = True
    long, short = pair(stage)
    ended = await stage.close_set(long, short)
    assert [r.state for r in ended] == [DONE, DONE]
    assert [(o.position_idx, o.side, o.quantity) for o in stage.venue.sent] == [
        (1, SHORT, 1),
        (2, SHORT.reverse, Decimal("0.4")),
    ]
    assert (stage.venue.size(BTC, 1), stage.venue.size(BTC, 2)) == (0, 0)


@in_fake_time
async def test_a_large_net_is_sent_in_pieces_that_close_both_sides() -> None:
    stage = Stage()
    stage.door.rules[BTC] = instrument(BTC, most="0.25")
    long, short = pair(stage)
    ended = await stage.close_set(long, short)
    assert [r.state for r in ended] == [DONE, DONE]
    assert stage.venue.quantities(BTC) == [Decimal("0.25"), Decimal("0.25"), Decimal("0.1")]
    assert open_of(stage, long, short) == [0, 0]


# --- one job --------------------------------------------------------------------------------


@in_fake_time
async def test_a_leg_that_cannot_be_closed_keeps_the_whole_set_from_being_sent() -> None:
    stage = Stage()
    one = stage.record(component("1", of="one"), name="one")
    other = stage.record(component("2", SHORT, ETH, of="other"), name="other")
    stage.door.rules[ETH] = instrument(ETH, status="Closed")
    ended = await stage.close_set(one, other)
    assert {(r.state, r.code) for r in ended} == {(FAILED, "instrument-not-trading")}
    assert [outcomes(r) for r in ended] == [[LegOutcome.RESIDUAL], [LegOutcome.REJECTED]]
    assert stage.venue.sent == []


@in_fake_time
async def test_each_position_of_a_set_ends_by_its_own_legs() -> None:
    stage = Stage(Reaction(), Reaction(refused=(110007, "not enough")))
    one = stage.record(component("1", of="one"), name="one")
    other = stage.record(component("2", SHORT, ETH, of="other"), name="other")
    ended = await stage.close_set(one, other)
    assert sorted((r.state.value, r.code) for r in ended if r.code) == [("FAILED", "rejected")]
    assert sorted(stage.status(p).value for p in (one, other)) == ["ACTIVE", "CLOSED"]


@in_fake_time
async def test_a_set_that_waits_is_cancelled_as_a_whole() -> None:
    stage = Stage()
    long, short = pair(stage)
    requests = stage.ledger.open_set(long, short)
    async with asyncio.TaskGroup() as group, stage.locks.held([symbol_key()]):
        group.create_task(stage.drive(*requests))
        await asyncio.sleep(5)
        await stage.ledger.cancel(ALICE, requests[0].id, now())
    assert stage.venue.sent == []
    assert [r.state for r, _ in stage.ended] == [RequestState.CANCELLED] * 2


# --- killed ---------------------------------------------------------------------------------

STORIES: dict[str, tuple[str, Callable[[], Stage]]] = {
    "net": ("0.4", lambda: Stage()),
    "part filled": ("0.4", lambda: Stage(Reaction(fills="0.3"), Reaction(fills="0.1"))),
    "one lost": ("0.4", lambda: Stage(Reaction(is_lost=True))),
    "net of nothing": ("1", lambda: Stage()),
}


async def play(stage: Stage, short: str, stop_at: int | None) -> list[CloseRequest]:
    positions = pair(stage, "1", short)
    stage.venue.trade(BTC, "5")
    stage.ledger.beside[symbol_key().bucket(0)] = Decimal(5)
    requests = stage.ledger.open_set(*positions)
    stage.gate.stop_at = stop_at
    run = asyncio.create_task(stage.drive(*requests))
    stopped = asyncio.create_task(stage.gate.reached.wait())
    await asyncio.wait({run, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if run.done():
        run.result()
    else:
        run.cancel()
        await asyncio.wait({run})
        stage.restart()
        again = [stage.ledger.requests[request.id] for request in requests]
        if all(request.state.is_open for request in again):
            await stage.drive(*again)
    return [stage.ledger.requests[request.id] for request in requests]


def check(stage: Stage, short: str, ended: list[CloseRequest]) -> None:
    assert [(r.state, outcomes(r)) for r in ended] == [(DONE, [FLAT])] * 2
    assert stage.venue.size(BTC) == 5
    assert stage.venue.filled(BTC) == 1 - Decimal(short)
    assert all(c.open == 0 for p in stage.ledger.positions.values() for c in p.components)
    assert all(row.state.is_settled for row in stage.ledger.rows.values())


@in_fake_time
async def play_whole(story: str, passed: list[str]) -> None:
    short, staging = STORIES[story]
    stage = staging()
    check(stage, short, await play(stage, short, None))
    passed += stage.gate.passed


@in_fake_time
async def play_killed(story: str, passage: int) -> None:
    short, staging = STORIES[story]
    stage = staging()
    check(stage, short, await play(stage, short, passage))


@pytest.mark.parametrize("story", STORIES)
def test_killed_at_any_passage_the_next_process_ends_the_set_the_same(story: str) -> None:
    passed: list[str] = []
    play_whole(story, passed)
    for number, what in enumerate(passed, start=1):
        try:
            play_killed(story, number)
        except AssertionError as error:
            raise AssertionError(f"killed at passage {number}, {what!r}: {error}") from error


@in_fake_time
async def test_an_unknown_net_order_keeps_all_its_legs_from_ending() -> None:
    stage = Stage(Reaction(hangs=True, shows_after=24.0))
    stage.venue.stream_up = False
    long, short = pair(stage)
    requests = stage.ledger.open_set(long, short)
    async with asyncio.TaskGroup() as group:
        group.create_task(stage.drive(*requests))
        await asyncio.sleep(20)
        assert [row.state for row in stage.ledger.rows.values()] == [OrderState.UNKNOWN]
        assert all(r.state.is_open for r in stage.ledger.requests.values())
    assert {r.state for r in stage.ledger.requests.values()} == {DONE}
    assert len(stage.venue.sent) == 1


# --- delivered ------------------------------------------------------------------------------


@pytest.mark.parametrize("together", [True, False])
@in_fake_time
async def test_what_was_delivered_ends_closed_whoever_else_had_a_part(together: bool) -> None:
    stage = Stage()
    over = "BTCUSDT-26DEC14"
    stage.door.rules[over] = instrument(over, status="Closed")
    long = stage.record(component("1", symbol=over, of="long"), name="long", held=False)
    short = stage.record(component("1", SHORT, over, of="short"), name="short", held=False)
    if together:
        ended = await stage.close_set(long, short)
    else:
        ended = [await stage.close(long), await stage.close(short)]
    assert [(r.state, outcomes(r)) for r in ended] == [(DONE, [LegOutcome.SHORTFALL])] * 2
    assert (stage.venue.sent, stage.ledger.netted) == ([], {})


class Forgetful(Venue):
    """Answers for a contract as Bybit does for one that it lists no more (V5: error 10001)."""

    async def holdings_in(
        self, category: Category, symbol: str, *, urgent: bool = True
    ) -> list[Holding]:
        raise ExchangeRefused("params-error", "symbol invalid", ret_code=10001)

    async def open_orders(self, category: Category, symbol: str) -> list[RestingOrder]:
        raise ExchangeRefused("params-error", "symbol invalid", ret_code=10001)


@in_fake_time
async def test_a_contract_that_bybit_lists_no_more_ends_closed() -> None:
    stage = Stage()
    stage.venue = Forgetful(stage.gate)
    over = stage.record(component("1", symbol="BTCUSDT-26DEC14"), held=False)
    ended = await stage.close(over)
    assert (ended.state, outcomes(ended)) == (DONE, [LegOutcome.SHORTFALL])
    assert ended.ended_at is not None
    assert ended.ended_at < ended.created_at + timedelta(seconds=5)
