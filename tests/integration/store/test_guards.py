"""What the database itself forbids, whoever writes; and what it lets a plain script do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import asyncpg
import pytest
from positiond.daemon.domain.errors import InvalidInput
from positiond.daemon.domain.model import (
    Account,
    BucketKey,
    Category,
    DeviationKind,
    PositionStatus,
    Side,
)
from positiond.daemon.domain.orders import OrderState, RequestState
from positiond.daemon.domain.records import DeviationRecord
from positiond.store.store import Store

from tests.builders_store import (
    NOW,
    accept,
    accept_set,
    add_account,
    add_position,
    fill_of,
    leg,
    sent_order,
    spot,
    store_order_id,
)


@pytest.fixture
async def sql(postgres_url: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(postgres_url)
    yield connection
    await connection.close()


@pytest.fixture
async def account(store: Store) -> Account:
    return await add_account(store)


async def refused(sql: Any, statement: str, *values: object) -> None:
    with pytest.raises(asyncpg.IntegrityConstraintViolationError):
        await sql.execute(statement, *values)


async def test_the_minimal_inserts_record_a_position(
    store: Store, sql: Any, account: Account
) -> None:
    position_id = await sql.fetchval(
        "INSERT INTO synthetic_positions (account_id, name) VALUES ($1, 'by hand') RETURNING id",
        account.id,
    )
    await sql.execute(
        "INSERT INTO position_components"
        " (position_id, category, symbol, side, expected_quantity, entry_price)"
        " VALUES ($1, 'linear', 'BTCUSDT', 'Buy', 0.5, 100),"
        " ($1, 'linear', 'ETHUSDT', 'Sell', 2, 9)",
        position_id,
    )
    (position,) = await store.positions.load_open()
    assert (position.id, position.name, position.status) == (
        position_id,
        "by hand",
        PositionStatus.ACTIVE,
    )
    assert [component.symbol for component in position.components] == ["BTCUSDT", "ETHUSDT"]


async def test_a_position_without_components_yet_is_seen_without_them(
    store: Store, sql: Any, account: Account
) -> None:
    await sql.execute(
        "INSERT INTO synthetic_positions (account_id, name) VALUES ($1, 'empty')", account.id
    )
    (position,) = await store.positions.load_open()
    assert position.components == ()


@pytest.mark.parametrize(
    "change",
    [
        "expected_quantity = -1",
        "expected_quantity = 'NaN'",
        "expected_quantity = 'Infinity'",
        "entry_price = -1",
        "closed_quantity = 2",
        "recorded_quantity = 2",
        "coin = 'BTC'",
        "closed_quantity = -1",
        "side = 'buy'",
        "symbol = 'ETHUSDT'",
        "symbol = ' '",
        "category = 'futures'",
        "side = 'Sell'",
    ],
)
async def test_a_component_cannot_become_nonsense_or_another(
    store: Store, sql: Any, account: Account, change: str
) -> None:
    await add_position(store, account)
    await refused(sql, f"UPDATE position_components SET {change}")


@pytest.mark.parametrize("quantity", ["0", "-1", "'NaN'", "NULL"])
async def test_a_component_is_recorded_with_a_quantity_above_zero(
    store: Store, sql: Any, account: Account, quantity: str
) -> None:
    position = await add_position(store, account)
    with pytest.raises(asyncpg.IntegrityConstraintViolationError):
        await sql.execute(
            "INSERT INTO position_components"
            " (position_id, category, symbol, side, expected_quantity, entry_price)"
            f" VALUES ($1, 'linear', 'XRPUSDT', 'Buy', {quantity}, 1)",
            position.id,
        )


async def test_what_was_recorded_at_first_is_kept_whatever_an_insert_says(
    store: Store, sql: Any, account: Account
) -> None:
    position = await add_position(store, account)
    await sql.execute(
        "INSERT INTO position_components"
        " (position_id, category, symbol, side, expected_quantity, recorded_quantity, entry_price)"
        " VALUES ($1, 'linear', 'XRPUSDT', 'Buy', 3, 9, 1)",
        position.id,
    )
    await sql.execute("UPDATE position_components SET expected_quantity = 0")
    rows = await sql.fetch("SELECT recorded_quantity FROM position_components ORDER BY ordinal")
    assert [row["recorded_quantity"] for row in rows] == [1, 3]
    reloaded = await store.positions.load(position.id)
    assert reloaded is not None
    assert [(c.quantity, c.recorded_quantity) for c in reloaded.components] == [(0, 1), (0, 3)]


async def test_a_coin_is_noted_once(store: Store, sql: Any, account: Account) -> None:
    await add_position(store, account, spot("BTCUSDT"))
    await sql.execute("UPDATE position_components SET coin = 'BTC'")
    await refused(sql, "UPDATE position_components SET coin = 'ETH'")
    await refused(sql, "UPDATE position_components SET coin = NULL")
    await sql.execute("UPDATE position_components SET coin = 'BTC'")


async def test_a_deviation_without_a_resolver_has_no_resolution(
    store: Store, sql: Any, account: Account
) -> None:
    await add_position(store, account)
    bucket = BucketKey(account.id, Category.LINEAR, "BTCUSDT", 0)
    seen = DeviationRecord(bucket, DeviationKind.MISSING, Decimal(1), Decimal(0), None)
    await store.positions.write_verdicts([], [seen], [], NOW)
    user = account.user_id
    await refused(sql, "UPDATE deviations SET resolution = 'accept', ended_at = now()")
    await refused(sql, "UPDATE deviations SET resolution = 'accept', resolved_by = $1", user)
    await refused(sql, "UPDATE deviations SET cause = 'a text without a kind'")


async def test_a_closed_quantity_never_shrinks(store: Store, sql: Any, account: Account) -> None:
    await add_position(store, account)
    await sql.execute("UPDATE position_components SET closed_quantity = 0.5")
    await refused(sql, "UPDATE position_components SET closed_quantity = 0.4")


async def test_a_position_that_is_closing_or_closed_takes_no_component(
    store: Store, sql: Any, account: Account
) -> None:
    position = await add_position(store, account)
    await accept(store, position)
    await refused(
        sql,
        "INSERT INTO position_components"
        " (position_id, category, symbol, side, expected_quantity, entry_price)"
        " VALUES ($1, 'linear', 'XRPUSDT', 'Buy', 1, 1)",
        position.id,
    )


async def test_a_closed_position_stays_closed_and_has_its_time(
    store: Store, sql: Any, account: Account
) -> None:
    await add_position(store, account)
    await refused(sql, "UPDATE synthetic_positions SET status = 'CLOSED'")
    await sql.execute("UPDATE synthetic_positions SET status = 'CLOSED', closed_at = now()")
    await refused(sql, "UPDATE synthetic_positions SET status = 'ACTIVE', closed_at = NULL")


async def test_the_ledgers_are_append_only(
    store: Store, sql: Any, account: Account, epoch: int
) -> None:
    order = await sent_order(store, await add_position(store, account))
    await store.closes.add_fills(order, [fill_of(order, "a", "1")])
    for statement in (
        "UPDATE executions SET price = 1",
        "DELETE FROM executions",
        "TRUNCATE executions CASCADE",
        "UPDATE events SET kind = 'other'",
        "DELETE FROM events",
        "TRUNCATE events",
        "DELETE FROM funding",
        "UPDATE funding SET amount = 1",
        "UPDATE leg_fills SET quantity = 9",
        "DELETE FROM leg_fills",
        "UPDATE close_order_parts SET quantity = 9",
        "DELETE FROM close_order_parts",
        "UPDATE close_nettings SET quantity = 9",
        "DELETE FROM close_nettings",
        "DELETE FROM close_orders",
        "DELETE FROM close_requests",
    ):
        await refused(sql, statement)


async def test_an_order_s_terms_are_frozen(
    store: Store, sql: Any, account: Account, epoch: int
) -> None:
    order = await sent_order(store, await add_position(store, account))
    await store.closes.add_fills(order, [fill_of(order, "a", "0.5")])
    for change in (
        "quantity = 2",
        "side = 'Buy'",
        "link_id = 'x'",
        "symbol = 'X'",
        "filled = 0",
        "instrument_symbol = symbol",
        "slippage = 1",
        "step = 1",
    ):
        await refused(sql, f"UPDATE close_orders SET {change}")


async def test_a_second_open_close_of_a_position_is_impossible(
    store: Store, sql: Any, account: Account
) -> None:
    position = await add_position(store, account)
    await accept(store, position)
    await refused(
        sql,
        "INSERT INTO close_requests (position_id, requested_by, state, created_at, expires_at)"
        " VALUES ($1, $2, 'ACCEPTED', now(), now())",
        position.id,
        account.user_id,
    )


async def test_what_was_asked_for_with_a_close_is_frozen(
    store: Store, sql: Any, account: Account
) -> None:
    await accept(store, await add_position(store, account))
    for change in (
        "set_id = gen_random_uuid()",
        "fraction = 0.5",
        "slippage = 1",
        "cancel_resting = true",
        "expected_plan = 'x'",
    ):
        await refused(sql, f"UPDATE close_requests SET {change}")
    for change in ("target = 0.5", "open_at_acceptance = 2"):
        await refused(sql, f"UPDATE close_legs SET {change}")


async def test_a_set_of_two_accounts_is_impossible(
    store: Store, sql: Any, account: Account
) -> None:
    accepted = await accept_set(store, await add_position(store, account))
    other = await add_position(store, await add_account(store, "bob"))
    await refused(
        sql,
        "INSERT INTO close_requests"
        " (position_id, requested_by, state, created_at, expires_at, set_id)"
        " VALUES ($1, $2, 'ACCEPTED', now(), now(), $3)",
        other.id,
        other.user_id,
        accepted.set_id,
    )


async def test_a_leg_s_target_is_never_more_than_it_has(
    store: Store, sql: Any, account: Account
) -> None:
    position = await add_position(store, account)
    second = await add_position(store, account, leg("ETHUSDT"))
    accepted = await accept(store, position)
    await refused(
        sql,
        "INSERT INTO close_legs (close_id, component_id, open_at_acceptance, target)"
        " VALUES ($1, $2, 1, 1.1)",
        accepted.close_id,
        second.components[0].id,
    )


async def test_a_spot_order_can_only_sell(
    store: Store, sql: Any, account: Account, epoch: int
) -> None:
    order = await sent_order(store, await add_position(store, account, spot("BTCUSDT")))
    assert order.side is Side.SELL
    bought = replace(order, id=store_order_id(), link_id="bought", side=Side.BUY)
    with pytest.raises(InvalidInput):
        await store.closes.write_ahead(
            [order.close_id], RequestState.SENDING, RequestState.SENDING, [bought]
        )


async def test_an_order_of_a_derivative_names_no_other_instrument(
    store: Store, sql: Any, account: Account, epoch: int
) -> None:
    order = await sent_order(store, await add_position(store, account))
    other = replace(order, id=store_order_id(), link_id="other", symbol="ETHUSDT")
    with pytest.raises(InvalidInput):
        await store.closes.write_ahead(
            [order.close_id], RequestState.SENDING, RequestState.SENDING, [other]
        )


async def test_an_ended_close_gets_no_further_order(
    store: Store, sql: Any, account: Account, epoch: int
) -> None:
    position = await add_position(store, account)
    first = await accept(store, position)
    await store.closes.cancel(account.user_id, first.close_id, NOW)
    order = await sent_order(store, position)
    await refused(
        sql,
        "WITH late AS ("
        " INSERT INTO close_orders (id, close_id, component_id, account_id, category, symbol,"
        "  position_idx, attempt, link_id, side, quantity, state, leader_epoch, created_at)"
        " SELECT gen_random_uuid(), $1, component_id, account_id, category, symbol,"
        "  position_idx, attempt, 'late', side, quantity, 'PLANNED', leader_epoch, created_at"
        " FROM close_orders RETURNING *)"
        "INSERT INTO close_order_parts"
        " SELECT id, component_id, $1, 1, quantity, false FROM late",
        first.close_id,
    )
    assert order.close_id != first.close_id


async def test_an_ended_close_is_immutable(
    store: Store, sql: Any, account: Account, epoch: int
) -> None:
    accepted = await accept(store, await add_position(store, account))
    await store.closes.cancel(account.user_id, accepted.close_id, NOW)
    await refused(sql, "UPDATE close_requests SET state = 'ACCEPTED', ended_at = NULL")
    await refused(sql, "UPDATE close_requests SET detail = 'other'")


async def test_a_state_unknown_to_the_domain_is_unknown_to_the_schema(
    store: Store, sql: Any, account: Account, epoch: int
) -> None:
    order = await sent_order(store, await add_position(store, account, leg("BTCUSDT")))
    await refused(sql, "UPDATE close_orders SET state = 'LOST'")
    for state in OrderState:
        await sql.execute("UPDATE close_orders SET state = $1", state)
    await refused(sql, "UPDATE close_requests SET state = 'LOST'")
    for request_state in RequestState:
        if request_state.is_open:
            await sql.execute("UPDATE close_requests SET state = $1", request_state)
    assert (await store.closes.orders([order.close_id]))[0].state is list(OrderState)[-1]
