"""How a close ends: with the position closed, or active with what is left of it."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from positiond.daemon.domain.errors import Conflict, NotFound
from positiond.daemon.domain.model import (
    BucketKey,
    Category,
    Environment,
    Fill,
    Position,
    PositionStatus,
    Side,
)
from positiond.daemon.domain.orders import (
    CloseEnding,
    CloseOrder,
    CloseTerms,
    LegOutcome,
    LegResult,
    OrderState,
    RequestState,
)
from positiond.store.store import Store

from tests.builders_store import (
    MINUTE,
    NOW,
    WHOLE,
    accept,
    accept_set,
    add_account,
    add_position,
    bucket_of,
    end,
    fill_of,
    leg,
    order_of,
    spot,
    to_preflight,
    write_ahead,
)

HALF = CloseTerms(fraction=Decimal("0.5"))


async def filled(
    store: Store, position: Position, quantity: str, terms: CloseTerms = WHOLE
) -> CloseOrder:
    """A close of the first leg whose only order filled so much and ended."""
    accepted = await accept(store, position, terms=terms)
    order = order_of(accepted.close_id, position, position.components[0])
    await to_preflight(store, accepted.close_id)
    await write_ahead(store, order)
    await store.closes.add_fills(order, [fill_of(order, f"{order.link_id}-x", quantity)])
    await store.closes.save_order(replace(order, state=OrderState.TERMINAL))
    return order


async def done(store: Store, order: CloseOrder, **dust: Decimal) -> None:
    buckets = {replace(order.bucket, symbol=symbol): left for symbol, left in dust.items()}
    await end(store, order.close_id, old=RequestState.SENDING, dust=buckets, now=NOW + MINUTE)


async def reloaded(store: Store, position: Position) -> Position:
    found = await store.positions.load(position.id)
    assert found is not None
    return found


async def test_a_close_of_a_fraction_leaves_the_position_active_with_the_rest(
    store: Store, epoch: int
) -> None:
    position = await add_position(store, await add_account(store), leg("BTCUSDT", quantity="2"))
    order = await filled(store, position, "1", HALF)
    await done(store, order)
    left = await reloaded(store, position)
    assert (left.status, left.closed_at) == (PositionStatus.ACTIVE, None)
    assert (left.components[0].open, left.components[0].closed_quantity) == (1, 1)
    request = await store.closes.request(order.close_id)
    assert request is not None
    assert request.state is RequestState.DONE
    # The next half is half of what is open now.
    again = await filled(store, left, "0.5", HALF)
    next_request = await store.closes.request(again.close_id)
    assert next_request is not None
    assert next_request.targets == {position.components[0].id: Decimal("0.5")}
    await done(store, again)
    rest = await filled(store, await reloaded(store, position), "0.5")
    await done(store, rest)
    assert (await reloaded(store, position)).status is PositionStatus.CLOSED


async def test_a_close_of_a_fraction_that_closed_everything_ends_the_position(
    store: Store, epoch: int
) -> None:
    position = await add_position(store, await add_account(store))
    await done(store, await filled(store, position, "1", HALF))
    assert (await reloaded(store, position)).status is PositionStatus.CLOSED


async def test_a_whole_close_whose_rest_was_gone_ends_the_position_all_the_same(
    store: Store, epoch: int
) -> None:
    account = await add_account(store)
    for terms in (WHOLE, CloseTerms(fraction=Decimal(1))):
        position = await add_position(store, account)
        await done(store, await filled(store, position, "0.7", terms))
        left = await reloaded(store, position)
        assert left.status is PositionStatus.CLOSED
        assert left.components[0].closed_quantity == Decimal("0.7")


async def test_a_close_of_a_fraction_whose_part_was_gone_leaves_the_rest_on_record(
    store: Store, epoch: int
) -> None:
    position = await add_position(store, await add_account(store), leg("BTCUSDT", quantity="2"))
    await done(store, await filled(store, position, "0.3", HALF))
    left = await reloaded(store, position)
    assert (left.status, left.components[0].open) == (PositionStatus.ACTIVE, Decimal("1.7"))


@pytest.mark.parametrize(("side", "dust"), [(Side.BUY, "0.001"), (Side.SELL, "-0.001")])
async def test_dust_is_the_trader_s_from_then_on_and_the_leg_s_no_more(
    store: Store, epoch: int, side: Side, dust: str
) -> None:
    position = await add_position(
        store, await add_account(store), leg("BTCUSDT", side), leg("ETHUSDT")
    )
    order = await filled(store, position, "0.5", HALF)
    await done(store, order, BTCUSDT=Decimal(dust))
    left = await reloaded(store, position)
    btc, eth = left.components
    assert (btc.open, btc.closed_quantity) == (Decimal("0.499"), Decimal("0.5"))
    assert btc.recorded_quantity == 1
    assert eth.open == 1
    assert left.status is PositionStatus.ACTIVE
    key = bucket_of(position)
    assert await store.positions.unassigned() == {key: Decimal(dust)}
    # What is expected of the bucket is what it was before.
    assert btc.signed_open + Decimal(dust) == side.sign * Decimal("0.5")
    event = (await store.evidence.events_of(position.id, 1))[0]
    assert event.data["components"] == [
        {"component_id": str(btc.id), "before": "0.5", "after": "0.499"}
    ]


async def test_a_fraction_of_which_nothing_but_dust_is_left_ends_the_position(
    store: Store, epoch: int
) -> None:
    position = await add_position(store, await add_account(store))
    order = await filled(store, position, "0.999", CloseTerms(fraction=Decimal("0.999")))
    await done(store, order, BTCUSDT=Decimal("0.001"))
    assert (await reloaded(store, position)).status is PositionStatus.CLOSED


async def test_in_hedge_mode_dust_is_the_leg_s_whose_side_it_is_on(
    store: Store, epoch: int
) -> None:
    position = await add_position(store, await add_account(store), leg("BTCUSDT", Side.SELL))
    order = await filled(store, position, "0.9")
    wrong = {bucket_of(position, idx=1): Decimal("-0.1")}
    with pytest.raises(Conflict):
        await end(store, order.close_id, old=RequestState.SENDING, dust=wrong)
    right = {bucket_of(position, idx=2): Decimal("-0.1")}
    await end(store, order.close_id, old=RequestState.SENDING, dust=right)
    assert (await reloaded(store, position)).components[0].open == 0
    assert await store.positions.unassigned() == right


async def test_more_dust_than_is_open_ends_nothing(store: Store, epoch: int) -> None:
    position = await add_position(store, await add_account(store))
    order = await filled(store, position, "0.95")
    for dust in ("0.06", "-0.01"):
        with pytest.raises(Conflict) as refused:
            await done(store, order, BTCUSDT=Decimal(dust))
        assert refused.value.code == "lost-update"
    assert await store.positions.unassigned() == {}
    assert len(await store.closes.open_requests()) == 1


async def test_dust_of_spot_leaves_the_legs_of_its_coin_and_is_recorded_nowhere(
    store: Store, epoch: int
) -> None:
    account = await add_account(store)
    position = await add_position(
        store, account, spot("BTCUSDT", "0.5"), spot("BTCUSDC", "0.25"), spot("ETHUSDT")
    )
    coins = {"BTCUSDT": "BTC", "BTCUSDC": "BTC", "ETHUSDT": "ETH"}
    await store.positions.set_coins(Environment.PAPER, coins)
    position = await reloaded(store, position)
    accepted = await accept(store, position, terms=HALF)
    dust = {BucketKey(account.id, Category.SPOT, "BTC", 0): Decimal("0.6")}
    await end(store, accepted.close_id, dust=dust)
    opens = [c.open for c in (await reloaded(store, position)).components]
    assert opens == [0, Decimal("0.15"), 1]
    assert await store.positions.unassigned() == {}


async def test_a_spot_order_is_booked_in_its_instrument(store: Store, epoch: int) -> None:
    position = await add_position(store, await add_account(store), spot("BTCUSDT", "0.5"))
    await store.positions.set_coins(Environment.PAPER, {"BTCUSDT": "BTC"})
    position = await reloaded(store, position)
    accepted = await accept(store, position)
    order = replace(
        order_of(accepted.close_id, position, position.components[0]),
        bucket=bucket_of(position),
        symbol="BTCUSDT",
        slippage=Decimal("0.5"),
        step=Decimal("0.0001"),
        settle_coin="USDT",
    )
    await to_preflight(store, accepted.close_id)
    await write_ahead(store, order)
    assert await store.closes.orders([accepted.close_id]) == [order]
    sold: Fill = replace(fill_of(order, "a", "0.5"), symbol="BTCUSDT")
    with pytest.raises(Conflict):
        await store.closes.add_fills(order, [replace(sold, symbol="BTC")])
    await store.closes.add_fills(order, [sold])
    left = await reloaded(store, position)
    assert left.components[0].open == 0
    assert (left.booked[0].coin, left.booked[0].realized_pnl) == ("USDT", 5)


async def test_the_requests_of_a_set_end_each_its_own_way_in_one_transaction(
    store: Store, epoch: int
) -> None:
    account = await add_account(store)
    one, two = [await add_position(store, account) for _ in range(2)]
    ids = [close.close_id for close in (await accept_set(store, one, two)).closes]
    result = LegResult(two.components[0].id, LegOutcome.REJECTED, Decimal(0), None, "refused")
    good = CloseEnding(ids[0], RequestState.DONE, None, None, ())
    bad = CloseEnding(ids[1], RequestState.FAILED, "rejected", "told", (result,))
    foreign = replace(bad, legs=(replace(result, component_id=one.components[0].id),))
    with pytest.raises(NotFound):
        await store.closes.finish([good, foreign], RequestState.ACCEPTED, NOW)
    with pytest.raises(Conflict):
        await store.closes.finish([good, bad], RequestState.WAITING, NOW)
    assert len(await store.closes.open_requests()) == 2
    await store.closes.finish([good, bad], RequestState.ACCEPTED, NOW)
    assert (await reloaded(store, one)).status is PositionStatus.CLOSED
    assert (await reloaded(store, two)).status is PositionStatus.ACTIVE
    failed = await store.closes.request(ids[1])
    assert failed is not None
    assert (failed.code, failed.detail, failed.legs) == ("rejected", "told", (result,))
