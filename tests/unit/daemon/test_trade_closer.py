"""Open requests are picked up, each by one task, those with orders out first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from positiond.daemon.domain.errors import StoreUnavailable
from positiond.daemon.domain.orders import CloseRequest, RequestState
from positiond.daemon.trade_closer import TradeCloser

from ...builders import BTC, component
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
