"""One order for several legs: what it fills is theirs, each its part, once and for all."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from itertools import permutations
from random import Random

import asyncpg
import pytest
from positiond.daemon.domain.errors import Conflict, NotFound
from positiond.daemon.domain.model import Booked, Fill, Position, PositionStatus, Side
from positiond.daemon.domain.orders import CloseOrder, Netting, OrderPart, OrderState, RequestState
from positiond.store.store import Store

from tests.builders_store import (
    NOW,
    accept_set,
    add_account,
    add_position,
    end,
    fill_of,
    leg,
    net_order,
    order_of,
    store_order_id,
    to_preflight,
    write_ahead,
)

WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted"


async def sides(store: Store, long: str = "5", short: str = "2") -> tuple[Position, Position]:
    account = await add_account(store)
    return (
        await add_position(store, account, leg("BTCUSDT", quantity=long)),
        await add_position(store, account, leg("BTCUSDT", Side.SELL, short, "120")),
    )


async def closed_of(store: Store, *positions: Position) -> list[Decimal]:
    found = [await store.positions.load(position.id) for position in positions]
    return [p.components[0].closed_quantity for p in found if p is not None]


async def booked_of(store: Store, *positions: Position) -> list[tuple[Booked, ...]]:
    found = [await store.positions.load(position.id) for position in positions]
    return [p.booked for p in found if p is not None]


async def test_an_order_of_several_legs_is_read_back_by_whichever_close(
    store: Store, epoch: int
) -> None:
    long, short = await sides(store)
    order = await net_order(store, [long], [short])
    assert order.quantity == 3
    for part in order.parts:
        assert await store.closes.orders([part.close_id]) == [order]
    assert await store.closes.orders([part.close_id for part in order.parts]) == [order]


async def test_a_full_fill_closes_both_sides_at_its_price(store: Store, epoch: int) -> None:
    long, short = await sides(store)
    order = await net_order(store, [long], [short])
    filled = await store.closes.add_fills(order, [fill_of(order, "a", "3", "110", "0.3")])
    assert (filled.filled, filled.parts) == (3, order.parts)
    assert await closed_of(store, long, short) == [5, 2]
    assert await booked_of(store, long, short) == [
        (Booked("USDT", Decimal("0.3"), realized_pnl=Decimal(50)),),
        (Booked("USDT", realized_pnl=Decimal(20)),),
    ]


async def test_a_partial_fill_closes_both_sides_in_proportion(store: Store, epoch: int) -> None:
    long, short = await sides(store)
    order = await net_order(store, [long], [short])
    first = await store.closes.add_fills(order, [fill_of(order, "a", "1", "110")])
    assert await closed_of(store, long, short) == [Decimal("1.666"), Decimal("0.666")]
    await store.closes.add_fills(first, [fill_of(order, "b", "2", "110")])
    assert await closed_of(store, long, short) == [5, 2]


async def test_reports_of_a_net_order_in_any_order_and_number_come_to_the_same(
    store: Store, epoch: int
) -> None:
    account = await add_account(store)
    quantities = ("0.7", "1.1", "1.2")
    for order_of_arrival in permutations(range(3)):
        long = await add_position(store, account, leg("BTCUSDT", quantity="5"))
        short = await add_position(store, account, leg("BTCUSDT", Side.SELL, "2"))
        order = await net_order(store, [long], [short])
        fills = _fills(order, quantities, "110")
        for n in order_of_arrival:
            await store.closes.add_fills(order, [fills[n], fills[order_of_arrival[0]]])
            stored = (await store.closes.orders([order.close_id]))[0]
            heavy, light = await closed_of(store, long, short)
            assert heavy - light == stored.filled
        assert await closed_of(store, long, short) == [5, 2]
        assert await booked_of(store, long, short) == [
            (Booked("USDT", Decimal("0.3"), realized_pnl=Decimal(50)),),
            (Booked("USDT", realized_pnl=Decimal(-20)),),
        ]


async def test_random_reports_at_once_of_net_orders_that_share_positions_book_each_fill_once(
    store: Store, epoch: int, postgres_url: str
) -> None:
    rng = Random(5)
    account = await add_account(store)
    heavy = [await add_position(store, account, leg("BTCUSDT", quantity=q)) for q in ("3", "7")]
    light = [
        await add_position(store, account, leg("BTCUSDT", Side.SELL, q)) for q in ("1.5", "2.5")
    ]
    whole = await net_order(store, heavy, light)
    halves = [_half(whole, n) for n in (1, 2)]
    await store.closes.save_order(replace(whole, state=OrderState.ABSENT))
    closes = [part.close_id for part in whole.parts]
    sending = RequestState.SENDING
    await store.closes.write_ahead(closes, sending, sending, halves)
    fills = [_fills(order, ["0.3"] * 10, str(rng.randint(90, 130))) for order in halves]
    reports = [(n, rng.sample(fills[n], rng.randint(0, 10))) for n in (0, 1) for _ in range(15)]
    reports += [(0, fills[0]), (1, fills[1])]
    await asyncio.gather(*(store.closes.add_fills(halves[n], report) for n, report in reports))
    assert await closed_of(store, *heavy, *light) == [3, 7, Decimal("1.5"), Decimal("2.5")]
    sums = [booked for (booked,) in await booked_of(store, *heavy, *light)]
    assert sum((booked.fees for booked in sums), Decimal(0)) == Decimal("2.0")
    assert [booked.fees for booked in sums[2:]] == [0, 0]
    prices = [f[0].price - 100 for f in fills]
    # Both sides were entered at 100: what they realize together is the net's.
    assert sum((b.realized_pnl for b in sums), Decimal(0)) == 3 * prices[0] + 3 * prices[1]
    connection = await asyncpg.connect(postgres_url)
    assert await connection.fetchval("SELECT count(*) FROM executions") == 20
    ledger = await connection.fetch(
        "SELECT c.position_id, sum(f.quantity) AS quantity FROM leg_fills f"
        " JOIN position_components c ON c.id = f.component_id GROUP BY 1"
    )
    await connection.close()
    by_position = {row["position_id"]: row["quantity"] for row in ledger}
    assert [by_position[p.id] for p in (*heavy, *light)] == [3, 7, Decimal("1.5"), Decimal("2.5")]


async def test_a_report_is_split_by_what_others_booked_while_it_waited(
    store: Store, epoch: int, postgres_url: str
) -> None:
    long, short = await sides(store)
    order = await net_order(store, [long], [short], step="1")
    connection = await asyncpg.connect(postgres_url)
    async with asyncio.timeout(10), asyncio.TaskGroup() as group, connection.transaction():
        # Whoever books a fill has to wait for this row before he writes to it.
        await connection.execute("SELECT FROM close_orders FOR UPDATE")
        for fill in _fills(order, ["1", "1", "1"], "110"):
            group.create_task(store.closes.add_fills(order, [fill]))
        while await connection.fetchval(WAITING) < 3:  # noqa: ASYNC110 - Postgres tells nobody
            await asyncio.sleep(0.01)
    await connection.close()
    assert await closed_of(store, long, short) == [5, 2]


async def test_fills_of_orders_that_lock_the_same_positions_do_not_deadlock(
    store: Store, epoch: int
) -> None:
    account = await add_account(store)
    pairs = [
        [
            await add_position(store, account, leg(symbol, quantity="2")),
            await add_position(store, account, leg(symbol, Side.SELL, "1")),
        ]
        for symbol in ("BTCUSDT", "ETHUSDT", "XRPUSDT")
    ]
    orders = [await net_order(store, [long], [short]) for long, short in pairs]
    everything = sorted((p for pair in pairs for p in pair), key=lambda p: p.id, reverse=True)
    reports = [
        store.closes.add_fills(order, [fill_of(order, f"{order.link_id}-{n}", "0.01")])
        for n in range(10)
        for order in orders
    ]
    # Refused, as they are of several sets; but only after they have locked them all.
    again = [accept_set(store, *everything) for _ in range(10)]
    outcomes = await asyncio.gather(*reports, *again, return_exceptions=True)
    assert sum(isinstance(outcome, CloseOrder) for outcome in outcomes) == 30
    assert sum(isinstance(outcome, Conflict) for outcome in outcomes) == 10


async def test_a_leg_that_had_less_open_than_its_part_is_told_of(store: Store, epoch: int) -> None:
    long, short = await sides(store)
    closes = (await accept_set(store, long, short)).closes
    parts = (
        OrderPart(long.components[0].id, closes[0].close_id, Decimal("5.5")),
        OrderPart(short.components[0].id, closes[1].close_id, Decimal("2.5"), is_light=True),
    )
    order = order_of(closes[0].close_id, long, long.components[0])
    order = replace(order, quantity=Decimal(3), parts=parts, step=Decimal("0.1"))
    await to_preflight(store, *(close.close_id for close in closes))
    await write_ahead(store, order)
    await store.closes.add_fills(order, [fill_of(order, "a", "3")])
    assert await closed_of(store, long, short) == [5, 2]
    for position, beyond in ((long, "0.5"), (short, "0.5")):
        event = (await store.evidence.events_of(position.id, 1))[0]
        assert (event.kind, event.data["beyond"]) == ("fill-beyond-open", beyond)


async def test_fills_of_an_order_that_was_never_written_are_refused(
    store: Store, epoch: int
) -> None:
    long, short = await sides(store)
    order = await net_order(store, [long], [short])
    unknown = replace(order, id=store.closes.new_order_id())
    with pytest.raises(NotFound):
        await store.closes.add_fills(unknown, [fill_of(order, "a", "1")])


async def test_an_order_that_is_not_what_its_parts_make_of_it_is_never_written(
    store: Store, epoch: int
) -> None:
    long, short = await sides(store)
    closes = [close.close_id for close in (await accept_set(store, long, short)).closes]
    await to_preflight(store, *closes)
    good = (
        OrderPart(long.components[0].id, closes[0], Decimal(5)),
        OrderPart(short.components[0].id, closes[1], Decimal(2), is_light=True),
    )
    order = replace(order_of(closes[0], long, long.components[0]), step=Decimal(1))
    for quantity, parts in ((Decimal("3.001"), good), (Decimal(5), good), (Decimal(3), good[:1])):
        with pytest.raises(Conflict) as refused:
            await store.closes.write_ahead(
                closes,
                RequestState.PREFLIGHT,
                RequestState.SENDING,
                [replace(order, quantity=quantity, parts=parts)],
            )
        assert refused.value.code == "parts-unfit"
    assert await store.closes.orders(closes) == []


async def test_no_close_of_a_set_ends_while_an_order_with_a_part_of_it_is_unsettled(
    store: Store, epoch: int
) -> None:
    long, short = await sides(store)
    order = await net_order(store, [long], [short])
    for part in order.parts:
        for state in (OrderState.PLANNED, OrderState.SENT, OrderState.ACKED, OrderState.UNKNOWN):
            await store.closes.save_order(replace(order, state=state))
            with pytest.raises(Conflict) as refused:
                await end(store, part.close_id, old=RequestState.SENDING)
            assert refused.value.code == "orders-unsettled"
    await store.closes.save_order(replace(order, state=OrderState.TERMINAL))
    await end(store, *(part.close_id for part in order.parts), old=RequestState.SENDING)
    assert await store.closes.open_requests() == []


# --- nettings -------------------------------------------------------------------------------


async def test_legs_that_net_to_nothing_close_against_each_other_once(
    store: Store, epoch: int
) -> None:
    long, short = await sides(store, "2", "2")
    nettings = await _nettings(store, long, short)
    await asyncio.gather(*(store.closes.book_nettings(nettings) for _ in range(5)))
    assert await closed_of(store, long, short) == [2, 2]
    assert await booked_of(store, long, short) == [
        (Booked("USDT", realized_pnl=Decimal(20)),),
        (Booked("USDT", realized_pnl=Decimal(20)),),
    ]
    assert await store.closes.nettings([nettings[0].close_id]) == nettings[:1]
    assert await store.closes.nettings([n.close_id for n in nettings]) == nettings
    event = (await store.evidence.events_of(long.id, 1))[0]
    assert (event.kind, event.data["quantity"], event.data["price"]) == ("leg-netted", "2", "110")
    assert [e.kind for e in await store.evidence.events_of(short.id, 9)].count("leg-netted") == 1


async def test_one_side_alone_is_never_netted(store: Store, epoch: int) -> None:
    long, short = await sides(store, "2", "2")
    nettings = await _nettings(store, long, short)
    for wrong in (nettings[:1], [nettings[0], replace(nettings[1], quantity=Decimal(1))]):
        with pytest.raises(Conflict) as refused:
            await store.closes.book_nettings(wrong)
        assert refused.value.code == "netting-unbalanced"
    with pytest.raises(Conflict) as refused:
        await store.closes.book_nettings([replace(n, quantity=Decimal(3)) for n in nettings])
    assert refused.value.code == "netting-beyond-open"
    assert await closed_of(store, long, short) == [0, 0]
    assert await store.closes.nettings([n.close_id for n in nettings]) == []


async def test_what_was_netted_cannot_be_cancelled_and_an_ended_close_nets_nothing(
    store: Store, epoch: int
) -> None:
    long, short = await sides(store, "2", "2")
    nettings = await _nettings(store, long, short)
    await store.closes.book_nettings(nettings)
    with pytest.raises(Conflict) as refused:
        await store.closes.cancel(long.user_id, nettings[0].close_id, NOW)
    assert refused.value.code == "already-sending"
    await end(store, *(n.close_id for n in nettings))
    assert await store.positions.load_open() == []
    # Booked already: to say it again does no harm.
    await store.closes.book_nettings(nettings)
    account = await add_account(store, "bob")
    others = [
        await add_position(store, account, leg("BTCUSDT", side)) for side in (Side.BUY, Side.SELL)
    ]
    late = await _nettings(store, others[0], others[1])
    await end(store, *(n.close_id for n in late), new=RequestState.FAILED)
    with pytest.raises(Conflict) as refused:
        await store.closes.book_nettings(late)
    assert refused.value.code == "already-ended"
    assert {p.status for p in await store.positions.load_open()} == {PositionStatus.ACTIVE}


async def _nettings(store: Store, long: Position, short: Position) -> list[Netting]:
    accepted = await accept_set(store, long, short)
    return [
        Netting(close.close_id, p.components[0].id, p.components[0].open, Decimal(110), "USDT")
        for close, p in zip(accepted.closes, (long, short), strict=True)
    ]


def _fills(order: CloseOrder, quantities: list[str] | tuple[str, ...], price: str) -> list[Fill]:
    return [
        replace(
            fill_of(order, f"{order.link_id}-{n}", quantity, price),
            executed_at=NOW + timedelta(seconds=n),
        )
        for n, quantity in enumerate(quantities)
    ]


def _half(order: CloseOrder, number: int) -> CloseOrder:
    parts = tuple(replace(part, quantity=part.quantity / 2) for part in order.parts)
    return replace(
        order,
        id=store_order_id(),
        link_id=f"half-{number}-{order.link_id}"[:36],
        attempt=1 + number,
        quantity=order.quantity / 2,
        parts=parts,
        state=OrderState.PLANNED,
    )
