"""Booking fills, once and for all: by the exec id, in one transaction with all they change."""

from __future__ import annotations

from collections.abc import Sequence

from ..daemon.domain.errors import Conflict, NotFound
from ..daemon.domain.model import Component, Fill
from ..daemon.domain.orders import CloseOrder
from . import close_rows, deviations, rows
from .booking import Booking, book
from .journal import Event, note
from .pool import Connection
from .sql import SQL


async def add_fills(connection: Connection, order: CloseOrder, fills: Sequence[Fill]) -> CloseOrder:
    """Book those of the fills that are new; the order as it now stands.

    Conflict `foreign-fill` for a fill that cannot be the order's: nothing is booked then.
    """
    position_id = await connection.fetchval(SQL["lock_position_of_component"], order.component_id)
    if position_id is None:
        raise NotFound("unknown-component", f"there is no component {order.component_id}")
    # Read after the lock: nobody else can be booking fills of the same component.
    component = rows.component(await connection.fetchrow(SQL["component"], order.component_id))
    for fill in fills:
        _check_is_of(order, component, fill)
    new = await _insert_new(connection, order, component, fills)
    if new:
        booking = book(component, new, order.settle_coin)
        await connection.execute(SQL["raise_order_fill"], order.id, booking.filled)
        if booking.closed:
            await connection.execute(SQL["raise_closed_quantity"], component.id, booking.closed)
        await _add_to_booked(connection, component, booking)
        if booking.beyond:
            await note(connection, _beyond_open(order, component, new, booking))
        if booking.closed == component.open:
            at = max(fill.executed_at for fill in new)
            await deviations.end_ownerless(connection, order.bucket.account_id, at)
    return close_rows.order(await connection.fetchrow(SQL["close_order"], order.id))


async def _add_to_booked(connection: Connection, component: Component, booking: Booking) -> None:
    await connection.execute(
        SQL["add_to_booked"],
        component.position_id,
        [money.coin for money in booking.money],
        [money.fees for money in booking.money],
        [money.realized_pnl for money in booking.money],
    )


def _check_is_of(order: CloseOrder, component: Component, fill: Fill) -> None:
    ours = (component.category, component.symbol, order.side)
    if (fill.category, fill.symbol, fill.side) != ours:
        raise Conflict(
            "foreign-fill",
            f"execution {fill.exec_id} ({fill.category} {fill.symbol} {fill.side}) cannot be of "
            f"order {order.link_id}",
        )


async def _insert_new(
    connection: Connection, order: CloseOrder, component: Component, fills: Sequence[Fill]
) -> list[Fill]:
    by_id = {fill.exec_id: fill for fill in fills if fill.changes_size}
    given = list(by_id.values())
    if not given:
        return []
    inserted = await connection.fetch(
        SQL["insert_executions"],
        order.bucket.account_id,
        order.id,
        component.category,
        component.symbol,
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
