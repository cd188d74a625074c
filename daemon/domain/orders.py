"""Close requests and close orders as values, and what sending one can come to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final
from uuid import UUID

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
# Refused for the key it was signed with, before Bybit looked at the order itself.
KEY_REFUSED: Final = "key-refused"
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
    slippage: Decimal | None = None
    """How far from the best price it may fill, in percent; None leaves Bybit's own band."""


@dataclass(frozen=True, slots=True)
class SpotSell:
    """A market order that sells coin out of the wallet, never borrowed coin.

    Spot knows no reduce-only (Bybit V5: order/create); whoever encodes this type writes
    `isLeverage: 0` and the quantity in the base coin.
    """

    symbol: str
    quantity: Decimal
    link_id: str
    slippage: Decimal | None = None

    @property
    def category(self) -> Category:
        return Category.SPOT

    @property
    def side(self) -> Side:
        return Side.SELL

    @property
    def position_idx(self) -> int:
        return 0


# There is no third kind: nothing that a close sends can open or turn a derivatives position.
MarketOrder = ReduceOnlyOrder | SpotSell


@dataclass(frozen=True, slots=True)
class SignedOrder:
    """An order signed at `signed_at` (server time) that Bybit refuses after `dies_at`.

    `payload` is the edge's own; it holds a signature and so stays out of every repr.
    """

    order: MarketOrder
    signed_at: datetime
    dies_at: datetime
    payload: object = field(repr=False)


@dataclass(frozen=True, slots=True)
class Acked:
    """Accepted for asynchronous matching; it may still end rejected or unfilled."""

    order_id: str


@dataclass(frozen=True, slots=True)
class Refused:
    """Positive evidence that the order was not taken; `of_key` if that says nothing of the order.

    A key may be refused for a moment (its address changes, Bybit's own mishap): the same order may
    be taken with the next attempt.
    """

    ret_code: int
    detail: str
    of_key: bool = False


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
class OrderPart:
    """What an order closes of one leg when it fills wholly; unsigned.

    Legs that net against each other on Bybit share one order: the heavy ones close what it fills
    and what the light ones close; `is_light` are those on the other side.
    """

    component_id: ComponentId
    close_id: CloseId
    quantity: Decimal
    is_light: bool = False


@dataclass(frozen=True, slots=True)
class CloseOrder:
    """One order row, written before anything is sent; its quantity is frozen with it.

    `signed_at` and `dies_at` bound when the latest send can still be taken; None = never signed.
    `settle_coin` is what its leg settles in, the coin of its realized P&L; None = not known.
    `symbol` is the instrument's, where the bucket names a coin (spot); None = the bucket's.
    `parts` are its legs where it closes several; empty: all of it is `component_id`'s. `step` is
    the instrument's quantity step, to which the light legs' parts of a fill are floored.
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
    symbol: str | None = None
    slippage: Decimal | None = None
    parts: tuple[OrderPart, ...] = ()
    step: Decimal | None = None

    @property
    def instrument_symbol(self) -> str:
        return self.symbol or self.bucket.symbol

    @property
    def shares(self) -> tuple[OrderPart, ...]:
        """Its parts, also where it is of one leg alone."""
        return self.parts or (OrderPart(self.component_id, self.close_id, self.quantity),)

    @property
    def draft(self) -> MarketOrder:
        if self.bucket.category is Category.SPOT:
            return SpotSell(self.instrument_symbol, self.quantity, self.link_id, self.slippage)
        return ReduceOnlyOrder(
            self.bucket.category,
            self.bucket.symbol,
            self.bucket.position_idx,
            self.side,
            self.quantity,
            self.link_id,
            self.slippage,
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
class CloseTerms:
    """What may be said with a close.

    `fraction` of each leg's open quantity, above 0 and at most 1; `slippage` in percent;
    `cancel_resting` allows to cancel the trader's resting reduce-only orders that are in the way;
    `expected_plan` names the preview that was agreed to.
    """

    fraction: Decimal | None = None
    slippage: Decimal | None = None
    cancel_resting: bool = False
    expected_plan: str | None = None


@dataclass(frozen=True, slots=True)
class CloseRequest:
    """One accepted intent to close one position; requests of one `set_id` close together.

    `targets` is how much of each leg is to be closed: what was open, or the fraction of it.
    """

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
    terms: CloseTerms = CloseTerms()
    set_id: UUID | None = None
    targets: Mapping[ComponentId, Decimal] = field(default_factory=dict)

    def target(self, component_id: ComponentId) -> Decimal:
        """Unsigned; KeyError for a leg that is not part of the close."""
        return self.targets.get(component_id, self.open_at_acceptance[component_id])


@dataclass(frozen=True, slots=True)
class Netting:
    """Legs of a set that net to nothing on Bybit: closed against each other, no order sent."""

    close_id: CloseId
    component_id: ComponentId
    quantity: Decimal
    price: Decimal
    settle_coin: str


@dataclass(frozen=True, slots=True)
class CloseEnding:
    """How one request of a close ends; `dust` (signed) becomes unassigned in its bucket."""

    close_id: CloseId
    new: RequestState
    code: str | None
    detail: str | None
    legs: tuple[LegResult, ...]
    dust: Mapping[BucketKey, Decimal] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AcceptedClose:
    """The answer to a close request; `is_new` is False when it joins one that is open already."""

    close_id: CloseId
    position_id: PositionId
    is_new: bool


@dataclass(frozen=True, slots=True)
class AcceptedSet:
    """The answer to a request to close several positions together."""

    set_id: UUID
    closes: tuple[AcceptedClose, ...]
    is_new: bool


@dataclass(frozen=True, slots=True)
class RestingOrder:
    """An open order of the account as the book holds it; `left` is what may still fill."""

    category: Category
    symbol: str
    order_id: str
    link_id: str
    side: Side
    position_idx: int
    left: Decimal
    price: Decimal | None
    reduce_only: bool
    kind: str


@dataclass(frozen=True, slots=True)
class OrderBook:
    """The best levels of an instrument, best first: (price, quantity)."""

    bids: tuple[tuple[Decimal, Decimal], ...]
    asks: tuple[tuple[Decimal, Decimal], ...]
    at: datetime
