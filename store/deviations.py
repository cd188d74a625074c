"""Deviations as rows: opened, refreshed and ended, each change journalled.

Whoever writes them holds the account's row first: what is open in a bucket, and which deviations it
has, then change one after the other, so that none is opened where the last leg was just closed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime

from ..daemon.domain.deviations import DeviationRow
from ..daemon.domain.model import AccountId, BucketKey
from ..daemon.domain.records import DeviationRecord
from ..daemon.domain.resolving import Resolution
from . import rows
from .pool import Connection
from .rows import bucket_columns
from .sql import SQL


async def write(
    connection: Connection,
    deviating: Sequence[DeviationRecord],
    cleared: Iterable[BucketKey],
    at: datetime,
) -> list[DeviationRow]:
    """What a compare found; the rows of the deviating buckets as they now stand."""
    by_bucket = {record.bucket: record for record in deviating}
    keys = sorted(by_bucket)
    gone = sorted(set(cleared) - by_bucket.keys())
    await _lock(connection, {key.account_id for key in (*keys, *gone)})
    if keys:
        columns = _columns([by_bucket[key] for key in keys])
        await connection.execute(SQL["write_deviations"], *columns, at)
    if gone:
        await connection.execute(SQL["end_deviations"], *bucket_columns(gone), at, None, None)
    await _end_ownerless(connection, {key.account_id for key in (*keys, *gone)}, at)
    if not keys:
        return []
    found = await connection.fetch(SQL["open_deviations_in"], *bucket_columns(keys))
    return [rows.deviation(row) for row in found]


async def end_resolved(connection: Connection, resolution: Resolution) -> None:
    """End those of the resolved buckets, but where other positions still lack something."""
    touched = resolution.actual.keys() | resolution.unassigned.keys()
    keys = sorted(touched - resolution.lacking.keys())
    await _lock(connection, {resolution.account_id})
    await connection.execute(
        SQL["end_deviations"],
        *bucket_columns(keys),
        resolution.at,
        resolution.action,
        resolution.actor,
    )


async def end_ownerless(connection: Connection, account_id: AccountId, at: datetime) -> None:
    """End those of buckets in which the last open component was just closed."""
    await _lock(connection, {account_id})
    await _end_ownerless(connection, {account_id}, at)


async def _lock(connection: Connection, accounts: Iterable[AccountId]) -> None:
    await connection.execute(SQL["lock_accounts"], list(accounts))


async def _end_ownerless(
    connection: Connection, accounts: Iterable[AccountId], at: datetime
) -> None:
    await connection.execute(SQL["end_ownerless_deviations"], list(accounts), at)


def _columns(records: Sequence[DeviationRecord]) -> tuple[list[object], ...]:
    causes = [record.cause for record in records]
    return (
        *bucket_columns([record.bucket for record in records]),
        [record.kind for record in records],
        [record.expected for record in records],
        [record.actual for record in records],
        [cause and cause.text for cause in causes],
        [cause and cause.kind for cause in causes],
        [cause and cause.quantity for cause in causes],
        [cause and cause.price for cause in causes],
        [cause and cause.at for cause in causes],
        # Postgres has no arrays of arrays of different lengths.
        [json.dumps(cause.order_ids if cause else ()) for cause in causes],
        [cause is not None and cause.while_away for cause in causes],
    )
