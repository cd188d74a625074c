"""Killed at any instant and started again, a close has the same total effect."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest
from positiond.daemon.domain.errors import StoreUnavailable
from positiond.daemon.domain.model import PositionStatus
from positiond.daemon.domain.orders import CloseRequest, LegOutcome, OrderState, RequestState

from ...builders import BTC, ETH, SHORT, component, symbol_key
from .fake_time import in_fake_time
from .stage import Stage, outcomes
from .venue import Reaction

Staging = Callable[[], Stage]

STORIES: dict[str, Staging] = {
    "filled at once": lambda: Stage(),
    "part filled": lambda: Stage(Reaction(fills="0.4"), Reaction(fills="1.5"), Reaction("0.1")),
    "one lost": lambda: Stage(Reaction(is_lost=True)),
    "answers lost": lambda: Stage(Reaction(hangs=True), Reaction(hangs=True, fills="0.7")),
    "throttled": lambda: Stage(Reaction(busy=3.0), Reaction(busy=3.0)),
}


async def play(stage: Stage, stop_at: int | None) -> CloseRequest:
    """Close a pair beside another holding; the process is killed at passage `stop_at`."""
    pair = stage.record(component("1"), component("2", SHORT, ETH))
    stage.venue.trade(BTC, "5")
    stage.ledger.beside[symbol_key().bucket(0)] = Decimal(5)
    request = stage.ledger.open_close(pair)
    stage.gate.stop_at = stop_at
    run = asyncio.create_task(stage.drive(request))
    stopped = asyncio.create_task(stage.gate.reached.wait())
    await asyncio.wait({run, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if not run.done():
        run.cancel()
        await asyncio.wait({run})
        stage.restart()
        again = stage.ledger.requests[request.id]
        if again.state.is_open:
            await stage.drive(again)
    else:
        run.result()
    return stage.ledger.requests[request.id]


def check(stage: Stage, ended: CloseRequest) -> None:
    """Each leg is closed once and whole, and nothing else is touched."""
    assert (ended.state, outcomes(ended)) == (RequestState.DONE, [LegOutcome.FLAT] * 2)
    assert (stage.venue.filled(BTC), stage.venue.filled(ETH)) == (1, 2)
    assert (stage.venue.size(BTC), stage.venue.size(ETH)) == (5, 0)
    booked = [f.quantity for f in stage.ledger.executions.values()]
    assert sum(booked) == 3
    pair = stage.ledger.positions[ended.position_id]
    assert pair.status is PositionStatus.CLOSED
    assert [c.closed_quantity for c in pair.components] == [1, 2]
    assert all(row.state.is_settled for row in stage.ledger.rows.values())


@in_fake_time
async def play_whole(story: str, passed: list[str]) -> None:
    stage = STORIES[story]()
    check(stage, await play(stage, None))
    passed += stage.gate.passed


@in_fake_time
async def play_killed(story: str, passage: int) -> None:
    stage = STORIES[story]()
    check(stage, await play(stage, passage))


@pytest.mark.parametrize("stream_up", [True, False])
@pytest.mark.parametrize("story", STORIES)
@in_fake_time
async def test_unbroken_each_story_closes_the_pair_once(story: str, stream_up: bool) -> None:
    stage = STORIES[story]()
    stage.venue.stream_up = stream_up
    check(stage, await play(stage, None))


@pytest.mark.parametrize("story", STORIES)
def test_killed_at_any_passage_the_next_process_ends_it_the_same(story: str) -> None:
    passed: list[str] = []
    play_whole(story, passed)
    for number, what in enumerate(passed, start=1):
        try:
            play_killed(story, number)
        except AssertionError as error:
            raise AssertionError(f"killed at passage {number}, {what!r}: {error}") from error


@pytest.mark.parametrize("state", [s for s in RequestState if s.is_open])
@in_fake_time
async def test_every_stored_state_was_among_the_places_of_death(state: RequestState) -> None:
    stage = STORIES["part filled"]()
    await play(stage, None)
    reached = {p.split(" to ")[-1] for p in stage.gate.passed if " to " in p}
    written_by_write_ahead = {RequestState.SENDING}
    assert state in {RequestState.ACCEPTED, *reached, *written_by_write_ahead}


@in_fake_time
async def test_on_resume_a_planned_order_counts_as_sent() -> None:
    stage = Stage()
    one = stage.record(component("1"))
    request = stage.ledger.open_close(one)
    stage.gate.stop_at = 1 + [*(await _passages())].index("after write-ahead")
    run = asyncio.create_task(stage.drive(request))
    await stage.gate.reached.wait()
    run.cancel()
    await asyncio.wait({run})
    (row,) = stage.ledger.rows.values()
    assert (row.state, stage.venue.sent) == (OrderState.PLANNED, [])
    stage.restart()
    await stage.drive(stage.ledger.requests[request.id])
    assert "after order UNKNOWN" in stage.gate.passed
    assert stage.venue.quantities(BTC) == [1]


async def _passages() -> list[str]:
    stage = Stage()
    await stage.close(stage.record(component("1")))
    return stage.gate.passed


@in_fake_time
async def test_a_database_that_fails_half_way_leads_to_the_same_end() -> None:
    unbroken = STORIES["part filled"]()
    await play(unbroken, None)
    for number in range(1, len(unbroken.gate.passed) + 1):
        if "send" in unbroken.gate.passed[number - 1]:
            continue
        stage = STORIES["part filled"]()
        stage.gate.fail_at = {number: StoreUnavailable("store-unavailable", "connection lost")}
        check(stage, await play(stage, None))


async def killed_while_verifying(stage: Stage) -> tuple[Stage, CloseRequest]:
    """A close of 1 with all its orders settled, of which a new process knows by its rows."""
    request = stage.ledger.open_close(stage.record(component("1")))
    killed = asyncio.Event()
    stage.once[RequestState.VERIFYING] = killed.set
    run = asyncio.create_task(stage.drive(request))
    await killed.wait()
    run.cancel()
    await asyncio.wait({run})
    stage.restart()
    return stage, request


@in_fake_time
async def test_after_a_restart_the_size_read_is_newer_than_every_attempts_fills() -> None:
    stage, request = await killed_while_verifying(Stage(Reaction(fills="0.4")))
    # Its rows now show the bucket as it was before the second attempt's fill, for a while.
    stage.venue.freeze_rows(before=stage.venue.fills[-1], seconds=30)
    await stage.drive(stage.ledger.requests[request.id])
    assert stage.portfolio.readings[symbol_key()].holdings[0].signed == 0


@in_fake_time
async def test_after_a_restart_the_last_fill_is_asked_for_until_the_lists_show_it() -> None:
    stage, request = await killed_while_verifying(Stage())
    # The stream told of it; neither the lists nor the rows show it yet.
    stage.venue.executions_lag = timedelta(seconds=15)
    stage.venue.freeze_rows(before=stage.venue.fills[-1], seconds=30)
    await stage.drive(stage.ledger.requests[request.id])
    assert stage.portfolio.readings[symbol_key()].holdings[0].signed == 0
    assert any("executions" in note for note in stage.notes())


@in_fake_time
async def test_executions_that_no_list_shows_any_more_hold_up_no_end_for_ever() -> None:
    stage, request = await killed_while_verifying(Stage())
    stage.venue.executions_lag = timedelta(days=1)
    await stage.drive(stage.ledger.requests[request.id])
    ended = stage.ledger.requests[request.id]
    assert (ended.state, outcomes(ended)) == (RequestState.DONE, [LegOutcome.FLAT])
