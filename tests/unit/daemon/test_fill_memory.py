"""What the streams told, within bounds, and when they could not tell."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest
from positiond.daemon.domain.events import AccountFeedDown, AccountFeedUp, FillSeen
from positiond.daemon.domain.model import Category, Fill
from positiond.daemon.domain.portfolio import Portfolio
from positiond.daemon.fill_memory import FillMemory

from ...builders import ACCOUNT, BTC, NOON, OTHER_ACCOUNT, after, component, fill, position

LINEAR = Category.LINEAR


class Room:
    """A memory whose clock stands where the test puts it."""

    def __init__(self) -> None:
        self.time = NOON
        self.portfolio = Portfolio()
        self.portfolio.put(position(component(symbol=BTC)))
        self.memory = FillMemory(self.portfolio, lambda: self.time)

    def up(self, at: float) -> None:
        self.time = after(at)
        self.memory.on_account(AccountFeedUp(ACCOUNT))

    def down(self, at: float) -> None:
        self.time = after(at)
        self.memory.on_account(AccountFeedDown(ACCOUNT, "gone"))

    def hear(self, *fills: Fill) -> None:
        for one in fills:
            self.memory.on_account(FillSeen(ACCOUNT, one))

    def heard(self, since: datetime = NOON, symbol: str = BTC) -> list[str]:
        return [one.exec_id for one in self.memory.fills(ACCOUNT, LINEAR, [symbol], since)]

    def is_whole(self, since: float) -> bool:
        return self.memory.is_whole(ACCOUNT, LINEAR, [BTC], after(since))


@pytest.fixture
def room() -> Room:
    return Room()


def one(name: str = "e", at: float = 0) -> Fill:
    return fill(exec_id=name, at=after(at))


def test_an_execution_that_is_told_twice_is_kept_once(room: Room) -> None:
    room.hear(one("a"), one("a"), one("b", 1))
    assert room.heard() == ["a", "b"]
    assert room.heard(after(1)) == ["b"]


def test_symbols_that_no_leg_names_are_ignored(room: Room) -> None:
    room.hear(replace(one("eth"), symbol="ETHUSDT"), replace(one("spot"), category=Category.SPOT))
    room.memory.on_account(FillSeen(OTHER_ACCOUNT, one("theirs")))
    assert room.heard(symbol="ETHUSDT") == []
    assert room.memory.fills(ACCOUNT, Category.SPOT, [BTC], NOON) == []
    assert room.memory.fills(OTHER_ACCOUNT, LINEAR, [BTC], NOON) == []


@pytest.mark.parametrize(("exec_type", "is_kept"), [("Funding", False), ("Merger", True)])
def test_money_alone_is_not_kept_and_an_unknown_type_is(
    room: Room, exec_type: str, is_kept: bool
) -> None:
    room.hear(fill(exec_id="x", exec_type=exec_type, changes_size=False))
    assert bool(room.heard()) is is_kept


def test_what_was_dropped_for_want_of_room_makes_it_partial(room: Room) -> None:
    room.up(-10)
    room.hear(*(one(f"e{n}", n) for n in range(101)))
    assert len(room.heard()) == 100
    assert not room.is_whole(0)
    assert room.is_whole(0.5)


def test_what_was_heard_before_a_stream_broke_is_not_the_whole(room: Room) -> None:
    assert not room.is_whole(0)
    room.up(0)
    assert not room.is_whole(-1)
    assert room.is_whole(0)
    room.down(5)
    assert not room.is_whole(4)
    room.up(6)
    assert not room.is_whole(5)
    assert room.is_whole(6)


def test_away_is_before_the_first_connection_and_around_every_gap(room: Room) -> None:
    def is_away(at: float) -> bool:
        return room.memory.is_away(ACCOUNT, after(at))

    assert is_away(0)
    room.up(0)
    assert is_away(-1)
    assert not is_away(1)
    room.down(200)
    assert is_away(300)
    room.down(250)
    room.up(400)
    assert [is_away(at) for at in (100, 150, 300, 399, 400)] == [False, True, True, True, False]


def test_what_nobody_will_ask_for_is_forgotten(room: Room) -> None:
    room.hear(one("a"), one("b", 10))
    room.memory.forget(ACCOUNT, LINEAR, BTC, after(5))
    assert room.heard() == ["b"]
