"""Points over time: fewer as they age, the same ones however often they are thinned."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from positiond.daemon.domain.history import TIERS, evenly, keep, slot_of

from .samples import steady

NOW = datetime(2026, 3, 1, 12, 7, 30, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def every_minute(age: timedelta, count: int) -> list[datetime]:
    """Points from `age` ago on, a little after each full minute."""
    start = (NOW - age).replace(second=3, microsecond=0)
    return [start + n * MINUTE for n in range(count)]


def test_two_days_of_minutes_stay_as_they_are() -> None:
    points = every_minute(2 * DAY - HOUR, 120)
    assert keep(points, NOW) == points
    assert keep([*points, points[0] + timedelta(seconds=20)], NOW) == points


@pytest.mark.parametrize(("age", "left"), [(3 * DAY, 4), (59 * DAY, 4), (70 * DAY, 1)])
def test_an_hour_of_minutes_gets_fewer_points_with_age(age: timedelta, left: int) -> None:
    hour = (NOW - age).replace(minute=0, second=3)
    points = [hour + n * MINUTE for n in range(60)]
    kept = keep(points, NOW)
    assert len(kept) == left
    assert kept[0] == points[0]


def test_what_is_older_than_the_last_tier_goes() -> None:
    assert slot_of(NOW - TIERS[-1].until, NOW) is None
    assert slot_of(NOW - TIERS[-1].until + MINUTE, NOW) is not None


def test_every_slot_is_made_of_whole_slots_of_the_tier_before() -> None:
    for young, old in itertools.pairwise(TIERS):
        assert old.step % young.step == timedelta(0)
        assert old.until > young.until


@steady
@given(
    st.lists(st.integers(0, 600_000).map(lambda n: NOW - n * MINUTE), max_size=60, unique=True),
    st.lists(st.integers(0, 100_000), max_size=4).map(sorted),
)
def test_thinning_often_leaves_what_thinning_once_leaves(
    points: list[datetime], waits: list[int]
) -> None:
    thinned = points
    for wait in waits:
        thinned = keep(thinned, NOW + wait * MINUTE)
    end = NOW + (waits[-1] if waits else 0) * MINUTE
    assert keep(thinned, end) == keep(points, end)


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_few_points_are_all_shown(count: int) -> None:
    assert evenly(range(count), 5) == list(range(count))


def test_many_points_are_shown_evenly_from_end_to_end() -> None:
    assert evenly(range(11), 6) == [0, 2, 4, 6, 8, 10]
    shown = evenly(range(1000), 7)
    assert (shown[0], shown[-1], len(shown)) == (0, 999, 7)
    gaps = {b - a for a, b in itertools.pairwise(shown)}
    assert max(gaps) - min(gaps) <= 1
    with pytest.raises(ValueError, match="two points"):
        evenly(range(5), 1)
