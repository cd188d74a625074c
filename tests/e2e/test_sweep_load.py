"""A sweep of many accounts by real processes keeps to the limits, and closes pass it."""

from __future__ import annotations

import pytest

from tests.bench.sweep import Rates, Span, check, measure


@pytest.mark.thorough
@pytest.mark.timeout(400)
async def test_a_sweep_of_many_accounts_uses_the_limit_and_keeps_to_it() -> None:
    measured = await measure(120)
    check(measured)
    assert measured.rates.total > 3 * 120
    assert measured.streams >= 120


def test_the_windows_inside_a_span_are_counted_wherever_they_begin() -> None:
    # One request each tenth of a second from 0 to 10 s, and a burst of 7 at 6 s.
    series = [(at, 1) for at in range(0, 10_000, 100)]
    series[60] = (6000, 8)
    rates = Rates.inside(Span(0, 10_000), series)
    assert (rates.least, rates.most, rates.total) == (50, 57, 97)
