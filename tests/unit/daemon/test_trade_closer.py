"""Open requests are picked up, each by one task, those with orders out first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import pytest
from positiond.daemon.domain.errors import StoreUnavailable
from positiond.daemon.domain.model import Position, PositionId
from positiond.daemon.domain.orders import CloseRequest, RequestState
from positiond.daemon.trade_closer import TradeCloser
from structlog.testing import capture_logs

from ...builders import BTC, component, symbol_key
from .fake_time import in_fake_time, timing
from .stage import Stage


@asynccontextmanager
async def serving(stage: Stage, wake: asyncio.Event) -> AsyncIterator[TradeCloser]:
    closer = TradeCloser(stage.closing(), timing("closes"), wake)
    task = asyncio.create_task(closer.run())
    try:
        yield closer
    finally:
        task.cancel()
        await asyncio.wait({task})
    assert task.cancelled(), task.exception()


def state_of(stage: Stage, request: CloseRequest) -> RequestState:
    return stage.ledger.requests[request.id].state


@in_fake_time
async def test_a_request_is_closed_without_being_told_of() -> None:
    stage = Stage()
    request = stage.ledger.open_close(stage.record(component("1")))
    async with serving(stage, asyncio.Event()):
        await asyncio.sleep(5)
    assert state_of(stage, request) is RequestState.DONE


@in_fake_time
async def test_a_wake_up_shortens_the_wait() -> None:
    stage, wake = Stage(), asyncio.Event()
    async with serving(stage, wake):
        await asyncio.sleep(0.5)
        request = stage.ledger.open_close(stage.record(component("1")))
        wake.set()
        await asyncio.sleep(0.4)
        assert state_of(stage, request) is not RequestState.ACCEPTED
        assert len(stage.venue.sent) == 1


@in_fake_time
async def test_a_request_has_one_task_however_often_it_is_seen() -> None:
    stage = Stage()
    request = stage.ledger.open_close(stage.record(component("1")))
    stage.ledger.paused = True
    async with serving(stage, asyncio.Event()):
        await asyncio.sleep(30)
        stage.ledger.paused = False
        await asyncio.sleep(10)
    assert state_of(stage, request) is RequestState.DONE
    assert stage.venue.quantities(BTC) == [1]


@in_fake_time
async def test_requests_of_a_dead_process_go_before_new_ones_in_the_same_bucket() -> None:
    stage = Stage()
    new = stage.ledger.open_close(stage.record(component("1", of="new"), name="new"))
    left = stage.ledger.open_close(stage.record(component("2", of="left"), name="left"))
    stage.ledger.requests[left.id] = replace(left, state=RequestState.SETTLING)
    async with serving(stage, asyncio.Event()):
        await asyncio.sleep(10)
    assert [r.id for r, _ in stage.ended] == [left.id, new.id]
    # The one that was left had no order out: it settles, and sends what is its own.
    assert stage.venue.quantities(BTC) == [2, 1]


@in_fake_time
async def test_a_database_that_is_away_for_a_while_only_delays() -> None:
    stage = Stage()
    request = stage.ledger.open_close(stage.record(component("1")))
    answers = stage.ledger.open_requests
    failures = iter(range(3))

    async def open_requests() -> list[CloseRequest]:
        if next(failures, None) is not None:
            raise StoreUnavailable("store-unavailable", "connection lost")
        return await answers()

    stage.ledger.open_requests = open_requests  # type: ignore[method-assign]  # a stub's stub
    async with serving(stage, asyncio.Event()):
        await asyncio.sleep(20)
    assert state_of(stage, request) is RequestState.DONE


@in_fake_time
async def test_being_stopped_half_way_leaves_the_rows_for_the_next_process() -> None:
    stage = Stage()
    request = stage.ledger.open_close(stage.record(component("1")))
    sending = asyncio.Event()
    stage.once[RequestState.SETTLING] = sending.set
    async with serving(stage, asyncio.Event()):
        await sending.wait()
    assert state_of(stage, request).is_open
    stage.restart()
    async with serving(stage, asyncio.Event()):
        await asyncio.sleep(60)
    assert state_of(stage, request) is RequestState.DONE
    assert stage.venue.filled(BTC) == 1


# --- what a dead process left goes first ----------------------------------------------------


@dataclass(frozen=True)
class Left:
    """An older close whose order filled when its process died, and a newer one in the bucket."""

    stage: Stage
    old: CloseRequest
    new: CloseRequest


async def left_behind() -> Left:
    """A process dies with 2 of 3 sold and not booked; somebody asks for the close of the other."""
    stage = Stage()
    sold = stage.record(component("2", of="sold"), name="sold")
    other = stage.record(component("1", of="other"), name="other")
    old = stage.ledger.open_close(sold)
    sent = asyncio.Event()
    stage.once[RequestState.SETTLING] = sent.set
    run = asyncio.create_task(stage.drive(old))
    await sent.wait()
    run.cancel()
    await asyncio.wait({run})
    assert (stage.venue.size(BTC), stage.ledger.positions[sold.id].components[0].open) == (1, 2)
    stage.restart()
    new = stage.ledger.open_close(other)
    # Whoever happens to stand first in the list.
    stage.ledger.requests = dict(reversed(stage.ledger.requests.items()))
    return Left(stage, old, new)


def delayed(stage: Stage, request: CloseRequest, *failures: Exception) -> None:
    """The request's position is read slowly, and first not at all."""
    load, left = stage.ledger.load, list(failures)

    async def slow(position_id: PositionId) -> Position | None:
        if position_id == request.position_id:
            await asyncio.sleep(3)
            if left:
                raise left.pop()
        return await load(position_id)

    stage.ledger.load = slow  # type: ignore[method-assign]  # a stub's stub


