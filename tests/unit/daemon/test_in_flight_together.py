"""Compares beside closes of several legs in one bucket, whose fills memory learns leg by leg."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import replace
from decimal import Decimal

from positiond.daemon.domain.model import CloseId, Component, Position, Verdict
from positiond.daemon.domain.orders import CloseOrder, OrderPart, OrderState

from ...builders import BTC, SHORT, close_order, component, position, symbol_key, uuid_of
from .compares import Compares
from .fake_time import in_fake_time

CLOSE = CloseId(uuid_of("close"))


class Closing(Compares):
    """A close of two positions that share a bucket, at work with its symbol locked."""

    async def both(self, first: Component, second: Component) -> list[Position]:
        """The two positions, recorded; their net is what Bybit holds."""
        recorded = [
            await self.record(position(leg, name=name))
            for leg, name in ((first, "first"), (second, "second"))
        ]
        self.hold(BTC, str(first.signed_open + second.signed_open))
        await self.sweep()
        return recorded

    def entering(self, *positions: Position) -> AbstractContextManager[None]:
        legs = [component for one in positions for component in one.components]
        places = [(leg, symbol_key(leg.symbol)) for leg in legs]
        return self.in_flight.closing(places, {leg.id: leg.open for leg in legs}, is_known=True)

    def books(self, one: Position, closed: str) -> None:
        """Memory learns how much of the position's leg is closed."""
        (leg,) = one.components
        leg = replace(leg, closed_quantity=Decimal(closed))
        self.portfolio.put(replace(one, components=(leg,)))


def shared(first: Position, second: Position, quantity: str, *, light: bool) -> CloseOrder:
    """One order for both legs; the second is on the light side where it nets."""
    parts = tuple(
        OrderPart(leg.id, CLOSE, leg.open, is_light)
        for one, is_light in ((first, False), (second, light))
        for leg in one.components
    )
    leg = first.components[0]
    order = close_order(quantity, leg=leg, state=OrderState.SENT, status=None)
    return replace(order, parts=parts, step=Decimal("0.1"))


@in_fake_time
async def test_a_shared_order_explains_what_it_closes_of_each_leg() -> None:
    stage = Closing()
    one, other = await stage.both(component("1", of="first"), component("2", of="second"))
    async with stage.locks.held([symbol_key(BTC)]):
        with stage.entering(one, other):
            stage.in_flight.note(shared(one, other, "3", light=False))
            assert stage.in_flight.changes() == {symbol_key(BTC): {0: Decimal(-3)}}
            # Filled by half; memory has booked the first leg's part and not yet the second's.
            stage.books(one, "0.5")
            for held in ("2.5", "1.5", "0"):
                stage.hold(BTC, held)
                await stage.sweep()
                assert not stage.is_altered(one)
            stage.hold(BTC, "2.7")
            await stage.sweep()
            assert stage.is_altered(one)


@in_fake_time
async def test_while_legs_net_against_each_other_no_verdict_is_new() -> None:
    stage = Closing()
    one, other = await stage.both(component("1", of="first"), component("0.4", SHORT, of="second"))
    async with stage.locks.held([symbol_key(BTC)]):
        with stage.entering(one, other):
            stage.in_flight.note(shared(one, other, "0.6", light=True))
            # Half of the net is filled: 0.5 of the long leg is booked, the short one's 0.2 is not.
            stage.books(one, "0.5")
            stage.hold(BTC, "0.3")
            await stage.sweep()
            assert (stage.verdict(one), stage.is_altered(one)) == (Verdict.IN_SYNC, False)
            assert not stage.is_altered(other)
        assert stage.in_flight.changes() == {}


@in_fake_time
async def test_while_legs_close_without_an_order_no_verdict_is_new() -> None:
    stage = Closing()
    one, other = await stage.both(component("1", of="first"), component("1", SHORT, of="second"))
    async with stage.locks.held([symbol_key(BTC)]):
        with stage.entering(one, other):
            legs = [leg.id for p in (one, other) for leg in p.components]
            stage.in_flight.silence(legs)
            stage.books(one, "1")
            await stage.sweep()
            assert not stage.is_altered(other)
            assert not stage.in_flight.is_at_work(symbol_key(BTC))
