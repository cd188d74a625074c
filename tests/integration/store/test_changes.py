"""Notifications: recorded rows tell, hot columns do not, a lost connection loses nothing."""

from __future__ import annotations

from decimal import Decimal

import asyncpg
import pytest
from positiond.daemon.domain.records import PnlWrite, VerdictWrite
from positiond.store.changes import Changes
from positiond.store.store import Store

from tests.builders_store import NOW, add_account, add_position, leg, spot

SOON = 0.15


async def test_recorded_rows_tell_and_hot_columns_do_not(store: Store) -> None:
    account = await add_account(store)
    assert await store.changes.wait(5)
    assert not await store.changes.wait(SOON)
    position = await add_position(store, account)
    assert await store.changes.wait(5)
    assert not await store.changes.wait(SOON)
    await store.positions.write_pnl([PnlWrite(position.id, Decimal(1), NOW)])
    await store.positions.write_verdicts([VerdictWrite(position.id, True, NOW)], [], [], NOW)
    assert not await store.changes.wait(SOON)


async def test_a_coin_is_told_when_it_is_noted_and_not_when_it_is_looked_for(
    store: Store,
) -> None:
    """A daemon that is told looks for coins to note; told of looking, it would never rest."""
    account = await add_account(store)
    await add_position(store, account, spot("BTCUSDT"), leg("BTCUSDT"))
    assert await store.changes.wait(5)
    await store.positions.set_coins(account.environment, {"ETHUSDT": "ETH"})
    assert not await store.changes.wait(SOON)
    await store.positions.set_coins(account.environment, {"BTCUSDT": "BTC"})
    assert await store.changes.wait(5)
    await store.positions.set_coins(account.environment, {"BTCUSDT": "BTC"})
    assert not await store.changes.wait(SOON)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE synthetic_positions SET name = 'other'",
        "UPDATE position_components SET entry_price = 7",
        "UPDATE position_components SET expected_quantity = 7",
        "UPDATE accounts SET label = 'other'",
        "UPDATE switches SET is_on = true",
        "DELETE FROM position_components",
    ],
)
async def test_a_script_s_statement_tells(store: Store, postgres_url: str, statement: str) -> None:
    await add_position(store, await add_account(store))
    assert await store.changes.wait(5)
    connection = await asyncpg.connect(postgres_url)
    await connection.execute(statement)
    await connection.close()
    assert await store.changes.wait(5)


async def test_a_lost_connection_counts_as_a_change_and_is_opened_again(
    store: Store, postgres_url: str
) -> None:
    assert await store.changes.wait(5)
    connection = await asyncpg.connect(postgres_url)
    await connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND query LIKE 'LISTEN%'"
    )
    await connection.close()
    assert await store.changes.wait(5)
    while await store.changes.wait(SOON):
        pass
    await add_account(store)
    assert await store.changes.wait(5)


async def test_without_a_database_the_wait_just_ends() -> None:
    changes = Changes("postgresql://nobody@/nothing?host=/nonexistent")
    assert not await changes.wait(SOON)
    await changes.close()


async def test_a_pause_of_trading_is_kept_and_told(store: Store) -> None:
    assert not await store.switches.trading_paused()
    assert await store.changes.wait(5)
    await store.switches.set_trading_paused(True)
    assert await store.changes.wait(5)
    assert await store.switches.trading_paused()
    await store.switches.set_trading_paused(False)
    assert not await store.switches.trading_paused()
