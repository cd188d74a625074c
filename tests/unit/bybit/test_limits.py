"""Budgets: room is kept for closing, and headers and bans are obeyed."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from positiond.bybit.limits import (
    ADDRESS_LIMIT,
    ADDRESS_MOST,
    ADDRESS_PAUSE,
    STREAMS_MOST,
    AddressGate,
    Budgets,
    EndpointBudget,
    LimitHeaders,
    RollingWindow,
    StreamGate,
    TokenBucket,
)

from tests.searching import examples


def most_within(span: float, times: list[float]) -> int:
    """The largest number of events within any `span` seconds."""
    ordered, first, most = sorted(times), 0, 0
    for last, at in enumerate(ordered):
        while ordered[first] <= at - span:
            first += 1
        most = max(most, last - first + 1)
    return most


def least_within(span: float, times: list[float], start: float, end: float) -> int:
    """The smallest number of events in any whole `span` between `start` and `end`."""
    ordered = sorted(times)
    begins = [start, *(at + 1e-9 for at in ordered if start <= at <= end - span)]
    return min(sum(1 for at in ordered if begin <= at < begin + span) for begin in begins)


def test_a_window_opens_again_when_its_oldest_request_ages_out() -> None:
    window = RollingWindow(1.0)
    for at in (10.0, 10.4):
        assert window.wait(at, 2) == 0
        window.stamp(at)
    assert window.wait(10.5, 2) == 0.5
    assert window.wait(11.1, 2) == 0


@pytest.mark.parametrize("limit", [1, 2, 5, 10, 20, 50, 200])
def test_reads_without_pause_keep_to_their_share_of_an_endpoint(limit: int) -> None:
    budget = EndpointBudget(limit)
    now, sent = 0.0, []
    while now < 6:
        if (wait := budget.wait(now, urgent=False)) > 0:
            now += wait
            continue
        budget.stamp(now, urgent=False)
        sent.append(now)
    assert most_within(1.0, sent) <= max(1, int(limit * 0.8))
    assert len(sent) >= 6 * limit * 0.4
    if limit > 2:
        assert budget.wait(now, urgent=True) == 0, "closing finds room all the same"


def test_urgent_calls_never_exceed_the_limit_of_an_endpoint() -> None:
    budget = EndpointBudget(10)
    for n in range(10):
        assert budget.wait(5.0 + n / 100, urgent=True) == 0
        budget.stamp(5.0 + n / 100, urgent=True)
    assert budget.wait(5.1, urgent=True) > 0.8


def test_reads_rest_when_others_use_up_the_key_and_closing_does_not() -> None:
    budget = EndpointBudget(10)
    budget.learn(LimitHeaders(10, 2, None), 5.0, until_reset=0.0)
    assert budget.wait(5.0, urgent=False) == 0
    budget = EndpointBudget(50)
    budget.learn(LimitHeaders(50, 9, None), 5.0, until_reset=0.0)
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
        budget.stamp(5.0, urgent=True)
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
        gate.stamp(urgent=True)
        # Every other one arrives up to half a second late.
        arrivals.append(now[0] + (0.49 if len(arrivals) % 2 else 0.0))
        now[0] += 0.001
    assert most_within(5.0, arrivals) <= ADDRESS_LIMIT


def test_linear_and_inverse_share_a_budget_and_keys_do_not() -> None:
    budgets = Budgets()
    linear = budgets.of("key", "/v5/order/create", "linear")
    assert budgets.of("key", "/v5/order/create", "inverse") is linear
    assert budgets.of("key", "/v5/order/create", "option") is not linear
    assert budgets.of("other", "/v5/order/create", "linear") is not linear


def test_reads_without_pause_stay_between_sixty_and_eighty_five_percent_of_the_address() -> None:
    now = [0.0]
    gate = AddressGate(lambda: now[0])
    sent: list[float] = []
    while now[0] < 30:
        if (wait := gate.wait(urgent=False)) > 0:
            # A loop that is late now and then.
            now[0] += wait + (0.1 if len(sent) % 50 == 0 else 0.0005)
            continue
        gate.stamp(urgent=False)
        sent.append(now[0])
        assert gate.wait(urgent=True) == 0
    assert most_within(5.0, sent) <= ADDRESS_LIMIT * 0.85
    assert least_within(5.0, sent, 0.0, 30.0) >= ADDRESS_LIMIT * 0.6


def test_fifteen_percent_of_the_address_are_free_for_closing_while_reads_flow() -> None:
    now = [0.0]
    gate = AddressGate(lambda: now[0])
    while now[0] < 12:
        if (wait := gate.wait(urgent=False)) > 0:
            now[0] += wait
            continue
        gate.stamp(urgent=False)
    at_once = 0
    while gate.wait(urgent=True) == 0:
        gate.stamp(urgent=True)
        at_once += 1
    assert at_once >= ADDRESS_LIMIT * 0.15
    assert gate.wait(urgent=False) > 0, "what comes free next is for the urgent ones"


@settings(max_examples=examples(60), deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([0.0, 0.0, 0.001, 0.02, 0.3]), st.booleans()),
        min_size=400,
        max_size=1500,
    )
)
def test_no_mixture_of_calls_exceeds_the_address_limit(
    asked: list[tuple[float, bool]],
) -> None:
    now = [0.0]
    gate = AddressGate(lambda: now[0])
    sent: list[float] = []
    for pause, urgent in asked:
        now[0] += pause
        if gate.wait(urgent=urgent) <= 0:
            gate.stamp(urgent=urgent)
            sent.append(now[0])
    assert most_within(5.5, sent) <= ADDRESS_MOST


def test_a_bucket_gives_its_burst_and_then_its_rate() -> None:
    bucket = TokenBucket(rate=2.0, burst=3.0)
    for _ in range(3):
        assert bucket.wait(10.0) == 0
        bucket.take(10.0)
    assert bucket.wait(10.0) == pytest.approx(0.5)
    assert bucket.wait(10.5) == 0
    assert bucket.wait(100.0, needed=3.0) == 0
    assert bucket.wait(100.0, needed=4.0) > 0, "never more than the burst"


def test_streams_come_two_hundred_at_once_and_never_500_in_five_minutes() -> None:
    gate = StreamGate()
    now, made = 0.0, []
    while now < 1500:
        if (wait := gate.wait(now, first=True)) > 0:
            now += wait
            continue
        gate.stamp(now)
        made.append(now)
    assert sum(1 for at in made if at == 0.0) == 200
    assert most_within(300.0, made) <= STREAMS_MOST + 1 < 500


def test_accounts_streams_leave_a_few_places_to_prices() -> None:
    gate = StreamGate()
    made = 0
    while gate.wait(0.0, first=False) == 0:
        gate.stamp(0.0)
        made += 1
    assert made == 190
    assert gate.wait(0.0, first=True) == 0


def test_an_attempt_that_never_arrived_costs_no_place() -> None:
    gate = StreamGate()
    for _ in range(200):
        gate.stamp(0.0)
    assert gate.wait(0.0, first=True) > 0
    gate.give_back()
    assert gate.wait(0.0, first=True) == 0


def test_delivery_records_are_counted_over_all_categories() -> None:
    budgets = Budgets()
    path = "/v5/asset/delivery-record"
    assert budgets.of("key", path, "linear") is budgets.of("key", path, "option")
