"""The schema: applied once, refused when it is not this version's."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import asyncpg
import pytest
from positiond.daemon.domain.buckets import SymbolKey
from positiond.daemon.domain.deviations import Cause, CauseKind
from positiond.daemon.domain.errors import Conflict, SchemaMismatch
from positiond.daemon.domain.model import Booked, Category, PositionStatus
from positiond.daemon.domain.orders import CloseTerms, OrderState, RequestState
from positiond.store.migrate import check_schema, migrate, migrations
from positiond.store.sealing import SealKey
from positiond.store.sql import SQL
from positiond.store.store import open_store

from tests.builders_store import end, fill_of


async def test_a_second_migration_applies_nothing(postgres_url: str) -> None:
    assert await migrate(postgres_url) == []


async def test_migrations_that_start_together_apply_each_file_once(postgres_url: str) -> None:
    connection = await asyncpg.connect(postgres_url)
    await connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    await connection.close()
    applied = await asyncio.gather(*(migrate(postgres_url) for _ in range(3)))
    assert sorted(name for names in applied for name in names) == [
        f"{m.version:04d}_{m.name}" for m in migrations()
    ]


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("INSERT INTO schema_migrations VALUES (999, 'later', 'x')", "schema-newer"),
        ("UPDATE schema_migrations SET checksum = 'other'", "schema-unknown"),
        ("DELETE FROM schema_migrations", "schema-older"),
    ],
)
async def test_a_schema_of_another_version_is_refused(
    postgres_url: str, seal_key: SealKey, statement: str, code: str
) -> None:
    connection = await asyncpg.connect(postgres_url)
    await connection.execute(statement)
    with pytest.raises(SchemaMismatch) as refused:
        await check_schema(connection)
    await connection.close()
    assert refused.value.code == code
    with pytest.raises(SchemaMismatch):
        async with open_store(postgres_url, seal_key):
            pass


FIRST_VERSION_DATA = """
INSERT INTO users (id, username, password_hash) VALUES (gen_random_uuid(), 'ann', 'x');
INSERT INTO accounts (user_id, label, environment, api_key, sealed_secret, seal_key_id)
SELECT id, 'main', 'paper', 'k', 'x', 'k1' FROM users;
INSERT INTO synthetic_positions (account_id, name, fees, funding, realized_pnl)
SELECT id, name, fees, funding, pnl
FROM accounts, (VALUES
    ('two coins', 0.75, -0.5, 27.000001), ('beyond', 0.1, 0, 10), ('by hand', 1.5, 0, -2),
    ('untouched', 0, 0, 0)) AS v (name, fees, funding, pnl);
INSERT INTO position_components
    (position_id, category, symbol, side, expected_quantity, closed_quantity, entry_price)
SELECT p.id, v.category, v.symbol, v.side, v.quantity, v.closed, 100
FROM synthetic_positions p
JOIN (VALUES
    ('two coins', 'linear', 'BTCUSDT', 'Buy', 2, 2),
    ('two coins', 'linear', 'BTCPERP', 'Sell', 1, 1),
    ('beyond', 'linear', 'BTCUSDT', 'Buy', 1, 1), ('untouched', 'spot', 'BTCUSDT', 'Buy', 0.50, 0)
) AS v (position, category, symbol, side, quantity, closed) ON v.position = p.name;
INSERT INTO close_requests (position_id, requested_by, state, created_at, expires_at)
SELECT p.id, u.id, 'SETTLING', now(), now()
FROM synthetic_positions p, users u WHERE p.name IN ('two coins', 'beyond');
INSERT INTO close_legs (close_id, component_id, open_at_acceptance)
SELECT r.id, c.id, c.expected_quantity
FROM position_components c JOIN close_requests r ON r.position_id = c.position_id;
INSERT INTO close_orders (id, close_id, component_id, account_id, category, symbol, position_idx,
    attempt, link_id, side, quantity, state, leader_epoch, created_at)
SELECT gen_random_uuid(), r.id, c.id, p.account_id, c.category, c.symbol, 0, 1,
    'l' || c.ordinal, CASE c.side WHEN 'Buy' THEN 'Sell' ELSE 'Buy' END, 5, 'TERMINAL', 1, now()
