"""Booking fills, once and for all: by the exec id, in one transaction with all they change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..daemon.domain.errors import Conflict, NotFound
from ..daemon.domain.model import ZERO, Booked, Component, ComponentId, Fill, PositionId
from ..daemon.domain.orders import CloseOrder, OrderPart
from ..daemon.domain.pnl import average_price
from . import close_rows, deviations, rows
from .booking import Booking, book, in_order, split
from .journal import Event, note
from .pool import Connection
from .sql import SQL


async def add_fills(connection: Connection, order: CloseOrder, fills: Sequence[Fill]) -> CloseOrder:
    """Book those of the fills that are new; the order as it now stands.

    Conflict `foreign-fill` for a fill that cannot be the order's: nothing is booked then.
    """
    await connection.fetch(SQL["lock_positions_of_order"], order.id)
    # Read after the locks: nobody else can be booking fills of it, or of a leg of it.
    stored = await _stored(connection, order)
    legs = await components(connection, [part.component_id for part in stored.shares])
    for fill in fills:
        _check_is_of(stored, legs[stored.component_id], fill)
    new = await _insert_new(connection, stored, legs[stored.component_id], fills)
    if not new:
        return stored
    await _raise_order(connection, stored, new)
    pieces = split(stored, new)
    bookings = {key: book(legs[key], pieces[key], stored.settle_coin) for key in legs}
    await _write(connection, stored, legs, bookings, new)
    if any(bookings[key].quantity == leg.open for key, leg in legs.items()):
        await deviations.end_ownerless(connection, stored.bucket.account_id, new[-1].executed_at)
    return await _stored(connection, stored)


async def components(
    connection: Connection, ids: Sequence[ComponentId]
) -> dict[ComponentId, Component]:
    found = [rows.component(row) for row in await connection.fetch(SQL["components"], list(ids))]
    return {component.id: component for component in found}


async def add_to_booked(
    connection: Connection, position_id: PositionId, money: Sequence[Booked]
) -> None:
    """The position's row is locked: nobody else changes its sums."""
    await connection.execute(
        SQL["add_to_booked"],
        position_id,
        [sums.coin for sums in money],
        [sums.fees for sums in money],
        [sums.realized_pnl for sums in money],
    )


async def _stored(connection: Connection, order: CloseOrder) -> CloseOrder:
    row = await connection.fetchrow(SQL["close_order"], order.id)
    if row is None:
        raise NotFound("unknown-order", f"there is no close order {order.id}")
    return close_rows.order(row)


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
    """Those that were not booked before, as they happened."""
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
    return in_order([by_id[row["exec_id"]] for row in inserted])


async def _raise_order(connection: Connection, order: CloseOrder, new: Sequence[Fill]) -> None:
    booked = await connection.fetch(SQL["executions_of_order"], order.id)
    average = average_price(
        order.bucket.category, [(row["quantity"], row["price"]) for row in booked]
    )
    quantity = sum((fill.quantity for fill in new), ZERO)
    await connection.execute(SQL["raise_order_fill"], order.id, quantity, average)


async def _write(
    connection: Connection,
    order: CloseOrder,
    legs: Mapping[ComponentId, Component],
    bookings: Mapping[ComponentId, Booking],
    fills: Sequence[Fill],
) -> None:
    executed_at = {fill.exec_id: fill.executed_at for fill in fills}
    closed = [
        (exec_id, key, quantity)
        for key, booking in bookings.items()
        for exec_id, quantity in booking.closed.items()
    ]
    await connection.execute(
        SQL["insert_leg_fills"],
        order.bucket.account_id,
        [exec_id for exec_id, _, _ in closed],
        [key for _, key, _ in closed],
        [quantity for _, _, quantity in closed],
        [executed_at[exec_id] for exec_id, _, _ in closed],
    )
    # Not those of which nothing was closed: whoever is told of a change looks at them again.
    raised = [key for key, booking in bookings.items() if booking.closed]
    if raised:
        quantities = [bookings[key].quantity for key in raised]
        await connection.execute(SQL["raise_closed_quantities"], raised, quantities)
    for part in order.shares:
        leg, booking = legs[part.component_id], bookings[part.component_id]
        await add_to_booked(connection, leg.position_id, booking.money)
        if booking.beyond:
            await note(connection, _beyond_open(order, part, leg, booking, fills))


def _beyond_open(
    order: CloseOrder, part: OrderPart, leg: Component, booking: Booking, fills: Sequence[Fill]
) -> Event:
    return Event(
        at=fills[-1].executed_at,
        kind="fill-beyond-open",
        account_id=order.bucket.account_id,
        position_id=leg.position_id,
        close_id=part.close_id,
        data={
            "component_id": leg.id,
            "link_id": order.link_id,
            "open": leg.open,
            "filled": booking.quantity + booking.beyond,
            "beyond": booking.beyond,
            "executions": [fill.exec_id for fill in fills],
        },
    )
