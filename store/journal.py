"""The append-only journal: who did what, and what changed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType

from ..daemon.domain.model import AccountId, CloseId, PositionId, UserId
from .pool import Connection
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
