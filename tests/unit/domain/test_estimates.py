"""What a preview says an order would cost."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from positiond.daemon.domain.estimates import Estimate, average_price, estimate
from positiond.daemon.domain.model import Category, Instrument
from positiond.daemon.domain.orders import OrderBook

from ...builders import LONG, NOON, SHORT, instrument

RATE = Decimal("0.001")


def levels(*pairs: tuple[str, str]) -> tuple[tuple[Decimal, Decimal], ...]:
    return tuple((Decimal(price), Decimal(quantity)) for price, quantity in pairs)


BOOK = OrderBook(
    bids=levels(("100", "1"), ("99", "1"), ("90", "8")),
    asks=levels(("101", "1"), ("103", "3")),
    at=NOON,
)


def of(category: Category) -> Instrument:
    coins = {Category.INVERSE: ("BTC", "USD", "BTC"), Category.SPOT: ("BTC", "EUR", "")}
    base, quote, settle = coins.get(category, ("BTC", "USDT", "USDT"))
    rules = instrument(category=category)
    return replace(rules, base_coin=base, quote_coin=quote, settle_coin=settle)


def test_a_sale_walks_down_the_bids_and_a_purchase_up_the_asks() -> None:
    rules = of(Category.LINEAR)
    assert average_price(rules, SHORT, Decimal("1.5"), BOOK) == Decimal("149.5") / Decimal("1.5")
    assert average_price(rules, LONG, Decimal(4), BOOK) == Decimal("102.5")


def test_what_the_book_does_not_hold_has_no_price() -> None:
    found = estimate(of(Category.LINEAR), LONG, Decimal(5), BOOK, RATE)
    assert found == Estimate(None, None, "USDT")
    assert average_price(of(Category.LINEAR), SHORT, Decimal(1), OrderBook((), (), NOON)) is None


@pytest.mark.parametrize(
    ("slippage", "price"), [("0.5", None), ("1", "99.5"), ("10", "99.5"), (None, "99.5")]
)
def test_levels_beyond_the_slippage_do_not_count(slippage: str | None, price: str | None) -> None:
    allowed = Decimal(slippage) if slippage else None
    found = average_price(of(Category.LINEAR), SHORT, Decimal(2), BOOK, allowed)
    assert found == (Decimal(price) if price else None)


def test_a_purchase_may_slip_upwards_only() -> None:
    rules = of(Category.LINEAR)
    assert average_price(rules, LONG, Decimal(2), BOOK, Decimal(1)) is None
    assert average_price(rules, LONG, Decimal(2), BOOK, Decimal(2)) == Decimal(102)


def test_an_inverse_order_averages_the_coin_it_is_worth_and_pays_in_it() -> None:
    book = OrderBook(bids=levels(("50", "100"), ("25", "100")), asks=(), at=NOON)
    found = estimate(of(Category.INVERSE), SHORT, Decimal(200), book, RATE)
    # 100 / 50 + 100 / 25 = 6 BTC for 200 dollars.
    assert found == Estimate(Decimal("33.3"), Decimal("0.006"), "BTC")


def test_a_sale_of_coin_pays_in_what_it_brings_in() -> None:
    found = estimate(of(Category.SPOT), SHORT, Decimal(1), BOOK, RATE)
    assert found == Estimate(Decimal(100), Decimal("0.1"), "EUR")


@pytest.mark.parametrize(("index", "fee"), [("5000", "5"), ("50000", "7"), (None, None)])
def test_an_option_pays_by_the_index_up_to_a_part_of_its_price(
    index: str | None, fee: str | None
) -> None:
    at = Decimal(index) if index else None
    found = estimate(of(Category.OPTION), SHORT, Decimal(1), BOOK, RATE, index=at)
    assert (found.price, found.fee) == (Decimal(100), Decimal(fee) if fee else None)


def test_without_the_rate_the_price_is_given_alone() -> None:
    found = estimate(of(Category.LINEAR), SHORT, Decimal(1), BOOK, None)
    assert found == Estimate(Decimal(100), None, "USDT")


def test_nothing_is_shown_finer_than_a_tick_nor_in_scientific_notation() -> None:
    found = estimate(of(Category.LINEAR), SHORT, Decimal("1.5"), BOOK, Decimal("0.0007"))
    assert (str(found.price), str(found.fee)) == ("99.7", "0.10465000")