FROM position_components c
JOIN synthetic_positions p ON p.id = c.position_id
JOIN close_requests r ON r.position_id = p.id;
INSERT INTO executions (account_id, exec_id, close_order_id, category, symbol, order_id, link_id,
    side, price, quantity, fee, fee_coin, exec_type, create_type, executed_at)
SELECT o.account_id, v.exec_id, o.id, o.category, o.symbol, 'o', o.link_id, o.side, v.price,
    v.quantity, v.fee, v.coin, 'Trade', '', now()
FROM close_orders o
JOIN close_requests r ON r.id = o.close_id
JOIN synthetic_positions p ON p.id = r.position_id
JOIN (VALUES
    ('two coins', 'BTCUSDT', 'a', 110, 1, 0.20, 'USDT'),
    ('two coins', 'BTCUSDT', 'b', 120, 1, 0.30, 'USDT'),
    ('two coins', 'BTCPERP', 'c', 102.999999, 1, 0.25, 'USDC'),
    ('beyond', 'BTCUSDT', 'd', 110, 1.5, 0.1, 'USDT')
) AS v (position, symbol, exec_id, price, quantity, fee, coin)
    ON (v.position, v.symbol) = (p.name, o.symbol);
INSERT INTO funding (account_id, exec_id, position_id, category, symbol, amount, coin, paid_at)
SELECT account_id, 'f', id, 'linear', 'BTCPERP', -0.5, 'USDC', now()
FROM synthetic_positions WHERE name = 'two coins';
INSERT INTO deviations (account_id, category, symbol, position_idx, kind, expected, actual, cause,
    first_seen, last_verified)
SELECT id, 'linear', v.symbol, 0, 'missing', 1, 0, v.cause, now(), now()
FROM accounts, (VALUES ('BTCUSDT', 'some text'), ('ETHUSDT', NULL)) AS v (symbol, cause);
INSERT INTO pnl_history (position_id, at, unrealized_pnl)
SELECT id, '2026-01-01T00:00Z', 5 FROM synthetic_positions WHERE name = 'untouched';
"""


async def test_the_data_of_the_first_version_is_carried_over(
    postgres_url: str, seal_key: SealKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = await asyncpg.connect(postgres_url)
    await connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    with monkeypatch.context() as patched:
        patched.setattr("positiond.store.migrate.migrations", lambda: migrations()[:1])
        assert await migrate(postgres_url) == ["0001_initial"]
    await connection.execute(FIRST_VERSION_DATA)
    assert await migrate(postgres_url) == [f"{m.version:04d}_{m.name}" for m in migrations()[1:]]
    async with open_store(postgres_url, seal_key) as store:
        positions = {p.name: p for p in await store.positions.load_open()}
        assert {name: position.booked for name, position in positions.items()} == {
            "two coins": (
                Booked("USDC", Decimal("0.25"), Decimal("-0.5"), Decimal("-2.999999")),
                # One unit at +10 and one at +20.
                Booked("USDT", Decimal("0.5"), Decimal(0), Decimal("30")),
            ),
            # A fill of 1.5 of which 1 was open: +10 and not +15.
            "beyond": (Booked("USDT", Decimal("0.1"), realized_pnl=Decimal(10)),),
            "by hand": (Booked("USDT", Decimal("1.5"), realized_pnl=Decimal(-2)),),
            "untouched": (),
        }
        (leg,) = positions["untouched"].components
        assert (str(leg.quantity), leg.recorded_quantity, leg.coin) == ("0.50", None, None)
        causes = {row.bucket.symbol: row.cause for row in await store.evidence.open_deviations()}
        assert causes == {"BTCUSDT": Cause(CauseKind.UNKNOWN, "some text"), "ETHUSDT": None}
    recorded = await connection.fetch("SELECT recorded_quantity FROM position_components")
    assert sorted(row["recorded_quantity"] for row in recorded) == [Decimal("0.5"), 1, 1, 2]
    await connection.close()


SECOND_VERSION_DATA = (
    FIRST_VERSION_DATA.partition("INSERT INTO synthetic_positions")[0]
    + """
INSERT INTO synthetic_positions (account_id, name) SELECT id, 'a pair' FROM accounts;
INSERT INTO position_components
    (position_id, category, symbol, side, expected_quantity, closed_quantity, entry_price)
