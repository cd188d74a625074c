"""The sweep's clock: `*/5 * * * *` in UTC."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

EVERY_MINUTES: Final = 5


def next_sweep(now: datetime, minutes: int = EVERY_MINUTES) -> datetime:
    """The first whole `minutes` (a divisor of 60) of the clock strictly after `now`."""
    start = now.replace(second=0, microsecond=0)
    return start + timedelta(minutes=minutes - start.minute % minutes)
