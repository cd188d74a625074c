"""Accepting a close: however often and by however many it is asked for, one request comes of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from ..daemon.domain.errors import Conflict, InvalidInput, NotFound
from ..daemon.domain.model import CloseId, PositionId, PositionStatus, UserId
from ..daemon.domain.orders import AcceptedClose
from .journal import Event, note
from .pool import Connection, Row
from .sql import SQL

KEY_LIFE = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Ask:
    """A wish to close; `fingerprint` stands for what was asked, to tell a replay from a mix-up."""

    user_id: UserId
    position_id: PositionId
    key: str | None
    fingerprint: str
    expires_at: datetime
    now: datetime


async def accept(connection: Connection, ask: Ask) -> AcceptedClose:
    """One transaction's work; the position's row lock lines up all who ask for the same one."""
    position = await connection.fetchrow(SQL["lock_position_of_user"], ask.position_id, ask.user_id)
    if position is None:
        raise NotFound("unknown-position", "there is no such position")
    earlier = await _earlier_answer(connection, ask)
    if earlier is not None:
        return AcceptedClose(earlier, ask.position_id, is_new=False)
    if position["status"] == PositionStatus.CLOSED:
        raise Conflict("already-closed", "the position is closed already")
    close_id = await connection.fetchval(SQL["open_request_of_position"], ask.position_id)
    is_new = close_id is None
    if close_id is None:
        close_id = await _open(connection, ask, position)
    await _keep_key(connection, ask, close_id)
    return AcceptedClose(CloseId(close_id), ask.position_id, is_new)


async def _earlier_answer(connection: Connection, ask: Ask) -> CloseId | None:
    if ask.key is None:
        return None
    row = await connection.fetchrow(
        SQL["idempotency_key"], ask.user_id, ask.key, ask.now - KEY_LIFE
    )
    if row is None:
        return None
    if (row["fingerprint"], row["position_id"]) != (ask.fingerprint, ask.position_id):
        raise _key_reused()
    return CloseId(row["close_id"])


async def _open(connection: Connection, ask: Ask, position: Row) -> CloseId:
    close_id = CloseId(
        await connection.fetchval(
            SQL["insert_request"], ask.position_id, ask.user_id, ask.now, ask.expires_at
        )
    )
    await connection.execute(SQL["insert_legs"], close_id, ask.position_id)
    await connection.execute(SQL["mark_closing"], ask.position_id)
    await note(
        connection,
        Event(
            at=ask.now,
            kind="close-accepted",
            account_id=position["account_id"],
            position_id=ask.position_id,
            close_id=close_id,
            actor=ask.user_id,
        ),
    )
    return close_id


async def _keep_key(connection: Connection, ask: Ask, close_id: CloseId) -> None:
    if ask.key is None:
        return
    kept = await connection.fetchval(
        SQL["keep_idempotency_key"],
        ask.user_id,
        ask.key,
        ask.fingerprint,
        ask.position_id,
        close_id,
        ask.now,
        ask.now - KEY_LIFE,
    )
    if kept is None:
        # Another request took the key meanwhile; for this position it would have waited for us.
        raise _key_reused()


def _key_reused() -> InvalidInput:
    return InvalidInput(
        "idempotency-key-reused",
        "the Idempotency-Key was used for something else within the last 24 hours",
        field="Idempotency-Key",
    )
