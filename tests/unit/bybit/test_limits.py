"""Budgets: room is kept for closing, and headers and bans are obeyed."""

from __future__ import annotations

import pytest
from positiond.bybit.limits import (
    ADDRESS_LIMIT,
    ADDRESS_PAUSE,
    AddressGate,
    Budgets,
    EndpointBudget,
    LimitHeaders,
    RollingWindow,
)


def test_a_window_opens_again_when_its_oldest_request_ages_out() -> None:
    window = RollingWindow(1.0)
    for at in (10.0, 10.4):
        assert window.wait(at, 2) == 0
        window.stamp(at)
    assert window.wait(10.5, 2) == 0.5
    assert window.wait(11.1, 2) == 0


def test_ordinary_reads_leave_a_fifth_of_the_budget_to_closing() -> None:
    budget = EndpointBudget(10)
    for _ in range(8):
        budget.stamp(5.0)
    assert budget.wait(5.0, urgent=False) > 0
    assert budget.wait(5.0, urgent=True) == 0


def test_an_exhausted_budget_waits_for_its_reset() -> None:
    budget = EndpointBudget(10)
    budget.learn(LimitHeaders(10, 0, None), 5.0, until_reset=0.7)
    assert budget.wait(5.0, urgent=True) == pytest.approx(0.7)
    assert budget.wait(5.8, urgent=True) == 0


def test_a_reset_stamp_far_ahead_does_not_silence_the_key() -> None:
    budget = EndpointBudget(10)
    budget.learn(LimitHeaders(10, 0, None), 0.0, until_reset=86_400.0)
    assert budget.wait(0.0, urgent=True) <= 5.0


def test_a_larger_limit_is_learnt_from_the_headers() -> None:
    budget = EndpointBudget(10)
    budget.learn(LimitHeaders(40, 39, None), 5.0, until_reset=0.0)
    for _ in range(30):
        budget.stamp(5.0)
    assert budget.wait(5.0, urgent=True) == 0


def test_a_ban_of_the_address_holds_for_at_least_ten_minutes() -> None:
    now = [100.0]
    gate = AddressGate(lambda: now[0])
    assert gate.pause_left == 0
    gate.pause()
    now[0] += 599
    assert gate.pause_left > 0
    now[0] = 100.0 + ADDRESS_PAUSE
    assert gate.pause_left == 0
    assert ADDRESS_PAUSE >= 600


def test_requests_that_bunch_up_on_their_way_never_exceed_the_address_limit() -> None:
    now = [0.0]
    gate = AddressGate(lambda: now[0])
    arrivals: list[float] = []
    while now[0] < 20:
        if (wait := gate.wait(urgent=True)) > 0:
            now[0] += wait
            continue
        gate.stamp()
        # Every other one arrives up to half a second late.
        arrivals.append(now[0] + (0.49 if len(arrivals) % 2 else 0.0))
        now[0] += 0.001
    arrivals.sort()
    for first, arrival in enumerate(arrivals):
        assert sum(1 for other in arrivals[first:] if other < arrival + 5) <= ADDRESS_LIMIT


def test_linear_and_inverse_share_a_budget_and_keys_do_not() -> None:
    budgets = Budgets()
    linear = budgets.of("key", "/v5/order/create", "linear")
    assert budgets.of("key", "/v5/order/create", "inverse") is linear
    assert budgets.of("key", "/v5/order/create", "option") is not linear
    assert budgets.of("other", "/v5/order/create", "linear") is not linear
