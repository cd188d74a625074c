"""The recorded rows in memory, with the guards that the store's ports promise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TypeVar
from uuid import UUID

from positiond.daemon.domain.allocation import closed_by, is_whole
from positiond.daemon.domain.buckets import SymbolKey, place_of
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
    AcceptedSet,
    CloseEnding,
    CloseOrder,
    CloseRequest,
    CloseTerms,
    Netting,
    RequestState,
)
from positiond.daemon.domain.pnl import average_price
from positiond.daemon.domain.records import (
    BucketClaims,
    DeviationRecord,
    PnlWrite,
    PositionEdit,
    VerdictWrite,
)
from positiond.daemon.domain.resolving import Resolution

from ...builders import close_request, uuid_of
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
        self.netted: dict[tuple[CloseId, ComponentId], Netting] = {}
        self.paused = False
        self.expiry = timedelta(minutes=15)

    def open_close(
        self,
        position: Position,
        terms: CloseTerms | None = None,
        set_id: UUID | None = None,
    ) -> CloseRequest:
        """Accept a close without any of the desk's ceremony."""
        stored = replace(self.positions[position.id], status=PositionStatus.CLOSING)
        self.positions[position.id] = stored
        request = close_request(stored, created_at=now(), expires_at=now() + self.expiry)
        opened = {component.id: component.open for component in stored.components}
        request = replace(request, open_at_acceptance=opened)
        terms = terms or CloseTerms()
        part = terms.fraction if terms.fraction is not None else Decimal(1)
        targets = {leg: quantity * part for leg, quantity in opened.items()}
        request = replace(request, terms=terms, set_id=set_id, targets=targets)
        self.requests[request.id] = request
        return request

    def open_set(self, *positions: Position, terms: CloseTerms | None = None) -> list[CloseRequest]:
        """Accept a close of all of them together."""
        set_id = uuid_of(f"set at {now()}")
        return [self.open_close(one, terms, set_id) for one in positions]

    # --- Switches ---------------------------------------------------------------------------

    async def trading_paused(self) -> bool:
        return self.paused

    # --- Positions --------------------------------------------------------------------------

    async def load_open(self) -> list[Position]:
        return [p for p in self.positions.values() if p.status is not PositionStatus.CLOSED]

    async def recorded_mark(self) -> str:
        recorded = [p for p in self.positions.values() if p.status is not PositionStatus.CLOSED]
        return f"{recorded} {self.beside}"

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
            if place_of(position.account_id, component) == SymbolKey(account_id, category, symbol)
        )
        here = {
            key.position_idx: quantity
            for key, quantity in self.beside.items()
            if (key.account_id, key.category, key.symbol) == (account_id, category, symbol)
        }
        doubtful = {
            component.symbol
            for position in await self.load_open()
            for component in position.components
            if component.category is category is Category.SPOT
            and component.coin is None
            and component.symbol.startswith(symbol)
            and component.open > 0
            and position.account_id == account_id
        }
        return BucketClaims(components, here, tuple(sorted(doubtful)))

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
        terms: CloseTerms,
        idempotency_key: str | None,
        fingerprint: str,
        expires_at: datetime,
        now: datetime,
        refusal: Conflict | None = None,
    ) -> AcceptedClose:
        raise NotImplementedError("accepted by open_close")

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
        raise NotImplementedError("accepted by open_set")

    async def requests_of_set(self, set_id: UUID) -> list[CloseRequest]:
        return [r for r in self.requests.values() if r.set_id == set_id]

    async def request(self, close_id: CloseId) -> CloseRequest | None:
        return self.requests.get(close_id)

    async def last_requests(self, positions: Sequence[PositionId]) -> list[CloseRequest]:
        return [r for r in self.requests.values() if r.position_id in positions]

    async def open_requests(self) -> list[CloseRequest]:
        return [r for r in self.requests.values() if r.state.is_open]

    async def orders(self, close_ids: Sequence[CloseId]) -> list[CloseOrder]:
        wanted = set(close_ids)
        rows = self.rows.values()
        return [row for row in rows if wanted & {part.close_id for part in row.shares}]

    async def nettings(self, close_ids: Sequence[CloseId]) -> list[Netting]:
        return [n for n in self.netted.values() if n.close_id in close_ids]

    async def move_requests(
        self,
        close_ids: Sequence[CloseId],
        old: RequestState,
        new: RequestState,
    ) -> None:
        await self.gate(f"before {old} to {new}")
        self._move(close_ids, old, new)
        await self.gate(f"after {old} to {new}")

    async def write_ahead(
        self,
        close_ids: Sequence[CloseId],
        old: RequestState,
        new: RequestState,
        orders: Sequence[CloseOrder],
    ) -> None:
        await self.gate("before write-ahead")
        for order in orders:
            known = [row.link_id for row in self.rows.values()]
            assert order.link_id not in known, "an order's id is used once"
            assert is_whole(order.shares, order.quantity), "the parts are the order"
            mine = {part.component_id for part in order.shares}
            attempts = [
                row
                for row in self.rows.values()
                if mine & {part.component_id for part in row.shares}
            ]
            assert all(row.state.is_settled for row in attempts), "one live attempt per leg"
            same = [row for row in attempts if row.close_id in close_ids]
            assert order.attempt not in {row.attempt for row in same}
            assert {part.close_id for part in order.shares} <= set(close_ids)
        self._move(close_ids, old, new)
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
            if (fill.symbol, fill.side) != (order.instrument_symbol, order.side):
                raise Conflict("foreign-fill", f"{fill.exec_id} cannot be of {order.link_id}")
        new = [f for f in fills if f.exec_id not in self.executions and f.changes_size]
        self.executions |= {f.exec_id: f for f in new}
        quantity = sum((f.quantity for f in new), ZERO)
        row = self.rows[order.id]
        booked = [f for f in self.executions.values() if f.link_id == row.link_id]
        average = average_price(row.bucket.category, [(f.quantity, f.price) for f in booked])
        after = replace(row, filled=row.filled + quantity, average_price=average)
        self.rows[order.id] = after
        before = closed_by(row.shares, row.quantity, row.filled, row.step)
        for leg, closed in closed_by(row.shares, row.quantity, after.filled, row.step).items():
            self._close_of(leg, closed - before[leg])
        await self.gate("after fills")
        return self.rows[order.id]

    async def book_nettings(self, nettings: Sequence[Netting]) -> None:
        await self.gate("before netting")
        for netting in nettings:
            key = netting.close_id, netting.component_id
            if key not in self.netted:
                self.netted[key] = netting
                self._close_of(netting.component_id, netting.quantity)
        await self.gate("after netting")

    async def extend(self, close_ids: Sequence[CloseId], expires_at: datetime) -> None:
        for close_id in close_ids:
            self.requests[close_id] = replace(self.requests[close_id], expires_at=expires_at)

    async def finish(
        self, endings: Sequence[CloseEnding], old: RequestState, now: datetime
    ) -> None:
        news = sorted({ending.new.value for ending in endings})
        await self.gate(f"before {news}")
        for ending in endings:
            assert not ending.new.is_open
            self._move([ending.close_id], old, ending.new)
            ended = replace(
                self.requests[ending.close_id],
                code=ending.code,
                detail=ending.detail,
                legs=ending.legs,
                ended_at=now,
            )
            self.requests[ending.close_id] = ended
            for key, quantity in ending.dust.items():
                if key.category is not Category.SPOT:
                    self.beside[key] = self.beside.get(key, ZERO) + quantity
            self._end_position(ended)
        await self.gate(f"after {news}")

    def _end_position(self, ended: CloseRequest) -> None:
        position = self.positions[ended.position_id]
        is_whole_close = ended.terms.fraction in (None, Decimal(1))
        is_over = is_whole_close or all(c.open == 0 for c in position.components)
        is_closed = ended.state is RequestState.DONE and is_over
        status = PositionStatus.CLOSED if is_closed else PositionStatus.ACTIVE
        self.positions[position.id] = replace(position, status=status)

    async def cancel(self, user_id: UserId, close_id: CloseId, now: datetime) -> CloseRequest:
        request = self.requests[close_id]
        if (request.state, RequestState.CANCELLED) not in _REQUEST_MOVES:
            raise Conflict("already-sending", "an order may have left")
        of_set = [r.id for r in self.requests.values() if r.set_id == request.set_id]
        ids = of_set if request.set_id else [close_id]
        self._move(ids, request.state, RequestState.CANCELLED)
        return self.requests[close_id]

    def new_order_id(self) -> CloseOrderId:
        raise NotImplementedError("the close has its own")

    # --- inside -----------------------------------------------------------------------------

    def _move(self, close_ids: Sequence[CloseId], old: RequestState, new: RequestState) -> None:
        for close_id in close_ids:
            request = self.requests.get(close_id)
            if request is None:
                raise NotFound("unknown-close", "there is no such close")
            if request.state is not old:
                raise Conflict("lost-update", f"the close is {request.state}, not {old}")
            assert (old, new) in _REQUEST_MOVES
        for close_id in close_ids:
            self.requests[close_id] = replace(self.requests[close_id], state=new)

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
