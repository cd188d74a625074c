"""What a user is shown: only their own, from one instant, and never more certain than we are."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest
from positiond.daemon.domain.events import PriceTick
from positiond.daemon.domain.model import (
    Category,
    Environment,
    PositionStatus,
    PriceBasis,
    Verdict,
)
from positiond.daemon.domain.portfolio import AccountState
from positiond.daemon.domain.verdict import LegSync, PositionSync

from ...builders import (
    ACCOUNT,
    ALICE,
    BOB,
    BTC,
    OTHER_ACCOUNT,
    account,
    close_request,
    component,
    instrument,
    key_of,
    position,
)
from .fake_time import in_fake_time, now
from .house import House

OPEN = frozenset({PositionStatus.ACTIVE, PositionStatus.CLOSING})


def settled() -> House:
    """A house that is in order."""
    house = House()
    house.portfolio.accounts[ACCOUNT] = AccountState(account(), stream_up=True)
    house.board.store_trouble, house.board.leads = None, True
    house.board.market_up(Environment.PAPER, Category.LINEAR)
    house.board.sweep_at = now
    return house


@in_fake_time
async def test_a_view_puts_price_verdict_and_difference_beside_each_leg() -> None:
    house = settled()
    one = position(component("2", entry="100"))
    leg = one.components[0]
    house.tracker.put(one)
    house.book.learn([instrument(BTC)])
    house.book.tick(PriceTick(key_of(BTC), Decimal(110), None, None, now()))
    legs = {leg.id: LegSync(Decimal("1.5"), Decimal("-0.5"), deviates=True)}
    house.portfolio.syncs[one.id] = PositionSync(Verdict.ALTERED, None, now(), legs)
    view = house.board.live_view(one.id)
    (shown,) = view.legs
    assert (view.verdict, view.unrealized_pnl, view.pnl_currency) == (Verdict.ALTERED, 20, "USDT")
    assert (shown.price, shown.price_basis) == (110, PriceBasis.MARK)
    assert (shown.actual, shown.difference) == (Decimal("1.5"), Decimal("-0.5"))


@in_fake_time
async def test_users_see_their_own_and_nothing_of_others() -> None:
    house = settled()
    mine = position(component(of="mine"), name="mine")
    other = position(component(of="other"), name="other", user_id=BOB)
    house.tracker.put(mine)
    house.tracker.put(other)
    assert [v.position.id for v in house.board.open_views(ALICE)] == [mine.id]
    assert [v.position.id for v in await house.board.views(BOB, OPEN)] == [other.id]
    assert await house.board.view(ALICE, other.id) is None
    assert (await house.board.view(BOB, other.id)) is not None
    stored = replace(other, status=PositionStatus.CLOSED)
    house.archive.positions[other.id] = stored
    house.tracker.put(stored)
    assert await house.board.view(ALICE, other.id) is None


@in_fake_time
async def test_lists_are_by_status_and_account() -> None:
    house = settled()
    active = position(component(of="a"), name="a")
    closing = position(component(of="c"), name="c", status=PositionStatus.CLOSING)
    elsewhere = position(component(of="e"), name="e", account_id=OTHER_ACCOUNT)
    closed = position(component(of="z"), name="z", status=PositionStatus.CLOSED)
    for one in (active, closing, elsewhere):
        house.tracker.put(one)
    house.archive.positions[closed.id] = closed
    last = close_request(closed)
    house.archive.requests[last.id] = last

    async def ids(*statuses: PositionStatus, of: bool = False) -> set[str]:
        found = await house.board.views(ALICE, frozenset(statuses), ACCOUNT if of else None)
        return {view.position.name for view in found}

    assert await ids(PositionStatus.ACTIVE) == {"a", "e"}
    assert await ids(PositionStatus.ACTIVE, of=True) == {"a"}
    assert await ids(*OPEN) == {"a", "c", "e"}
    assert await ids(PositionStatus.CLOSED) == {"z"}
    (view,) = await house.board.views(ALICE, frozenset({PositionStatus.CLOSED}))
    assert (view.unrealized_pnl, view.pnl_incomplete, view.last_close) == (0, None, last)


@in_fake_time
async def test_a_verdict_grows_old_and_becomes_doubt() -> None:
    house = settled()
    one = position()
    house.tracker.put(one)
    house.portfolio.syncs[one.id] = PositionSync(Verdict.IN_SYNC, None, now(), {})
    await asyncio.sleep(11 * 60)
    assert house.board.live_view(one.id).verdict is Verdict.IN_SYNC
    await asyncio.sleep(1)
    view = house.board.live_view(one.id)
    assert view.verdict is Verdict.UNVERIFIED
    assert view.verdict_reason == "not compared since 12:00:00 UTC"


@in_fake_time
async def test_an_incomplete_pnl_is_stored_as_none_and_not_as_zero() -> None:
    house = settled()
    one = position()
    house.tracker.put(one)
    (write,) = house.board.pnl_writes()
    assert (write.position_id, write.unrealized_pnl, write.pnl_at) == (one.id, None, now())


@in_fake_time
async def test_a_house_in_order_is_ready() -> None:
    assert settled().board.readiness().is_ready


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        ("store", "database: away"),
        ("standby", "another positiond on this database leads; standing by"),
        ("market", "prices of paper linear: no pong"),
        ("ban", "Bybit has banned our address for 600 s more; nothing is read or sent"),
        ("sweep", "the first full compare is not done"),
        ("loops", "loops that do not beat: publish, rechecks, sweeps, watch"),
        ("account", "Bybit refuses the API key"),
    ],
)
@in_fake_time
async def test_what_is_missing_is_said_in_one_sentence_each(trouble: str, reason: str) -> None:
    house = settled()
    match trouble:
        case "store":
            house.board.store_trouble = "away"
        case "standby":
            house.board.leads = False
        case "market":
            house.board.market_down(Environment.PAPER, Category.LINEAR, "no pong")
        case "ban":
            house.board.ban_left = lambda _: 600.0
        case "sweep":
            house.board.sweep_at = lambda: None
        case "loops":
            await asyncio.sleep(100)
        case _:
            state = house.portfolio.accounts[ACCOUNT]
            state.stream_up, state.trouble = False, "Bybit refuses the API key"
    (said,) = house.board.readiness().reasons
    assert said.endswith(reason)
