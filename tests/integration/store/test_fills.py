"""Fills are booked once and for all, whoever reports them and however often."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal
from random import Random

import asyncpg
import pytest
from positiond.daemon.domain.errors import Conflict
from positiond.daemon.domain.model import Booked, Category, PositionStatus, Side
from positiond.daemon.domain.orders import CloseOrder, OrderState, RequestState
from positiond.store.booking import realized_by
from positiond.store.store import Store

from tests.builders_store import add_account, add_position, end, fill_of, leg, sent_order


async def test_a_fill_raises_the_order_the_component_and_the_ledger(
    store: Store, epoch: int
) -> None:
    position = await add_position(store, await add_account(store), leg("BTCUSDT", Side.SELL, "2"))
    order = await sent_order(store, position)
    booked = await store.closes.add_fills(
        order, [fill_of(order, "a", "0.5", "90", "0.02"), fill_of(order, "b", "1", "120", "-0.01")]
    )
    assert (booked.filled, booked.average_price) == (Decimal("1.5"), Decimal(110))
    reloaded = await store.positions.load(position.id)
    assert reloaded is not None
    assert reloaded.components[0].closed_quantity == Decimal("1.5")
    assert reloaded.components[0].quantity == 2
    assert reloaded.booked == (Booked("USDT", Decimal("0.01"), realized_pnl=Decimal("-15")),)


async def test_the_average_price_of_an_inverse_order_gives_the_pnl_that_was_booked(
    store: Store, epoch: int
) -> None:
    inverse = replace(leg("BTCUSD", quantity="300", entry="40000"), category=Category.INVERSE)
    position = await add_position(store, await add_account(store), inverse)
    order = await sent_order(store, position)
    for exec_id, price in (("a", "50000"), ("b", "60000"), ("c", "70000")):
        fill = replace(fill_of(order, exec_id, "100", price), fee_coin="BTC")
        booked = await store.closes.add_fills(order, [fill])
        (stored,) = await store.closes.orders([order.close_id])
        assert stored.average_price == booked.average_price
    assert booked.average_price is not None
    assert round(booked.average_price, 2) == Decimal("58878.50")
    reloaded = await store.positions.load(position.id)
    assert reloaded is not None
    (coin,) = [sums for sums in reloaded.booked if sums.coin == "BTC"]
    together = realized_by(position.components[0], booked.filled, booked.average_price)
    assert abs(coin.realized_pnl - together) < Decimal("1e-20")


async def test_a_fill_that_comes_again_changes_nothing(store: Store, epoch: int) -> None:
    position = await add_position(store, await add_account(store))
    order = await sent_order(store, position)
    fill = fill_of(order, "a", "0.4")
    first = await store.closes.add_fills(order, [fill, fill])
    after = await store.positions.load(position.id)
    assert first.filled == Decimal("0.4")
    assert await store.closes.add_fills(first, [fill]) == first
    assert await store.positions.load(position.id) == after


async def test_random_reports_with_repetitions_at_once_book_each_execution_once(
    store: Store, epoch: int, postgres_url: str
) -> None:
    rng = Random(7)
    account = await add_account(store)
    for _ in range(5):
        position = await add_position(store, account, leg("BTCUSDT", quantity="10"))
        order = await sent_order(store, position)
        fills = [
            fill_of(order, f"{order.link_id}-{n}", str(Decimal(rng.randint(1, 900)) / 1000))
            for n in range(10)
        ]
        reports = [rng.choices(fills, k=rng.randint(0, 6)) for _ in range(12)] + [fills]
        await asyncio.gather(*(store.closes.add_fills(order, report) for report in reports))
        booked = await store.closes.add_fills(order, [])
        total = sum((fill.quantity for fill in fills), Decimal(0))
        reloaded = await store.positions.load(position.id)
        assert reloaded is not None
        assert booked.filled == total == reloaded.components[0].closed_quantity
        (booked_sums,) = reloaded.booked
        assert booked_sums.fees == sum((fill.fee for fill in fills), Decimal(0))
        assert booked_sums.realized_pnl == total * 10
        await _settle(store, order)
    connection = await asyncpg.connect(postgres_url)
    assert await connection.fetchval("SELECT count(*) FROM executions") == 50
    await connection.close()


async def test_a_fill_beyond_what_is_open_closes_the_component_and_is_journalled(
    store: Store, epoch: int
) -> None:
    position = await add_position(store, await add_account(store))
    order = await sent_order(store, position)
    booked = await store.closes.add_fills(order, [fill_of(order, "a", "1.25")])
    assert booked.filled == Decimal("1.25")
    reloaded = await store.positions.load(position.id)
    assert reloaded is not None
    assert (reloaded.components[0].open, reloaded.booked[0].realized_pnl) == (0, 10)
    event = (await store.evidence.events_of(position.id, 1))[0]
    assert (event.kind, event.data["beyond"]) == ("fill-beyond-open", "0.25")


async def test_funding_and_foreign_executions_are_not_fills(store: Store, epoch: int) -> None:
    order = await sent_order(store, await add_position(store, await add_account(store)))
    fill = fill_of(order, "a", "1")
    booked = await store.closes.add_fills(
        order, [replace(fill, exec_type="Funding", changes_size=False)]
    )
    assert booked.filled == 0
    for foreign in (replace(fill, symbol="ETHUSDT"), replace(fill, side=order.side.reverse)):
        with pytest.raises(Conflict) as refused:
            await store.closes.add_fills(order, [fill, foreign])
        assert refused.value.code == "foreign-fill"
    assert (await store.closes.add_fills(order, [])).filled == 0


async def test_a_fill_that_comes_after_the_end_is_still_booked(store: Store, epoch: int) -> None:
    position = await add_position(store, await add_account(store))
    order = await sent_order(store, position)
    await _settle(store, order)
    await store.closes.add_fills(order, [fill_of(order, "late", "1")])
    reloaded = await store.positions.load(position.id)
    assert reloaded is not None
    assert reloaded.status is PositionStatus.CLOSED
    assert reloaded.components[0].open == 0


async def _settle(store: Store, order: CloseOrder) -> None:
    await store.closes.save_order(replace(order, state=OrderState.TERMINAL))
    await end(store, order.close_id, old=RequestState.SENDING)
