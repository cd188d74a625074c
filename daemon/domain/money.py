"""Decimal rules: parsing, plain printing, and rounding to an instrument's step."""

from __future__ import annotations

from decimal import ROUND_DOWN, Context, Decimal, InvalidOperation
from typing import Final

# Bybit has no number with more digits; a longer one is an attack or a mistake.
_LONGEST = 40
# Wide enough for the quotient of any two numbers that `parse` lets in, where the default 28 digits
# would round a quantity up to the next step, or refuse the division.
_EXACT: Final = Context(prec=4 * _LONGEST, rounding=ROUND_DOWN)


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
    beyond = _EXACT.remainder(quantity, step)
    return _EXACT.subtract(quantity, beyond) if beyond else quantity


def is_on_step(quantity: Decimal, step: Decimal) -> bool:
    return _EXACT.remainder(quantity, step) == 0
