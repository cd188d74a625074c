"""What a close goes by when the memory of the daemon is behind the store."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from positiond.daemon.domain.errors import StoreUnavailable
from positiond.daemon.domain.model import PositionStatus
from positiond.daemon.domain.orders import RequestState
from positiond.daemon.trade_closer import TradeCloser

from ...builders import BTC, ETH, SHORT, component
from .fake_time import in_fake_time, timing
from .stage import Stage


@in_fake_time
async def test_a_leg_that_memory_does_not_know_yet_is_closed_with_the_others() -> None:
    stage = Stage()
    pair = stage.record(component("1"), component("2", SHORT, ETH))
    # The second leg was written straight into the tables a moment before the close.
    stage.portfolio.put(replace(pair, components=pair.components[:1]))
    request = stage.ledger.open_close(pair)
    closer = TradeCloser(stage.closing(), timing("closes"), asyncio.Event())
    task = asyncio.create_task(closer.run())
    await asyncio.sleep(10)
    task.cancel()
    await asyncio.wait({task})
    assert stage.ledger.requests[request.id].state is RequestState.DONE
    assert (stage.venue.filled(BTC), stage.venue.filled(ETH)) == (1, 2)
    assert stage.status(pair) is PositionStatus.CLOSED


@in_fake_time
async def test_the_end_of_a_close_is_told_even_when_its_position_is_read_late() -> None:
    stage = Stage()
    pair = stage.record(component("1"))
    request = stage.ledger.open_close(pair)
    load, lost = stage.ledger.load, [StoreUnavailable("store-unavailable", "connection lost")] * 3

    async def load_when_back(position_id: object) -> object:
        if lost:
            raise lost.pop()
        return await load(pair.id)

    stage.ledger.load = load_when_back  # type: ignore[method-assign,assignment]  # fails at first
    await stage.drive(request)
    ((ended, one),) = stage.ended
    assert (ended.state, one and one.status) == (RequestState.DONE, PositionStatus.CLOSED)
