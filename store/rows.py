"""Rows of the database turned into values of the domain, and buckets into columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from operator import itemgetter

from ..daemon.domain.deviations import Cause, CauseKind, DeviationRow
from ..daemon.domain.model import (
    AccountId,
    Booked,
    BucketKey,
    Category,
    Component,
    ComponentId,
    DeviationKind,
    Environment,
    Position,
    PositionId,
    PositionStatus,
    Side,
    UserId,
)
from .pool import Row


def component(row: Row) -> Component:
    is_changed = row["recorded_quantity"] != row["expected_quantity"]
    return Component(
        id=ComponentId(row["component_id"]),
        position_id=PositionId(row["position_id"]),
        category=Category(row["category"]),
        symbol=row["symbol"],
        side=Side(row["side"]),
        quantity=row["expected_quantity"],
        closed_quantity=row["closed_quantity"],
        entry_price=row["entry_price"],
        recorded_quantity=row["recorded_quantity"] if is_changed else None,
        coin=row["coin"],
    )


def positions(rows: Iterable[Row]) -> list[Position]:
    """Positions from rows of one component each; a position's rows follow one another."""
    return [position(list(group)) for _, group in groupby(rows, key=itemgetter("id"))]


def position(rows: Sequence[Row]) -> Position:
    """One position from its rows, of which there is at least one."""
    row = rows[0]
    return Position(
        id=PositionId(row["id"]),
        account_id=AccountId(row["account_id"]),
        user_id=UserId(row["user_id"]),
        environment=Environment(row["environment"]),
        name=row["name"],
        external_id=row["external_id"],
        note=row["note"],
        tags=tuple(row["tags"]),
        status=PositionStatus(row["status"]),
        is_altered=row["is_altered"],
        opened_at=row["opened_at"],
        closed_at=row["closed_at"],
        verified_at=row["verified_at"],
        unrealized_pnl=row["unrealized_pnl"],
        pnl_at=row["pnl_at"],
        booked=tuple(_booked(sums) for sums in row["booked"]),
        components=tuple(
            component({**row, "position_id": row["id"]}) for row in rows if row["component_id"]
        ),
    )


def _booked(sums: Row) -> Booked:
    return Booked(sums["coin"], sums["fees"], sums["funding"], sums["realized_pnl"])


def deviation(row: Row) -> DeviationRow:
    return DeviationRow(
        id=row["id"],
        bucket=bucket(row),
        kind=DeviationKind(row["kind"]),
        expected=row["expected"],
        actual=row["actual"],
        first_seen=row["first_seen"],
        last_verified=row["last_verified"],
        ended_at=row["ended_at"],
        cause=None if row["cause"] is None else _cause(row),
        resolution=row["resolution"],
    )


def _cause(row: Row) -> Cause:
    return Cause(
        kind=CauseKind(row["cause_kind"]),
        text=row["cause"],
        quantity=row["cause_quantity"],
        price=row["cause_price"],
        at=row["cause_at"],
        order_ids=tuple(row["cause_order_ids"]),
        while_away=row["cause_while_away"],
    )


def bucket(row: Row) -> BucketKey:
    return BucketKey(
        AccountId(row["account_id"]), Category(row["category"]), row["symbol"], row["position_idx"]
    )


def bucket_columns(keys: Sequence[BucketKey]) -> tuple[list[object], ...]:
    """Buckets as parallel arrays: account, category, symbol, positionIdx."""
    return (
        [key.account_id for key in keys],
        [key.category for key in keys],
        [key.symbol for key in keys],
        [key.position_idx for key in keys],
    )
