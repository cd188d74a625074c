"""The sweep's clock: whole five minutes, strictly after now."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from positiond.daemon.domain.schedule import next_sweep

from .samples import steady


@pytest.mark.parametrize(
    ("now", "due"),
    [
        ("2026-03-01T12:00:00", "2026-03-01T12:05:00"),
        ("2026-03-01T12:04:59.999999", "2026-03-01T12:05:00"),
        ("2026-03-01T12:57:30", "2026-03-01T13:00:00"),
        ("2026-12-31T23:56:00", "2027-01-01T00:00:00"),
        # The nights when clocks change in Europe: UTC has no such night.
        ("2026-03-29T00:58:00", "2026-03-29T01:00:00"),
        ("2026-10-25T00:55:00", "2026-10-25T01:00:00"),
    ],
)
def test_the_next_sweep_is_the_next_whole_five_minutes(now: str, due: str) -> None:
    at = datetime.fromisoformat(now).replace(tzinfo=UTC)
    assert next_sweep(at) == datetime.fromisoformat(due).replace(tzinfo=UTC)


@steady
@given(
    st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    st.sampled_from([1, 2, 5, 15, 30, 60]),
)
def test_a_sweep_is_never_skipped_and_never_now(now: datetime, minutes: int) -> None:
    due = next_sweep(now, minutes)
    assert now < due <= now + timedelta(minutes=minutes)
    assert (due.minute % minutes, due.second, due.microsecond) == (0, 0, 0)
