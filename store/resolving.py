"""Resolve actions: one transaction that leaves the records as was computed, or changes nothing."""

from __future__ import annotations

from collections.abc import Sequence

from ..daemon.domain.errors import Conflict, NotFound
from ..daemon.domain.model import BucketKey, Category, Position, PositionStatus
from ..daemon.domain.resolving import Resolution
from . import deviations, rows
from .journal import Event, note
from .pool import Connection
from .refusals import explained
from .rows import bucket_columns
from .sql import SQL


async def resolve(connection: Connection, resolution: Resolution) -> list[Position]:
    """Apply it; every open position of its buckets, and its own, as they now stand."""
    buckets = sorted(resolution.actual.keys() | resolution.unassigned.keys())
    locked = await _lock_positions(connection, resolution, buckets)
    with explained():
        await _set_opens(connection, resolution)
        await _set_unassigned(connection, resolution)
    await _check_adds_up(connection, resolution)
    await note(connection, _resolved(resolution))
    is_closed = await connection.fetchval(
        SQL["close_if_nothing_is_open"], resolution.position_id, resolution.at
    )
    await deviations.end_resolved(connection, resolution)
    await deviations.end_ownerless(connection, resolution.account_id, resolution.at)
    if is_closed:
        await note(connection, _closed(resolution))
    return rows.positions(await connection.fetch(SQL["positions_by_ids"], locked))


async def _lock_positions(
    connection: Connection, resolution: Resolution, buckets: Sequence[BucketKey]
) -> list[object]:
    """Whoever accepts a close of one of them, or books a late fill, waits, or was before us."""
    found = await connection.fetch(
        SQL["lock_positions_in_buckets"],
        resolution.account_id,
        resolution.position_id,
        *bucket_columns(buckets)[1:],
    )
    status = {row["id"]: PositionStatus(row["status"]) for row in found}
    if resolution.position_id not in status:
        raise NotFound("unknown-position", "there is no such position")
    if status[resolution.position_id] is PositionStatus.CLOSED:
        raise Conflict("already-closed", "the position is closed already")
    if PositionStatus.CLOSING in status.values():
        raise Conflict("close-open", "a close is open in what would be resolved")
    return list(status)


async def _set_opens(connection: Connection, resolution: Resolution) -> None:
    changes = resolution.opens
    changed = await connection.fetch(
        SQL["set_opens"],
        resolution.position_id,
        list(changes),
        [change.before for change in changes.values()],
        [change.after for change in changes.values()],
    )
    if len(changed) != len(changes):
        raise _changed_meanwhile()


async def _set_unassigned(connection: Connection, resolution: Resolution) -> None:
    keys = sorted(resolution.unassigned)
    if not keys:
        return
    changes = [resolution.unassigned[key] for key in keys]
    await connection.execute(SQL["ensure_unassigned"], *bucket_columns(keys))
    changed = await connection.fetch(
        SQL["change_unassigned"],
        *bucket_columns(keys),
        [change.before for change in changes],
        [change.after for change in changes],
    )
    if len(changed) != len(changes):
        raise _changed_meanwhile()


async def _check_adds_up(connection: Connection, resolution: Resolution) -> None:
    """What others have open there may have changed, too: then the outcome would deviate.

    Not so for spot, where a wallet may hold more, and by a fee less, than is recorded.
    """
    keys = [key for key in sorted(resolution.actual) if key.category is not Category.SPOT]
    unsettled = await connection.fetch(
        SQL["unsettled_buckets"],
        resolution.account_id,
        *bucket_columns(keys)[1:],
        [resolution.actual[key] + resolution.lacking.get(key, 0) for key in keys],
    )
    if unsettled:
        raise _changed_meanwhile()


def _changed_meanwhile() -> Conflict:
    return Conflict("changed-meanwhile", "what is recorded has changed meanwhile: look again")


def _resolved(resolution: Resolution) -> Event:
    return Event(
        at=resolution.at,
        kind="resolved",
        account_id=resolution.account_id,
        position_id=resolution.position_id,
        actor=resolution.actor,
        data={
            "action": resolution.action,
            "components": [
                {"component_id": key, "before": change.before, "after": change.after}
                for key, change in resolution.opens.items()
            ],
            "unassigned": [
                {**_place(key), "before": change.before, "after": change.after}
                for key, change in sorted(resolution.unassigned.items(), key=lambda item: item[0])
            ],
            "actual": [
                {**_place(key), "quantity": quantity}
                for key, quantity in sorted(resolution.actual.items())
            ],
        },
    )


def _place(key: BucketKey) -> dict[str, object]:
    return {"category": key.category, "symbol": key.symbol, "position_idx": key.position_idx}


def _closed(resolution: Resolution) -> Event:
    return Event(
        at=resolution.at,
        kind="position-closed",
        account_id=resolution.account_id,
        position_id=resolution.position_id,
        actor=resolution.actor,
        data={"reason": "nothing of it is open any more"},
    )
