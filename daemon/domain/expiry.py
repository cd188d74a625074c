"""When a contract expires, as its name says: Bybit stops listing it some time afterwards."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from .model import Category

# Bybit V5: options and dated futures are delivered at 08:00 UTC of the day in their symbol
# (BTC-26DEC25-100000-C-USDT, BTCUSDT-26DEC25).
_DATED: Final = re.compile(r"-(\d{1,2})([A-Z]{3})(\d{2})(?:-|$)")
_MONTHS: Final = (
    *("JAN", "FEB", "MAR", "APR", "MAY", "JUN"),
    *("JUL", "AUG", "SEP", "OCT", "NOV", "DEC"),
)
_HOUR: Final = 8


def expiry_of(category: Category, symbol: str) -> datetime | None:
    """When the contract of that name is delivered; None where the name does not say."""
    found = _DATED.search(symbol)
    if category is Category.SPOT or found is None:
        return None
    day, month, year = found.groups()
    if month not in _MONTHS:
        return None
    try:
        return datetime(2000 + int(year), 1 + _MONTHS.index(month), int(day), _HOUR, tzinfo=UTC)
    except ValueError:
        return None
