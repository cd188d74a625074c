"""The hot queries stay cheap as history grows."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from positiond.daemon.domain.orders import RequestState
from positiond.daemon.domain.records import PnlWrite, VerdictWrite
from positiond.store.sql import SQL
from positiond.store.store import Store

from tests.builders_store import MINUTE, NOW, add_account, add_position


@pytest.fixture
async def sql(store: Store, postgres_url: str) -> AsyncIterator[Any]:
    """A database with twenty open positions and five thousand closed ones."""
    account = await add_account(store)
    for _ in range(20):
        await add_position(store, account)
    connection = await asyncpg.connect(postgres_url)
    await connection.execute(
        "INSERT INTO synthetic_positions (account_id, name, status, closed_at)"
        " SELECT $1, 'old', 'CLOSED', now() - n * interval '1 minute'"
        " FROM generate_series(1, 5000) n",
        account.id,
    )
    await connection.execute("ANALYZE")
    yield connection
    await connection.close()


@pytest.fixture
async def deviating(sql: Any) -> Any:
    """The same, with five thousand deviations that ended and their events, and a few open ones."""
    await sql.execute(
        "INSERT INTO deviations (account_id, category, symbol, position_idx, kind, expected,"
        " actual, first_seen, last_verified, ended_at)"
        " SELECT a.id, 'linear', 'S' || n, 0, 'missing', 1, 0, $1::timestamptz, $1::timestamptz,"
        " CASE WHEN n > 10 THEN $1::timestamptz END FROM accounts a, generate_series(1, 5000) n",
        NOW,
    )
    await sql.execute(
        "INSERT INTO events (kind, account_id, data)"
        " SELECT 'deviation-seen', account_id, jsonb_build_object('deviation', id)"
        " FROM deviations"
    )
    await sql.execute("ANALYZE")
    return sql


async def test_loading_open_positions_does_not_read_the_closed_ones(sql: Any) -> None:
    nodes = await _plan(sql, "open_positions")
    assert "synthetic_positions_open" in {node.get("Index Name") for node in nodes}
    assert "synthetic_positions" not in _scanned_whole(nodes)


async def test_a_symbol_s_claims_are_found_by_their_place(sql: Any) -> None:
    account = await sql.fetchval("SELECT id FROM accounts")
    nodes = await _plan(sql, "claimed_components", account, "linear", "BTCUSDT")
    assert "synthetic_positions" not in _scanned_whole(nodes)


async def test_a_compare_s_deviations_are_found_by_their_buckets(
    deviating: Any,
) -> None:
    account = await deviating.fetchval("SELECT id FROM accounts")
    place = [[account], ["linear"], ["BTCUSDT"], [0]]
    record = ["missing"], [Decimal(1)], [Decimal(0)]
    no_cause = [None], [None], [None], [None], [None], ["[]"], [False]
    for name, values in (
        ("write_deviations", (*place, *record, *no_cause, NOW)),
        ("end_deviations", (*place, NOW, None, None)),
        ("open_deviations_in", place),
        ("end_ownerless_deviations", ([account], NOW)),
        ("open_deviations", ()),
    ):
        nodes = await _plan(deviating, name, *values)
        assert not {"deviations", "synthetic_positions"} & _scanned_whole(nodes), name


async def test_a_position_s_past_is_found_without_reading_everybody_s(deviating: Any) -> None:
    position = await deviating.fetchval(
        "SELECT id FROM synthetic_positions WHERE status <> 'CLOSED' LIMIT 1"
    )
    for name, values in (
        ("deviations_of_position", (position, 50)),
        ("events_of_position", (position, [1, 2, 3], 50)),
        ("requests_of_position", (position, 50)),
        ("position", (position,)),
    ):
        nodes = await _plan(deviating, name, *values)
        large = {"deviations", "events", "synthetic_positions"}
        assert not large & _scanned_whole(nodes), name


async def test_a_close_s_rows_are_found_without_reading_those_of_the_past(sql: Any) -> None:
    await sql.execute(
        "WITH r AS ("
        " INSERT INTO close_requests (position_id, requested_by, state, created_at, expires_at,"
        "  set_id, ended_at)"
        " SELECT p.id, a.user_id, 'FAILED', now(), now(), gen_random_uuid(), now()"
        " FROM generate_series(1, 250), synthetic_positions p"
        " JOIN accounts a ON a.id = p.account_id"
        " WHERE p.status <> 'CLOSED' RETURNING id, position_id"
        ") INSERT INTO close_legs (close_id, component_id, open_at_acceptance, target)"
        " SELECT r.id, c.id, 1, 1 FROM r JOIN position_components c USING (position_id)"
    )
    # As if they had ended after their orders.
    await sql.execute("ALTER TABLE close_order_parts DISABLE TRIGGER close_order_parts_add_up")
    await sql.execute(
        "WITH o AS ("
        " INSERT INTO close_orders (id, close_id, component_id, account_id, category, symbol,"
        "  position_idx, attempt, link_id, side, quantity, state, leader_epoch, created_at)"
        " SELECT gen_random_uuid(), l.close_id, l.component_id, a.id, 'linear', 'BTCUSDT', 0, 1,"
        "  replace(l.close_id::text, '-', ''), 'Sell', 1, 'TERMINAL', 1, now()"
        " FROM close_legs l, accounts a RETURNING *"
        ") INSERT INTO close_order_parts SELECT id, component_id, close_id, 1, 1, false FROM o"
    )
    await sql.execute("ANALYZE")
    one = await sql.fetchrow("SELECT id, set_id FROM close_requests LIMIT 1")
    order = await sql.fetchval("SELECT id FROM close_orders LIMIT 1")
    state = (RequestState.SENDING, RequestState.SETTLING)
    for name, values in (
        ("close_orders", ([one["id"]],)),
        ("close_order", (order,)),
        ("lock_positions_of_order", (order,)),
        ("lock_positions_of_closes", ([one["id"]],)),
        ("requests_of_set", (one["set_id"],)),
        ("open_requests", ()),
        ("move_requests", ([one["id"]], *state)),
        ("cancel_requests", ([one["id"]], NOW)),
        ("nettings", ([one["id"]],)),
    ):
        nodes = await _plan(sql, name, *values)
        large = {"close_requests", "close_legs", "close_orders", "close_order_parts"}
        assert not large & _scanned_whole(nodes), name


async def test_one_statement_writes_the_history_of_five_thousand_positions(sql: Any) -> None:
    ids = [row["id"] for row in await sql.fetch("SELECT id FROM synthetic_positions LIMIT 5000")]
    columns = (ids, [NOW] * 5000, [Decimal(1)] * 5000, [None] * 5000, ["USDT"] * 5000)
    nodes = await _plan(sql, "write_history", *columns)
    assert [node["Node Type"] for node in nodes] == ["ModifyTable", "Function Scan"]
    assert await sql.execute(SQL["write_history"], *columns) == "INSERT 0 5000"


async def test_the_history_is_read_by_position_and_thinned_by_age(sql: Any) -> None:
    await sql.execute(
        "INSERT INTO pnl_history (position_id, at, unrealized_pnl, currency)"
        " SELECT id, $1::timestamptz + n * interval '1 minute', 0, 'USDT'"
        " FROM (SELECT id FROM synthetic_positions LIMIT 50) p, generate_series(1, 1000) n",
        NOW,
    )
    await sql.execute("ANALYZE pnl_history")
    position = await sql.fetchval("SELECT position_id FROM pnl_history LIMIT 1")
    for name, values in (
        ("history", (position, NOW, NOW + 60 * MINUTE, 100)),
        ("oldest_point_since", (NOW,)),
        ("thin_history", (NOW, NOW + 15 * MINUTE, 15 * MINUTE)),
        ("drop_history", (NOW, 100)),
    ):
        assert "pnl_history" not in _scanned_whole(await _plan(sql, name, *values)), name


async def test_writing_pnl_finds_its_rows_by_their_ids(sql: Any) -> None:
    ids = await sql.fetch("SELECT id FROM synthetic_positions WHERE status <> 'CLOSED'")
    columns = [[row["id"] for row in ids], [Decimal(1)] * len(ids), [NOW] * len(ids)]
    nodes = await _plan(sql, "write_pnl", *columns)
    assert "synthetic_positions" not in _scanned_whole(nodes)


@pytest.mark.parametrize(
    ("name", "values"), [("write_pnl", (Decimal(1),)), ("write_verdicts", (True,))]
)
async def test_rows_are_locked_in_the_order_of_their_ids_before_they_are_written(
    sql: Any, name: str, values: tuple[object, ...]
) -> None:
    """Two writers that lock the same rows in different orders end in a deadlock."""
    ids = [row["id"] for row in await sql.fetch("SELECT id FROM synthetic_positions LIMIT 20")]
    columns = [ids, [values[0]] * len(ids), [NOW] * len(ids)]
    nodes = await _plan(sql, name, *columns, *([NOW] if name == "write_verdicts" else []))
    (locking,) = [node for node in nodes if node["Node Type"] == "LockRows"]
    assert [node["Node Type"] for node in locking["Plans"]] == ["Sort"]
    # The planner may number the alias.
    (key,) = locking["Plans"][0]["Sort Key"]
    assert key in ("p.id", "p_1.id")


async def test_a_fill_finds_its_order_component_and_position_by_their_ids(sql: Any) -> None:
    nodes = await _plan(sql, "lock_positions_of_order", uuid4())
    assert "synthetic_positions" not in _scanned_whole(nodes)


async def test_updates_of_the_hot_columns_stay_within_their_page(store: Store, sql: Any) -> None:
    positions = await store.positions.load_open()
    for n in range(5):
        at = NOW + n * MINUTE
        await store.positions.write_pnl([PnlWrite(p.id, Decimal(n), at) for p in positions])
        verdicts = [VerdictWrite(p.id, bool(n % 2), at) for p in positions]
        await store.positions.write_verdicts(verdicts, [], [], at)
    # A backend reports its counts when it is idle; one that ends reports at once.
    await sql.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    row = await _once_reported(sql, "synthetic_positions", 200)
    assert row["n_tup_hot_upd"] >= row["n_tup_upd"] * 0.9


async def _once_reported(sql: Any, table: str, updates: int) -> Any:
    """The counts, as soon as the backends that were told to end have done so."""
    async with asyncio.timeout(20):
        while True:
            row = await sql.fetchrow(
                "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = $1",
                table,
            )
            if row["n_tup_upd"] >= updates:
                return row
            await asyncio.sleep(0.05)


async def _plan(sql: Any, name: str, *values: object) -> list[dict[str, Any]]:
    text = await sql.fetchval(f"EXPLAIN (FORMAT JSON) {SQL[name]}", *values)
    return list(_nodes(json.loads(text)[0]["Plan"]))


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from _nodes(child)


def _scanned_whole(nodes: list[dict[str, Any]]) -> set[str]:
    return {node["Relation Name"] for node in nodes if node["Node Type"] == "Seq Scan"}
