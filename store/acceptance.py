"""Accepting closes: however often and by however many it is asked for, one request comes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from ..daemon.domain.errors import Conflict, InvalidInput, NotFound
from ..daemon.domain.model import CloseId, PositionId, PositionStatus, UserId
from ..daemon.domain.orders import AcceptedClose, AcceptedSet, CloseRequest, CloseTerms
from . import close_rows
from .journal import Event, note
from .pool import Connection, Row
from .refusals import explained
from .sql import SQL

KEY_LIFE = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Ask:
    """A wish to close; `fingerprint` stands for what was asked, to tell a replay from a mix-up.

    `refusal` is why no new request may come of it.
    """

    user_id: UserId
    terms: CloseTerms
    key: str | None
    fingerprint: str
    expires_at: datetime
    now: datetime
    refusal: Conflict | None = None


async def accept(connection: Connection, ask: Ask, position_id: PositionId) -> AcceptedClose:
    """One transaction's work; the position's row lock lines up all who ask for the same one."""
    (position,) = await _lock(connection, ask, [position_id])
    earlier = await _earlier_answer(connection, ask)
    if earlier is not None:
        if (earlier["position_id"], earlier["set_id"]) != (position_id, None):
            raise _key_reused()
        return AcceptedClose(CloseId(earlier["close_id"]), position_id, is_new=False)
    _check_is_not_closed(position)
    is_open = await connection.fetch(SQL["open_requests_of_positions"], [position_id])
    close_id = (
        CloseId(is_open[0]["id"]) if is_open else await _open(connection, ask, position, None)
    )
    await _keep_key(connection, ask, position_id, close_id, None)
    return AcceptedClose(close_id, position_id, is_new=not is_open)


async def accept_set(
    connection: Connection, ask: Ask, position_ids: Sequence[PositionId]
) -> AcceptedSet:
    """One transaction's work: all of them or none, whoever asks for one of them meanwhile."""
    wanted = list(dict.fromkeys(position_ids))
    positions = await _lock(connection, ask, wanted)
    earlier = await _earlier_answer(connection, ask)
    if earlier is not None:
        return await _earlier_set(connection, earlier["set_id"], wanted)
    if len({position["account_id"] for position in positions}) > 1:
        raise InvalidInput(
            "several-accounts", "the positions are of several accounts", field="position_ids"
        )
    for position in positions:
        _check_is_not_closed(position)
    set_id = await _open_set(connection, wanted)
    is_new = set_id is None
    if set_id is None:
        set_id = uuid4()
        for position in positions:
            await _open(connection, ask, position, set_id)
    answer = _of_set(set_id, await _set(connection, set_id), wanted, is_new=is_new)
    await _keep_key(connection, ask, wanted[0], answer.closes[0].close_id, set_id)
    return answer


async def _lock(
    connection: Connection, ask: Ask, position_ids: Sequence[PositionId]
) -> Sequence[Row]:
    """The positions, in the order asked for; NotFound for an unknown and a foreign one alike."""
    if not position_ids:
        raise InvalidInput("no-positions", "no position is named", field="position_ids")
    found = await connection.fetch(SQL["lock_positions_of_user"], position_ids, ask.user_id)
    by_id = {row["id"]: row for row in found}
    if len(by_id) != len(position_ids):
        raise NotFound("unknown-position", "there is no such position")
    return [by_id[position_id] for position_id in position_ids]


def _check_is_not_closed(position: Row) -> None:
    if position["status"] == PositionStatus.CLOSED:
        raise Conflict("already-closed", "the position is closed already")


# --- sets -----------------------------------------------------------------------------------


async def _open_set(connection: Connection, position_ids: Sequence[PositionId]) -> UUID | None:
    """The one set that is open for all of the positions; None if no close of any is open."""
    is_open = await connection.fetch(SQL["open_requests_of_positions"], position_ids)
    if not is_open:
        return None
    set_id: UUID | None
    set_id, *others = {row["set_id"] for row in is_open}
    if set_id is None or others or len(is_open) != len(position_ids):
        raise Conflict("close-open", "a close of one of the positions is open already")
    return set_id


