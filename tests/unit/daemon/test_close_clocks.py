"""Orders on a machine whose clock is wrong, and silence that is no absence."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from positiond.daemon.domain.absence import SILENT_FOR
from positiond.daemon.domain.model import OrderReport
from positiond.daemon.domain.orders import (
    MarketOrder,
    NotExecuted,
    OrderState,
    RequestState,
    SendOutcome,
    SignedOrder,
)

from ...builders import BTC, component
from .fake_time import in_fake_time, now
from .gate import Gate
from .stage import Stage
from .venue import Reaction, Venue


class FarVenue(Venue):
    """A venue whose time is `ahead` of this machine's."""

    def __init__(self, ahead: timedelta) -> None:
        super().__init__(Gate())
        self.ahead = ahead
        self.sent_at: list[datetime] = []

    async def server_now(self) -> datetime:
        return now() + self.ahead

    async def send(self, signed: SignedOrder) -> SendOutcome:
        self.sent_at.append(now())
        outcome = await super().send(signed)
        if isinstance(outcome, NotExecuted):
            return replace(outcome, retry_at=outcome.retry_at + self.ahead)
        return outcome


@pytest.mark.parametrize("ahead", [timedelta(hours=1), timedelta(hours=-1)])
@in_fake_time
async def test_a_throttled_order_waits_by_the_servers_clock(ahead: timedelta) -> None:
    stage = Stage()
    stage.venue = venue = FarVenue(ahead)
    venue.script.append(Reaction(busy=5.0))
    ended = await stage.close(stage.record(component("1")))
    assert ended.state is RequestState.DONE
    first, second = venue.sent_at
    assert timedelta(seconds=5) <= second - first <= timedelta(seconds=6)


@in_fake_time
async def test_an_acknowledged_order_is_never_absent_even_to_the_next_process() -> None:
    # Acknowledged; then the process dies, and no list shows the order or its fill for long.
    stage = Stage(Reaction(shows_after=50.0))
    stage.venue.stream_up = False
    stage.venue.executions_lag = stage.venue.rows_lag = timedelta(seconds=50)
    one = stage.record(component("1"))
    request = stage.ledger.open_close(one)
    killed = asyncio.create_task(stage.drive(request))
    await asyncio.sleep(1)
    assert [row.state for row in stage.ledger.rows.values()] == [OrderState.ACKED]
    killed.cancel()
    await asyncio.wait({killed})
    stage.restart()
    await stage.drive(stage.ledger.requests[request.id])
    assert stage.ledger.requests[request.id].state is RequestState.DONE
    assert len(stage.venue.sent) == 1


class Forgetful(Venue):
    """A venue whose lists know nothing for `blank` after an order came; its ids it keeps."""

    blank = timedelta(0)

    async def find_order(self, order: MarketOrder) -> OrderReport | None:
        found = await super().find_order(order)
        (arrived_at, _), *_ = self.arrived
        return found if now() - arrived_at >= self.blank else None


@in_fake_time
async def test_a_resent_order_is_given_a_minute_to_show_up() -> None:
    # The order arrived, nothing shows it: sent again it is refused as a duplicate.
    stage = Stage()
    stage.venue = venue = Forgetful(Gate())
    venue.inboxes = stage.venue.inboxes
    venue.stream_up = False
    venue.blank = venue.executions_lag = venue.rows_lag = SILENT_FOR + timedelta(seconds=15)
    venue.script.append(Reaction(hangs=True, fills="0.5"))
    stage.record(component("1", of="other"), name="other")
    one = stage.record(component("1"))
    await asyncio.sleep(120)
    await stage.close(one)
    # One order filled its half; the duplicate was refused, the rest went under a new id.
    first, again, rest = venue.link_ids()
    assert first == again != rest
    assert (venue.filled(BTC), venue.size(BTC)) == (1, 1)
