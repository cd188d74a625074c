"""Legs closed against each other, because on Bybit nothing of them is left to be sent."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from ..daemon.domain.errors import Conflict
from ..daemon.domain.model import ZERO, Booked, CloseId, Component
from ..daemon.domain.orders import Netting
from . import deviations
from .booking import realized_by
from .fills import add_to_booked, components
from .journal import Event, note
from .pool import Connection, Row
from .refusals import explained
from .sql import SQL


async def book_nettings(connection: Connection, nettings: Sequence[Netting]) -> None:
    """Book those that are new, once per close and leg.

    Conflict `netting-unbalanced` where they are not as much on either side of each symbol,
    `netting-beyond-open` where a leg has less; `already-ended` where a close ended without one.
    """
    close_ids = sorted({netting.close_id for netting in nettings})
    closes = await connection.fetch(SQL["lock_positions_of_closes"], close_ids)
    legs = await components(connection, [netting.component_id for netting in nettings])
    _check_balance([(legs[n.component_id], n) for n in nettings if n.component_id in legs])
    added = await _insert(connection, nettings)
    account = {CloseId(row["close_id"]): row for row in closes}
    for netting in nettings:
        at = added.get((netting.close_id, netting.component_id))
        if at is not None:
            leg = legs[netting.component_id]
            await _close(connection, account[netting.close_id], leg, netting, at)
    for account_id in {row["account_id"] for row in closes} if added else ():
        await deviations.end_ownerless(connection, account_id, max(added.values()))


def _check_balance(sides: Sequence[tuple[Component, Netting]]) -> None:
    """One side alone would close what nobody sold: the other side of it is still on Bybit."""
    for place in {(leg.category, leg.symbol) for leg, _ in sides}:
        there = [(leg, n) for leg, n in sides if (leg.category, leg.symbol) == place]
        if sum((leg.side.sign * n.quantity for leg, n in there), ZERO) != 0:
            raise Conflict("netting-unbalanced", f"what nets in {place[1]} is not the same amount")


async def _insert(
    connection: Connection, nettings: Sequence[Netting]
) -> dict[tuple[object, object], datetime]:
    """When those were booked that are new."""
    with explained():
        found = await connection.fetch(
            SQL["insert_nettings"],
            [netting.close_id for netting in nettings],
            [netting.component_id for netting in nettings],
            [netting.quantity for netting in nettings],
            [netting.price for netting in nettings],
            [netting.settle_coin for netting in nettings],
        )
    added = {(row["close_id"], row["component_id"]): row["at"] for row in found}
    close_ids = list({netting.close_id for netting in nettings})
    stored = await connection.fetch(SQL["nettings"], close_ids)
    keys = {(row["close_id"], row["component_id"]) for row in stored}
    if any((netting.close_id, netting.component_id) not in keys for netting in nettings):
        raise Conflict("already-ended", "a close of the legs to be netted has ended already")
    return added


async def _close(
    connection: Connection, position: Row, leg: Component, netting: Netting, at: datetime
) -> None:
    if netting.quantity > leg.open:
        raise Conflict("netting-beyond-open", f"{leg.symbol}: only {leg.open:f} is open")
    realized = realized_by(leg, netting.quantity, netting.price)
    await connection.execute(SQL["raise_closed_quantities"], [leg.id], [netting.quantity])
    await add_to_booked(
        connection, leg.position_id, [Booked(netting.settle_coin, realized_pnl=realized)]
    )
    await note(
        connection,
        Event(
            at=at,
            kind="leg-netted",
            account_id=position["account_id"],
            position_id=leg.position_id,
            close_id=netting.close_id,
            data={
                "component_id": leg.id,
                "symbol": leg.symbol,
                "quantity": netting.quantity,
                "price": netting.price,
            },
        ),
    )