async def _earlier_set(
    connection: Connection, set_id: UUID | None, position_ids: Sequence[PositionId]
) -> AcceptedSet:
    if set_id is None:
        raise _key_reused()
    requests = await _set(connection, set_id)
    if not {request.position_id for request in requests} >= set(position_ids):
        raise _key_reused()
    return _of_set(set_id, requests, position_ids, is_new=False)


async def _set(connection: Connection, set_id: UUID) -> list[CloseRequest]:
    return close_rows.requests(await connection.fetch(SQL["requests_of_set"], set_id))


def _of_set(
    set_id: UUID,
    requests: Sequence[CloseRequest],
    position_ids: Sequence[PositionId],
    *,
    is_new: bool,
) -> AcceptedSet:
    """The answer to who asked for these positions, in his order."""
    closes = {request.position_id: request.id for request in requests}
    return AcceptedSet(
        set_id,
        tuple(AcceptedClose(closes[key], key, is_new) for key in position_ids),
        is_new,
    )


# --- rows -----------------------------------------------------------------------------------


async def _open(connection: Connection, ask: Ask, position: Row, set_id: UUID | None) -> CloseId:
    if ask.refusal is not None:
        raise ask.refusal
    terms = ask.terms
    with explained():
        close_id = await connection.fetchval(
            SQL["insert_request"],
            position["id"],
            ask.user_id,
            ask.now,
            ask.expires_at,
            set_id,
            terms.fraction,
            terms.slippage,
            terms.cancel_resting,
            terms.expected_plan,
        )
    await connection.execute(SQL["insert_legs"], close_id, position["id"], terms.fraction)
    await connection.execute(SQL["mark_closing"], position["id"])
    await note(
        connection,
        Event(
            at=ask.now,
            kind="close-accepted",
            account_id=position["account_id"],
            position_id=position["id"],
            close_id=CloseId(close_id),
            actor=ask.user_id,
            data=_account_of_terms(terms, set_id),
        ),
    )
    return CloseId(close_id)


def _account_of_terms(terms: CloseTerms, set_id: UUID | None) -> dict[str, object]:
    """What was said, and no word of what was not."""
    said: dict[str, object] = {
        "set_id": set_id,
        "fraction": terms.fraction,
        "slippage": terms.slippage,
        "cancel_resting": terms.cancel_resting or None,
        "expected_plan": terms.expected_plan,
    }
    return {name: value for name, value in said.items() if value is not None}


async def _earlier_answer(connection: Connection, ask: Ask) -> Row | None:
    """What the key stands for; InvalidInput if that was asked for in other words."""
    if ask.key is None:
        return None
    row = await connection.fetchrow(
        SQL["idempotency_key"], ask.user_id, ask.key, ask.now - KEY_LIFE
    )
    if row is not None and row["fingerprint"] != ask.fingerprint:
        raise _key_reused()
    return row


async def _keep_key(
    connection: Connection,
    ask: Ask,
    position_id: PositionId,
    close_id: CloseId,
    set_id: UUID | None,
) -> None:
    if ask.key is None:
        return
    kept = await connection.fetchval(
        SQL["keep_idempotency_key"],
        ask.user_id,
        ask.key,
        ask.fingerprint,
        position_id,
        close_id,
        set_id,
        ask.now,
        ask.now - KEY_LIFE,
    )
    if kept is None:
        # Another request took the key meanwhile; for these positions it would have waited for us.
        raise _key_reused()


def _key_reused() -> InvalidInput:
    return InvalidInput(
        "idempotency-key-reused",
        "the Idempotency-Key was used for something else within the last 24 hours",
        field="Idempotency-Key",
    )
