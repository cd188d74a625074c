"""Reading single fields of Bybit's JSON: strict where money depends on it, tolerant elsewhere.

"No value" is spelled "", null or an absent key; it is never 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from ..daemon.domain import money
from .clock import from_ms

Raw = Mapping[str, object]
NOTHING: Raw = {}


class WireError(ValueError):
    """A field that we must have is missing or is not what it must be."""


def mapping(value: object, what: str) -> Raw:
    """The value as an object of JSON, or WireError."""
    if not isinstance(value, dict):
        raise WireError(f"{what} is not an object")
    return value


def mapping_or_empty(value: object) -> Raw:
    return value if isinstance(value, dict) else NOTHING


def rows(holder: Raw, name: str) -> Sequence[Raw]:
    """The list of objects under `name`, or WireError."""
    found = holder.get(name)
    if not isinstance(found, list):
        raise WireError(f"{name} is not a list")
    return [mapping(row, f"an item of {name}") for row in found]


def text(row: Raw, name: str) -> str:
    """A string with something in it, or WireError."""
    found = row.get(name)
    if not isinstance(found, str) or not found:
        raise WireError(f"{name} is missing")
    return found


def text_or_empty(row: Raw, name: str) -> str:
    found = row.get(name)
    return found if isinstance(found, str) else ""


def texts(row: Raw, name: str) -> tuple[str, ...]:
    found = row.get(name)
    if not isinstance(found, list):
        return ()
    return tuple(item for item in found if isinstance(item, str))


def number(row: Raw, name: str) -> Decimal:
    """A decimal number, or WireError. A JSON number with a fraction lost digits: refused."""
    found = row.get(name)
    if isinstance(found, int) and not isinstance(found, bool):
        return Decimal(found)
    if not isinstance(found, str) or not found:
        raise WireError(f"{name} is missing")
    try:
        return money.parse(found)
    except ValueError as error:
        raise WireError(f"{name} is not a number") from error


def number_if_given(row: Raw, name: str) -> Decimal | None:
    """None where there is no value; WireError where there is one that is no number."""
    return None if row.get(name) in ("", None) else number(row, name)


def number_or_none(row: Raw, name: str) -> Decimal | None:
    """None where there is no value, or one that cannot be read."""
    if row.get(name) in ("", None):
        # Most fields of a sparse ticker: an exception for each would be the dearest part of it.
        return None
    try:
        return number(row, name)
    except WireError:
        return None


def integer(row: Raw, name: str) -> int:
    """A whole number, spelled as one or as a string, or WireError."""
    found = row.get(name)
    if isinstance(found, int) and not isinstance(found, bool):
        return found
    if not isinstance(found, str) or not found.removeprefix("-").isdecimal():
        raise WireError(f"{name} is not a whole number")
    return int(found) if len(found) <= 30 else _too_long(name)


def _too_long(name: str) -> int:
    raise WireError(f"{name} is too long")


def integer_or_none(row: Raw, name: str) -> int | None:
    try:
        return integer(row, name)
    except WireError:
        return None


def flag(row: Raw, name: str) -> bool:
    """True only for a JSON true."""
    return row.get(name) is True


def moment(row: Raw, name: str) -> datetime:
    """A time from milliseconds since the epoch, or WireError."""
    stamp = integer(row, name)
    try:
        return from_ms(stamp)
    except (ValueError, OverflowError, OSError) as error:
        raise WireError(f"{name} is no time") from error


def moment_or_none(row: Raw, name: str) -> datetime | None:
    """None also for 0, with which Bybit says "never"."""
    if row.get(name) in (0, "0"):
        return None
    try:
        return moment(row, name)
    except WireError:
        return None
