"""The one P&L function against the formulas as the venue writes them."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from positiond.daemon.domain.model import Category, PriceBasis, Side
from positiond.daemon.domain.pnl import average_price, price_basis, unrealized

from ...builders import LONG, SHORT
from .samples import steady

quantity = st.decimals("0.001", "1000", places=3)
price = st.decimals("0.1", "200000", places=1)
straight = st.sampled_from([Category.LINEAR, Category.OPTION, Category.SPOT])


@pytest.mark.parametrize(
    ("side", "entry", "now", "pnl"),
    [
        (LONG, "101250.1", "101274.8", "12.35"),
        (SHORT, "101250.1", "101274.8", "-12.35"),
        (LONG, "101250.1", "101250.1", "0"),
        (SHORT, "100", "0.1", "49.95"),
    ],
)
def test_a_linear_leg_gains_by_the_difference_of_prices(
    side: Side, entry: str, now: str, pnl: str
) -> None:
    found = unrealized(Category.LINEAR, side, Decimal("0.5"), Decimal(entry), Decimal(now))
    assert found == Decimal(pnl)


@pytest.mark.parametrize(("side", "pnl"), [(LONG, "0.25"), (SHORT, "-0.25")])
def test_an_inverse_leg_gains_in_its_base_coin(side: Side, pnl: str) -> None:
    found = unrealized(Category.INVERSE, side, Decimal(10000), Decimal(20000), Decimal(40000))
    assert found == Decimal(pnl)


@steady
@given(st.sampled_from(list(Category)), quantity, price, price)
def test_a_short_loses_exactly_what_a_long_gains(
    category: Category, amount: Decimal, entry: Decimal, now: Decimal
) -> None:
    long = unrealized(category, LONG, amount, entry, now)
    assert unrealized(category, SHORT, amount, entry, now) == -long
    assert unrealized(category, LONG, amount, entry, entry) == 0
    if category is not Category.INVERSE:
        assert long == amount * now - amount * entry
    assert (long > 0) is (now > entry)


@steady
@given(straight, quantity, quantity, price, price)
def test_parts_of_a_leg_add_up(
    category: Category, one: Decimal, two: Decimal, entry: Decimal, now: Decimal
) -> None:
    parts = [unrealized(category, LONG, amount, entry, now) for amount in (one, two)]
    assert sum(parts) == unrealized(category, LONG, one + two, entry, now)


def test_spot_is_valued_by_last_and_everything_else_by_mark() -> None:
    basis = {category: price_basis(category) for category in Category}
    assert basis.pop(Category.SPOT) is PriceBasis.LAST
    assert set(basis.values()) == {PriceBasis.MARK}


@pytest.mark.parametrize(
    ("category", "average"),
    [
        (Category.LINEAR, "55000"),
        (Category.OPTION, "55000"),
        (Category.SPOT, "55000"),
        (Category.INVERSE, "54545.45454545454545454545455"),
    ],
)
def test_an_inverse_average_is_over_the_coins_that_were_paid(
    category: Category, average: str
) -> None:
    trades = [(Decimal(100), Decimal(50000)), (Decimal(100), Decimal(60000))]
    assert str(average_price(category, trades)) == average


@steady
@given(st.sampled_from(list(Category)), st.lists(st.tuples(quantity, price), min_size=1), price)
def test_the_average_price_gives_the_pnl_that_its_trades_gave(
    category: Category, trades: list[tuple[Decimal, Decimal]], entry: Decimal
) -> None:
    average = average_price(category, trades)
    assert average is not None
    total = sum((amount for amount, _ in trades), Decimal(0))
    apart = sum((unrealized(category, LONG, q, entry, p) for q, p in trades), Decimal(0))
    together = unrealized(category, LONG, total, entry, average)
    assert abs(together - apart) < Decimal("1e-12")
    assert min(p for _, p in trades) <= average <= max(p for _, p in trades)


def test_one_price_is_its_own_average_to_the_last_digit() -> None:
    for category in Category:
        trades = [(Decimal(100), Decimal("60000.10")), (Decimal(7), Decimal("60000.10"))]
        assert str(average_price(category, trades)) == "60000.10"
    found = average_price(Category.INVERSE, [(Decimal(100), Decimal(p)) for p in (30000, 60000)])
    assert str(found) == "40000"


def test_what_was_not_traded_or_had_no_price_has_no_average() -> None:
    assert average_price(Category.LINEAR, []) is None
    assert average_price(Category.LINEAR, [(Decimal(0), Decimal(5))]) is None
    free = [(Decimal(1), Decimal(0)), (Decimal(1), Decimal(5))]
    assert average_price(Category.INVERSE, free) is None
    assert average_price(Category.OPTION, free) == Decimal("2.5")
