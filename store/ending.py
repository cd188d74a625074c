"""How closes end: each request with its legs and its position, all of a job in one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from ..daemon.domain.buckets import place_of
from ..daemon.domain.errors import Conflict, NotFound
from ..daemon.domain.model import (
    AccountId,
    BucketKey,
    Category,
    CloseId,
    Component,
    ComponentId,
    Side,
    UserId,
)
from ..daemon.domain.orders import CloseEnding, LegResult, RequestState
from ..daemon.domain.resolving import Change
from . import close_rows, deviations, rows
from .journal import Event, note
from .pool import Connection, Row
from .refusals import explained
from .sql import SQL


def lost_update(close_ids: Sequence[CloseId], old: RequestState) -> Conflict:
    names = ", ".join(map(str, close_ids))
    return Conflict("lost-update", f"not all of the closes {names} are {old} any more")


async def finish(
    connection: Connection, endings: Sequence[CloseEnding], old: RequestState, now: datetime
) -> None:
    """End all of them or none; the positions are locked first, as by whoever cancels."""
    by_id = {ending.close_id: ending for ending in endings}
    found = await connection.fetch(SQL["lock_positions_of_closes"], list(by_id))
    positions = {CloseId(row["close_id"]): row for row in found}
    if len(positions) != len(by_id):
        raise NotFound("unknown-close", "there is no such close")
    # In the order in which everybody locks requests.
    for close_id in sorted(by_id):
        await _end(connection, positions[close_id], by_id[close_id], old, now)
    for account_id in {row["account_id"] for row in found}:
        await deviations.end_ownerless(connection, account_id, now)


async def _end(
    connection: Connection, position: Row, ending: CloseEnding, old: RequestState, now: datetime
) -> None:
    with explained():
        ended = await connection.fetchrow(
            SQL["end_request"], ending.close_id, old, ending.new, ending.code, ending.detail, now
        )
        if ended is None:
            raise lost_update([ending.close_id], old)
        await _write_legs(connection, ending.close_id, ending.legs)
        changes = await _leave_dust(connection, position, ending.dust)
    is_closed = None
    if ending.new is RequestState.DONE:
        is_closed = await connection.fetchval(
            SQL["mark_closed"], position["id"], now, ended["is_whole"]
        )
    if is_closed is None:
        await connection.execute(SQL["mark_active_again"], position["id"])
    await note(
        connection,
        Event(
            at=now,
            kind=f"close-{ending.new.lower()}",
            account_id=position["account_id"],
            position_id=position["id"],
            close_id=ending.close_id,
            data=_account_of_end(ending, changes),
        ),
    )


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


# --- dust -----------------------------------------------------------------------------------


async def _leave_dust(
    connection: Connection, position: Row, dust: Mapping[BucketKey, Decimal]
) -> Mapping[ComponentId, Change]:
    """What cannot be traded is the legs' no more; in a derivatives bucket it is the trader's.

    What is expected of the bucket stays the same. A wallet's surplus needs no record.
    """
    keys = sorted(key for key in dust if dust[key])
    if not keys:
        return {}
    kept = [key for key in keys if key.category is not Category.SPOT]
    if kept:
        quantities = [dust[key] for key in kept]
        await connection.execute(SQL["add_unassigned"], *rows.bucket_columns(kept), quantities)
    (recorded,) = rows.positions(await connection.fetch(SQL["position"], position["id"]))
    changes: dict[ComponentId, Change] = {}
    for key in keys:
        there = [leg for leg in recorded.components if _sits_in(leg, recorded.account_id, key)]
        changes |= _taken_from(there, key, dust[key])
    await connection.fetch(
        SQL["set_opens"],
        position["id"],
        list(changes),
        [change.before for change in changes.values()],
        [change.after for change in changes.values()],
    )
    return changes


def _sits_in(leg: Component, account_id: AccountId, key: BucketKey) -> bool:
    """Hedge mode keeps longs under positionIdx 1 and shorts under 2."""
    own = 1 if leg.side is Side.BUY else 2
    return place_of(account_id, leg).bucket(key.position_idx) == key and key.position_idx in (
        0,
        own,
    )


def _taken_from(
    legs: Sequence[Component], key: BucketKey, dust: Decimal
) -> Mapping[ComponentId, Change]:
    """Several legs share a bucket where spot instruments of one coin do: one after the other."""
    left = abs(dust)
    changes: dict[ComponentId, Change] = {}
    for leg in legs:
        taken = min(left, leg.open) if leg.side.sign * dust > 0 else Decimal(0)
        if taken:
            changes[leg.id] = Change(leg.open, leg.open - taken)
            left -= taken
    if left:
        raise Conflict("lost-update", f"{key.symbol}: less is open than the {dust:f} left over")
    return changes


def _account_of_end(
    ending: CloseEnding, changes: Mapping[ComponentId, Change]
) -> Mapping[str, object]:
    return {
        "code": ending.code,
        "detail": ending.detail,
        "legs": [
            {
                "component_id": leg.component_id,
                "outcome": leg.outcome,
                "filled": leg.filled,
                "average_price": leg.average_price,
                "detail": leg.detail,
            }
            for leg in ending.legs
        ],
        "dust": [
            {"symbol": key.symbol, "position_idx": key.position_idx, "quantity": quantity}
            for key, quantity in sorted(ending.dust.items())
        ],
        # As of a resolve action: from these what was open earlier is told.
        "components": [
            {"component_id": key, "before": change.before, "after": change.after}
            for key, change in changes.items()
        ],
    }


# --- cancelling -----------------------------------------------------------------------------


async def cancel(connection: Connection, user_id: UserId, close_id: CloseId, now: datetime) -> None:
    """End a close that has sent nothing, with all that were asked for together with it."""
    found = await connection.fetch(SQL["closes_of_same_set"], close_id, user_id)
    if not found:
        raise NotFound("unknown-close", "there is no such close")
    close_ids = [CloseId(row["id"]) for row in found]
    positions = await connection.fetch(SQL["lock_positions_of_closes"], close_ids)
    cancelled = await connection.fetch(SQL["cancel_requests"], close_ids, now)
    if len(cancelled) != len(close_ids):
        # One that was just ended here, to be taken back, is in the way of nothing.
        others = set(close_ids) - {row["id"] for row in cancelled}
        raise await _why_not(connection, close_id if close_id in others else others.pop())
    for position in positions:
        await connection.execute(SQL["mark_active_again"], position["id"])
        await note(
            connection,
            Event(
                at=now,
                kind="close-cancelled",
                account_id=position["account_id"],
                position_id=position["id"],
                close_id=CloseId(position["close_id"]),
                actor=user_id,
            ),
        )


async def _why_not(connection: Connection, close_id: CloseId) -> Conflict:
    (request,) = close_rows.requests(await connection.fetch(SQL["request"], close_id))
    if not request.state.is_open:
        return Conflict("already-ended", "the close has ended already")
    return Conflict("already-sending", "an order of the close may have left already")
