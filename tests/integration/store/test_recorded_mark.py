"""The mark of what is recorded: another one with every change that is read, and only then."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from positiond.daemon.domain.records import PnlWrite
from positiond.store.store import Store

from tests.builders_store import NOW, add_account, add_position

# What a compare writes; memory has it before the store does.
HOT = {"is_altered", "unrealized_pnl", "pnl_at", "verified_at"}
# A position that is CLOSED is not read; the others never change once they are stored.
NEVER_ALONE = {"closed_at"}
VALUES: dict[str, str] = {
    "text": "'demo'",
    "_text": "ARRAY['other']",
    "category": "'inverse'",
    "symbol": "'OTHERUSDT'",
    "coin": "'ETH'",
    "numeric": "7",
    "finite": "7",
    "positive": "7",
    "not_negative": "7",
    "int2": "7",
    "side": "'Sell'",
    "position_idx": "2",
    "bool": "NOT {}",
    "timestamptz": "now() + interval '1 day'",
    "bytea": "'\\x00'",
}
READ = {
    "accounts": {"label", "environment", "api_key", "sealed_secret", "seal_key_id", "removed_at"},
    "synthetic_positions": {"name", "external_id", "note", "tags", "opened_at"},
    "position_components": {
        *("category", "symbol", "side", "coin"),
        *("expected_quantity", "recorded_quantity", "closed_quantity", "entry_price"),
    },
    "booked": {"coin", "fees", "funding", "realized_pnl"},
    "unassigned_quantities": {"category", "symbol", "position_idx", "quantity"},
}


@pytest_asyncio.fixture
async def sql(postgres_url: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(postgres_url)
    yield connection
    await connection.close()


@pytest_asyncio.fixture
async def filled(store: Store, sql: Any) -> Store:
    """A row in every table that is read, of which anything may be changed by hand."""
    account = await add_account(store)
    position = await add_position(store, account)
    await sql.execute("INSERT INTO booked (position_id, coin) VALUES ($1, 'BTC')", position.id)
    place = (account.id, "linear", "XRPUSDT")
    await sql.execute("INSERT INTO unassigned_quantities VALUES ($1, $2, $3, 0, 1)", *place)
    for table in READ:
        await sql.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        for row in await sql.fetch(
            "SELECT conname FROM pg_constraint "
            "WHERE conrelid = $1::regclass AND contype IN ('c', 'f')",
            table,
        ):
            await sql.execute(f'ALTER TABLE {table} DROP CONSTRAINT "{row["conname"]}"')
    return store


@pytest.mark.parametrize("table", READ)
async def test_every_column_that_is_read_changes_the_mark_and_no_hot_one_does(
    filled: Store, sql: Any, table: str
) -> None:
    kinds = {
        row["attname"]: row["typname"]
        for row in await sql.fetch(
            "SELECT attname, typname FROM pg_attribute JOIN pg_type t ON t.oid = atttypid "
            "WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped "
            "AND attgenerated = ''",
            table,
        )
    }
    tried = set()
    for name, kind in kinds.items():
        if kind not in VALUES or name in NEVER_ALONE:
            continue
        before = await filled.positions.recorded_mark()
        value = "'CLOSING'" if name == "status" else VALUES[kind].format(name)
        await sql.execute(f"UPDATE {table} SET {name} = {value}")
        is_other = await filled.positions.recorded_mark() != before
        assert is_other == (name not in HOT), name
        tried.add(name)
    assert tried >= READ[table]


async def test_rows_that_come_and_go_change_the_mark(store: Store, sql: Any) -> None:
    marks = [await store.positions.recorded_mark()]
    account = await add_account(store)
    marks.append(await store.positions.recorded_mark())
    await add_position(store, account, external_id="one")
    marks.append(await store.positions.recorded_mark())
    await sql.execute("UPDATE synthetic_positions SET status = 'CLOSED', closed_at = now()")
    marks.append(await store.positions.recorded_mark())
    await add_position(store, account, external_id="two")
    marks.append(await store.positions.recorded_mark())
    assert len(set(marks)) == 4
    # What is closed is not read.
    assert marks[3] == marks[1]


async def test_a_stored_pnl_leaves_the_mark_as_it_was(store: Store) -> None:
    position = await add_position(store, await add_account(store))
    before = await store.positions.recorded_mark()
    await store.positions.write_pnl([PnlWrite(position.id, Decimal(9), NOW)])
    assert await store.positions.recorded_mark() == before
