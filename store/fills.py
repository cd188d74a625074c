"""Booking fills, once and for all: by the exec id, in one transaction with all they change."""

from __future__ import annotations

from collections.abc import Sequence

from ..daemon.domain.errors import Conflict, NotFound
from ..daemon.domain.model import Component, Fill
from ..daemon.domain.orders import CloseOrder
from . import close_rows, rows
from .booking import Booking, book
from .journal import Event, note
from .pool import Connection
from .sql import SQL


async def add_fills(connection: Connection, order: CloseOrder, fills: Sequence[Fill]) -> CloseOrder:
    """Book those of the fills that are new; the order as it now stands.

    Conflict `foreign-fill` for a fill that cannot be the order's: nothing is booked then.
    """
    for fill in fills:
        _check_is_of(order, fill)
    position_id = await connection.fetchval(SQL["lock_position_of_component"], order.component_id)
    if position_id is None:
        raise NotFound("unknown-component", f"there is no component {order.component_id}")
    new = await _insert_new(connection, order, fills)
    if new:
        # Read after the lock: nobody else can be booking fills of the same component.
        component = rows.component(await connection.fetchrow(SQL["component"], order.component_id))
        booking = book(component, new)
        await connection.execute(SQL["raise_order_fill"], order.id, booking.filled)
        if booking.closed:
            await connection.execute(
                SQL["raise_closed_quantity"], order.component_id, booking.closed
            )
        await connection.execute(
            SQL["add_to_ledger"], position_id, booking.fees, booking.realized_pnl
        )
        if booking.beyond:
            await note(connection, _beyond_open(order, component, new, booking))
    return close_rows.order(await connection.fetchrow(SQL["close_order"], order.id))


def _check_is_of(order: CloseOrder, fill: Fill) -> None:
    ours = (order.bucket.category, order.bucket.symbol, order.side)
    if (fill.category, fill.symbol, fill.side) != ours:
        raise Conflict(
            "foreign-fill",
            f"execution {fill.exec_id} ({fill.category} {fill.symbol} {fill.side}) cannot be of "
            f"order {order.link_id}",
        )


async def _insert_new(
    connection: Connection, order: CloseOrder, fills: Sequence[Fill]
) -> list[Fill]:
    by_id = {fill.exec_id: fill for fill in fills if fill.changes_size}
    given = list(by_id.values())
    if not given:
        return []
    inserted = await connection.fetch(
        SQL["insert_executions"],
        order.bucket.account_id,
        order.id,
        order.bucket.category,
        order.bucket.symbol,
        order.side,
        [fill.exec_id for fill in given],
        [fill.order_id for fill in given],
        [fill.link_id for fill in given],
        [fill.price for fill in given],
        [fill.quantity for fill in given],
        [fill.fee for fill in given],
        [fill.fee_coin for fill in given],
        [fill.exec_type for fill in given],
        [fill.create_type for fill in given],
        [fill.executed_at for fill in given],
        [fill.seq for fill in given],
    )
    return [by_id[row["exec_id"]] for row in inserted]


def _beyond_open(
    order: CloseOrder, component: Component, fills: Sequence[Fill], booking: Booking
) -> Event:
    return Event(
        at=max(fill.executed_at for fill in fills),
        kind="fill-beyond-open",
        account_id=order.bucket.account_id,
        position_id=component.position_id,
        close_id=order.close_id,
        data={
            "component_id": component.id,
            "link_id": order.link_id,
            "open": component.open,
            "filled": booking.filled,
            "beyond": booking.beyond,
            "executions": [fill.exec_id for fill in fills],
        },
    )