@pytest.mark.parametrize("failures", [0, 2])
@in_fake_time
async def test_no_newer_close_sizes_itself_before_what_was_sent_is_booked(failures: int) -> None:
    left = await left_behind()
    away = StoreUnavailable("store-unavailable", "connection lost")
    delayed(left.stage, left.old, *[away] * failures)
    async with serving(left.stage, asyncio.Event()):
        await asyncio.sleep(60)
    assert [r.id for r, _ in left.stage.ended] == [left.old.id, left.new.id]
    assert state_of(left.stage, left.new) is RequestState.DONE
    assert left.stage.venue.quantities(BTC) == [2, 1]


@in_fake_time
async def test_nobody_else_has_a_bucket_before_what_was_sent_is_booked() -> None:
    left = await left_behind()
    delayed(left.stage, left.old, StoreUnavailable("store-unavailable", "connection lost"))
    opened = left.stage.ledger.positions[left.old.position_id].components[0].open
    left.stage.locks.shut()
    seen = []

    async def recorder() -> None:
        async with left.stage.locks.held([symbol_key(BTC)]):
            seen.append(left.stage.ledger.positions[left.old.position_id].components[0].open)

    async with asyncio.TaskGroup() as group:
        group.create_task(recorder())
        await asyncio.sleep(1)
        async with serving(left.stage, asyncio.Event()) as closer:
            await closer.resumed.wait()
            assert left.stage.locks.busy == {symbol_key(BTC)}
            await asyncio.sleep(60)
    assert (opened, seen) == (2, [0])


@in_fake_time
async def test_a_term_that_ends_lets_nobody_in_before_the_next_has_resumed() -> None:
    left = await left_behind()
    delayed(left.stage, left.old)
    async with serving(left.stage, asyncio.Event()) as closer:
        await closer.resumed.wait()
    assert left.stage.locks.busy == set()
    waiting = asyncio.create_task(left.stage.locks.line_up([symbol_key(BTC)]).__aenter__())
    await asyncio.sleep(60)
    assert not waiting.done()
    async with serving(left.stage, asyncio.Event()):
        await waiting
    assert state_of(left.stage, left.old) is RequestState.DONE


@in_fake_time
async def test_a_list_that_is_older_than_the_end_of_a_close_starts_it_not_again() -> None:
    stage, wake = Stage(), asyncio.Event()
    request = stage.ledger.open_close(stage.record(component("1")))
    stage.once[RequestState.WAITING] = wake.set
    answers = stage.ledger.open_requests

    async def open_requests() -> list[CloseRequest]:
        found = await answers()
        await asyncio.sleep(4 if wake.is_set() or stage.shown else 0)
        return found

    stage.ledger.open_requests = open_requests  # type: ignore[method-assign]  # a stub's stub
    async with serving(stage, wake):
        await asyncio.sleep(60)
    assert [ended.id for ended, _ in stage.ended] == [request.id]


@in_fake_time
async def test_a_close_that_was_cancelled_is_shown_as_that_at_once_and_not_as_held_up() -> None:
    stage = Stage()
    request = stage.ledger.open_close(stage.record(component("1")))
    stage.once[RequestState.WAITING] = lambda: cancel(stage, request)
    with capture_logs() as logs:
        await stage.drive(request)
    assert [(r.id, r.state) for r, _ in stage.ended] == [(request.id, RequestState.CANCELLED)]
    assert [log["event"] for log in logs] == ["close ended"]
    assert stage.venue.sent == []


def cancel(stage: Stage, request: CloseRequest) -> None:
    stage.ledger.requests[request.id] = replace(request, state=RequestState.CANCELLED)
