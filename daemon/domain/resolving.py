"""Resolve actions: what a trader decides about a deviation, each leaving expected = actual."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from .model import AccountId, BucketKey, ComponentId, PositionId, UserId


class ResolveAction(StrEnum):
    """ACCEPT: the difference becomes unassigned. REBASE: the leg becomes what is there of it.

    MARK_CLOSED: the leg is gone on Bybit, nothing of it stays open.
    """

    ACCEPT = "accept"
    REBASE = "rebase"
    MARK_CLOSED = "mark_closed"


@dataclass(frozen=True, slots=True)
class Change:
    """A quantity before and after; open quantities are unsigned, unassigned ones signed."""

    before: Decimal
    after: Decimal


@dataclass(frozen=True, slots=True)
class Resolution:
    """What one resolve action changes, computed from `actual` (signed, read just now)."""

    position_id: PositionId
    account_id: AccountId
    action: ResolveAction
    actor: UserId
    at: datetime
    opens: Mapping[ComponentId, Change]
    unassigned: Mapping[BucketKey, Change]
    actual: Mapping[BucketKey, Decimal]
