"""Splitting a funding payment: whose part of the bucket paid or received what."""

from __future__ import annotations

from decimal import Decimal

import pytest
from positiond.daemon.domain.funding import FundingClaim, FundingPayment, split
from positiond.daemon.domain.model import ComponentId, PositionId

from ...builders import NOON, symbol_key, uuid_of


def payment(amount: str, size: str) -> FundingPayment:
    return FundingPayment("exec-1", symbol_key(), Decimal(size), Decimal(amount), "USDT", NOON)


def claim(signed_open: str, of: str = "a", *, leg: str = "leg") -> FundingClaim:
    return FundingClaim(
        ComponentId(uuid_of(f"{of} {leg}")), PositionId(uuid_of(of)), Decimal(signed_open)
    )


def shares(amount: str, size: str, *claims: FundingClaim, unassigned: str = "0") -> dict[str, str]:
    """Each position's share by its name."""
    names = {PositionId(uuid_of(name)): name for name in "abc"}
    found = split(payment(amount, size), claims, Decimal(unassigned))
    assert [s.position_id for s in found] == sorted(s.position_id for s in found)
    return {names[s.position_id]: f"{s.amount:f}" for s in found}


def test_a_bucket_of_one_position_pays_it_all() -> None:
    assert shares("-1.25", "2", claim("2")) == {"a": "-1.25"}


def test_a_bucket_of_two_is_shared_by_what_each_holds() -> None:
    assert shares("4", "-2", claim("-1.5"), claim("-0.5", "b")) == {"a": "3.0", "b": "1.0"}


def test_the_trader_keeps_the_funding_of_what_is_unassigned() -> None:
    assert shares("-3", "3", claim("1"), unassigned="2") == {"a": "-1"}


def test_netted_legs_pay_and_receive_each_on_its_own_notional() -> None:
    assert shares("-2", "1", claim("3"), claim("-2", "b")) == {"a": "-6", "b": "4"}


def test_legs_that_net_to_nothing_are_paid_by_the_unit_as_well() -> None:
    assert shares("-1", "0.5", claim("1"), claim("-1", "b")) == {"a": "-2", "b": "2"}


def test_the_legs_of_one_position_are_summed() -> None:
    assert shares("-6", "3", claim("1"), claim("2", leg="other")) == {"a": "-6"}
    assert shares("-6", "3", claim("1"), claim("-1", leg="other"), claim("3", "b")) == {"b": "-6"}


def test_a_bucket_that_lost_quantity_shares_no_more_than_was_paid() -> None:
    assert shares("-1", "1", claim("1"), claim("3", "b")) == {"a": "-0.25", "b": "-0.75"}
    assert shares("-1", "1", claim("1"), unassigned="3") == {"a": "-0.25"}


def test_a_surplus_is_the_traders() -> None:
    assert shares("-4", "4", claim("1")) == {"a": "-1"}


@pytest.mark.parametrize("size", ["-1", "0"])
def test_a_flipped_bucket_is_nobodys(size: str) -> None:
    assert shares("-4", size, claim("1"), claim("1", "b")) == {}


def test_where_the_trader_turned_the_bucket_himself_the_legs_pay_their_part() -> None:
    assert shares("-2", "-2", claim("1"), unassigned="-3") == {"a": "1"}


def test_thirds_add_up_to_the_payment() -> None:
    found = shares("1", "3", claim("1"), claim("1", "b"), claim("1", "c"))
    assert sum(map(Decimal, found.values())) == 1
    assert sorted(found.values()) == [
        "0.333333333333333333",
        "0.333333333333333333",
        "0.333333333333333334",
    ]


def test_a_remainder_goes_to_the_largest_share() -> None:
    found = shares("-1", "7", claim("1"), claim("4", "b"), claim("2", "c"))
    assert found["a"] == "-0.142857142857142857"
    assert found["c"] == "-0.285714285714285714"
    assert found["b"] == "-0.571428571428571429"


def test_what_rounding_leaves_beside_the_traders_part_is_his() -> None:
    found = shares("1", "3", claim("1"), claim("1", "b"), unassigned="1")
    assert set(found.values()) == {"0.333333333333333333"}


def test_digits_beyond_the_usual_are_kept() -> None:
    amount = "-1234567890123456.123456789012345678"
    assert shares(amount, "3", claim("3")) == {"a": amount}


def test_nothing_is_shared_where_nothing_was_recorded_or_paid() -> None:
    assert shares("-1", "1") == {}
    assert shares("-1", "1", claim("0")) == {}
    assert shares("0", "1", claim("1")) == {}
