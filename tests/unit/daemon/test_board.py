"""What a user is shown: only their own, from one instant, and never more certain than we are."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest
from positiond.daemon.domain.deviations import Cause, CauseKind, DeviationRow
from positiond.daemon.domain.events import PriceTick
from positiond.daemon.domain.history import PnlPoint
from positiond.daemon.domain.model import (
    AccountId,
    Booked,
    BucketKey,
    Category,
    DeviationKind,
    Environment,
    InstrumentKey,
    PositionStatus,
    PriceBasis,
    Verdict,
)
from positiond.daemon.domain.portfolio import AccountState
from positiond.daemon.domain.verdict import LegSync, PositionSync, Reading

from ...builders import (
    ACCOUNT,
    ALICE,
    BOB,
    BTC,
    ETH,
    OTHER_ACCOUNT,
    SHORT,
    account,
    close_request,
    component,
    holding,
    instrument,
    key_of,
    position,
    symbol_key,
    uuid_of,
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
    assert (shown.pnl_currency, shown.deviates, shown.note) == ("USDT", True, None)


def deviation(bucket: BucketKey, text: str | None = None, number: int = 1) -> DeviationRow:
    cause = None if text is None else Cause(CauseKind.BY_HAND, text)
    one, two = Decimal(1), Decimal(2)
    kind = DeviationKind.SURPLUS
    return DeviationRow(number, bucket, kind, one, two, now(), now(), None, cause, None)


@in_fake_time
async def test_an_altered_position_says_the_causes_once_they_are_found() -> None:
    house = settled()
    one = position(component(), component(symbol=ETH, side=SHORT))
    house.tracker.put(one)
    legs = {leg.id: LegSync(Decimal(2), Decimal(1), deviates=True) for leg in one.components}
    house.portfolio.syncs[one.id] = PositionSync(Verdict.ALTERED, None, now(), legs)

    def reason(*rows: DeviationRow) -> str | None:
        house.portfolio.deviations = {row.bucket: row for row in rows}
        view = house.board.live_view(one.id)
        assert view.deviations == rows
        return view.verdict_reason

    btc, eth = symbol_key(BTC).bucket(0), symbol_key(ETH).bucket(0)
    assert reason() == "looking for the cause"
    assert reason(deviation(btc), deviation(eth, number=2)) == "looking for the cause"
    half = deviation(btc, "Long leg raised by hand"), deviation(eth, number=2)
    assert reason(*half) == "Long leg raised by hand; looking for the cause"
    whole = deviation(btc, "Long leg raised by hand"), deviation(eth, "Short leg cut", 2)
    assert reason(*whole) == "Long leg raised by hand; Short leg cut"


@in_fake_time
async def test_only_deviations_of_the_legs_own_buckets_are_shown() -> None:
    house = settled()
    done = component("1", symbol=ETH, closed="1")
    one = position(component(side=SHORT), done)
    house.tracker.put(one)
    btc = symbol_key(BTC)
    house.portfolio.deviations = {
        row.bucket: row
        for row in (
            deviation(btc.bucket(1), number=1),
            deviation(btc.bucket(2), number=2),
            deviation(symbol_key(ETH).bucket(0), number=3),
            deviation(symbol_key(BTC, OTHER_ACCOUNT).bucket(2), number=4),
        )
    }
    rows = holding("1", BTC, idx=1), holding("-1", BTC, idx=2)
    # Before the first reading the side alone says which rows could be the leg's.
    for house.portfolio.readings in ({}, {btc: Reading(rows, now())}):
        assert [row.id for row in house.board.live_view(one.id).deviations] == [2]
    house.portfolio.readings = {btc: Reading(rows[:1], now())}
    assert [row.id for row in house.board.live_view(one.id).deviations] == [2]
    house.portfolio.readings = {btc: Reading((holding("-1", BTC),), now())}
    assert house.board.live_view(one.id).deviations == ()


COIN_KEY = InstrumentKey(Environment.PAPER, Category.INVERSE, "BTCUSD")
COIN = replace(instrument("BTCUSD", settle_coin="BTC", category=Category.INVERSE), base_coin="BTC")


@in_fake_time
async def test_the_parts_of_mixed_coins_add_up_in_dollars() -> None:
    house = settled()
    coin = component("10000", SHORT, "BTCUSD", entry="20000", category=Category.INVERSE)
    booked = (
        Booked("BTC", fees=Decimal("0.001"), funding=Decimal("-0.0002"), realized_pnl=Decimal(1)),
        Booked("USDT", fees=Decimal("0.5"), funding=Decimal("1.25"), realized_pnl=Decimal(-7)),
    )
    one = replace(position(component("0.5", entry="20000"), coin), booked=booked)
    house.tracker.put(one)
    house.book.learn([instrument(BTC), COIN])
    house.book.tick(PriceTick(key_of(BTC), Decimal(25000), None, None, now()))
    view = house.board.live_view(one.id)
    assert (view.fees, view.funding, view.realized_pnl, view.net_pnl) == (None,) * 4
    assert view.booked_incomplete == "no fresh dollar price of BTC"
    assert list(house.board.pnl_points()) == []

    house.book.tick(PriceTick(COIN_KEY, Decimal(25000), None, Decimal(24990), now()))
    view = house.board.live_view(one.id)
    assert view.pnl_currency == "USD"
    assert view.unrealized_pnl == 1
    assert view.fees == Decimal("25.49")
    assert view.funding == Decimal("-3.748")
    assert view.realized_pnl == 24983
    assert view.net_pnl == 1 + 24983 - Decimal("3.748") - Decimal("25.49")
    assert view.booked_incomplete is None
    (point,) = house.board.pnl_points()
    assert point == PnlPoint(one.id, now(), Decimal(1), view.net_pnl, "USD")


@in_fake_time
async def test_a_point_is_kept_where_only_what_was_booked_has_no_value() -> None:
    house = settled()
    one = replace(position(), booked=(Booked("MNT", fees=Decimal(1)),))
    house.tracker.put(one)
    house.book.learn([instrument(BTC)])
    house.book.tick(PriceTick(key_of(BTC), Decimal(110), None, None, now()))
    (point,) = house.board.pnl_points()
    assert (point.unrealized, point.net, point.currency) == (10, None, "USDT")


@in_fake_time
async def test_a_closed_position_is_told_in_the_coin_it_earned() -> None:
    house = settled()
    leg = component("1", SHORT, "BTCUSDH25", closed="1", category=Category.INVERSE)
    booked = (Booked("BTC", Decimal("0.1"), realized_pnl=Decimal(2)), Booked("MNT", Decimal(0)))
    closed = replace(position(leg, status=PositionStatus.CLOSED), booked=booked)
    house.archive.positions[closed.id] = closed
    view = await house.board.view(ALICE, closed.id)
    assert view is not None
    assert (view.pnl_currency, view.fees, view.realized_pnl) == ("BTC", Decimal("0.1"), 2)
    assert view.net_pnl == Decimal("1.9")
    # Not loaded yet is not closed: its price P&L is not known, and so the net is not either.
    house.archive.positions[closed.id] = replace(closed, status=PositionStatus.ACTIVE)
    view = await house.board.view(ALICE, closed.id)
    assert view is not None
    assert (view.realized_pnl, view.net_pnl) == (2, None)


@in_fake_time
async def test_every_stream_counts_and_a_trouble_ends_with_the_first_that_is_up() -> None:
    house = settled()
    board, paper = house.board, Environment.PAPER
    board.forget_markets()
    board.market_trouble(paper, "nobody answers")
    assert board.readiness().reasons == ("prices of paper: nobody answers",)
    assert board.feed_state(ALICE).public == "down"
    board.market_up(paper, Category.INVERSE)
    assert board.readiness().is_ready
    assert board.feed_state(ALICE).public == "live"
    board.market_down(paper, Category.OPTION, "no pong")
    assert board.readiness().reasons == ("prices of paper option: no pong",)
    assert board.feed_state(ALICE).public == "down"
    board.market_trouble(paper, "one symbol alone")
    board.market_up(paper, Category.OPTION)
    assert board.feed_state(ALICE).public == "live"


@in_fake_time
async def test_a_few_accounts_that_connect_are_named_and_many_are_counted() -> None:
    house = settled()
    accounts = house.portfolio.accounts

    def join(number: int, trouble: str | None = None) -> None:
        account_id = AccountId(uuid_of(f"account {number}"))
        joined = replace(account(), id=account_id, label=f"book {number}")
        accounts[account_id] = AccountState(joined, trouble=trouble)

    for number in range(5):
        join(number)
    assert [r.endswith("connecting") for r in house.board.readiness().reasons] == [True] * 5
    join(5)
    join(6, trouble="Bybit refuses the API key")
    counted, named = house.board.readiness().reasons
    assert counted.startswith("6 of 8 accounts wait for their private stream")
    assert "every sweep reads them" in counted
    assert named.startswith("account book 6")


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


@pytest.mark.parametrize(("sweep_minutes", "good_for"), [(5, 11), (15, 31), (60, 121)])
@in_fake_time
async def test_a_verdict_that_two_sweeps_did_not_renew_becomes_doubt(
    sweep_minutes: int, good_for: int
) -> None:
    house = House(sweep_minutes=sweep_minutes)
    one = position()
    house.tracker.put(one)
    house.portfolio.syncs[one.id] = PositionSync(Verdict.IN_SYNC, None, now(), {})
    await asyncio.sleep(good_for * 60)
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
        ("loops", "loops that do not beat: publish, rechecks, rules, sweeps, watch"),
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
