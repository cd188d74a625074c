"""Real closes with compares beside them: nothing flickers, and a real loss is seen all the same."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from positiond.daemon.catalogue import Catalogue
from positiond.daemon.close_context import Closing
from positiond.daemon.domain.errors import ExchangeUnreachable
from positiond.daemon.domain.events import AccountEvent, FillSeen
from positiond.daemon.domain.model import Category, Holding, Position, PositionStatus, Verdict
from positiond.daemon.domain.orders import CloseRequest, RequestState
from positiond.daemon.position_reconciler import PositionReconciler

from ...builders import ACCOUNT, BTC, ETH, SHORT, component
from .compares import Archive, Causes
from .fake_time import in_fake_time, now, timing
from .gate import Gate
from .stage import Stage
from .venue import Reaction, Venue


class Listless(Venue):
    """A venue whose lists fail: every symbol is asked for."""

    async def holdings(self, category: Category, *, settle_coin: str) -> list[Holding]:
        raise ExchangeUnreachable("timeout", "no list today")


class Beside(Stage):
    """A stage on which compares never rest, and where memory follows the rows a moment later."""

    def __init__(self, *reactions: Reaction) -> None:
        super().__init__(*reactions)
        script = self.venue.script
        self.venue = Listless(Gate())
        self.venue.script.extend(script)
        self.ledger = self.archive = Archive(self.portfolio)
        self.reconciler = PositionReconciler(
            self.portfolio,
            self.archive,
            {ACCOUNT: self.venue},
            Catalogue(self.door, now),
            self.locks,
            timing("sweeps", "rechecks"),
            lambda _: None,
            lambda _: None,
            list,
            5,
            evidence=self.archive,
            causes=Causes(),
            in_flight=self.in_flight,
        )
        self.alarms: set[str] = set()
        deliver = self.venue.inboxes.deliver

        def both(event: AccountEvent) -> None:
            deliver(event)
            if isinstance(event, FillSeen):
                self.reconciler.on_account(event)

        self.venue.inboxes.deliver = both  # type: ignore[method-assign]  # as the wiring does it

    def closing(self) -> Closing:
        return replace(super().closing(), ended=self._ended)

    def _ended(self, request: CloseRequest, one: Position | None) -> None:
        if one is not None:
            self._remember(one)

    def _remember(self, one: Position) -> None:
        if one.status is PositionStatus.CLOSED:
            self.portfolio.drop(one.id)
        else:
            self.portfolio.put(one)

    async def _follow(self) -> None:
        while True:
            for one in list(self.ledger.positions.values()):
                self._remember(one)
            await asyncio.sleep(0.13)

    async def _compare(self) -> None:
        while True:
            await self.reconciler.reconcile_all_positions()
            for position_id, sync in self.portfolio.syncs.items():
                if sync.verdict is not Verdict.IN_SYNC:
                    self.alarms.add(self.portfolio.positions[position_id].name)
            await asyncio.sleep(0.03)

    async def close_beside(self, one: Position) -> CloseRequest:
        """Close it, with everything else going on from before until after it."""
        for recorded in self.ledger.positions.values():
            self.portfolio.put(recorded)
        beside = [asyncio.create_task(self._follow()), asyncio.create_task(self._compare())]
        await asyncio.sleep(0.5)
        ended = await self.close(one)
        await asyncio.sleep(3)
        assert not any(task.done() for task in beside)
        for task in beside:
            task.cancel()
        await asyncio.wait(beside)
        return ended


SCRIPTS = {
    "at once": [Reaction()],
    "in parts": [Reaction(fills="0.4"), Reaction(fills="0.3"), Reaction()],
    "without an answer": [Reaction(hangs=True)],
    "lost": [Reaction(is_lost=True)],
    "refused at first": [Reaction(busy=2.0), Reaction()],
    "shown late": [Reaction(shows_after=4.0)],
}


@pytest.mark.parametrize("stream_up", [True, False])
@pytest.mark.parametrize("lag", [0.0, 1.5])
@pytest.mark.parametrize("script", SCRIPTS)
@in_fake_time
async def test_a_close_is_never_an_alarm(script: str, lag: float, stream_up: bool) -> None:
    stage = Beside(*SCRIPTS[script])
    stage.venue.stream_up = stream_up
    stage.venue.rows_lag = timedelta(seconds=lag)
    one = stage.record(component("1", of="a"), component("2", SHORT, ETH, of="a"), name="a")
    stage.record(component("5", of="b"), name="b")
    stage.record(component("3", SHORT, ETH, of="c"), name="c")
    await asyncio.sleep(lag)
    ended = await stage.close_beside(one)
    assert (ended.state, stage.alarms) == (RequestState.DONE, set())


@in_fake_time
async def test_a_hand_trade_while_an_order_is_unknown_is_an_alarm() -> None:
    stage = Beside(Reaction(is_lost=True))
    one = stage.record(component("1", of="a"), name="a")
    stage.record(component("5", of="b"), name="b")
    # Beyond what the order could do: it is there for 1 of 6.
    stage.at(5, lambda: stage.venue.trade(BTC, Decimal("-1.5")))
    stage.at(9, lambda: stage.venue.trade(BTC, Decimal("1.5")))
    ended = await stage.close_beside(one)
    assert ended.state is RequestState.DONE
    assert stage.alarms == {"a", "b"}
