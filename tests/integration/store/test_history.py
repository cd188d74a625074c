"""P&L over time: written once a minute for all, thinned with age, read evenly."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random

import asyncpg
import pytest
from positiond.daemon.domain.history import TIERS, PnlPoint, evenly, keep
from positiond.daemon.domain.model import Position
from positiond.store.store import Store

from tests.builders_store import MINUTE, NOW, add_account, add_position

EVER = (datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))


def point(position: Position, at: datetime, value: str = "1") -> PnlPoint:
    return PnlPoint(position.id, at, Decimal(value), Decimal(value) - 1, "USDT")


async def times(store: Store, position: Position) -> list[datetime]:
    return [p.at for p in await store.evidence.history(position.id, *EVER, 100_000)]


async def test_points_come_back_as_written_oldest_first(store: Store) -> None:
    account = await add_account(store)
    position, other = await add_position(store, account), await add_position(store, account)
    late = PnlPoint(position.id, NOW, Decimal("0.000000000000000001"), None, "BTC")
    early = point(position, NOW - MINUTE, "-12345678901234.5")
    await store.evidence.write_history([late, early, point(other, NOW)])
    assert await store.evidence.history(position.id, *EVER, 10) == [early, late]
    assert await store.evidence.history(position.id, NOW, NOW, 10) == [late]
    assert await store.evidence.history(position.id, NOW - MINUTE, NOW, 10) == [early, late]
    await store.evidence.write_history([])


async def test_a_point_that_exists_is_left(store: Store) -> None:
    position = await add_position(store, await add_account(store))
    for value in ("1", "2"):
        await store.evidence.write_history([point(position, NOW, value)])
    assert await store.evidence.history(position.id, *EVER, 10) == [point(position, NOW, "1")]


@pytest.mark.parametrize(
    ("count", "limits"), [(1, (2, 5)), (7, (2, 3, 6, 7, 8)), (100, (2, 3, 10, 33, 99, 100))]
)
async def test_too_many_points_are_thinned_evenly_as_the_domain_says(
    store: Store, count: int, limits: tuple[int, ...]
) -> None:
    position = await add_position(store, await add_account(store))
    points = [point(position, NOW + n * MINUTE, str(n)) for n in range(count)]
    await store.evidence.write_history(points)
    for limit in limits:
        found = await store.evidence.history(position.id, *EVER, limit)
        assert found == evenly(points, limit)


async def test_thinning_keeps_what_the_domain_keeps(store: Store) -> None:
    account = await add_account(store)
    positions = [await add_position(store, account) for _ in range(2)]
    rng = Random(11)
    now = datetime(2026, 3, 1, tzinfo=UTC)
    written: dict[int, set[datetime]] = {0: set(), 1: set()}
    for tier in TIERS:
        for n, position in enumerate(positions):
            some = {now - tier.until + MINUTE * rng.randint(-300, 300) for _ in range(150)}
            written[n] |= some
            await store.evidence.write_history([point(position, at) for at in some])
    assert await store.evidence.thin_history(now) > 0
    for n, position in enumerate(positions):
        assert await times(store, position) == keep(written[n], now)
    assert await store.evidence.thin_history(now) == 0


async def test_thinning_as_time_goes_by_ends_where_thinning_at_once_does(store: Store) -> None:
    position = await add_position(store, await add_account(store))
    start = datetime(2026, 3, 1, 0, 7, tzinfo=UTC)
    written = [start + n * MINUTE for n in range(0, 600, 3)]
    await store.evidence.write_history([point(position, at) for at in written])
    expected = written
    for tier in TIERS:
        for hours in range(0, 14, 2):
            now = start + tier.until + timedelta(hours=hours)
            await store.evidence.thin_history(now)
            kept = set(await times(store, position))
            # A slot is thinned as a whole: its later points stay until all of it is old enough.
            expected = keep(expected, now)
            assert kept >= set(expected)
            surplus = kept - set(expected)
            assert all(now - tier.until - at < timedelta(hours=1) for at in surplus)
    assert await times(store, position) == []


async def test_old_points_are_dropped_in_bounded_batches(store: Store, postgres_url: str) -> None:
    position = await add_position(store, await add_account(store))
    connection = await asyncpg.connect(postgres_url)
    await connection.execute(
        "INSERT INTO pnl_history (position_id, at, unrealized_pnl, currency)"
        " SELECT $1, $2::timestamptz - n * interval '1 second', 0, 'USDT'"
        " FROM generate_series(1, 60000) n",
        position.id,
        NOW,
    )
    await connection.close()
    assert await store.evidence.thin_history(NOW + TIERS[-1].until) == 60_000
    assert await times(store, position) == []
