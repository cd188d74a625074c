"""What may follow an attempt, and whether what was read belongs to it; pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Final

from .model import Category, Fill, Holding, OrderReport
from .orders import FOREIGN, KEY_REFUSED, REFUSED, CloseOrder, OrderState

# Attempts in a row that fill nothing before a leg is left for the trader to see.
IDLE_ATTEMPTS: Final = 5
# A large leg goes out in many pieces, each of which fills; but nothing goes on for ever.
MOST_ATTEMPTS: Final = 500
# Clocks of the venue and of our measured offset differ by a little.
_CLOCK_SLACK: Final = timedelta(seconds=2)


def may_try_again(orders: Sequence[CloseOrder]) -> bool:
    """Whether a bucket with these attempts (oldest first) may have another one.

    Not after a refusal that would only repeat itself, and not after too many idle attempts. For how
    long the key may be refused is not decided here.
    """
    if not orders:
        return True
    if any(not order.state.is_settled for order in orders):
        return False
    last = orders[-1]
    if last.state is OrderState.TERMINAL and last.status in (REFUSED, FOREIGN):
        return False
    return idle_attempts(orders) < IDLE_ATTEMPTS and len(orders) < MOST_ATTEMPTS


def idle_attempts(orders: Sequence[CloseOrder]) -> int:
    """How many of the newest attempts in a row filled nothing, by no fault of the key's."""
    idle = takewhile(lambda order: not order.filled, reversed(orders))
    return sum(order.status != KEY_REFUSED for order in idle)


def refused_for_key(orders: Sequence[CloseOrder]) -> list[CloseOrder]:
    """The newest attempts in a row that the key was refused for, newest first."""
    return list(takewhile(lambda order: order.status == KEY_REFUSED, reversed(orders)))


def is_ours(report: OrderReport, order: CloseOrder) -> bool:
    """Whether a found order can be the one we wrote down (rule 8).

    Bybit may cut a reduce-only order down to the position, so its quantity may be lower; spot
    knows no reduce-only.
    """
    planned_at = order.signed_at or order.created_at
    return (
        report.link_id == order.link_id
        and report.symbol == order.instrument_symbol
        and report.category is order.bucket.category
        and report.side is order.side
        and report.quantity <= order.quantity
        and (report.reduce_only or order.bucket.category is Category.SPOT)
        and report.created_at >= min(planned_at, order.created_at) - _CLOCK_SLACK
    )


def is_as_new_as(holdings: Iterable[Holding], position_idx: int, fill: Fill | None) -> bool:
    """Whether the bucket's row was written no earlier than the fill.

    `seq` decides where both have it (Bybit V5: position and execution share it per symbol), else
    the row's own update time, else (a wallet) that it was read well after the fill.
    """
    if fill is None:
        return True
    rows = [h for h in holdings if h.position_idx == position_idx]
    for row in rows:
        if row.seq is not None and row.seq > 0 and fill.seq is not None:
            return row.seq >= fill.seq
        if row.updated_at is not None:
            return row.updated_at >= fill.executed_at
    return all(row.read_at >= fill.executed_at + _CLOCK_SLACK for row in rows) and bool(rows)


def is_expired(expires_at: datetime, now: datetime) -> bool:
    return now >= expires_at
