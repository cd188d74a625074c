"""Decimal rules: what is a number, how it is printed, and rounding that never rounds up."""

from __future__ import annotations

from decimal import Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st
from positiond.daemon.domain.money import floor_to_step, is_on_step, parse, plain

from .samples import steady

texts = st.from_regex(r"-?[0-9]{1,18}(\.[0-9]{1,18})?", fullmatch=True)
lengthy = st.from_regex(r"[0-9]{1,20}\.[0-9]{1,18}", fullmatch=True).map(Decimal)
steps = st.sampled_from([Decimal(s) for s in ("0.00000001", "0.001", "0.05", "0.5", "1", "10")])


@pytest.mark.parametrize("text", ["0", "-0", "1", "0.10", "-12.5", "+3", "." + "1" * 38])
def test_plain_decimal_text_is_a_number(text: str) -> None:
    assert parse(text) == Decimal(text)


@pytest.mark.parametrize(
    "text",
    [
        *("", " 1", "1 ", "1e9", "1E-3", "NaN", "sNaN", "Infinity", "-inf", "1_000", "1,5"),
        *("0x10", "١٢", "1" * 41, "--1", "1.2.3"),
    ],
)
def test_anything_else_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="not a plain decimal number"):
        parse(text)


@steady
@given(texts)
def test_a_number_survives_being_printed_and_parsed(text: str) -> None:
    number = parse(text)
    assert parse(plain(number)) == number
    assert "E" not in plain(number)


@pytest.mark.parametrize(
    ("number", "text"),
    [("1E+3", "1000"), ("1E-8", "0.00000001"), ("-0", "0"), ("-0.00", "0.00"), ("0.500", "0.500")],
)
def test_numbers_are_printed_in_plain_digits(number: str, text: str) -> None:
    assert plain(Decimal(number)) == text


@steady
@given(lengthy, steps)
def test_flooring_gives_the_largest_multiple_that_is_not_above(
    quantity: Decimal, step: Decimal
) -> None:
    floored = floor_to_step(quantity, step)
    with localcontext(prec=100):
        assert floored <= quantity < floored + step
        assert floored % step == 0
    assert is_on_step(floored, step)
    assert is_on_step(quantity, step) is (floored == quantity)


def test_a_quantity_just_below_a_step_is_not_rounded_up_to_it() -> None:
    assert floor_to_step(Decimal("0." + "9" * 35), Decimal("0.001")) == Decimal("0.999")


def test_an_absurdly_large_quantity_is_only_a_number() -> None:
    assert is_on_step(Decimal("1" * 38), Decimal("0.00000001"))
