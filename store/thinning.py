"""Thinning the P&L history by age, slot by slot, a bounded part of it at a time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from ..daemon.domain.history import TIERS
from .pool import Database
from .sql import SQL

_ORIGIN = datetime(1970, 1, 1, tzinfo=UTC)
# Five thousand positions leave some 300,000 rows an hour to thin: this keeps up with them, and one
# statement (a slot's worth) still takes no longer than a second or two.
_ROWS_A_CALL = 600_000
_SPANS_A_CALL = 400
_ROWS_A_DROP = 50_000


async def thin(database: Database, now: datetime) -> int:
    """Thin and drop by `history.TIERS` until done or until enough for once; how many rows went."""
    gone = await _drop(database, now - TIERS[-1].until)
    for younger, tier in pairwise(TIERS):
        gone += await _thin_tier(database, tier.step, now - younger.until, _ROWS_A_CALL - gone)
    return gone


async def _thin_tier(
    database: Database, step: timedelta, older_than: datetime, most_rows: int
) -> int:
    """Whole slots only: a slot that is thinned once is not looked at again."""
    end = _slot(older_than, step)
    gone = 0
    for _ in range(_SPANS_A_CALL):
        start = await _next_slot(database, step)
        if start is None or start >= end or gone >= most_rows:
            break
        row = await database.row(SQL["thin_history"], start, start + step, step)
        await database.fetch(SQL["note_thinned"], step, start + step)
        gone += int(row["gone"]) if row else 0
    return gone


async def _next_slot(database: Database, step: timedelta) -> datetime | None:
    """The oldest slot with points that is not thinned yet."""
    noted = await database.row(SQL["thinned_until"], step)
    row = await database.row(SQL["oldest_point_since"], noted["done_until"] if noted else _ORIGIN)
    return _slot(row["oldest"], step) if row and row["oldest"] else None


async def _drop(database: Database, older_than: datetime) -> int:
    gone = 0
    while gone < _ROWS_A_CALL:
        row = await database.row(SQL["drop_history"], older_than, _ROWS_A_DROP)
        dropped = int(row["gone"]) if row else 0
        gone += dropped
        if dropped < _ROWS_A_DROP:
            break
    return gone


def _slot(at: datetime, step: timedelta) -> datetime:
    return at - (at - _ORIGIN) % step
