from __future__ import annotations

import pytest
from positiond.daemon.domain.errors import Throttled
from positiond.http.throttle import Buckets, Rate, SignInThrottle, network_of


def tries(throttle: SignInThrottle, username: str, address: str, now: float) -> int:
    """How many of a hundred tries at one instant get through."""
    admitted = 0
    for _ in range(100):
        try:
            throttle.admit(username, address, now)
        except Throttled:
            break
        admitted += 1
    return admitted


def test_a_username_gets_its_burst_and_then_one_try_per_interval() -> None:
    throttle = SignInThrottle(Rate(burst=3, seconds=30), Rate(burst=99, seconds=1))
    assert tries(throttle, "alice", "10.0.0.1", now=0) == 3
    assert tries(throttle, "alice", "10.0.0.1", now=29.9) == 0
    assert tries(throttle, "alice", "10.0.0.1", now=30) == 1
    assert tries(throttle, "alice", "10.0.0.1", now=1e6) == 3


def test_the_wait_that_is_told_is_the_wait_that_is_needed() -> None:
    throttle = SignInThrottle(Rate(burst=1, seconds=30), Rate(burst=99, seconds=1))
    throttle.admit("alice", "10.0.0.1", 100)
    with pytest.raises(Throttled) as refused:
        throttle.admit("alice", "10.0.0.1", 110)
    assert refused.value.retry_after == pytest.approx(20)
    throttle.admit("alice", "10.0.0.1", 110 + refused.value.retry_after)


def test_a_username_is_one_in_whatever_case_it_is_written() -> None:
    throttle = SignInThrottle(Rate(burst=1, seconds=30), Rate(burst=99, seconds=1))
    throttle.admit("Alice", "10.0.0.1", 0)
    with pytest.raises(Throttled):
        throttle.admit("aLICE", "10.0.0.2", 0)


def test_an_address_that_tries_many_names_is_stopped() -> None:
    throttle = SignInThrottle(Rate(burst=5, seconds=30), Rate(burst=4, seconds=5))
    admitted = sum(tries(throttle, f"user{i}", "10.0.0.1", now=0) > 0 for i in range(20))
    assert admitted <= 4


def test_a_refused_try_costs_neither_bucket() -> None:
    throttle = SignInThrottle(Rate(burst=1, seconds=30), Rate(burst=2, seconds=1e9))
    tries(throttle, "alice", "10.0.0.1", now=0)
    assert tries(throttle, "bob", "10.0.0.1", now=0) == 1


def test_success_clears_the_username_but_not_the_address() -> None:
    throttle = SignInThrottle(Rate(burst=1, seconds=1e9), Rate(burst=2, seconds=1e9))
    throttle.admit("alice", "10.0.0.1", 0)
    throttle.succeeded("ALICE")
    throttle.admit("alice", "10.0.0.1", 0)
    throttle.succeeded("alice")
    with pytest.raises(Throttled):
        throttle.admit("alice", "10.0.0.1", 0)


def test_memory_is_bounded_and_the_longest_untouched_key_goes_first() -> None:
    buckets = Buckets(Rate(burst=1, seconds=30), most_keys=3)
    for key in ("a", "b", "c"):
        buckets.take(key, now=0)
    buckets.take("a", now=1)
    buckets.take("d", now=2)
    assert len(buckets) == 3
    assert buckets.wait("b", now=2) == 0
    assert buckets.wait("a", now=2) > 0


def test_a_clock_that_steps_back_gives_no_tokens() -> None:
    buckets = Buckets(Rate(burst=1, seconds=30))
    buckets.take("a", now=1000)
    assert buckets.wait("a", now=0) == pytest.approx(30)


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2::ffff", "2001:db8:1:2::"),
        ("fe80::1%eth0", "fe80::"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("unknown", "unknown"),
    ],
)
def test_what_counts_as_one_address(address: str, network: str) -> None:
    assert network_of(address) == network
