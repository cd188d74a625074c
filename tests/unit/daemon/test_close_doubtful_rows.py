"""Rows that cannot be true, or are older than what is known: no close is sized or ended by them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from positiond.daemon.domain.model import Category, Holding, PositionStatus
from positiond.daemon.domain.orders import LegOutcome, RequestState

from ...builders import ACCOUNT, BTC, component, fill, holding, symbol_key
from .fake_time import in_fake_time, now
from .gate import Gate
from .stage import Stage, outcomes
from .venue import Reaction, Venue

DONE, FAILED = RequestState.DONE, RequestState.FAILED
FLAT, RESIDUAL = LegOutcome.FLAT, LegOutcome.RESIDUAL


class Confused(Venue):
    """Tells something else than what it holds while `tells` is set; the next `true_reads` not."""

    tells: Callable[[Sequence[Holding]], list[Holding]] | None = None
    true_reads = 0

    async def holdings_in(
        self, category: Category, symbol: str, *, urgent: bool = True
    ) -> list[Holding]:
        rows = await super().holdings_in(category, symbol, urgent=urgent)
        if self.tells is None:
            return rows
        if self.true_reads:
            self.true_reads -= 1
            return rows
        return self.tells(rows)

    def recover(self) -> None:
        self.tells = None


def confused(
    tells: Callable[[Sequence[Holding]], list[Holding]], *reactions: Reaction
) -> tuple[Stage, Confused]:
    stage = Stage()
    venue = Confused(Gate())
    venue.script.extend(reactions)
    venue.inboxes = stage.venue.inboxes
    venue.tells = tells
    stage.venue = venue
    return stage, venue


def twice(rows: Sequence[Holding]) -> list[Holding]:
    return [*rows, *rows]


def as_flat_hedge(rows: Sequence[Holding]) -> list[Holding]:
    return [*rows, holding("0", idx=1), holding("0", idx=2)]


def without_a_side(rows: Sequence[Holding]) -> list[Holding]:
    return [replace(row, side=None) for row in rows]


def other_side_alone(_rows: Sequence[Holding]) -> list[Holding]:
    return [holding("-3", idx=2)]


CONFUSIONS = [twice, as_flat_hedge, without_a_side, other_side_alone]


@pytest.mark.parametrize("tells", CONFUSIONS)
@in_fake_time
async def test_a_close_waits_while_the_rows_cannot_be_true(
    tells: Callable[[Sequence[Holding]], list[Holding]],
) -> None:
    stage, venue = confused(tells)
    one = stage.record(component("1"))
    stage.at(30, venue.recover)
    began = now()
    ended = await stage.close(one)
    assert (ended.state, outcomes(ended), venue.size(BTC)) == (DONE, [FLAT], 0)
    assert venue.arrived[0][0] >= began + timedelta(seconds=30)
    assert any("Bybit gave" in note for note in stage.notes())


@pytest.mark.parametrize("tells", CONFUSIONS)
@in_fake_time
async def test_rows_that_cannot_be_true_send_nothing_until_the_request_expires(
    tells: Callable[[Sequence[Holding]], list[Holding]],
) -> None:
    stage, venue = confused(tells)
    one = stage.record(component("1"))
    ended = await stage.close(one)
    assert (ended.state, ended.code, venue.sent) == (FAILED, "expired", [])
    assert stage.status(one) is PositionStatus.ACTIVE


@pytest.mark.parametrize("tells", CONFUSIONS)
@in_fake_time
async def test_rows_that_cannot_be_true_plan_no_remainder_and_end_no_close(
    tells: Callable[[Sequence[Holding]], list[Holding]],
) -> None:
    stage, venue = confused(tells, Reaction(fills="0.4"))
    venue.true_reads = 1
    one = stage.record(component("1"))
    stage.at(40, venue.recover)
    began = now()
    ended = await stage.close(one)
    assert (ended.state, outcomes(ended), venue.size(BTC)) == (DONE, [FLAT], 0)
    assert venue.quantities(BTC) == [1, Decimal("0.6")]
    assert venue.arrived[1][0] >= began + timedelta(seconds=40)


@in_fake_time
async def test_a_size_from_before_a_known_trade_of_the_traders_sizes_no_order() -> None:
    stage = Stage()
    one = stage.record(component("1"))
    # The trader's own 1 is beside it; he sells 1.5, and the row does not show it yet.
    stage.venue.trade(BTC, "1")
    stage.ledger.beside[symbol_key().bucket(0)] = Decimal(1)
    await asyncio.sleep(10)
    by_hand = stage.venue.traded(BTC, "-1.5")
    stage.venue.freeze_rows(before=by_hand, seconds=5)
    stage.in_flight.note_fills(ACCOUNT, [by_hand])
    ended = await stage.close(one)
    assert (ended.state, ended.code, stage.venue.sent) == (FAILED, "shortfall-unattributed", [])
    assert stage.venue.size(BTC) == Decimal("0.5")


@in_fake_time
async def test_a_row_that_never_shows_a_fill_holds_a_close_up_for_a_minute_at_most() -> None:
    stage = Stage()
    one = stage.record(component("1"))
    stage.in_flight.note_fills(ACCOUNT, [fill("1", seq=10_000, at=now())])
    ended = await stage.close(one)
    assert (ended.state, outcomes(ended)) == (DONE, [FLAT])
    began = ended.created_at
    assert timedelta(seconds=59) < stage.venue.arrived[0][0] - began < timedelta(seconds=70)
    assert any("older than the last fill" in note for note in stage.notes())


@in_fake_time
async def test_where_somebody_trades_without_a_pause_a_close_still_leaves() -> None:
    stage = Stage()
    one = stage.record(component("1"))
    stage.venue.rows_lag = timedelta(seconds=0.5)
    await asyncio.sleep(10)

    def trade() -> None:
        for signed in ("0.001", "-0.001"):
            stage.in_flight.note_fills(ACCOUNT, [stage.venue.traded(BTC, signed)])
        stage.at(0.005, trade)

    trade()
    began = now()
    ended = await stage.close(one)
    assert ended.state is DONE
    assert stage.venue.arrived[0][0] - began < timedelta(seconds=3)


@in_fake_time
async def test_claims_are_read_after_the_sizes_that_they_are_compared_with() -> None:
    stage = Stage()
    one = stage.record(component("1", of="one"), name="one")
    # Half of it is gone, and what is recorded beside it just now is not to make up for that.
    stage.venue.trade(BTC, "-0.5")
    read, names = stage.venue.holdings_in, iter(["other"])

    async def bought_meanwhile(
        category: Category, symbol: str, *, urgent: bool = True
    ) -> list[Holding]:
        for name in names:
            stage.record(component("0.5", of=name), name=name)
        return await read(category, symbol, urgent=urgent)

    stage.venue.holdings_in = bought_meanwhile  # type: ignore[method-assign]
    ended = await stage.close(one)
    assert (ended.state, ended.code, stage.venue.sent) == (FAILED, "shortfall-unattributed", [])
