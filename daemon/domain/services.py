"""What the HTTP floor asks of the daemon, and what the daemon tells it, as protocols."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from .history import PnlPoint
from .model import (
    AccountId,
    CloseId,
    Component,
    ComponentId,
    NewPosition,
    PositionId,
    PositionStatus,
    UserId,
)
from .orders import (
    AcceptedClose,
    AcceptedSet,
    CloseOrder,
    CloseRequest,
    CloseTerms,
    RestingOrder,
)
from .records import PositionEdit
from .resolving import ResolveAction
from .views import FeedState, Holdings, PositionDetail, PositionView


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether the daemon may be trusted with traffic; each reason is one sentence."""

    reasons: tuple[str, ...]

    @property
    def is_ready(self) -> bool:
        return not self.reasons


@dataclass(frozen=True, slots=True)
class CloseStatus:
    """A close request with its orders, oldest first."""

    request: CloseRequest
    orders: tuple[CloseOrder, ...]


class Board(Protocol):
    """The live picture: views of the user's positions, all from one instant."""

    async def views(
        self,
        user_id: UserId,
        statuses: frozenset[PositionStatus],
        account_id: AccountId | None = None,
    ) -> list[PositionView]:
        """ACTIVE and CLOSING from memory, CLOSED from the store (newest 200)."""
        ...

    async def view(self, user_id: UserId, position_id: PositionId) -> PositionView | None:
        """None for unknown and foreign alike."""
        ...

    def open_views(self, user_id: UserId) -> list[PositionView]:
        """ACTIVE and CLOSING only, from memory: what a stream's snapshot starts with."""
        ...

    def feed_state(self, user_id: UserId) -> FeedState: ...

    def readiness(self) -> Readiness: ...


class Recorder(Protocol):
    async def record(self, user_id: UserId, position: NewPosition) -> tuple[PositionView, bool]:
        """Check against the instruments, read the unassigned part, store; False if it was there.

        InvalidInput with `field`; NotFound `unknown-account`; ExchangeUnreachable when what
        Bybit holds cannot be read.
        """
        ...


class Inquiry(Protocol):
    """A position's past."""

    async def detail(self, user_id: UserId, position_id: PositionId) -> PositionDetail:
        """NotFound `unknown-position`."""
        ...

    async def history(
        self, user_id: UserId, position_id: PositionId, start: datetime | None, end: datetime | None
    ) -> list[PnlPoint]:
        """P&L over time, oldest first; the last 24 h where no start is given."""
        ...


class Resolver(Protocol):
    """What a user changes of a recorded position."""

    async def resolve(
        self,
        user_id: UserId,
        position_id: PositionId,
        action: ResolveAction,
        component_id: ComponentId | None,
    ) -> PositionView:
        """Read the buckets anew, decide, store, compare; without a component, all that deviate.

        NotFound `unknown-position`, `unknown-component`; Conflict `close-open`, `unverified`,
        `nothing-to-resolve`, `not-gone`, `opposite-unassigned`, `cannot-rebase`,
        `changed-meanwhile`, `already-closed`; InvalidInput `spot-has-no-unassigned`;
        ExchangeUnreachable when the buckets cannot be read.
        """
        ...

    async def edit(
        self, user_id: UserId, position_id: PositionId, change: PositionEdit
    ) -> PositionView: ...


class AccountDesk(Protocol):
    """What a user asks of an account as a whole."""

    async def holdings(self, user_id: UserId, account_id: AccountId) -> Holdings:
        """Read now. NotFound `unknown-account`; ExchangeUnreachable; Throttled."""
        ...

    async def reconcile(self, user_id: UserId, account_id: AccountId) -> None:
        """Ask for a full compare now. NotFound; Throttled `reconciled-just-now`."""
        ...


class CloseDesk(Protocol):
    async def request_close(
        self,
        user_id: UserId,
        position_id: PositionId,
        *,
        terms: CloseTerms,
        idempotency_key: str | None,
        fingerprint: str,
    ) -> AcceptedClose:
        """Durable when it returns. Raises as `Closes.accept` does; Conflict `plan-changed` where
        the terms name a plan that is unknown or too old; Conflict `read-only-key` or
        `key-lacks-right`."""
        ...

    async def request_set(
        self,
        user_id: UserId,
        position_ids: Sequence[PositionId],
        *,
        terms: CloseTerms,
        idempotency_key: str | None,
        fingerprint: str,
    ) -> AcceptedSet:
        """Several at once, netted where they share a bucket. Raises as `Closes.accept_set`."""
        ...

    async def plan(
        self, user_id: UserId, position_id: PositionId, fraction: Decimal | None
    ) -> ClosePlan:
        """What a close would send now. NotFound; Conflict `already-closed`; ExchangeUnreachable."""
        ...

    async def recheck(self, user_id: UserId, close_id: CloseId) -> CloseStatus:
        """Look at once for whatever an open close waits for. NotFound; Conflict `already-ended`."""
        ...

    async def status(self, user_id: UserId, close_id: CloseId) -> CloseStatus:
        """NotFound for unknown and foreign alike."""
        ...

    async def cancel(self, user_id: UserId, close_id: CloseId) -> CloseStatus:
        """Conflict `already-sending` once an order may have left, `already-ended` after the end."""
        ...


@dataclass(frozen=True, slots=True)
class PlanBlocker:
    """Why a leg would not be closed; `resolve` are the actions that would lift it."""

    code: str
    detail: str
    resolve: tuple[ResolveAction, ...] = ()


@dataclass(frozen=True, slots=True)
class PlannedLeg:
    """What a close would do to one leg. Quantities unsigned; `dust` cannot be traded.

    The price is estimated from the book, None where it is too thin; the fee is in `fee_coin`.
    """

    component: Component
    quantity: Decimal
    shortfall: Decimal
    dust: Decimal
    estimated_price: Decimal | None
    estimated_fee: Decimal | None
    fee_coin: str | None
    blockers: tuple[PlanBlocker, ...]
    resting: tuple[RestingOrder, ...]


@dataclass(frozen=True, slots=True)
class ClosePlan:
    """A preview of a close: good until `expires_at`, and only while its id stays the same."""

    plan_id: str
    expires_at: datetime
    fraction: Decimal | None
    legs: tuple[PlannedLeg, ...]

    @property
    def can_close(self) -> bool:
        return not any(leg.blockers for leg in self.legs)


class Publisher(Protocol):
    """Pushes to the users' open streams; a call never blocks and never fails."""

    def watchers(self) -> frozenset[UserId]:
        """Users with at least one open stream: nothing is rendered for the others."""
        ...

    def positions(
        self, user_id: UserId, changed: Sequence[PositionView], removed: Sequence[PositionId]
    ) -> None: ...

    def close(self, user_id: UserId, request: CloseRequest) -> None: ...

    def deviation(self, user_id: UserId, view: PositionView) -> None:
        """The position's verdict changed."""
        ...

    def feed(self, user_id: UserId, state: FeedState) -> None: ...
