"""What one network address may do."""

import pytest
from positiond.bybit.paper.addresses import BAN_MS, CONNECTIONS, PUBLIC_AT_ONCE, Addresses


def test_one_request_too_many_shuts_the_address_out_for_ten_minutes() -> None:
    addresses = Addresses(3)
    assert [addresses.may_ask("a", 1000 + n) for n in range(4)] == [True, True, True, False]
    assert addresses.may_ask("b", 1003)
    assert not addresses.may_ask("a", 1003 + BAN_MS - 1)
    assert addresses.may_ask("a", 1003 + BAN_MS)


def test_requests_count_for_five_seconds() -> None:
    addresses = Addresses(2)
    assert addresses.may_ask("a", 0)
    assert addresses.may_ask("a", 4000)
    assert addresses.may_ask("a", 5000)
    assert not addresses.may_ask("a", 5001)


def test_a_limit_of_nought_lets_everything_through() -> None:
    addresses = Addresses(0)
    assert all(addresses.may_ask("a", 1) for _ in range(1000))
    assert all(addresses.may_connect("a", 1) for _ in range(1000))


def test_the_501st_stream_in_five_minutes_is_refused() -> None:
    addresses = Addresses()
    assert all(addresses.may_connect("a", n) for n in range(CONNECTIONS))
    assert not addresses.may_connect("a", 299_999)
    assert addresses.may_connect("a", 300_001)


def test_public_streams_at_once_are_counted_by_category_until_they_leave() -> None:
    addresses = Addresses()
    assert all(addresses.enter("a", "linear") for _ in range(PUBLIC_AT_ONCE))
    assert not addresses.enter("a", "linear")
    assert addresses.enter("a", "spot")
    addresses.leave("a", "linear")
    assert addresses.enter("a", "linear")


@pytest.mark.parametrize("limit", [1, 5])
def test_a_pardon_lifts_the_ban(limit: int) -> None:
    addresses = Addresses(limit)
    while addresses.may_ask("a", 1):
        pass
    addresses.pardon()
    assert addresses.may_ask("a", 2)