SELECT id, 'linear', v.symbol, 'Buy', 2, v.closed, 100
FROM synthetic_positions, (VALUES ('BTCUSDT', 1.5), ('ETHUSDT', 0)) AS v (symbol, closed);
INSERT INTO close_requests (position_id, requested_by, state, created_at, expires_at, ended_at)
SELECT p.id, u.id, v.state, now(), now(), CASE v.state WHEN 'FAILED' THEN now() END
FROM synthetic_positions p, users u, (VALUES ('FAILED'), ('SETTLING')) AS v (state);
INSERT INTO close_legs (close_id, component_id, open_at_acceptance)
SELECT r.id, c.id, 2 FROM close_requests r, position_components c;
INSERT INTO close_orders (id, close_id, component_id, account_id, category, symbol, position_idx,
    attempt, link_id, side, quantity, state, signed_at, dies_at, filled, leader_epoch, created_at)
SELECT gen_random_uuid(), r.id, c.id, a.id, c.category, c.symbol, 0, 1, r.state, 'Sell', 2,
    CASE r.state WHEN 'FAILED' THEN 'TERMINAL' ELSE 'ACKED' END, now(), now() + interval '5s',
    CASE r.state WHEN 'FAILED' THEN 1.5 ELSE 0 END, 1, now()
FROM position_components c, close_requests r, accounts a WHERE c.symbol = 'BTCUSDT';
INSERT INTO executions (account_id, exec_id, close_order_id, category, symbol, order_id, link_id,
    side, price, quantity, fee, fee_coin, exec_type, create_type, executed_at)
SELECT o.account_id, 'a', o.id, o.category, o.symbol, 'o', o.link_id, o.side, 110, 1.5, 0.2,
    'USDT', 'Trade', '', now()
FROM close_orders o WHERE o.link_id = 'FAILED';
UPDATE synthetic_positions SET status = 'CLOSING';
"""
)


async def test_a_close_that_was_open_at_the_migration_goes_on(
    postgres_url: str, seal_key: SealKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = await asyncpg.connect(postgres_url)
    await connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    with monkeypatch.context() as patched:
        patched.setattr("positiond.store.migrate.migrations", lambda: migrations()[:2])
        await migrate(postgres_url)
    await connection.execute(SECOND_VERSION_DATA)
    await connection.close()
    assert (await migrate(postgres_url))[0] == "0003_closing"
    async with open_store(postgres_url, seal_key) as store, store.leadership.held():
        (request,) = await store.closes.open_requests()
        assert (request.terms, request.set_id) == (CloseTerms(), None)
        assert request.targets == request.open_at_acceptance
        (order,) = await store.closes.orders([request.id])
        assert (order.state, order.parts, order.slippage, order.step) == (
            OrderState.ACKED,
            (),
            None,
            None,
        )
        (position,) = await store.positions.load_open()
        component = position.components[0]
        symbol = SymbolKey(position.account_id, Category.LINEAR, "BTCUSDT")
        (claim,) = await store.evidence.funding_claims(symbol, datetime.now(UTC))
        assert claim.signed_open == Decimal("0.5")
        with pytest.raises(Conflict) as refused:
            await end(store, request.id, old=RequestState.SETTLING)
        assert refused.value.code == "orders-unsettled"
        fill = replace(fill_of(order, "b", "0.5"), executed_at=datetime.now(UTC))
        assert (await store.closes.add_fills(order, [fill])).filled == Decimal("0.5")
        # One of the earlier close comes again, to whichever order: it was booked.
        again = await store.closes.add_fills(order, [fill, fill_of(order, "a", "1.5")])
        assert again.filled == Decimal("0.5")
        await store.closes.save_order(replace(order, state=OrderState.TERMINAL))
        await end(store, request.id, old=RequestState.SETTLING)
        closed = await store.positions.load(position.id)
        assert closed is not None
        assert closed.status is PositionStatus.CLOSED
        assert closed.components[0].id == component.id
        assert closed.components[0].open == 0


async def test_every_query_prepares_against_the_schema(postgres_url: str) -> None:
    connection = await asyncpg.connect(postgres_url)
    for name, text in SQL.items():
        try:
            await connection.prepare(text)
        except asyncpg.PostgresError as error:
            pytest.fail(f"{name}: {error}")
    await connection.close()
