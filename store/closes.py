"""Close requests and their orders: the write-ahead log of closing.

Locks are taken in one order everywhere: leadership, positions by id, request, legs and orders,
unassigned quantities, account, deviations. Whoever holds a position's row is alone with all that
belongs to it, and whoever holds an account's is alone with its deviations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from uuid import uuid4

from ..daemon.domain.errors import Conflict, NotFound
from ..daemon.domain.model import BucketKey, CloseId, CloseOrderId, Fill, PositionId, UserId
from ..daemon.domain.orders import (
    AcceptedClose,
    CloseOrder,
    CloseRequest,
    LegResult,
    RequestState,
)
from . import close_rows, deviations
from .acceptance import Ask, accept
from .fills import add_fills
from .journal import Event, note
from .leadership import HeldEpoch
from .pool import Connection, Database, Row
from .refusals import explained
from .rows import bucket_columns
from .sql import SQL


class Closes:
    """The port `Closes` on Postgres."""

    def __init__(self, database: Database, held: HeldEpoch) -> None:
        self._database = database
        self._held = held

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
        ask = Ask(user_id, position_id, idempotency_key, fingerprint, expires_at, now)
        async with self._database.transaction() as connection:
            return await accept(connection, ask)

    async def request(self, close_id: CloseId) -> CloseRequest | None:
        found = close_rows.requests(await self._database.fetch(SQL["request"], close_id))
        return found[0] if found else None

    async def last_requests(self, positions: Sequence[PositionId]) -> list[CloseRequest]:
        wanted = list(dict.fromkeys(positions))
        return close_rows.requests(await self._database.fetch(SQL["last_requests"], wanted))

    async def open_requests(self) -> list[CloseRequest]:
        return close_rows.requests(await self._database.fetch(SQL["open_requests"]))

    async def orders(self, close_id: CloseId) -> list[CloseOrder]:
        found = await self._database.fetch(SQL["close_orders"], close_id)
        return [close_rows.order(row) for row in found]

    async def move_request(
        self, close_id: CloseId, old: RequestState, new: RequestState, detail: str | None = None
    ) -> None:
        if not new.is_open:
            raise ValueError(f"{new} ends a request: finish it")
        async with self._database.transaction() as connection:
            await self._held.fence(connection)
            await _move(connection, close_id, old, new, detail)

    async def write_ahead(
        self, close_id: CloseId, old: RequestState, orders: Sequence[CloseOrder]
    ) -> None:
        async with self._database.transaction() as connection:
            epoch = await self._held.fence(connection)
            await _move(connection, close_id, old, RequestState.SENDING, None)
            with explained():
                columns = [close_rows.order_columns(order, epoch) for order in orders]
                await connection.executemany(SQL["insert_order"], columns)

    async def save_order(self, order: CloseOrder) -> None:
        async with self._database.transaction() as connection:
            epoch = await self._held.fence(connection)
            with explained():
                moved = await connection.fetchval(
                    SQL["save_order"],
                    order.id,
                    order.state,
                    order.order_id,
                    order.signed_at,
                    order.dies_at,
                    order.average_price,
                    order.status,
                    order.detail,
                    epoch,
                )
            if moved is None:
                raise NotFound("unknown-order", f"there is no close order {order.id}")

    async def add_fills(self, order: CloseOrder, fills: Sequence[Fill]) -> CloseOrder:
        # Not fenced: a fill is a fact whoever reports it, and is booked once by its exec id.
        async with self._database.transaction() as connection:
            return await add_fills(connection, order, fills)

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
        if new.is_open:
            raise ValueError(f"{new} does not end a request")
        async with self._database.transaction() as connection:
            await self._held.fence(connection)
            position = await connection.fetchrow(SQL["lock_position_of_close"], close_id)
            if position is None:
                raise NotFound("unknown-close", f"there is no close {close_id}")
            with explained():
                ended = await connection.fetchval(
                    SQL["end_request"], close_id, old, new, code, detail, now
                )
                if ended is None:
                    raise _lost_update(close_id, old)
                await _write_legs(connection, close_id, legs)
                await _add_dust(connection, dust)
            if new is RequestState.DONE:
                await connection.execute(SQL["mark_closed"], position["id"], now)
            else:
                await connection.execute(SQL["mark_active_again"], position["id"])
            await note(
                connection,
                Event(
                    at=now,
                    kind=f"close-{new.lower()}",
                    account_id=position["account_id"],
                    position_id=position["id"],
                    close_id=close_id,
                    data=_account_of_end(code, detail, legs, dust),
                ),
            )
            await deviations.end_ownerless(connection, position["account_id"], now)

    async def cancel(self, user_id: UserId, close_id: CloseId, now: datetime) -> CloseRequest:
        async with self._database.transaction() as connection:
            position = await _lock_position_of(connection, user_id, close_id)
            if await connection.fetchval(SQL["cancel_request"], close_id, now) is None:
                raise await _why_not_cancelled(connection, close_id)
            await connection.execute(SQL["mark_active_again"], position["id"])
            await note(
                connection,
                Event(
                    at=now,
                    kind="close-cancelled",
                    account_id=position["account_id"],
                    position_id=position["id"],
                    close_id=close_id,
                    actor=user_id,
                ),
            )
            return close_rows.requests(await connection.fetch(SQL["request"], close_id))[0]

    def new_order_id(self) -> CloseOrderId:
        return CloseOrderId(uuid4())


async def _lock_position_of(connection: Connection, user_id: UserId, close_id: CloseId) -> Row:
    """NotFound for unknown and foreign alike."""
    for request in close_rows.requests(await connection.fetch(SQL["request"], close_id)):
        position = await connection.fetchrow(
            SQL["lock_position_of_user"], request.position_id, user_id
        )
        if position is not None:
            return position
    raise NotFound("unknown-close", "there is no such close")


async def _move(
    connection: Connection,
    close_id: CloseId,
    old: RequestState,
    new: RequestState,
    detail: str | None,
) -> None:
    with explained():
        moved = await connection.fetchval(SQL["move_request"], close_id, old, new, detail)
    if moved is None:
        raise _lost_update(close_id, old)


def _lost_update(close_id: CloseId, old: RequestState) -> Conflict:
    return Conflict("lost-update", f"close {close_id} is not {old} any more")


async def _why_not_cancelled(connection: Connection, close_id: CloseId) -> Conflict:
    (request,) = close_rows.requests(await connection.fetch(SQL["request"], close_id))
    if not request.state.is_open:
        return Conflict("already-ended", "the close has ended already")
    return Conflict("already-sending", "an order of the close may have left already")


async def _write_legs(connection: Connection, close_id: CloseId, legs: Sequence[LegResult]) -> None:
    written = await connection.fetch(
        SQL["write_legs"],
        close_id,
        [leg.component_id for leg in legs],
        [leg.outcome for leg in legs],
        [leg.filled for leg in legs],
        [leg.average_price for leg in legs],
        [leg.detail for leg in legs],
    )
    if len(written) != len(legs):
        raise NotFound("unknown-component", f"a leg is not part of close {close_id}")


async def _add_dust(connection: Connection, dust: Mapping[BucketKey, Decimal]) -> None:
    if dust:
        keys = sorted(dust)
        quantities = [dust[key] for key in keys]
        await connection.execute(SQL["add_unassigned"], *bucket_columns(keys), quantities)


def _account_of_end(
    code: str | None,
    detail: str | None,
    legs: Sequence[LegResult],
    dust: Mapping[BucketKey, Decimal],
) -> Mapping[str, object]:
    return {
        "code": code,
        "detail": detail,
        "legs": [
            {
                "component_id": leg.component_id,
                "outcome": leg.outcome,
                "filled": leg.filled,
                "average_price": leg.average_price,
                "detail": leg.detail,
            }
            for leg in legs
        ],
        "dust": [
            {"symbol": key.symbol, "position_idx": key.position_idx, "quantity": quantity}
            for key, quantity in sorted(dust.items())
        ],
    }
