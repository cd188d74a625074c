"""Server time from readings that are late, skewed or refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st
from positiond.bybit.clock import ClockReading, ServerClock, from_ms, to_ms

NOON = datetime(2025, 10, 9, 12, tzinfo=UTC)


class Time:
    """A wall clock and a monotonic clock that move by hand."""

    def __init__(self) -> None:
        self.wall = NOON
        self.mono = 1000.0

    def clock(self) -> ServerClock:
        return ServerClock(lambda: self.wall, lambda: self.mono)


def reading(server: datetime, asked: float, heard: float) -> ClockReading:
    return ClockReading(to_ms(server), asked, heard)


def test_before_the_first_reading_our_own_time_is_used() -> None:
    time = Time()
    clock = time.clock()
    assert clock.now() == NOON
    assert not clock.is_measured


def test_the_stamp_is_taken_as_made_halfway() -> None:
    time = Time()
    clock = time.clock()
    clock.observe(reading(NOON + timedelta(seconds=7), 999.8, 1000.0))
    assert clock.now() == NOON + timedelta(seconds=7.1)
    assert clock.offset == timedelta(seconds=7.1)


def test_a_step_of_the_wall_clock_moves_nothing() -> None:
    time = Time()
    clock = time.clock()
    clock.observe(reading(NOON, 1000.0, 1000.0))
    time.wall += timedelta(hours=1)
    time.mono += 2
    assert clock.now() == NOON + timedelta(seconds=2)


def test_one_bad_reading_among_three_is_outvoted() -> None:
    time = Time()
    clock = time.clock()
    for server in (NOON, NOON + timedelta(seconds=30), NOON + timedelta(milliseconds=2)):
        clock.observe(reading(server, 1000.0, 1000.0))
    assert clock.now() == NOON + timedelta(milliseconds=2)


def test_slow_and_too_frequent_replies_are_not_overheard() -> None:
    time = Time()
    clock = time.clock()
    clock.observe(reading(NOON, 1000.0, 1000.0))
    clock.overhear(reading(NOON + timedelta(seconds=9), 1000.0, 1001.0))
    clock.overhear(reading(NOON + timedelta(seconds=90), 1040.0, 1042.0))
    assert clock.now() == NOON
    clock.overhear(reading(NOON + timedelta(seconds=50), 1040.0, 1040.0))
    assert clock.now() > NOON


def test_after_a_refusal_the_old_readings_no_longer_vote() -> None:
    time = Time()
    clock = time.clock()
    for _ in range(5):
        clock.observe(reading(NOON, 1000.0, 1000.0))
    clock.forget()
    assert not clock.is_measured
    assert clock.now() == NOON, "there is nothing better to sign with until it is measured"
    clock.observe(reading(NOON + timedelta(seconds=20), 1000.0, 1000.0))
    assert clock.now() == NOON + timedelta(seconds=20)


@given(st.integers(min_value=0, max_value=4_000_000_000_000))
def test_milliseconds_survive_the_way_there_and_back(stamp: int) -> None:
    assert to_ms(from_ms(stamp)) == stamp
