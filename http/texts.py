"""Single values as JSON text: amounts as plain decimals, times as RFC 3339 in UTC."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from ..daemon.domain import money


def time(at: datetime) -> str:
    """Milliseconds, as Bybit stamps its own."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def time_or_none(at: datetime | None) -> str | None:
    return None if at is None else time(at)


def amount_or_none(number: Decimal | None) -> str | None:
    return None if number is None else money.plain(number)
