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


def test_the_fullest_window_and_the_course_are_told_of_each_address() -> None:
    addresses = Addresses(3)
    for now in (1000, 1050, 1100, 6001, 6002, 6003, 6004):
        addresses.may_ask("a", now)
    addresses.may_connect("a", 6004)
    told = addresses.traffic["a"].described()
    assert told["refused"] == 3
    assert told["streams"]["total"] == 1
    requests = told["requests"]
    # The window from 1050 to 6004 is the fullest: three too many, since a ban answers too.
    assert (requests["total"], requests["peak"], requests["window_ms"]) == (7, 6, 5000)
    assert requests["series"] == [(1000, 2), (1100, 1), (6000, 4)]


def test_traffic_is_counted_where_there_is_no_limit_and_survives_a_pardon() -> None:
    addresses = Addresses(0)
    for _ in range(7):
        addresses.may_ask("a", 1)
    addresses.pardon()
    assert addresses.traffic["a"].requests.peak == 7
    assert addresses.traffic["a"].refused == 0
