"""Rows as the store takes and gives them, where no word of the domain has their shape."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from .deviations import Cause
from .model import BucketKey, Component, DeviationKind, PositionId


@dataclass(frozen=True, slots=True)
class BucketClaims:
    """All that is recorded in one symbol of an account: open components and the unassigned part."""

    components: tuple[Component, ...]
    unassigned: Mapping[int, Decimal]
    """Signed, per positionIdx."""
    doubtful: tuple[str, ...] = ()
    """Symbols of open spot legs that may claim this coin: theirs is not known yet."""

    @property
    def doubt(self) -> str:
        """Why nobody sizes anything by these claims, in words; empty where they are all."""
        return f"the coin of {', '.join(self.doubtful)} is not known yet" if self.doubtful else ""


@dataclass(frozen=True, slots=True)
class DeviationRecord:
    """A bucket that deviates, for the store: signed quantities."""

    bucket: BucketKey
    kind: DeviationKind
    expected: Decimal
    actual: Decimal
    cause: Cause | None


@dataclass(frozen=True, slots=True)
class VerdictWrite:
    """The outcome of a full compare of one account's position."""

    position_id: PositionId
    is_altered: bool
    verified_at: datetime


@dataclass(frozen=True, slots=True)
class PnlWrite:
    position_id: PositionId
    unrealized_pnl: Decimal | None
    pnl_at: datetime


@dataclass(frozen=True, slots=True)
class PositionEdit:
    """What a user changes of a position's labels; None leaves it as it is."""

    name: str | None = None
    note: str | None = None
    tags: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class JournalEvent:
    """One line of the append-only journal; `data` holds JSON values."""

    id: int
    at: datetime
    kind: str
    actor: str | None
    data: Mapping[str, object]
