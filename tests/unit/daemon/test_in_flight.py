"""Compares beside closes: our own orders are no deviation, a hand trade beside them is one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import replace
from decimal import Decimal

from positiond.daemon.domain.events import HoldingSeen
from positiond.daemon.domain.model import Component, ComponentId, Position, Verdict
from positiond.daemon.domain.orders import OrderState

from ...builders import ACCOUNT, BTC, ETH, SHORT, close_order, component, fill, position, symbol_key
from .compares import Compares, serving
from .fake_time import in_fake_time, now

IN_SYNC, ALTERED, UNVERIFIED = Verdict.IN_SYNC, Verdict.ALTERED, Verdict.UNVERIFIED


def closed(one: Position, quantity: str) -> Position:
    """The position as memory shows it once so much of its first leg is booked as closed."""
    first, *others = one.components
    return replace(one, components=(replace(first, closed_quantity=Decimal(quantity)), *others))


class Closing(Compares):
    """A close of the first leg of `one`, at work with its symbol locked."""

    def entering(self, one: Position, *, is_known: bool = True) -> AbstractContextManager[None]:
        leg = one.components[0]
        opened: dict[ComponentId, Decimal] = {leg.id: leg.open}
        return self.in_flight.closing([(leg, symbol_key(leg.symbol))], opened, is_known=is_known)

    @asynccontextmanager
    async def at_work(self, one: Position, *, is_known: bool = True) -> AsyncIterator[None]:
        async with self.locks.held([symbol_key(BTC)]):
            with self.entering(one, is_known=is_known):
                yield

    def sends(
        self, leg: Component, quantity: str, filled: str = "0", *, ended: bool = False
    ) -> None:
        state = OrderState.TERMINAL if ended else OrderState.SENT
        self.in_flight.note(close_order(quantity, filled, leg=leg, state=state))


@in_fake_time
async def test_what_our_orders_may_have_filled_is_no_deviation() -> None:
    stage = Closing()
    one = await stage.record(position(component("3")))
    await stage.sweep()
    async with stage.at_work(one):
        stage.sends(one.components[0], "3")
        for size in ("3", "2", "0.5", "0"):
            stage.hold(BTC, size)
            await stage.sweep()
            assert (stage.verdict(one), stage.is_altered(one)) == (IN_SYNC, False)
    assert stage.archive.deviations == {}


@in_fake_time
async def test_a_hand_trade_beyond_what_our_orders_explain_is_flagged_while_closing() -> None:
    stage = Closing()
    one = await stage.record(position(component("3")))
    await stage.sweep()
    async with stage.at_work(one), serving(stage):
        stage.sends(one.components[0], "1")
        stage.reconciler.on_account(HoldingSeen(ACCOUNT, stage.hold(BTC, "1.5")))
        await asyncio.sleep(3)
        assert (stage.verdict(one), stage.is_altered(one)) == (ALTERED, True)


@in_fake_time
async def test_before_an_order_is_out_a_close_explains_nothing() -> None:
    stage = Closing()
    one = await stage.record(position(component("3")))
    await stage.sweep()
    async with stage.at_work(one):
        stage.hold(BTC, "2.9")
        await stage.sweep()
        assert stage.is_altered(one)


@in_fake_time
async def test_a_close_whose_rows_were_not_read_yet_gives_no_verdict() -> None:
    stage = Closing()
    one = await stage.record(position(component("3")))
    await stage.sweep()
    async with stage.at_work(one, is_known=False):
        stage.hold(BTC, "1")
        await stage.sweep()
        assert (stage.verdict(one), stage.is_altered(one)) == (IN_SYNC, False)
        stage.in_flight.know([one.components[0].id])
        await stage.sweep()
        assert stage.is_altered(one)


@in_fake_time
async def test_fills_that_memory_shows_already_are_not_counted_twice() -> None:
    stage = Closing()
    one = await stage.record(position(component("3")))
    await stage.sweep()
    async with stage.at_work(one):
        stage.sends(one.components[0], "3", "2")
        stage.portfolio.put(closed(one, "2"))
        change = stage.in_flight.changes()
        assert change == {symbol_key(BTC): {0: Decimal(-1)}}
        stage.hold(BTC, "1.5")
        await stage.sweep()
        # Memory expects 1 and at most 1 less: half a coin too much is the trader's doing.
        assert stage.is_altered(one)


@in_fake_time
async def test_booked_fills_that_memory_does_not_show_yet_are_still_ours() -> None:
    stage = Closing()
    one = await stage.record(position(component("3")))
    await stage.sweep()
    async with stage.at_work(one):
        stage.sends(one.components[0], "3", "2", ended=True)
        stage.hold(BTC, "1")
        await stage.sweep()
        assert not stage.is_altered(one)


@in_fake_time
async def test_a_short_leg_is_bought_back() -> None:
    stage = Closing()
    one = await stage.record(position(component("3", SHORT)))
    with stage.entering(one):
        stage.sends(one.components[0], "2")
        assert stage.in_flight.changes() == {symbol_key(BTC): {0: Decimal(2)}}
    assert stage.in_flight.changes() == {}


@in_fake_time
async def test_a_read_during_which_an_order_moved_on_is_dropped() -> None:
    stage = Closing()
    one = await stage.record(position(component("3")))
    await stage.sweep()
    stage.shelf.list_takes = 5
    async with stage.at_work(one):
        stage.sends(one.components[0], "3")
        sweep = asyncio.create_task(stage.sweep())
        await asyncio.sleep(1)
        # The list said 3; filled, booked and shown meanwhile: the two do not belong together.
        stage.sends(one.components[0], "3", "3", ended=True)
        stage.portfolio.put(closed(one, "2"))
        await sweep
        assert not stage.is_altered(one)


@in_fake_time
async def test_an_old_reading_is_no_evidence_while_a_close_is_at_work() -> None:
    stage = Closing()
    one = await stage.record(position(component("3")))
    await stage.record(position(component("3", symbol=ETH, of="other"), name="other"))
    await stage.sweep()
    async with stage.at_work(one), serving(stage):
        stage.sends(one.components[0], "3", "2", ended=True)
        stage.portfolio.put(closed(one, "2"))
        stage.reconciler.on_account(HoldingSeen(ACCOUNT, stage.hold(ETH, "1")))
        await asyncio.sleep(3)
        assert not stage.is_altered(one)


# --- rows that are older than a fill --------------------------------------------------------


@in_fake_time
async def test_a_row_from_before_a_fill_gives_no_verdict_until_it_has_caught_up() -> None:
    stage = Compares()
    one = await stage.record(position(component("3")))
    stage.shelf.seqs[BTC] = 4
    await stage.sweep()
    async with serving(stage):
        stage.in_flight.fills.note(ACCOUNT, fill("1", seq=5, at=now()))
        stage.portfolio.put(closed(one, "1"))
        await stage.sweep()
        assert (stage.verdict(one), stage.is_altered(one)) == (IN_SYNC, False)
        stage.hold(BTC, "2")
        stage.shelf.seqs[BTC] = 5
        await asyncio.sleep(3)
        assert (stage.verdict(one), stage.is_altered(one)) == (IN_SYNC, False)
        assert stage.portfolio.readings[symbol_key(BTC)].holdings[0].size == 2


@in_fake_time
async def test_a_row_that_never_catches_up_is_doubted_and_after_a_minute_believed() -> None:
    stage = Compares()
    one = await stage.record(position(component("3")))
    stage.shelf.seqs[BTC] = 4
    await stage.sweep()
    async with serving(stage):
        stage.in_flight.fills.note(ACCOUNT, fill("1", seq=5, at=now()))
        stage.reconciler.recheck(symbol_key(BTC))
        await asyncio.sleep(9)
        assert stage.verdict(one) is IN_SYNC
        await asyncio.sleep(6)
        assert stage.verdict(one) is UNVERIFIED
        await asyncio.sleep(120)
        assert stage.verdict(one) is IN_SYNC
