"""What was sent is known to the next process, whatever ended the one before."""

from __future__ import annotations

import os
import time
from itertools import count
from pathlib import Path

import pytest
from positiond.bybit.gateway import open_gateway
from positiond.bybit.limits import (
    ADDRESS_JITTER,
    ADDRESS_LIMIT,
    ADDRESS_MOST,
    ADDRESS_PAUSE,
    ADDRESS_SPAN,
    STREAMS_MOST,
    STREAMS_SPAN,
    AddressGate,
    StreamGate,
)
from positiond.bybit.tally import Tallies, Tally
from positiond.daemon.domain.model import Environment
from structlog.testing import capture_logs

SPAN = ADDRESS_SPAN + ADDRESS_JITTER


class Clock:
    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "limits" / "requests"


def test_a_tally_gives_what_earlier_lives_noted_within_the_span(path: Path) -> None:
    first = Tally(path, 4)
    for at in (10.0, 11.0, 12.0):
        first.note(at)
    # Not closed: whoever is killed closes nothing.
    assert Tally(path, 4).recent(13.0, 2.5) == [11.0, 12.0]
    assert first.recent(13.0, 2.5) == []


def test_the_oldest_makes_room_in_every_life(path: Path) -> None:
    at = count(1)
    for _ in range(3):
        tally = Tally(path, 5)
        for _ in range(3):
            tally.note(float(next(at)))
    assert Tally(path, 5).recent(9.0, 100.0) == [5.0, 6.0, 7.0, 8.0, 9.0]


def test_what_was_taken_back_was_never_sent(path: Path) -> None:
    tally = Tally(path, 3)
    for at in (1.0, 2.0, 3.0, 4.0):
        tally.note(at)
    tally.take_back()
    tally.take_back()
    assert Tally(path, 3).recent(5.0, 10.0) == [2.0]
    tally.note(5.0)
    assert Tally(path, 3).recent(5.0, 10.0) == [2.0, 5.0]


def test_what_another_boot_left_is_nothing(path: Path) -> None:
    before, after = b"one boot\n", b"another \n"
    tally = Tally(path, 3, boot=before)
    for at in (19.0, 50_000.0, 50_001.0):
        tally.note(at)
    assert Tally(path, 3, boot=after).recent(20.0, SPAN) == []
    # Its numbers are in nobody's way: three lives of this boot know each other.
    for at in (17.0, 18.0, 19.0):
        Tally(path, 3, boot=after).note(at)
    assert Tally(path, 3, boot=after).recent(20.0, SPAN) == [17.0, 18.0, 19.0]


@pytest.mark.parametrize("rubbish", [b"", b"\x01", b"not a tally at all", b"\xff" * 64])
def test_a_file_that_says_nothing_of_use_is_written_over(path: Path, rubbish: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(rubbish)
    tally = Tally(path, 3)
    assert tally.recent(20.0, 10.0) == []
    for at in (1.0, 2.0, 3.0, 4.0):
        tally.note(at)
    assert Tally(path, 3).recent(5.0, 10.0) == [2.0, 3.0, 4.0]


def test_where_nothing_can_be_kept_it_says_so_once_and_goes_on(tmp_path: Path) -> None:
    (tmp_path / "limits").write_text("a file stands here")
    with capture_logs() as logs:
        tally = Tally(tmp_path / "limits" / "requests", 3)
        tally.note(1.0)
        tally.take_back()
        tally.close()
    assert [entry["log_level"] for entry in logs] == ["warning"]
    assert tally.recent(1.0, 10.0) == []


def test_a_closed_tally_takes_no_more(path: Path) -> None:
    tallies = Tallies(path.parent)
    tally = tallies.open("requests", 3)
    assert tally is not None
    tally.note(1.0)
    tallies.close()
    tally.note(2.0)
    assert Tally(path, 3).recent(3.0, 10.0) == [1.0]


def test_names_of_hosts_are_names_of_files(tmp_path: Path) -> None:
    tallies = Tallies(tmp_path)
    for host in ("stream.bybit.com", "::1", "../../etc/passwd"):
        tallies.open(f"streams-{host}", 3)
    assert sorted(found.name for found in tmp_path.iterdir()) == [
        "streams-.._.._etc_passwd",
        "streams-_1",
        "streams-stream.bybit.com",
    ]
    assert Tallies(None).open("requests", 3) is None


def test_lives_in_quick_succession_keep_the_address_limit_together(path: Path) -> None:
    clock, sent = Clock(), []
    for _ in range(20):
        gate = AddressGate(clock, Tally(path, ADDRESS_LIMIT))
        # Each is killed after a second, in which it sends whatever it may.
        until = clock.now + 1.0
        while clock.now < until:
            if (wait := gate.wait(urgent=True)) > 0:
                clock.now += min(wait, until - clock.now)
            else:
                gate.stamp(urgent=True)
                sent.append(clock.now)
                clock.now += 0.001
    most = max(sum(1 for at in sent if first <= at < first + SPAN) for first in sent)
    assert most == ADDRESS_MOST


def test_a_ban_outlives_the_process(path: Path) -> None:
    clock = Clock()
    AddressGate(clock, bans=Tally(path, 1)).pause()
    clock.now += 100.0
    assert AddressGate(clock, bans=Tally(path, 1)).pause_left == ADDRESS_PAUSE - 100.0
    clock.now += ADDRESS_PAUSE
    assert AddressGate(clock, bans=Tally(path, 1)).pause_left == 0


async def test_a_gateway_knows_what_the_one_before_it_sent_but_no_ban_of_a_paper_exchange(
    tmp_path: Path,
) -> None:
    async with (
        open_gateway({}, memory=tmp_path) as first,
        open_gateway({}, memory=tmp_path) as other,
    ):
        for environment in (Environment.MAINNET, Environment.PAPER):
            turns = first._turns_of(environment)
            async with turns.passage(None, urgent=True):
                pass
            turns.pause()
        # Opened before that, as a standby is; it asks for the first time now.
        assert other.ban_left(Environment.TESTNET) > ADDRESS_PAUSE - 5
        assert other.ban_left(Environment.PAPER) == 0
    names = set(os.listdir(tmp_path))
    assert names == {"requests-bybit", "bans-bybit", "requests-paper"}
    assert len(Tally(tmp_path / "requests-bybit", ADDRESS_LIMIT).recent(time.monotonic(), 5)) == 1


def test_lives_in_quick_succession_keep_the_limit_of_new_streams_together(path: Path) -> None:
    now, opened = 1000.0, []
    for _ in range(10):
        gate = StreamGate(now, Tally(path, STREAMS_MOST))
        for _ in range(300):
            if gate.wait(now, first=True) > 0:
                break
            gate.stamp(now)
            opened.append(now)
        now += 20.0
    within = [sum(1 for at in opened if first <= at < first + STREAMS_SPAN) for first in opened]
    assert 200 < max(within) <= STREAMS_MOST


def test_streams_that_were_never_made_are_not_held_against_the_next_life(path: Path) -> None:
    gate = StreamGate(1000.0, Tally(path, STREAMS_MOST))
    for _ in range(200):
        gate.stamp(1000.0)
        gate.give_back()
    assert StreamGate(1000.0, Tally(path, STREAMS_MOST)).wait(1000.0, first=False) == 0
