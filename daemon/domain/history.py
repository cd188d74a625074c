"""P&L over time: one point a minute while a position is open, fewer as it gets older.

Time is cut into slots that begin at whole multiples of a tier's step since 1970. Of each slot the
first point stays: what was kept once is kept until its next tier, however often the thinning runs.
Every step is a multiple of the one before it, so that a first point of a longer slot was never
dropped from a shorter one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final, TypeVar

from .model import PositionId

_T = TypeVar("_T")
_ORIGIN: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class PnlPoint:
    """A position's P&L at one moment, in `currency`; `net` None where it could not be valued."""

    position_id: PositionId
    at: datetime
    unrealized: Decimal
    net: Decimal | None
    currency: str


@dataclass(frozen=True, slots=True)
class Tier:
    """One point a `step` while younger than `until`."""

    step: timedelta
    until: timedelta


# From young to old; what is older than the last is dropped.
TIERS: Final = (
    Tier(timedelta(minutes=1), timedelta(days=2)),
    Tier(timedelta(minutes=15), timedelta(days=60)),
    Tier(timedelta(hours=1), timedelta(days=400)),
)


def slot_of(at: datetime, now: datetime) -> datetime | None:
    """The beginning of the slot that a point shares with others now; None: too old to keep."""
    for tier in TIERS:
        if now - at < tier.until:
            return at - (at - _ORIGIN) % tier.step
    return None


def keep(points: Iterable[datetime], now: datetime) -> list[datetime]:
    """Of one position's points those that stay, oldest first."""
    kept: list[datetime] = []
    taken: set[datetime] = set()
    for at in sorted(points):
        slot = slot_of(at, now)
        if slot is not None and slot not in taken:
            taken.add(slot)
            kept.append(at)
    return kept


def evenly(points: Sequence[_T], limit: int) -> list[_T]:
    """At most `limit` (two or more) of the points, evenly spread; the first and last always."""
    if limit < 2:
        raise ValueError(f"a chart needs two points, not {limit}")
    if len(points) <= limit:
        return list(points)
    last = len(points) - 1
    return [points[n * last // (limit - 1)] for n in range(limit)]
