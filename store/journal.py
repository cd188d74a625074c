"""The append-only journal: who did what, and what changed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType

from ..daemon.domain.model import AccountId, CloseId, PositionId, UserId
from .pool import Connection, Database
from .sql import SQL

_NOTHING: Mapping[str, object] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Event:
    """A line of the journal. `data` holds JSON values; numbers in it are strings."""

    at: datetime
    kind: str
    account_id: AccountId | None = None
    position_id: PositionId | None = None
    close_id: CloseId | None = None
    actor: UserId | None = None
    data: Mapping[str, object] = field(default_factory=lambda: _NOTHING)


class Journal:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def of_position(self, position_id: PositionId, limit: int) -> list[Event]:
        """Newest first."""
        rows = await self._database.fetch(SQL["events_of_position"], position_id, limit)
        return [
            Event(
                at=row["at"],
                kind=row["kind"],
                account_id=row["account_id"],
                position_id=row["position_id"],
                close_id=row["close_id"],
                actor=row["actor"],
                data=json.loads(row["data"]),
            )
            for row in rows
        ]


async def note(connection: Connection, event: Event) -> None:
    """Write a line in the transaction of what it tells of."""
    await connection.execute(
        SQL["add_event"],
        event.at,
        event.kind,
        event.account_id,
        event.position_id,
        event.close_id,
        event.actor,
        json.dumps(dict(event.data), default=_plain),
    )


def _plain(value: object) -> str:
    if isinstance(value, Decimal):
        return format(value, "f")
    return str(value)
