"""Amounts of several coins in one currency: exact where they can be, None where they cannot."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from positiond.daemon.domain.model import Booked
from positiond.daemon.domain.rates import booked_sums, coins_to_value, converted, currency_of

from .samples import steady

PRICES = {"BTC": Decimal(100_000), "ETH": Decimal(4000)}
money = st.decimals("-1000000", "1000000", places=8)


@pytest.mark.parametrize(
    ("coin", "currency", "worth"),
    [
        ("BTC", "BTC", "2"),
        ("USDC", "USDT", "2"),
        ("BTC", "USD", "200000"),
        ("BTC", "USDT", "200000"),
        ("USDT", "BTC", "0.00002"),
        ("BTC", "ETH", "50"),
        ("XYZ", "USD", None),
        ("USDT", "XYZ", None),
    ],
)
def test_an_amount_is_told_in_another_coin_by_two_dollar_prices(
    coin: str, currency: str, worth: str | None
) -> None:
    found = converted(Decimal(2), coin, currency, PRICES.get)
    assert found == (None if worth is None else Decimal(worth))


@steady
@given(money, money, money)
def test_the_sums_of_one_coin_are_exactly_what_was_booked(
    fees: Decimal, funding: Decimal, realized: Decimal
) -> None:
    sums = booked_sums([Booked("BTC", fees, funding, realized)], "BTC", lambda _: None)
    assert (sums.fees, sums.funding, sums.realized_pnl) == (fees, funding, realized)
    assert sums.incomplete is None


def test_a_missing_price_spoils_only_the_sums_that_need_it() -> None:
    booked = [
        Booked("MNT", fees=Decimal(3)),
        Booked("USDT", fees=Decimal(1), funding=Decimal(2), realized_pnl=Decimal(5)),
    ]
    sums = booked_sums(booked, "USDT", PRICES.get)
    assert (sums.fees, sums.funding, sums.realized_pnl) == (None, 2, 5)
    assert sums.incomplete == "no fresh dollar price of MNT"
    zero = booked_sums([Booked("MNT"), *booked[1:]], "USDT", PRICES.get)
    assert (zero.fees, zero.incomplete) == (1, None)


def test_the_missing_price_may_be_that_of_the_currency() -> None:
    sums = booked_sums([Booked("USDT", fees=Decimal(1))], "MNT", PRICES.get)
    assert (sums.fees, sums.incomplete) == (None, "no fresh dollar price of MNT")


def test_one_coin_is_the_currency_and_several_are_dollars() -> None:
    assert currency_of(["BTC", "BTC"]) == "BTC"
    assert currency_of(["USDT", "USDC"]) == "USD"
    assert currency_of(["BTC", None]) == currency_of([None]) == currency_of([]) == "USD"


def test_only_foreign_coins_need_prices() -> None:
    assert coins_to_value(["BTC"], "BTC") == frozenset()
    assert coins_to_value(["USDT", "USDC"], "USD") == frozenset()
    assert coins_to_value(["USDT", "BTC"], "USD") == {"BTC"}
    assert coins_to_value(["ETH"], "BTC") == {"ETH", "BTC"}
    assert coins_to_value(["USDT"], "BTC") == {"BTC"}
