"""Decimal rules: parsing, plain printing, and rounding to an instrument's step."""

from __future__ import annotations

from decimal import ROUND_DOWN, Decimal, InvalidOperation

# Bybit has no number with more digits; a longer one is an attack or a mistake.
_LONGEST = 40


def parse(text: str) -> Decimal:
    """A finite Decimal from plain decimal text; ValueError on anything else (NaN, 1e9, blanks)."""
    if len(text) > _LONGEST or not text.isascii() or text.strip() != text or "_" in text:
        raise ValueError(f"not a plain decimal number: {text[:_LONGEST]!r}")
    if "e" in text or "E" in text:
        raise ValueError(f"not a plain decimal number: {text!r}")
    try:
        number = Decimal(text)
    except InvalidOperation as error:
        raise ValueError(f"not a plain decimal number: {text!r}") from error
    if not number.is_finite():
        raise ValueError(f"not a plain decimal number: {text!r}")
    return number


def plain(number: Decimal) -> str:
    """The number in plain digits: every stored digit, no exponent, no negative zero."""
    return format(number if number else abs(number), "f")


def floor_to_step(quantity: Decimal, step: Decimal) -> Decimal:
    """The largest multiple of `step` not above `quantity` (which is not negative)."""
    return (quantity / step).to_integral_value(rounding=ROUND_DOWN) * step


def is_on_step(quantity: Decimal, step: Decimal) -> bool:
    return quantity % step == 0
