"""Deviations, the journal, P&L over time and holdings as JSON."""

from __future__ import annotations

from decimal import Decimal

from ..daemon.domain import money
from ..daemon.domain.buckets import place_of
from ..daemon.domain.deviations import Cause, DeviationRow
from ..daemon.domain.history import PnlPoint
from ..daemon.domain.model import ZERO, Side
from ..daemon.domain.records import JournalEvent
from ..daemon.domain.views import Holdings, HoldingView, LegView, PositionView
from .replies import Json
from .texts import amount_or_none, time, time_or_none

_NO_CAUSE: Json = {
    "cause": None,
    "cause_kind": None,
    "cause_quantity": None,
    "cause_price": None,
    "cause_at": None,
    "cause_order_ids": [],
    "while_away": False,
}


def deviation_row(row: DeviationRow) -> Json:
    """Signed quantities of the bucket; flat, so that a table of them needs no unfolding."""
    return {
        "id": row.id,
        "category": str(row.bucket.category),
        "symbol": row.bucket.symbol,
        "position_idx": row.bucket.position_idx,
        "kind": str(row.kind),
        "expected": money.plain(row.expected),
        "actual": money.plain(row.actual),
        "difference": money.plain(row.difference),
        "first_seen": time(row.first_seen),
        "last_verified": time(row.last_verified),
        "ended_at": time_or_none(row.ended_at),
        "resolution": row.resolution,
        **(_NO_CAUSE if row.cause is None else _cause(row.cause)),
    }


def _cause(cause: Cause) -> Json:
    return {
        "cause": cause.text,
        "cause_kind": str(cause.kind),
        "cause_quantity": amount_or_none(cause.quantity),
        "cause_price": amount_or_none(cause.price),
        "cause_at": time_or_none(cause.at),
        "cause_order_ids": list(cause.order_ids),
        "while_away": cause.while_away,
    }


def event(entry: JournalEvent) -> Json:
    return {
        "id": entry.id,
        "at": time(entry.at),
        "kind": entry.kind,
        "actor": entry.actor,
        "data": dict(entry.data),
    }


def pnl_point(point: PnlPoint) -> Json:
    return {
        "at": time(point.at),
        "unrealized_pnl": money.plain(point.unrealized),
        "net_pnl": amount_or_none(point.net),
        "currency": point.currency,
    }


def holdings(found: Holdings) -> Json:
    return {
        "holdings": [_holding(one) for one in found.holdings],
        "read_at": time(found.read_at),
        "incomplete": found.incomplete,
    }


def _holding(one: HoldingView) -> Json:
    return {
        "category": str(one.bucket.category),
        "symbol": one.bucket.symbol,
        "position_idx": one.bucket.position_idx,
        "total": money.plain(one.total),
        "tracked": money.plain(one.tracked),
        "unassigned": money.plain(one.unassigned),
        "free": money.plain(one.free),
        "entry_price": amount_or_none(one.entry_price),
        "price": amount_or_none(one.price),
    }


def worst(view: PositionView) -> tuple[LegView | None, DeviationRow | None]:
    """The leg that is furthest off, and its bucket's deviation as far as it is on record."""
    off = [leg for leg in view.legs if leg.deviates and leg.difference]
    leg = max(off, key=_relative_difference, default=None)
    if leg is None:
        return None, None
    return leg, next((row for row in view.deviations if _is_of(row, view, leg)), None)


def _is_of(row: DeviationRow, view: PositionView, leg: LegView) -> bool:
    place = place_of(view.position.account_id, leg.component)
    side_idx = 1 if leg.component.side is Side.BUY else 2
    return row.bucket in (place.bucket(0), place.bucket(side_idx))


def _relative_difference(leg: LegView) -> Decimal:
    """Legs are in different units: what counts is how much of the leg is off."""
    # Rebased to nothing, a leg that deviates again has no size to be measured by.
    return abs(leg.difference or ZERO) / (leg.component.quantity or Decimal(1))
