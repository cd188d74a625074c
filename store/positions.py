"""The recorded positions: what was recorded, what was found, what they are worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

from ..daemon.domain.deviations import DeviationRow
from ..daemon.domain.errors import NotFound
from ..daemon.domain.model import (
    AccountId,
    BucketKey,
    Category,
    Environment,
    NewPosition,
    Position,
    PositionId,
    UserId,
)
from ..daemon.domain.records import (
    BucketClaims,
    DeviationRecord,
    PnlWrite,
    PositionEdit,
    VerdictWrite,
)
from ..daemon.domain.resolving import Resolution
from . import deviations, rows
from .journal import Event, note
from .open_rows import OpenRows
from .pool import Connection, Database
from .refusals import explained
from .resolving import resolve
from .sql import SQL


class Positions:
    """The port `Positions` on Postgres."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._open = OpenRows()

    async def load_open(self) -> list[Position]:
        return await self._open.positions(await self._database.fetch(SQL["open_positions"]))

    async def recorded_mark(self) -> str:
        (row,) = await self._database.fetch(SQL["recorded_mark"])
        return str(row[0])

    async def load(self, position_id: PositionId) -> Position | None:
        found = rows.positions(await self._database.fetch(SQL["position"], position_id))
        return found[0] if found else None

    async def closed_of(
        self, user_id: UserId, account_id: AccountId | None, limit: int
    ) -> list[Position]:
        return rows.positions(
            await self._database.fetch(SQL["closed_positions"], user_id, account_id, limit)
        )

    async def record(
        self, position: NewPosition, unassigned: Mapping[BucketKey, Decimal]
    ) -> tuple[Position, bool]:
        async with self._database.transaction() as connection:
            with explained():
                position_id = await _insert(connection, position)
                if position_id is not None:
                    await _set_unassigned(connection, unassigned)
                    await note(connection, _recorded(position_id, position, unassigned))
            is_new = position_id is not None
            if position_id is None:
                # Committed by somebody else: this later statement sees it.
                position_id = await connection.fetchval(
                    SQL["position_by_external_id"], position.account_id, position.external_id
                )
            found = rows.positions(await connection.fetch(SQL["position"], position_id))
            return found[0], is_new

    async def recorded_as(self, account_id: AccountId, external_id: str) -> Position | None:
        found = await self._database.fetch(SQL["position_by_external_id"], account_id, external_id)
        return await self.load(PositionId(found[0]["id"])) if found else None

    async def claims(self, account_id: AccountId, category: Category, symbol: str) -> BucketClaims:
        # Both reads from one snapshot: a fill or a resolve action between them would be counted
        # twice or not at all.
        async with self._database.transaction("repeatable_read") as connection:
            place = (account_id, category, symbol)
            components = await connection.fetch(SQL["claimed_components"], *place)
            unassigned = await connection.fetch(SQL["unassigned_in_symbol"], *place)
        here = [row for row in components if (row["place"] or row["symbol"]) == symbol]
        placeless = (rows.component(row) for row in components if row["place"] is None)
        return BucketClaims(
            tuple(rows.component(row) for row in here),
            {row["position_idx"]: row["quantity"] for row in unassigned},
            tuple(sorted({leg.symbol for leg in placeless if leg.open > 0})),
        )

    async def unassigned(self) -> Mapping[BucketKey, Decimal]:
        found = await self._database.fetch(SQL["all_unassigned"])
        return {rows.bucket(row): row["quantity"] for row in found}

    async def write_verdicts(
        self,
        verdicts: Sequence[VerdictWrite],
        deviating: Sequence[DeviationRecord],
        cleared: Sequence[BucketKey],
        at: datetime,
    ) -> list[DeviationRow]:
        async with self._database.transaction() as connection:
            if verdicts:
                await connection.execute(SQL["write_verdicts"], *_verdict_columns(verdicts), at)
            return await deviations.write(connection, deviating, cleared, at)

    async def write_pnl(self, rows: Sequence[PnlWrite]) -> None:
        if rows:
            await self._database.fetch(
                SQL["write_pnl"],
                [row.position_id for row in rows],
                [row.unrealized_pnl for row in rows],
                [row.pnl_at for row in rows],
            )

    async def set_coins(self, environment: Environment, coins: Mapping[str, str]) -> None:
        if coins:
            columns = (list(coins.keys()), list(coins.values()))
            await self._database.fetch(SQL["set_coins"], environment, *columns)

    async def edit(
        self, position_id: PositionId, user_id: UserId, change: PositionEdit, at: datetime
    ) -> Position:
        async with self._database.transaction() as connection:
            if not await connection.fetchrow(SQL["lock_position_of_user"], position_id, user_id):
                raise NotFound("unknown-position", "there is no such position")
            (before,) = rows.positions(await connection.fetch(SQL["position"], position_id))
            edited = _edited(before, change)
            if edited:
                tags = None if change.tags is None else list(change.tags)
                with explained():
                    await connection.execute(
                        SQL["edit_position"], position_id, change.name, change.note, tags
                    )
                event = Event(at, "position-edited", before.account_id, position_id, actor=user_id)
                await note(connection, replace(event, data=edited))
            return rows.positions(await connection.fetch(SQL["position"], position_id))[0]

    async def resolve(self, resolution: Resolution) -> list[Position]:
        async with self._database.transaction() as connection:
            return await resolve(connection, resolution)


async def _insert(connection: Connection, position: NewPosition) -> PositionId | None:
    """None if the account has a position of that external id."""
    found = await connection.fetchval(
        SQL["insert_position"],
        position.account_id,
        position.name,
        position.external_id,
        position.note,
        list(position.tags),
    )
    if found is None:
        return None
    await connection.execute(
        SQL["insert_components"],
        found,
        [component.category for component in position.components],
        [component.symbol for component in position.components],
        [component.side for component in position.components],
        [component.quantity for component in position.components],
        [component.entry_price for component in position.components],
    )
    return PositionId(found)


async def _set_unassigned(connection: Connection, unassigned: Mapping[BucketKey, Decimal]) -> None:
    if unassigned:
        keys = sorted(unassigned)
        quantities = [unassigned[key] for key in keys]
        await connection.execute(SQL["set_unassigned"], *rows.bucket_columns(keys), quantities)


def _recorded(
    position_id: PositionId, position: NewPosition, unassigned: Mapping[BucketKey, Decimal]
) -> Event:
    return Event(
        at=datetime.now(UTC),
        kind="position-recorded",
        account_id=position.account_id,
        position_id=position_id,
        data={
            "name": position.name,
            "components": [
                {
                    "category": component.category,
                    "symbol": component.symbol,
                    "side": component.side,
                    "quantity": component.quantity,
                    "entry_price": component.entry_price,
                }
                for component in position.components
            ],
            "unassigned": [
                {"symbol": key.symbol, "position_idx": key.position_idx, "quantity": quantity}
                for key, quantity in sorted(unassigned.items())
            ],
        },
    )


def _verdict_columns(verdicts: Sequence[VerdictWrite]) -> tuple[list[object], ...]:
    return (
        [verdict.position_id for verdict in verdicts],
        [verdict.is_altered for verdict in verdicts],
        [verdict.verified_at for verdict in verdicts],
    )


def _edited(before: Position, change: PositionEdit) -> Mapping[str, object]:
    """What a change of labels changes, each with before and after."""
    pairs = {
        "name": (before.name, change.name),
        "note": (before.note, change.note),
        "tags": (before.tags, change.tags),
    }
    return {
        label: {"before": old, "after": new}
        for label, (old, new) in pairs.items()
        if new is not None and new != old
    }
