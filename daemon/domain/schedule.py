"""The sweep's clock: `*/5 * * * *` in UTC."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

EVERY_MINUTES: Final = 5


def next_sweep(now: datetime) -> datetime:
    """The first whole five minutes strictly after `now`."""
    start = now.replace(second=0, microsecond=0)
    return start + timedelta(minutes=EVERY_MINUTES - start.minute % EVERY_MINUTES)
