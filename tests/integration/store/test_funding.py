"""Funding: claims as of the time it was paid, and each share booked once and for all."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import asyncpg
from positiond.daemon.domain.buckets import SymbolKey
from positiond.daemon.domain.funding import FundingPayment, FundingShare
from positiond.daemon.domain.model import (
    Account,
    Booked,
    BucketKey,
    Category,
    Position,
    Side,
)
from positiond.daemon.domain.orders import CloseTerms, Netting, OrderState, RequestState
from positiond.daemon.domain.resolving import Change, Resolution, ResolveAction
from positiond.store.store import Store

from tests.builders_store import (
    MINUTE,
    NOW,
    accept_set,
    add_account,
    add_position,
    bucket_of,
    end,
    fill_of,
    leg,
    net_order,
    sent_order,
)


def payment_of(account: Account, exec_id: str = "f1", coin: str = "USDT") -> FundingPayment:
    symbol = SymbolKey(account.id, Category.LINEAR, "BTCUSDT")
    return FundingPayment(exec_id, symbol, Decimal(3), Decimal("-0.9"), coin, NOW)


async def booked_of(store: Store, position: Position) -> tuple[Booked, ...]:
    reloaded = await store.positions.load(position.id)
    assert reloaded is not None
    return reloaded.booked


async def opens_at(store: Store, account: Account, at: datetime) -> list[Decimal]:
    symbol = SymbolKey(account.id, Category.LINEAR, "BTCUSDT")
    return [claim.signed_open for claim in await store.evidence.funding_claims(symbol, at)]


async def test_each_share_is_booked_once_however_often_it_is_reported(store: Store) -> None:
    account = await add_account(store)
    first, second = await add_position(store, account), await add_position(store, account)
    payment = payment_of(account)
    shares = [FundingShare(first.id, Decimal("-0.6")), FundingShare(second.id, Decimal("-0.3"))]
    raised = await asyncio.gather(
        *(store.evidence.book_funding(payment, shares[:: 1 - 2 * (n % 2)]) for n in range(20))
    )
    assert sorted(map(len, raised)) == [0] * 19 + [2]
    assert await booked_of(store, first) == (Booked("USDT", funding=Decimal("-0.6")),)
    assert await booked_of(store, second) == (Booked("USDT", funding=Decimal("-0.3")),)


async def test_a_share_that_was_booked_does_not_keep_another_from_it(store: Store) -> None:
    account = await add_account(store)
    first, second = await add_position(store, account), await add_position(store, account)
    payment = payment_of(account)
    one, other = FundingShare(first.id, Decimal(1)), FundingShare(second.id, Decimal(2))
    assert await store.evidence.book_funding(payment, [one]) == {first.id}
    assert await store.evidence.book_funding(payment, [one, other]) == {second.id}
    assert await store.evidence.book_funding(payment_of(account, "f2"), [one]) == {first.id}
    assert await booked_of(store, first) == (Booked("USDT", funding=Decimal(2)),)
    assert await store.evidence.book_funding(payment_of(account, "f3"), []) == frozenset()


async def test_sums_are_kept_per_coin_beside_fees_and_realized_pnl(
    store: Store, epoch: int
) -> None:
    account = await add_account(store)
    position = await add_position(store, account)
    order = await sent_order(store, position)
    fills = [fill_of(order, "a", "0.5"), replace(fill_of(order, "b", "0.5"), fee_coin="MNT")]
    share = [FundingShare(position.id, Decimal("0.25"))]
    await asyncio.gather(
        store.closes.add_fills(order, fills),
        store.evidence.book_funding(payment_of(account), share),
        store.evidence.book_funding(payment_of(account, "f2", "USDC"), share),
    )
    assert await booked_of(store, position) == (
        Booked("MNT", fees=Decimal("0.1")),
        Booked("USDC", funding=Decimal("0.25")),
        Booked("USDT", Decimal("0.1"), Decimal("0.25"), Decimal(10)),
    )


async def test_a_claim_is_what_was_open_at_the_time(store: Store, epoch: int) -> None:
    account = await add_account(store)
    long = await add_position(store, account, leg("BTCUSDT", quantity="3"), leg("ETHUSDT"))
    short = await add_position(store, account, leg("BTCUSDT", Side.SELL, "0.5"))
    await add_position(store, await add_account(store, "bob"))
    start = short.opened_at
    assert await opens_at(store, account, long.opened_at - MINUTE) == []
    assert await opens_at(store, account, start) == [3, Decimal("-0.5")]
    order = await sent_order(store, long)
    fill = fill_of(order, "a", "1")
    await store.closes.add_fills(order, [replace(fill, executed_at=start + 10 * MINUTE)])
    assert await opens_at(store, account, start + 9 * MINUTE) == [3, Decimal("-0.5")]
    assert await opens_at(store, account, start + 10 * MINUTE) == [2, Decimal("-0.5")]
    await store.closes.save_order(replace(order, state=OrderState.TERMINAL))
    await end(store, order.close_id, old=RequestState.SENDING, now=start + 20 * MINUTE)
    assert await opens_at(store, account, start + 19 * MINUTE) == [2, Decimal("-0.5")]
    assert await opens_at(store, account, start + 20 * MINUTE) == [Decimal("-0.5")]


async def test_a_later_resolve_action_does_not_change_what_was_open_before_it(
    store: Store,
) -> None:
    account = await add_account(store)
    position = await add_position(store, account, leg("BTCUSDT", quantity="3"))
    start = position.opened_at
    for minutes, before, after in ((10, "3", "1"), (20, "1", "0")):
        await store.positions.resolve(
            Resolution(
                position.id,
                account.id,
                ResolveAction.REBASE,
                account.user_id,
                start + minutes * MINUTE,
                {position.components[0].id: Change(Decimal(before), Decimal(after))},
                {},
                {BucketKey(account.id, Category.LINEAR, "BTCUSDT", 0): Decimal(after)},
            )
        )
    found = [await opens_at(store, account, start + n * MINUTE) for n in (5, 15, 25)]
    assert found == [[3], [1], []]


async def test_what_was_read_stays_read(store: Store) -> None:
    account = await add_account(store)
    assert await store.evidence.funding_read_until(account.id) is None
    for at in (NOW, NOW - timedelta(hours=1)):
        await store.evidence.note_funding_read(account.id, at)
    assert await store.evidence.funding_read_until(account.id) == NOW


async def test_the_ledger_adds_up_to_the_sums(store: Store, postgres_url: str) -> None:
    account = await add_account(store)
    positions = [await add_position(store, account) for _ in range(5)]
    writes = []
    for n in range(30):
        shares = [FundingShare(p.id, Decimal(n) / 7) for p in positions[n % 3 :]]
        writes += [store.evidence.book_funding(payment_of(account, f"f{n}"), shares)] * 1
        writes.append(store.evidence.book_funding(payment_of(account, f"f{n}"), shares[::-1]))
    await asyncio.gather(*writes)
    connection = await asyncpg.connect(postgres_url)
    rows = await connection.fetch(
        "SELECT sum(f.amount) AS ledger, min(b.funding) AS sum FROM funding f"
        " JOIN booked b USING (position_id, coin) GROUP BY f.position_id"
    )
    await connection.close()
    assert len(rows) == 5
    assert all(row["ledger"] == row["sum"] for row in rows)


async def test_a_claim_knows_what_a_shared_order_a_netting_and_dust_took_and_when(
    store: Store, epoch: int
) -> None:
    account = await add_account(store)
    long = await add_position(store, account, leg("BTCUSDT", quantity="5"))
    short = await add_position(store, account, leg("BTCUSDT", Side.SELL, "2"))
    start = short.opened_at
    order = await net_order(store, [long], [short])
    fills = [
        replace(fill_of(order, str(n), "1.5"), executed_at=start + n * 10 * MINUTE) for n in (1, 2)
    ]
    # The later one is reported first.
    for fill in fills[::-1]:
        await store.closes.add_fills(order, [fill])
    assert await opens_at(store, account, start) == [5, -2]
    half = [Decimal("2.5"), Decimal(-1)]
    assert await opens_at(store, account, start + 10 * MINUTE) == half
    assert await opens_at(store, account, start + 20 * MINUTE) == []


async def test_what_was_netted_or_left_as_dust_was_open_before(store: Store, epoch: int) -> None:
    account = await add_account(store)
    long = await add_position(store, account, leg("BTCUSDT", quantity="2"))
    short = await add_position(store, account, leg("BTCUSDT", Side.SELL, "2"))
    before = short.opened_at
    terms = CloseTerms(fraction=Decimal("0.5"))
    ids = [close.close_id for close in (await accept_set(store, long, short, terms=terms)).closes]
    nettings = [
        Netting(close_id, position.components[0].id, Decimal(1), Decimal(110), "USDT")
        for close_id, position in zip(ids, (long, short), strict=True)
    ]
    await store.closes.book_nettings(nettings)
    later = datetime.now(UTC)
    assert await opens_at(store, account, before) == [2, -2]
    assert await opens_at(store, account, later) == [1, -1]
    at = later + MINUTE
    await end(store, *ids, dust={bucket_of(long): Decimal("0.25")}, now=at)
    assert await opens_at(store, account, later) == [1, -1]
    assert await opens_at(store, account, at) == [Decimal("0.75"), -1]
