"""Close requests and their orders: the write-ahead log of closing.

Locks are taken in one order everywhere: leadership, positions by id, requests by id, legs and
orders, unassigned quantities, account, deviations. Whoever holds a position's row is alone with
all that belongs to it, and whoever holds an account's is alone with its deviations.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID, uuid4

from ..daemon.domain.errors import Conflict, NotFound
from ..daemon.domain.model import CloseId, CloseOrderId, Fill, PositionId, UserId
from ..daemon.domain.orders import (
    AcceptedClose,
    AcceptedSet,
    CloseEnding,
    CloseOrder,
    CloseRequest,
    CloseTerms,
    Netting,
    RequestState,
)
from . import close_rows
from .acceptance import Ask, accept, accept_set
from .ending import cancel, finish, lost_update
from .fills import add_fills
from .leadership import HeldEpoch
from .nettings import book_nettings
from .pool import Connection, Database
from .refusals import explained
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
        terms: CloseTerms,
        idempotency_key: str | None,
        fingerprint: str,
        expires_at: datetime,
        now: datetime,
        refusal: Conflict | None = None,
    ) -> AcceptedClose:
        ask = Ask(user_id, terms, idempotency_key, fingerprint, expires_at, now, refusal)
        async with self._database.transaction() as connection:
            return await accept(connection, ask, position_id)

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
        ask = Ask(user_id, terms, idempotency_key, fingerprint, expires_at, now, refusal)
        async with self._database.transaction() as connection:
            return await accept_set(connection, ask, position_ids)

    # --- reading ----------------------------------------------------------------------------

    async def request(self, close_id: CloseId) -> CloseRequest | None:
        found = close_rows.requests(await self._database.fetch(SQL["request"], close_id))
        return found[0] if found else None

    async def requests_of_set(self, set_id: UUID) -> list[CloseRequest]:
        return close_rows.requests(await self._database.fetch(SQL["requests_of_set"], set_id))

    async def last_requests(self, positions: Sequence[PositionId]) -> list[CloseRequest]:
        wanted = list(dict.fromkeys(positions))
        return close_rows.requests(await self._database.fetch(SQL["last_requests"], wanted))

    async def open_requests(self) -> list[CloseRequest]:
        return close_rows.requests(await self._database.fetch(SQL["open_requests"]))

    async def orders(self, close_ids: Sequence[CloseId]) -> list[CloseOrder]:
        found = await self._database.fetch(SQL["close_orders"], list(close_ids))
        return [close_rows.order(row) for row in found]

    async def nettings(self, close_ids: Sequence[CloseId]) -> list[Netting]:
        found = await self._database.fetch(SQL["nettings"], list(close_ids))
        return [close_rows.netting(row) for row in found]

    # --- moving on --------------------------------------------------------------------------

    async def move_requests(
        self,
        close_ids: Sequence[CloseId],
        old: RequestState,
        new: RequestState,
    ) -> None:
        if not new.is_open:
            raise ValueError(f"{new} ends a request: finish it")
        async with self._database.transaction() as connection:
            await self._held.fence(connection)
            await _move(connection, close_ids, old, new)

    async def write_ahead(
        self,
        close_ids: Sequence[CloseId],
        old: RequestState,
        new: RequestState,
        orders: Sequence[CloseOrder],
    ) -> None:
        shared = {part.close_id for order in orders for part in order.shares}
        if not shared <= set(close_ids) or not new.is_open:
            # A request that is not moved with its orders could end, or be cancelled, beside them.
            raise ValueError("an order has a part in a close that is not moved with it")
        async with self._database.transaction() as connection:
            epoch = await self._held.fence(connection)
            await _move(connection, close_ids, old, new)
            with explained():
                columns = [close_rows.order_columns(order, epoch) for order in orders]
                await connection.executemany(SQL["insert_order"], columns)
                parts = [close_rows.part_columns(order) for order in orders]
                await connection.executemany(SQL["insert_order_parts"], parts)

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

    async def book_nettings(self, nettings: Sequence[Netting]) -> None:
        # Fenced: unlike a fill it is no fact of the exchange's, but what a leader decided.
        async with self._database.transaction() as connection:
            await self._held.fence(connection)
            await book_nettings(connection, nettings)

    async def extend(self, close_ids: Sequence[CloseId], expires_at: datetime) -> None:
        async with self._database.transaction() as connection:
            await self._held.fence(connection)
            await connection.execute(SQL["extend_requests"], list(close_ids), expires_at)

    # --- the end ----------------------------------------------------------------------------

    async def finish(
        self, endings: Sequence[CloseEnding], old: RequestState, now: datetime
    ) -> None:
        if still_open := [ending.new for ending in endings if ending.new.is_open]:
            raise ValueError(f"{still_open[0]} does not end a request")
        async with self._database.transaction() as connection:
            await self._held.fence(connection)
            await finish(connection, endings, old, now)

    async def cancel(self, user_id: UserId, close_id: CloseId, now: datetime) -> CloseRequest:
        async with self._database.transaction() as connection:
            await cancel(connection, user_id, close_id, now)
            return close_rows.requests(await connection.fetch(SQL["request"], close_id))[0]

    def new_order_id(self) -> CloseOrderId:
        return CloseOrderId(uuid4())


async def _move(
    connection: Connection,
    close_ids: Sequence[CloseId],
    old: RequestState,
    new: RequestState,
) -> None:
    with explained():
        moved = await connection.fetch(SQL["move_requests"], list(close_ids), old, new)
    if len(moved) != len(set(close_ids)):
        raise lost_update(close_ids, old)
