"""What closing needs of the store: the write-ahead log of closes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from .errors import Conflict
from .model import CloseId, CloseOrderId, Fill, PositionId, UserId
from .orders import (
    AcceptedClose,
    AcceptedSet,
    CloseEnding,
    CloseOrder,
    CloseRequest,
    CloseTerms,
    Netting,
    RequestState,
)


class Closes(Protocol):
    """Close requests and their orders. Every write of the loops is fenced by the leader's epoch."""

    async def accept(
        self,
        user_id: UserId,
        position_id: PositionId,
        *,
        terms: CloseTerms,
        idempotency_key: str | None,
        fingerprint: str,
        expires_at: datetime,
        now: datetime,
        refusal: Conflict | None = None,
    ) -> AcceptedClose:
        """Commit the intent in one transaction: request, position CLOSING, key, journal.

        Joins the open request if there is one, whatever its terms. A key seen in the last 24 h
        gives the original answer, even after CLOSED; with another fingerprint: InvalidInput
        `idempotency-key-reused`. Conflict `already-closed`; NotFound for an unknown or foreign
        position. A `refusal` is raised in place of a new request; a replay and a request that
        joins an open one are answered all the same.
        """
        ...

    async def accept_set(
        self,
        user_id: UserId,
        position_ids: Sequence[PositionId],
        *,
        terms: CloseTerms,
        idempotency_key: str | None,
        fingerprint: str,
        expires_at: datetime,
        now: datetime,
        refusal: Conflict | None = None,
    ) -> AcceptedSet:
        """All of them or none, in one transaction.

        Where each has an open request of one and the same set, that set is the answer. Conflict
        `close-open` where one has any other; `already-closed`; InvalidInput `several-accounts`;
        NotFound. `refusal` as for one.
        """
        ...

    async def request(self, close_id: CloseId) -> CloseRequest | None: ...

    async def requests_of_set(self, set_id: UUID) -> list[CloseRequest]:
        """All of the set, in the order they were asked for."""
        ...

    async def last_requests(self, positions: Sequence[PositionId]) -> list[CloseRequest]:
        """The newest request of each position that has one."""
        ...

    async def open_requests(self) -> list[CloseRequest]:
        """Oldest first."""
        ...

    async def orders(self, close_ids: Sequence[CloseId]) -> list[CloseOrder]:
        """Every order that has a part in one of the closes, in the order they were planned."""
        ...

    async def nettings(self, close_ids: Sequence[CloseId]) -> list[Netting]: ...

    async def move_requests(
        self,
        close_ids: Sequence[CloseId],
        old: RequestState,
        new: RequestState,
    ) -> None:
        """Guarded: Conflict `lost-update`, and nothing moved, unless all of them are in `old`."""
        ...

    async def write_ahead(
        self,
        close_ids: Sequence[CloseId],
        old: RequestState,
        new: RequestState,
        orders: Sequence[CloseOrder],
    ) -> None:
        """Insert the orders (with their parts) and move the requests, in one transaction.

        `new` may be `old`. Stamps the leader's epoch; Conflict `not-leader` if another daemon has
        taken over.
        """
        ...

    async def save_order(self, order: CloseOrder) -> None:
        """Store the order's state, ids, signing times and report fields (not `filled`)."""
        ...

    async def add_fills(self, order: CloseOrder, fills: Sequence[Fill]) -> CloseOrder:
        """Book the fills that are new by exec id, once and for all, in one transaction.

        Inserts executions, raises the order's `filled` and the `closed_quantity` of its legs (by
        `allocation.closed_by` of the order's filled sum before and after), and adds fee and
        realized P&L to their positions; returns the order as it now stands. The fee of a shared
        order is the heavy legs', by their parts.
        """
        ...

    async def book_nettings(self, nettings: Sequence[Netting]) -> None:
        """Close each leg by its quantity at its price, once per close and leg, journalled."""
        ...

    async def extend(self, close_ids: Sequence[CloseId], expires_at: datetime) -> None:
        """Move the expiry on: time in which nothing could be sent does not count."""
        ...

    async def finish(
        self, endings: Sequence[CloseEnding], old: RequestState, now: datetime
    ) -> None:
        """End the requests and move their positions, in one transaction, journalled.

        DONE: CLOSED if nothing of the position is open any more (its dust counts as gone), else
        back to ACTIVE; FAILED or CANCELLED: back to ACTIVE. `dust` is added to the unassigned
        quantity of its bucket, and the leg's open falls by it (spot: the leg's open falls alone).
        """
        ...

    async def cancel(self, user_id: UserId, close_id: CloseId, now: datetime) -> CloseRequest:
        """End a request (and its whole set) that has sent nothing; Conflict `already-sending`."""
        ...

    def new_order_id(self) -> CloseOrderId: ...
