"""What the HTTP floor asks of the daemon, and what the daemon tells it, as protocols."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from .model import AccountId, CloseId, NewPosition, PositionId, PositionStatus, UserId
from .orders import AcceptedClose, CloseOrder, CloseRequest
from .views import FeedState, PositionView


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


class CloseDesk(Protocol):
    async def request_close(
        self,
        user_id: UserId,
        position_id: PositionId,
        *,
        idempotency_key: str | None,
        fingerprint: str,
    ) -> AcceptedClose:
        """Durable when it returns. Raises as `Closes.accept` does."""
        ...

    async def status(self, user_id: UserId, close_id: CloseId) -> CloseStatus:
        """NotFound for unknown and foreign alike."""
        ...

    async def cancel(self, user_id: UserId, close_id: CloseId) -> CloseStatus:
        """Conflict `already-sending` once an order may have left, `already-ended` after the end."""
        ...


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
