"""Deviations as rows: one open per bucket, with a cause, a past and an end."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

import asyncpg
from positiond.daemon.domain.deviations import Cause, CauseKind
from positiond.daemon.domain.model import (
    Account,
    BucketKey,
    Category,
    CloseId,
    DeviationKind,
    Side,
)
from positiond.daemon.domain.orders import OrderState, RequestState
from positiond.daemon.domain.records import DeviationRecord
from positiond.store.store import Store

from tests.builders_store import (
    MINUTE,
    NOW,
    accept,
    add_account,
    add_position,
    end,
    fill_of,
    leg,
    sent_order,
    spot,
)

ADL = Cause(
    CauseKind.ADL,
    "Long leg reduced by ADL",
    quantity=Decimal("0.4"),
    price=Decimal("64250.1"),
    at=NOW - MINUTE,
    order_ids=("1234", "1235"),
    while_away=True,
)


def bucket_of(account: Account, symbol: str = "BTCUSDT", idx: int = 0) -> BucketKey:
    return BucketKey(account.id, Category.LINEAR, symbol, idx)


def missing(bucket: BucketKey, cause: Cause | None = None) -> DeviationRecord:
    return DeviationRecord(bucket, DeviationKind.MISSING, Decimal(1), Decimal("0.6"), cause)


async def test_a_deviation_is_opened_refreshed_and_ended(store: Store) -> None:
    account = await add_account(store)
    await add_position(store, account)
    bucket = bucket_of(account)
    (first,) = await store.positions.write_verdicts([], [missing(bucket)], [], NOW)
    assert (first.bucket, first.kind, first.cause) == (bucket, DeviationKind.MISSING, None)
    assert (first.difference, first.first_seen, first.ended_at) == (Decimal("-0.4"), NOW, None)
    grown = replace(missing(bucket, ADL), actual=Decimal("0.5"))
    (again,) = await store.positions.write_verdicts([], [grown], [], NOW + MINUTE)
    assert (again.id, again.first_seen, again.last_verified) == (first.id, NOW, NOW + MINUTE)
    assert (again.actual, again.cause) == (Decimal("0.5"), ADL)
    assert await store.evidence.open_deviations() == [again]
    assert await store.positions.write_verdicts([], [], [bucket], NOW + 2 * MINUTE) == []
    assert await store.evidence.open_deviations() == []
    (reopened,) = await store.positions.write_verdicts([], [missing(bucket)], [], NOW + 3 * MINUTE)
    assert reopened.id != first.id


async def test_a_bucket_that_deviates_is_not_cleared_by_the_same_compare(store: Store) -> None:
    account = await add_account(store)
    await add_position(store, account)
    bucket = bucket_of(account)
    assert len(await store.positions.write_verdicts([], [missing(bucket)], [bucket], NOW)) == 1


async def test_a_cause_that_was_found_is_not_lost_to_a_later_look(store: Store) -> None:
    account = await add_account(store)
    await add_position(store, account)
    seen = missing(bucket_of(account), ADL)
    await store.positions.write_verdicts([], [seen], [], NOW)
    (row,) = await store.positions.write_verdicts([], [replace(seen, cause=None)], [], NOW + MINUTE)
    assert (row.cause, row.last_verified) == (ADL, NOW + MINUTE)
    hand = Cause(CauseKind.BY_HAND, "by hand")
    (row,) = await store.positions.write_verdicts([], [replace(seen, cause=hand)], [], NOW + MINUTE)
    assert row.cause == hand


async def test_every_kind_of_cause_is_known_to_the_schema(store: Store) -> None:
    account = await add_account(store)
    await add_position(store, account)
    for kind in CauseKind:
        seen = missing(bucket_of(account), Cause(kind, f"because of {kind}"))
        (row,) = await store.positions.write_verdicts([], [seen], [], NOW)
        assert row.cause == seen.cause


async def test_each_change_of_a_deviation_is_journalled_for_its_positions(store: Store) -> None:
    account = await add_account(store)
    position = await add_position(store, account)
    other = await add_position(store, account, leg("ETHUSDT"))
    seen = missing(bucket_of(account))
    for n, record in enumerate((seen, seen, replace(seen, cause=ADL), seen)):
        await store.positions.write_verdicts([], [record], [], NOW + n * MINUTE)
    await store.positions.write_verdicts([], [], [seen.bucket], NOW + 9 * MINUTE)
    events = await store.evidence.events_of(position.id, 9)
    # It ended before the position was recorded by the database's clock: see below.
    assert [event.kind for event in events] == ["position-recorded"]
    late = position.opened_at
    for n, record in enumerate((seen, seen, replace(seen, cause=ADL), seen)):
        await store.positions.write_verdicts([], [record], [], late + n * MINUTE)
    await store.positions.write_verdicts([], [], [seen.bucket], late + 9 * MINUTE)
    events = await store.evidence.events_of(position.id, 9)
    assert [event.kind for event in events] == [
        "deviation-ended",
        "deviation-changed",
        "deviation-seen",
        "position-recorded",
    ]
    assert events[1].data["cause"] == "Long leg reduced by ADL"
    assert (events[2].data["difference"], events[2].data["cause"]) == ("-0.4", None)
    assert [event.kind for event in await store.evidence.events_of(position.id, 2)] == [
        "deviation-ended",
        "deviation-changed",
    ]
    assert len(await store.evidence.events_of(other.id, 9)) == 1


async def test_where_nothing_is_open_no_deviation_is_opened(
    store: Store, postgres_url: str
) -> None:
    account = await add_account(store)
    await add_position(store, account)
    elsewhere = [
        missing(bucket_of(account, "ETHUSDT")),
        missing(bucket_of(account, idx=2)),
        missing(replace(bucket_of(account), category=Category.INVERSE)),
        missing(bucket_of(await add_account(store, "bob"))),
    ]
    assert await store.positions.write_verdicts([], elsewhere, [], NOW) == []
    connection = await asyncpg.connect(postgres_url)
    assert await connection.fetchval("SELECT count(*) FROM deviations") == 0
    await connection.close()


async def test_a_spot_leg_s_deviation_is_in_its_coin(store: Store) -> None:
    account = await add_account(store)
    position = await add_position(store, account, spot("BTCUSDT"))
    seen = missing(BucketKey(account.id, Category.SPOT, "BTC", 0))
    # Its coin is not on record yet: it may be this one.
    (row,) = await store.positions.write_verdicts([], [seen], [], NOW)
    await store.positions.set_coins(account.environment, {"BTCUSDT": "BTC"})
    assert await store.evidence.deviations_of(position.id, 9) == [row]
    elsewhere = missing(BucketKey(account.id, Category.SPOT, "ETH", 0))
    assert await store.positions.write_verdicts([], [elsewhere], [], NOW) == []
    assert await store.evidence.open_deviations() == [row]


async def test_a_deviation_ends_with_the_last_open_leg_of_its_bucket(
    store: Store, epoch: int
) -> None:
    account = await add_account(store)
    first, second = await add_position(store, account), await add_position(store, account)
    beside = await add_position(store, account, leg("ETHUSDT"))
    records = [missing(bucket_of(account)), missing(bucket_of(account, "ETHUSDT"))]
    await store.positions.write_verdicts([], records, [], second.opened_at)
    later = beside.opened_at + MINUTE
    for position, left in ((first, ["BTCUSDT", "ETHUSDT"]), (second, ["ETHUSDT"])):
        await _close(store, (await accept(store, position)).close_id, at=later)
        rows = await store.evidence.open_deviations()
        assert [row.bucket.symbol for row in rows] == left
    await _close(store, (await accept(store, beside)).close_id)
    assert await store.evidence.open_deviations() == []
    (ended,) = await store.evidence.deviations_of(second.id, 9)
    assert (ended.ended_at, ended.resolution) == (later, None)


async def test_a_deviation_ends_when_fills_close_the_last_leg_of_a_position_that_goes_on(
    store: Store, epoch: int
) -> None:
    account = await add_account(store)
    position = await add_position(store, account, leg("BTCUSDT"), leg("ETHUSDT"))
    records = [missing(bucket_of(account)), missing(bucket_of(account, "ETHUSDT"))]
    await store.positions.write_verdicts([], records, [], NOW)
    order = await sent_order(store, position)
    await store.closes.add_fills(order, [fill_of(order, "a", "0.5")])
    assert len(await store.evidence.open_deviations()) == 2
    await store.closes.add_fills(order, [fill_of(order, "b", "0.5")])
    assert [r.bucket.symbol for r in await store.evidence.open_deviations()] == ["ETHUSDT"]
    await store.closes.save_order(replace(order, state=OrderState.TERMINAL))
    await _close(store, order.close_id, RequestState.SENDING, RequestState.FAILED)
    assert [r.bucket.symbol for r in await store.evidence.open_deviations()] == ["ETHUSDT"]


async def test_in_hedge_mode_a_leg_holds_the_deviation_of_its_own_side(
    store: Store, epoch: int
) -> None:
    account = await add_account(store)
    long, short = (
        await add_position(store, account),
        await add_position(store, account, leg("BTCUSDT", Side.SELL)),
    )
    records = [missing(bucket_of(account, idx=1)), missing(bucket_of(account, idx=2))]
    await store.positions.write_verdicts([], records, [], NOW)
    assert [r.bucket.position_idx for r in await store.evidence.deviations_of(long.id, 9)] == [1]
    assert [r.bucket.position_idx for r in await store.evidence.deviations_of(short.id, 9)] == [2]
    await _close(store, (await accept(store, long)).close_id)
    assert [r.bucket.position_idx for r in await store.evidence.open_deviations()] == [2]


async def test_a_compare_that_ends_late_opens_nothing_where_a_close_has_just_ended(
    store: Store, epoch: int
) -> None:
    account = await add_account(store)
    for _ in range(12):
        accepted = await accept(store, await add_position(store, account))
        await asyncio.gather(
            store.positions.write_verdicts([], [missing(bucket_of(account))], [], NOW),
            _close(store, accepted.close_id),
        )
        assert await store.evidence.open_deviations() == []


async def test_writers_of_the_same_buckets_in_any_order_do_not_deadlock(store: Store) -> None:
    account, other = await add_account(store), await add_account(store, "bob")
    symbols = [f"S{n}USDT" for n in range(8)]
    for owner in (account, other):
        await add_position(store, owner, *(leg(symbol) for symbol in symbols))
    buckets = [bucket_of(owner, symbol) for owner in (account, other) for symbol in symbols]
    writes = []
    for n in range(24):
        turned = buckets[n % 5 :] + buckets[: n % 5]
        turned = turned if n % 2 else turned[::-1]
        half = len(turned) // 2
        seen = [missing(bucket) for bucket in turned[:half]]
        writes.append(store.positions.write_verdicts([], seen, turned[half:], NOW + n * MINUTE))
    await asyncio.gather(*writes)
    rows = await store.evidence.open_deviations()
    assert len({row.bucket for row in rows}) == len(rows)


async def test_a_position_shows_the_deviations_of_its_own_life(
    store: Store, postgres_url: str
) -> None:
    account = await add_account(store)
    old, young = await add_position(store, account), await add_position(store, account)
    seen = missing(bucket_of(account))
    connection = await asyncpg.connect(postgres_url)
    move = "UPDATE synthetic_positions SET opened_at = $2 WHERE id = $1"
    await connection.execute(move, old.id, NOW - 60 * MINUTE)
    await connection.execute(move, young.id, NOW)
    (first,) = await store.positions.write_verdicts([], [seen], [], NOW - 20 * MINUTE)
    await store.positions.write_verdicts([], [], [seen.bucket], NOW - 10 * MINUTE)
    (second,) = await store.positions.write_verdicts([], [seen], [], NOW - 5 * MINUTE)
    await connection.execute(
        "UPDATE synthetic_positions SET status = 'CLOSED', closed_at = $2 WHERE id = $1",
        old.id,
        NOW + MINUTE,
    )
    await connection.close()
    await store.positions.write_verdicts([], [], [seen.bucket], NOW + 2 * MINUTE)
    (third,) = await store.positions.write_verdicts([], [seen], [], NOW + 3 * MINUTE)
    shown = [row.id for row in await store.evidence.deviations_of(old.id, 9)]
    assert shown == [second.id, first.id]
    shown = [row.id for row in await store.evidence.deviations_of(young.id, 9)]
    assert shown == [third.id, second.id]
    assert len(await store.evidence.deviations_of(young.id, 1)) == 1


async def _close(
    store: Store,
    close_id: CloseId,
    old: RequestState = RequestState.ACCEPTED,
    new: RequestState = RequestState.DONE,
    at: datetime = NOW + MINUTE,
) -> None:
    await end(store, close_id, old=old, new=new, now=at)
