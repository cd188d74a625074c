"""One order from its sending to the proof of its end, without the close around it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from positiond.daemon.close_orders import OrderSettler, has_news, note_newest
from positiond.daemon.close_waits import Waits
from positiond.daemon.domain.events import FillSeen, OrderSeen
from positiond.daemon.domain.model import ComponentId, Fill
from positiond.daemon.domain.orders import CloseOrder, OrderState, RequestState

from ...builders import BTC, NOON, after, close_order, component, fill, uuid_of
from .fake_time import in_fake_time, now, timing
from .stage import Stage
from .venue import Reaction

LEG = ComponentId(uuid_of("leg"))


class Alone:
    """A settler with one written order on a stage."""

    def __init__(self, *reactions: Reaction) -> None:
        self.stage = Stage(*reactions)
        one = self.stage.record(component("1"))
        request = self.stage.ledger.open_close(one)
        self.stage.ledger.requests[request.id] = replace(request, state=RequestState.SENDING)
        (leg,) = one.components
        venue = self.stage.venue
        planned = close_order("1", leg=leg, state=OrderState.PLANNED, status=None)
        self.signed = venue.sign(planned.draft)
        self.order = replace(
            planned, signed_at=self.signed.signed_at, dies_at=self.signed.dies_at, created_at=now()
        )
        self.stage.ledger.rows[self.order.id] = self.order
        self.notes: list[str] = []
        self.fit = self.expired = False
        self.settler = OrderSettler(
            self.stage.ledger,
            lambda: venue,
            venue.inboxes,
            self.stage.in_flight,
            timing(),
            Waits(timing()),
            self._fits,
            lambda: self.expired,
            self.notes.append,
        )

    async def _fits(self, order: CloseOrder) -> bool:
        return self.fit

    async def send(self) -> CloseOrder:
        return await self.settler.send(self.order, self.signed)

    def stored(self) -> CloseOrder:
        return self.stage.ledger.rows[self.order.id]


@in_fake_time
async def test_an_acknowledgement_is_no_end() -> None:
    alone = Alone()
    order = await alone.send()
    assert (order.state, order.order_id) == (OrderState.ACKED, "of-link-1")
    assert alone.stored() == order


@in_fake_time
async def test_a_refusal_is_an_end_with_its_code() -> None:
    order = await Alone(Reaction(refused=(110007, "not enough"))).send()
    assert (order.state, order.status, order.detail) == (
        OrderState.TERMINAL,
        "refused",
        "Bybit 110007: not enough",
    )


@in_fake_time
async def test_no_answer_is_unknown_and_stored_as_such() -> None:
    alone = Alone(Reaction(is_lost=True))
    assert (await alone.send()).state is OrderState.UNKNOWN
    assert alone.stored().state is OrderState.UNKNOWN


@in_fake_time
async def test_a_throttled_order_is_signed_and_stored_anew_before_it_goes_again() -> None:
    alone = Alone(Reaction(busy=20.0))
    alone.fit = True
    order = await alone.send()
    assert order.state is OrderState.ACKED
    assert order.signed_at is not None
    assert order.signed_at >= NOON + timedelta(seconds=20)
    passed = alone.stage.gate.passed
    resent_at = len(passed) - 1 - passed[::-1].index("before send")
    assert passed[resent_at - 1] == "after order PLANNED"


@in_fake_time
async def test_a_throttled_order_of_an_expired_request_is_given_up() -> None:
    alone = Alone(Reaction(busy=20.0))
    alone.fit = alone.expired = True
    order = await alone.send()
    assert (order.state, len(alone.stage.venue.sent)) == (OrderState.ABSENT, 1)
    assert "expired" in (order.detail or "")


@in_fake_time
async def test_fills_that_overtake_the_acknowledgement_are_kept() -> None:
    alone = Alone(Reaction(hangs=True, shows_after=0.0))
    order = await alone.send()
    assert order.state is OrderState.UNKNOWN
    order = await alone.settler.settle(order)
    assert (order.state, order.filled, order.status) == (OrderState.TERMINAL, 1, "filled")
    assert alone.settler.last_fills[order.bucket].quantity == 1
    assert now() - NOON < timedelta(seconds=11)


@in_fake_time
async def test_settling_an_ended_order_again_books_only_what_is_new() -> None:
    alone = Alone(Reaction(fills="0.4"))
    order = await alone.settler.settle(await alone.send())
    writes = len(alone.stage.gate.passed)
    assert await alone.settler.settle(order) == order
    assert len(alone.stage.gate.passed) == writes
    alone.stage.venue.late_fill(order.draft, "0.1", "exec-late")
    await asyncio.sleep(0.1)
    order = await alone.settler.settle(order)
    assert (order.state, order.filled) == (OrderState.TERMINAL, Decimal("0.5"))
    assert alone.stage.venue.size(BTC) == Decimal("0.5")


def test_the_newest_fill_of_a_leg_stays_whoever_settles_last() -> None:
    last: dict[ComponentId, Fill] = {}
    old, new = fill(at=NOON, seq=1), fill(at=after(5), seq=2, exec_id="exec-2")
    for batch in ([new], [old], [old, old]):
        note_newest(last, LEG, batch)
        assert last[LEG] == new
    same_time = fill(at=after(5), seq=3, exec_id="exec-3")
    note_newest(last, LEG, [same_time])
    assert last[LEG] == same_time


def test_a_foreign_orders_fills_are_no_news() -> None:
    assert has_news(close_order("1", "0.4"), [fill("0.5")])
    assert not has_news(close_order("1", "0.5"), [fill("0.5")])
    assert not has_news(close_order(status="foreign"), [fill("0.5")])


@in_fake_time
async def test_an_end_whose_fills_come_later_is_settled_by_the_stream_alone() -> None:
    alone = Alone(Reaction(shows_after=3600.0))
    venue = alone.stage.venue
    order = await alone.send()
    venue.lookups_fail_until = now() + timedelta(hours=1)
    # The order's frame overtakes that of its execution, and no list can be read.
    _, found = venue.orders[order.link_id]
    venue.inboxes.deliver(OrderSeen(venue.account_id, found))
    alone.stage.at(5, lambda: venue.inboxes.deliver(FillSeen(venue.account_id, venue.fills[0])))
    async with asyncio.timeout(20):
        order = await alone.settler.settle(order)
    assert (order.state, order.status, order.filled) == (OrderState.TERMINAL, "filled", 1)


@in_fake_time
async def test_the_average_price_is_that_of_the_booked_executions_in_memory_as_in_the_row() -> None:
    otherwise = Reaction(fills="0.5", altered=lambda r: replace(r, average_price=Decimal(999)))
    alone = Alone(otherwise)
    order = await alone.settler.settle(await alone.send())
    assert (order.state, order.average_price) == (OrderState.TERMINAL, Decimal(110))
    assert order.average_price == alone.stored().average_price
    venue = alone.stage.venue
    dearer = fill("0.5", exec_id="exec-late", price="150")
    venue.inboxes.deliver(FillSeen(venue.account_id, dearer))
    order = await alone.settler.settle(order)
    assert (order.filled, order.average_price) == (1, Decimal(130))
    assert order.average_price == alone.stored().average_price


@in_fake_time
async def test_a_second_end_of_a_filled_order_is_no_news() -> None:
    alone = Alone()
    venue = alone.stage.venue
    order = await alone.send()
    await asyncio.sleep(0.1)
    # A cancel that raced the fill ends the order once more. (Bybit V5: order stream)
    _, found = venue.orders[order.link_id]
    again = OrderSeen(
        venue.account_id, replace(found, reason="EC_OrigClOrdIDDoesNotExist, CancelByUser")
    )
    venue.inboxes.deliver(again)
    order = await alone.settler.settle(order)
    assert (order.status, order.filled, order.detail) == ("filled", 1, None)
    writes = len(alone.stage.gate.passed)
    venue.inboxes.deliver(again)
    assert await alone.settler.settle(order) == order
    assert len(alone.stage.gate.passed) == writes
