"""Deviations with their evidence: what is off, since when, why, and how it was resolved."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from .model import BucketKey, DeviationKind


class CauseKind(StrEnum):
    """Who or what changed a bucket, folded from `execType`, `createType` and `orderLinkId`."""

    BY_HAND = "by-hand"
    LIQUIDATION = "liquidation"
    ADL = "adl"
    TAKE_PROFIT = "take-profit"
    STOP_LOSS = "stop-loss"
    TRAILING_STOP = "trailing-stop"
    DELIVERY = "delivery"
    SETTLEMENT = "settlement"
    MOVE_POSITION = "move-position"
    BLOCK_TRADE = "block-trade"
    CORPORATE_ACTION = "corporate-action"
    BOT = "bot"
    OTHER_POSITION = "other-position"
    FEE = "fee"
    SEVERAL = "several"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a bucket deviates, in one sentence and in parts.

    `quantity` (unsigned) and `price` (their average) are of the executions that explain it, `at`
    is the time of the last of them; None where nothing explains it. `while_away`: it happened
    while the private stream was down, and was read afterwards.
    """

    kind: CauseKind
    text: str
    quantity: Decimal | None = None
    price: Decimal | None = None
    at: datetime | None = None
    order_ids: tuple[str, ...] = ()
    while_away: bool = False


@dataclass(frozen=True, slots=True)
class DeviationRow:
    """A deviation as recorded; signed quantities. It is open until `ended_at`.

    `resolution` is the resolve action that ended it, None where a compare found it gone.
    """

    id: int
    bucket: BucketKey
    kind: DeviationKind
    expected: Decimal
    actual: Decimal
    first_seen: datetime
    last_verified: datetime
    ended_at: datetime | None
    cause: Cause | None
    resolution: str | None

    @property
    def difference(self) -> Decimal:
        return self.actual - self.expected
