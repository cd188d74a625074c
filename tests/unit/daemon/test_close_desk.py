"""Where closes are accepted: by what the daemon knows already, durable when it answers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, cast

import pytest
from positiond.daemon.close_desk import CloseDesk
from positiond.daemon.domain.errors import Conflict, NotFound
from positiond.daemon.domain.model import (
    AccountId,
    CloseId,
    KeyInfo,
    Position,
    PositionId,
    PositionStatus,
    UserId,
)
from positiond.daemon.domain.orders import (
    AcceptedClose,
    AcceptedSet,
    CloseTerms,
    RequestState,
)
from positiond.daemon.domain.portfolio import AccountState

from ...builders import (
    ACCOUNT,
    ALICE,
    BOB,
    account,
    component,
    holding,
    instrument,
    symbol_key,
    uuid_of,
)
from .fake_time import in_fake_time, now
from .house import House

READ_ONLY = KeyInfo("1", True, {}, (), None)
NO_CONTRACTS = KeyInfo("1", False, {"ContractTrade": (), "Spot": ("SpotTrade",)}, (), None)


class Plans:
    """A planner that knows which plans it gave."""

    def __init__(self) -> None:
        self.given: set[str] = set()

    def holds(self, position_id: PositionId, terms: CloseTerms) -> bool:
        return terms.expected_plan in self.given


class Desk:
    """A desk in a house whose positions may be closed."""

    def __init__(self, slippage: str | None = None) -> None:
        self.house = House()
        self.house.portfolio.accounts[ACCOUNT] = AccountState(account())
        self.one: Position = self.house.write(component("1"))
        self.house.tracker.put(self.one)
        self.wake = asyncio.Event()
        self.expiries: list[datetime] = []
        self.terms: list[CloseTerms] = []
        self.plans = Plans()
        self.nudged: list[CloseId] = []
        self.looked_at: list[AccountId] = []
        self.house.archive.accept = self._accept  # type: ignore[method-assign]  # a stub's stub
        self.house.archive.accept_set = self._accept_set  # type: ignore[method-assign]  # as above
        self.desk = CloseDesk(
            self.house.archive,
            self.house.archive,
            self.house.portfolio,
            self.house.tracker,
            self.wake,
            now,
            timedelta(minutes=15),
            cast(Any, self.plans),
            self.nudged.append,
            None if slippage is None else Decimal(slippage),
            self.house.book.settle_coin,
            self.looked_at.append,
        )

    async def _accept(
        self,
        user_id: UserId,
        position_id: PositionId,
        *,
        terms: CloseTerms,
        idempotency_key: str | None,
        fingerprint: str,
        expires_at: datetime,
        now: datetime,
        refusal: Conflict | None = None,
    ) -> AcceptedClose:
        self.expiries.append(expires_at)
        self.terms.append(terms)
        for request in await self.house.archive.open_requests():
            return AcceptedClose(request.id, position_id, is_new=False)
        if refusal is not None:
            raise refusal
        request = self.house.archive.open_close(self.one)
        return AcceptedClose(request.id, position_id, is_new=True)

    async def _accept_set(
        self,
        user_id: UserId,
        position_ids: Sequence[PositionId],
        *,
        terms: CloseTerms,
        idempotency_key: str | None,
        fingerprint: str,
        expires_at: datetime,
        now: datetime,
        refusal: Conflict | None = None,
    ) -> AcceptedSet:
        self.terms.append(terms)
        if refusal is not None:
            raise refusal
        wanted = [self.house.archive.positions[key] for key in position_ids]
        requests = self.house.archive.open_set(*wanted)
        closes = tuple(AcceptedClose(r.id, r.position_id, is_new=True) for r in requests)
        set_id = requests[0].set_id
        assert set_id is not None
        return AcceptedSet(set_id, closes, is_new=True)

    def another(self) -> Position:
        other = self.house.write(component("2", of="other"), name="other")
        self.house.tracker.put(other)
        return other

    async def ask(self, user_id: UserId = ALICE, terms: CloseTerms | None = None) -> AcceptedClose:
        return await self.desk.request_close(
            user_id,
            self.one.id,
            terms=terms or CloseTerms(),
            idempotency_key=None,
            fingerprint="",
        )

    async def ask_together(self, *positions: Position) -> AcceptedSet:
        return await self.desk.request_set(
            ALICE,
            [one.id for one in positions],
            terms=CloseTerms(),
            idempotency_key=None,
            fingerprint="",
        )


@in_fake_time
async def test_an_accepted_close_wakes_the_closer_and_is_shown() -> None:
    desk = Desk()
    accepted = await desk.ask()
    assert (accepted.is_new, desk.wake.is_set()) == (True, True)
    assert desk.expiries == [now() + timedelta(minutes=15)]
    assert desk.house.board.live_view(desk.one.id).position.status is PositionStatus.CLOSING


@in_fake_time
async def test_a_second_ask_joins_the_first_and_wakes_nobody() -> None:
    desk = Desk()
    first = await desk.ask()
    desk.wake.clear()
    second = await desk.ask()
    assert (second.close_id, second.is_new, desk.wake.is_set()) == (first.close_id, False, False)


@in_fake_time
async def test_a_key_that_may_not_trade_is_refused_at_the_desk() -> None:
    desk = Desk()
    desk.house.portfolio.accounts[ACCOUNT].key_info = READ_ONLY
    with pytest.raises(Conflict) as refusal:
        await desk.ask()
    assert refusal.value.code == "read-only-key"
    assert not desk.wake.is_set()
    # Who is told so changes the key on Bybit, and asks again.
    assert desk.looked_at == [ACCOUNT]


@in_fake_time
async def test_a_key_that_lacks_a_legs_right_is_refused_at_the_desk_once_the_coin_is_known() -> (
    None
):
    desk = Desk()
    desk.house.portfolio.accounts[ACCOUNT].key_info = NO_CONTRACTS
    desk.house.tracker.learn([instrument()])
    with pytest.raises(Conflict, match=r"ContractTrade\.Order") as refusal:
        await desk.ask()
    assert (refusal.value.code, desk.wake.is_set()) == ("key-lacks-right", False)
    assert desk.looked_at == [ACCOUNT]
    with pytest.raises(Conflict, match=r"ContractTrade\.Order"):
        await desk.ask_together(desk.one, desk.another())


@in_fake_time
async def test_a_leg_that_is_gone_or_whose_coin_is_unknown_is_left_to_the_close() -> None:
    unknown = Desk()
    unknown.house.portfolio.accounts[ACCOUNT].key_info = NO_CONTRACTS
    assert (await unknown.ask()).is_new
    gone = Desk()
    gone.house.portfolio.accounts[ACCOUNT].key_info = NO_CONTRACTS
    gone.house.tracker.learn([instrument()])
    gone.house.reconciler.keep(symbol_key(), [holding("0")])
    assert (await gone.ask()).is_new


@in_fake_time
async def test_a_position_with_nothing_open_is_closed_with_any_key() -> None:
    desk = Desk()
    desk.house.portfolio.accounts[ACCOUNT].key_info = READ_ONLY
    gone = tuple(replace(c, closed_quantity=c.quantity) for c in desk.one.components)
    desk.house.portfolio.positions[desk.one.id] = replace(desk.one, components=gone)
    assert (await desk.ask()).is_new


@in_fake_time
async def test_strangers_learn_nothing_of_anothers_key() -> None:
    desk = Desk()
    desk.house.portfolio.accounts[ACCOUNT].key_info = READ_ONLY
    # The store knows whose position it is and answers them; the desk says nothing of the key.
    assert (await desk.ask(BOB)).is_new


@in_fake_time
async def test_a_status_says_what_the_close_waits_for_just_now() -> None:
    desk = Desk()
    accepted = await desk.ask()
    stored = desk.house.archive.requests[accepted.close_id]
    waiting = replace(stored, detail="trading is paused by the operator")
    desk.house.portfolio.last_closes[desk.one.id] = waiting
    status = await desk.desk.status(ALICE, accepted.close_id)
    assert status.request.detail == "trading is paused by the operator"


@in_fake_time
async def test_a_foreign_close_is_an_unknown_one() -> None:
    desk = Desk()
    accepted = await desk.ask()
    for user_id, close_id in ((BOB, accepted.close_id), (ALICE, CloseId(uuid_of("no close")))):
        for ask in (desk.desk.status, desk.desk.cancel):
            with pytest.raises(NotFound) as refusal:
                await ask(user_id, close_id)
            assert refusal.value.code == "unknown-close"


@in_fake_time
async def test_a_cancelled_close_is_shown_as_such() -> None:
    desk = Desk()
    accepted = await desk.ask()
    status = await desk.desk.cancel(ALICE, accepted.close_id)
    assert status.request.state is RequestState.CANCELLED
    view = desk.house.board.live_view(desk.one.id)
    assert view.last_close is not None
    assert view.last_close.state is RequestState.CANCELLED


@in_fake_time
async def test_a_plan_that_was_not_given_begins_no_close_but_joins_one() -> None:
    desk = Desk()
    planned = CloseTerms(expected_plan="a plan")
    with pytest.raises(Conflict) as refusal:
        await desk.ask(terms=planned)
    assert refusal.value.code == "plan-changed"
    desk.plans.given.add("a plan")
    first = await desk.ask(terms=planned)
    desk.plans.given.clear()
    assert (await desk.ask(terms=planned)).close_id == first.close_id


@in_fake_time
async def test_a_set_is_shown_closing_in_every_one_of_its_positions() -> None:
    desk = Desk()
    other = desk.another()
    accepted = await desk.ask_together(desk.one, other)
    assert desk.wake.is_set()
    assert [close.position_id for close in accepted.closes] == [desk.one.id, other.id]
    for one in (desk.one, other):
        status = desk.house.board.live_view(one.id).position.status
        assert status is PositionStatus.CLOSING


@in_fake_time
async def test_a_key_that_may_not_trade_closes_no_set() -> None:
    desk = Desk()
    desk.house.portfolio.accounts[ACCOUNT].key_info = READ_ONLY
    with pytest.raises(Conflict) as refusal:
        await desk.ask_together(desk.one, desk.another())
    assert refusal.value.code == "read-only-key"


@in_fake_time
async def test_cancelling_one_of_a_set_shows_all_of_it_cancelled() -> None:
    desk = Desk()
    other = desk.another()
    accepted = await desk.ask_together(desk.one, other)
    await desk.desk.cancel(ALICE, accepted.closes[0].close_id)
    for one in (desk.one, other):
        last = desk.house.board.live_view(one.id).last_close
        assert last is not None
        assert last.state is RequestState.CANCELLED


@pytest.mark.parametrize(("asked", "taken"), [(None, "0.3"), ("2", "2")])
def test_slippage_is_the_operators_where_a_request_names_none(
    asked: str | None, taken: str
) -> None:
    @in_fake_time
    async def scenario() -> None:
        desk = Desk(slippage="0.3")
        named = None if asked is None else Decimal(asked)
        await desk.ask(terms=CloseTerms(slippage=named))
        assert [terms.slippage for terms in desk.terms] == [Decimal(taken)]

    scenario()


@in_fake_time
async def test_a_recheck_nudges_an_open_close_and_nothing_else() -> None:
    desk = Desk()
    accepted = await desk.ask()
    desk.wake.clear()
    status = await desk.desk.recheck(ALICE, accepted.close_id)
    assert (status.request.id, desk.nudged) == (accepted.close_id, [accepted.close_id])
    assert desk.wake.is_set()
    with pytest.raises(NotFound):
        await desk.desk.recheck(BOB, accepted.close_id)
    await desk.desk.cancel(ALICE, accepted.close_id)
    with pytest.raises(Conflict) as refusal:
        await desk.desk.recheck(ALICE, accepted.close_id)
    assert refusal.value.code == "already-ended"
    assert desk.nudged == [accepted.close_id]
