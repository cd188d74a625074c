"""Where closes are accepted: by what the daemon knows already, durable when it answers."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from positiond.daemon.close_desk import CloseDesk
from positiond.daemon.domain.errors import Conflict, NotFound
from positiond.daemon.domain.model import (
    CloseId,
    KeyInfo,
    Position,
    PositionId,
    PositionStatus,
    UserId,
)
from positiond.daemon.domain.orders import AcceptedClose, RequestState
from positiond.daemon.domain.portfolio import AccountState

from ...builders import ACCOUNT, ALICE, BOB, account, component, uuid_of
from .fake_time import in_fake_time, now
from .house import House

READ_ONLY = KeyInfo("1", True, {}, (), None)


class Desk:
    """A desk in a house whose one position may be closed."""

    def __init__(self) -> None:
        self.house = House()
        self.house.portfolio.accounts[ACCOUNT] = AccountState(account())
        self.one: Position = self.house.write(component("1"))
        self.house.tracker.put(self.one)
        self.wake = asyncio.Event()
        self.expiries: list[datetime] = []
        self.house.archive.accept = self._accept  # type: ignore[method-assign]  # a stub's stub
        self.desk = CloseDesk(
            self.house.archive,
            self.house.archive,
            self.house.portfolio,
            self.house.tracker,
            self.wake,
            now,
            timedelta(minutes=15),
        )

    async def _accept(
        self,
        user_id: UserId,
        position_id: PositionId,
        *,
        idempotency_key: str | None,
        fingerprint: str,
        expires_at: datetime,
        now: datetime,
    ) -> AcceptedClose:
        self.expiries.append(expires_at)
        for request in await self.house.archive.open_requests():
            return AcceptedClose(request.id, position_id, is_new=False)
        request = self.house.archive.open_close(self.one)
        return AcceptedClose(request.id, position_id, is_new=True)

    async def ask(self, user_id: UserId = ALICE) -> AcceptedClose:
        return await self.desk.request_close(
            user_id, self.one.id, idempotency_key=None, fingerprint=""
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
