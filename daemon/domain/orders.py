"""Close requests and close orders as values, and what sending one can come to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final

from .model import (
    AccountId,
    BucketKey,
    Category,
    CloseId,
    CloseOrderId,
    ComponentId,
    PositionId,
    Side,
    UserId,
)


class RequestState(StrEnum):
    """Where a close request stands; the last three end it."""

    ACCEPTED = "ACCEPTED"
    WAITING = "WAITING"
    PREFLIGHT = "PREFLIGHT"
    SENDING = "SENDING"
    SETTLING = "SETTLING"
    VERIFYING = "VERIFYING"
    DONE = "DONE"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def is_open(self) -> bool:
        return self not in (RequestState.DONE, RequestState.FAILED, RequestState.CANCELLED)


class OrderState(StrEnum):
    """What we know of one close order. UNKNOWN is a state, not an error."""

    PLANNED = "PLANNED"
    SENT = "SENT"
    ACKED = "ACKED"
    UNKNOWN = "UNKNOWN"
    TERMINAL = "TERMINAL"
    ABSENT = "ABSENT"

    @property
    def is_settled(self) -> bool:
        """Nothing more can come of it: it ended, or is proven never to have existed."""
        return self in (OrderState.TERMINAL, OrderState.ABSENT)


# What `CloseOrder.status` says of an order that Bybit did not take, and of one found under our id
# that is not what was written down: its fills are not ours.
REFUSED: Final = "refused"
# Refused as not reducing (Bybit V5: error 110017, whose texts overlap): the size, read again, says
# whether the bucket is flat, flipped, or to be tried once more.
NOT_REDUCING: Final = "not-reducing"
NOT_REDUCING_CODE: Final = 110017
FOREIGN: Final = "foreign"


class LegOutcome(StrEnum):
    FLAT = "flat"
    DUST = "dust"
    SHORTFALL = "shortfall"
    RESIDUAL = "residual"
    REJECTED = "rejected"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ReduceOnlyOrder:
    """A market order that can only shrink a derivatives bucket.

    There is no flag to leave out: whoever encodes this type writes `reduceOnly: true`.
    """

    category: Category
    symbol: str
    position_idx: int
    side: Side
    quantity: Decimal
    link_id: str


@dataclass(frozen=True, slots=True)
class SignedOrder:
    """An order signed at `signed_at` (server time) that Bybit refuses after `dies_at`.

    `payload` is the edge's own; it holds a signature and so stays out of every repr.
    """

    order: ReduceOnlyOrder
    signed_at: datetime
    dies_at: datetime
    payload: object = field(repr=False)


@dataclass(frozen=True, slots=True)
class Acked:
    """Accepted for asynchronous matching; it may still end rejected or unfilled."""

    order_id: str


@dataclass(frozen=True, slots=True)
class Refused:
    """Positive evidence that the order was not taken."""

    ret_code: int
    detail: str


@dataclass(frozen=True, slots=True)
class NotExecuted:
    """Surely not executed and worth another try no earlier than `retry_at` (rate limit, clock)."""

    ret_code: int
    detail: str
    retry_at: datetime


@dataclass(frozen=True, slots=True)
class OutcomeUnknown:
    """It may or may not have been taken (timeout, 5xx, reset, duplicate id, unlisted code)."""

    detail: str


SendOutcome = Acked | Refused | NotExecuted | OutcomeUnknown


@dataclass(frozen=True, slots=True)
class CloseOrder:
    """One order row, written before anything is sent; its quantity is frozen with it.

    `signed_at` and `dies_at` bound when the latest send can still be taken; None = never signed.
    `settle_coin` is what its leg settles in, the coin of its realized P&L; None = not known.
    """

    id: CloseOrderId
    close_id: CloseId
    component_id: ComponentId
    bucket: BucketKey
    attempt: int
    link_id: str
    side: Side
    quantity: Decimal
    state: OrderState
    order_id: str | None
    signed_at: datetime | None
    dies_at: datetime | None
    filled: Decimal
    average_price: Decimal | None
    status: str | None
    detail: str | None
    created_at: datetime
    settle_coin: str | None = None

    @property
    def draft(self) -> ReduceOnlyOrder:
        return ReduceOnlyOrder(
            self.bucket.category,
            self.bucket.symbol,
            self.bucket.position_idx,
            self.side,
            self.quantity,
            self.link_id,
        )


@dataclass(frozen=True, slots=True)
class LegResult:
    """How a component fared in a close. Quantities unsigned, in the instrument's unit."""

    component_id: ComponentId
    outcome: LegOutcome
    filled: Decimal
    average_price: Decimal | None
    detail: str


@dataclass(frozen=True, slots=True)
class CloseRequest:
    """One accepted intent to close one position."""

    id: CloseId
    position_id: PositionId
    account_id: AccountId
    requested_by: UserId
    state: RequestState
    code: str | None
    detail: str | None
    open_at_acceptance: Mapping[ComponentId, Decimal]
    legs: tuple[LegResult, ...]
    created_at: datetime
    expires_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class AcceptedClose:
    """The answer to a close request; `is_new` is False when it joins one that is open already."""

    close_id: CloseId
    position_id: PositionId
    is_new: bool
