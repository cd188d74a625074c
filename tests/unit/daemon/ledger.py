"""The recorded rows in memory, with the guards that the store's ports promise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TypeVar

from positiond.daemon.domain.closing import ORDER_TABLE, REQUEST_TABLE
from positiond.daemon.domain.deviations import DeviationRow
from positiond.daemon.domain.errors import Conflict, NotFound
from positiond.daemon.domain.model import (
    ZERO,
    AccountId,
    BucketKey,
    Category,
    CloseId,
    CloseOrderId,
    ComponentId,
    Environment,
    Fill,
    NewPosition,
    Position,
    PositionId,
    PositionStatus,
    UserId,
)
from positiond.daemon.domain.orders import (
    AcceptedClose,
    CloseOrder,
    CloseRequest,
    LegResult,
    RequestState,
)
from positiond.daemon.domain.records import (
    BucketClaims,
    DeviationRecord,
    PnlWrite,
    PositionEdit,
    VerdictWrite,
)
from positiond.daemon.domain.resolving import Resolution

from ...builders import close_request
from .fake_time import now
from .gate import Gate

S = TypeVar("S", bound=str)

_REQUEST_MOVES = {(old, new) for (old, _), new in REQUEST_TABLE.items()}
_ORDER_MOVES = {(old, new) for (old, _), new in ORDER_TABLE.items()}


class Ledger:
    """Implements Positions, Closes and Switches; every write passes the gate twice."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.positions: dict[PositionId, Position] = {}
        self.beside: dict[BucketKey, Decimal] = {}
        self.requests: dict[CloseId, CloseRequest] = {}
        self.rows: dict[CloseOrderId, CloseOrder] = {}
        self.executions: dict[str, Fill] = {}
        self.paused = False
        self.expiry = timedelta(minutes=15)

    def open_close(self, position: Position) -> CloseRequest:
        """Accept a close without any of the desk's ceremony."""
        stored = replace(self.positions[position.id], status=PositionStatus.CLOSING)
        self.positions[position.id] = stored
        request = close_request(stored, created_at=now(), expires_at=now() + self.expiry)
        self.requests[request.id] = request
        return request

    # --- Switches ---------------------------------------------------------------------------

    async def trading_paused(self) -> bool:
        return self.paused

    # --- Positions --------------------------------------------------------------------------

    async def load_open(self) -> list[Position]:
        return [p for p in self.positions.values() if p.status is not PositionStatus.CLOSED]

    async def load(self, position_id: PositionId) -> Position | None:
        return self.positions.get(position_id)

    async def closed_of(
        self, user_id: UserId, account_id: AccountId | None, limit: int
    ) -> list[Position]:
        closed = [p for p in self.positions.values() if p.status is PositionStatus.CLOSED]
        return [p for p in closed if p.user_id == user_id and account_id in (None, p.account_id)]

    async def record(
        self, position: NewPosition, unassigned: Mapping[BucketKey, Decimal]
    ) -> tuple[Position, bool]:
        raise NotImplementedError("recorded by the test itself")

    async def recorded_as(self, account_id: AccountId, external_id: str) -> Position | None:
        wanted = (account_id, external_id)
        found = (p for p in self.positions.values() if (p.account_id, p.external_id) == wanted)
        return next(found, None)

    async def claims(self, account_id: AccountId, category: Category, symbol: str) -> BucketClaims:
        components = tuple(
            component
            for position in await self.load_open()
            for component in position.components
            if (position.account_id, component.category, component.symbol)
            == (account_id, category, symbol)
            and component.open > 0
        )
        here = {
            key.position_idx: quantity
            for key, quantity in self.beside.items()
            if (key.account_id, key.category, key.symbol) == (account_id, category, symbol)
        }
        return BucketClaims(components, here)

    async def unassigned(self) -> Mapping[BucketKey, Decimal]:
        return dict(self.beside)

    async def write_verdicts(
        self,
        verdicts: Sequence[VerdictWrite],
        deviating: Sequence[DeviationRecord],
        cleared: Sequence[BucketKey],
        at: datetime,
    ) -> list[DeviationRow]:
        raise NotImplementedError("a close writes no verdict")

    async def set_coins(self, environment: Environment, coins: Mapping[str, str]) -> None:
        raise NotImplementedError("a close knows its coins")

    async def edit(
        self, position_id: PositionId, user_id: UserId, change: PositionEdit, at: datetime
    ) -> Position:
        raise NotImplementedError("a close edits nothing")

    async def resolve(self, resolution: Resolution) -> list[Position]:
        raise NotImplementedError("a close resolves nothing")

    async def write_pnl(self, rows: Sequence[PnlWrite]) -> None:
        raise NotImplementedError("a close writes no P&L")

    # --- Closes -----------------------------------------------------------------------------

    async def accept(
        self,
        user_id: UserId,
        position_id: PositionId,
        *,
        idempotency_key: str | None,
        fingerprint: str,
        expires_at: datetime,
        now: datetime,
    ) -> AcceptedClose:
        raise NotImplementedError("accepted by open_close")

    async def request(self, close_id: CloseId) -> CloseRequest | None:
        return self.requests.get(close_id)

    async def last_requests(self, positions: Sequence[PositionId]) -> list[CloseRequest]:
        return [r for r in self.requests.values() if r.position_id in positions]

    async def open_requests(self) -> list[CloseRequest]:
        return [r for r in self.requests.values() if r.state.is_open]

    async def orders(self, close_id: CloseId) -> list[CloseOrder]:
        return [row for row in self.rows.values() if row.close_id == close_id]

    async def move_request(
        self, close_id: CloseId, old: RequestState, new: RequestState, detail: str | None = None
    ) -> None:
        await self.gate(f"before {old} to {new}")
        self._move(close_id, old, new)
        await self.gate(f"after {old} to {new}")

    async def write_ahead(
        self, close_id: CloseId, old: RequestState, orders: Sequence[CloseOrder]
    ) -> None:
        await self.gate("before write-ahead")
        for order in orders:
            known = [row.link_id for row in self.rows.values()]
            assert order.link_id not in known, "an order's id is used once"
            attempts = [row for row in self.rows.values() if row.component_id == order.component_id]
            assert all(row.state.is_settled for row in attempts), "one live attempt per leg"
        self._move(close_id, old, RequestState.SENDING)
        self.rows |= {order.id: order for order in orders}
        await self.gate("after write-ahead")

    async def save_order(self, order: CloseOrder) -> None:
        await self.gate(f"before order {order.state}")
        row = self.rows[order.id]
        # A save may stand for several steps that nothing was stored between.
        assert (row.state, order.state) in _reachable(_ORDER_MOVES) or row.state is order.state
        frozen = ("link_id", "side", "quantity", "bucket", "attempt", "component_id")
        assert all(getattr(row, name) == getattr(order, name) for name in frozen)
        self.rows[order.id] = replace(order, filled=row.filled)
        await self.gate(f"after order {order.state}")

    async def add_fills(self, order: CloseOrder, fills: Sequence[Fill]) -> CloseOrder:
        await self.gate("before fills")
        for fill in fills:
            if (fill.symbol, fill.side) != (order.bucket.symbol, order.side):
                raise Conflict("foreign-fill", f"{fill.exec_id} cannot be of {order.link_id}")
        new = [f for f in fills if f.exec_id not in self.executions and f.changes_size]
        self.executions |= {f.exec_id: f for f in new}
        quantity = sum((f.quantity for f in new), ZERO)
        row = self.rows[order.id]
        self.rows[order.id] = replace(row, filled=row.filled + quantity)
        self._close_of(order.component_id, quantity)
        await self.gate("after fills")
        return self.rows[order.id]

    async def finish(
        self,
        close_id: CloseId,
        old: RequestState,
        new: RequestState,
        *,
        code: str | None,
        detail: str | None,
        legs: Sequence[LegResult],
        dust: Mapping[BucketKey, Decimal],
        now: datetime,
    ) -> None:
        await self.gate(f"before {new}")
        assert not new.is_open
        self._move(close_id, old, new)
        ended = replace(
            self.requests[close_id], code=code, detail=detail, legs=tuple(legs), ended_at=now
        )
        self.requests[close_id] = ended
        is_done = new is RequestState.DONE
        status = PositionStatus.CLOSED if is_done else PositionStatus.ACTIVE
        position = self.positions[ended.position_id]
        self.positions[position.id] = replace(position, status=status)
        for key, quantity in dust.items():
            self.beside[key] = self.beside.get(key, ZERO) + quantity
        await self.gate(f"after {new}")

    async def cancel(self, user_id: UserId, close_id: CloseId, now: datetime) -> CloseRequest:
        request = self.requests[close_id]
        if (request.state, RequestState.CANCELLED) not in _REQUEST_MOVES:
            raise Conflict("already-sending", "an order may have left")
        self._move(close_id, request.state, RequestState.CANCELLED)
        return self.requests[close_id]

    def new_order_id(self) -> CloseOrderId:
        raise NotImplementedError("the close has its own")

    # --- inside -----------------------------------------------------------------------------

    def _move(self, close_id: CloseId, old: RequestState, new: RequestState) -> None:
        request = self.requests.get(close_id)
        if request is None:
            raise NotFound("unknown-close", "there is no such close")
        if request.state is not old:
            raise Conflict("lost-update", f"the close is {request.state}, not {old}")
        assert (old, new) in _REQUEST_MOVES
        self.requests[close_id] = replace(request, state=new)

    def _close_of(self, component_id: ComponentId, quantity: Decimal) -> None:
        for position in self.positions.values():
            components = tuple(
                replace(c, closed_quantity=min(c.quantity, c.closed_quantity + quantity))
                if c.id == component_id
                else c
                for c in position.components
            )
            self.positions[position.id] = replace(position, components=components)


def _reachable(moves: set[tuple[S, S]]) -> set[tuple[S, S]]:
    """Pairs of states with at most two moves between them."""
    return moves | {(a, d) for a, b in moves for c, d in moves if b == c}
