"""Closing, with and without trouble: each leg sold once, nothing else touched."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from positiond.bybit.paper.server import PaperServer
from positiond.daemon.domain.people import User

from tests.e2e.exchange import books, fault, fired
from tests.e2e.world import Trader, World, daemon, trading

CREATE = "/v5/order/create"
OWN, RIVAL = Decimal("0.3"), Decimal("0.2")


@dataclass(frozen=True)
class Scene:
    """A position to close, on symbols where the trader and another position hold something, too."""

    trader: Trader
    closing: dict[str, Any]
    rival: dict[str, Any]


async def scene(world: World, trader: Trader) -> Scene:
    world.paper.trade(trader.paper, "BTCUSDT", "Buy", str(OWN))
    rival = await trader.record("another", world.holds(trader.paper, "BTCUSDT", "Buy", str(RIVAL)))
    closing = await trader.record(
        "to be closed",
        world.holds(trader.paper, "BTCUSDT", "Buy", "0.5"),
        world.holds(trader.paper, "ETHUSDT", "Sell", "7"),
    )
    return Scene(trader, closing, rival)


async def close(scene: Scene) -> dict[str, Any]:
    status, answer, headers = await scene.trader.post(f"/api/positions/{scene.closing['id']}/close")
    assert status == 202, answer
    assert headers["Location"] == f"/api/closes/{answer['close_id']}"
    return dict(answer)


async def assert_closed(world: World, scene: Scene, within: float = 20) -> dict[str, Any]:
    """CLOSED, every leg sold once by the exchange's own books, and everything else as it was."""
    shown = await scene.trader.until(
        str(scene.closing["id"]), lambda p: p["status"] == "CLOSED", within, "CLOSED"
    )
    found = await books(world.paper.url, scene.trader.paper)
    found.assert_each_leg_sold_once(scene.closing["components"])
    assert found.sizes == {"BTCUSDT": OWN + RIVAL}
    for leg in shown["components"]:
        assert Decimal(leg["closed_quantity"]) == Decimal(leg["quantity"])
    report = await scene.trader.get(f"/api/closes/{shown['last_close']['close_id']}")
    assert report["state"] == "DONE"
    assert {leg["outcome"] for leg in report["legs"]} == {"flat"}
    await scene.trader.until(
        str(scene.rival["id"]), lambda p: p["verdict"] == "in_sync", 10, "the other is in sync"
    )
    return dict(report)


async def test_a_close_sells_each_leg_once_reduce_only_and_touches_nothing_else(
    world: World, trader: Trader
) -> None:
    made = await scene(world, trader)
    await close(made)
    report = await assert_closed(world, made)
    assert {order["symbol"]: order["attempt"] for order in report["orders"]} == {
        "BTCUSDT": 1,
        "ETHUSDT": 1,
    }
    open_ = (await trader.get("/api/positions"))["positions"]
    assert [position["id"] for position in open_] == [made.rival["id"]]


async def test_a_second_request_joins_the_first_and_a_key_replays_its_answer_for_ever(
    world: World, trader: Trader
) -> None:
    made = await scene(world, trader)
    path = f"/api/positions/{made.closing['id']}/close"
    # Held back before the first order, so that the second request meets an open close.
    await world.store.switches.set_trading_paused(True)
    first = await trader.post(path, **{"Idempotency-Key": "morning-1"})
    second = await trader.post(path)
    assert (first[0], second[0]) == (202, 202)
    assert second[1] == first[1]
    assert second[2]["Location"] == first[2]["Location"]
    await world.store.switches.set_trading_paused(False)
    await assert_closed(world, made)

    status, answer, _ = await trader.post(path, **{"Idempotency-Key": "morning-1"})
    assert (status, answer) == (202, first[1])
    status, problem, _ = await trader.post(path)
    assert (status, problem["code"]) == (409, "already-closed")
    other = f"/api/positions/{made.rival['id']}/close"
    status, problem, _ = await trader.post(other, **{"Idempotency-Key": "morning-1"})
    assert (status, problem["code"]) == (422, "idempotency-key-reused")
    assert len(await world.sql("SELECT FROM close_requests")) == 1


async def test_a_hundred_requests_at_once_are_one_close(world: World, trader: Trader) -> None:
    made = await scene(world, trader)
    path = f"/api/positions/{made.closing['id']}/close"
    await world.store.switches.set_trading_paused(True)
    answers = await asyncio.gather(*(trader.post(path) for _ in range(100)))
    assert {status for status, *_ in answers} == {202}
    assert len({answer["close_id"] for _, answer, _ in answers}) == 1
    assert (await books(world.paper.url, trader.paper)).orders == []
    await world.store.switches.set_trading_paused(False)
    await assert_closed(world, made)
    assert len(await world.sql("SELECT FROM close_requests")) == 1


# name: the faults, all of the closing account alone.
SOON: dict[str, list[dict[str, Any]]] = {
    "a reply that hangs after accepting": [
        {"kind": "hang", "where": CREATE, "when": "after", "count": 1, "ms": 20_000}
    ],
    "a 5xx after accepting": [
        {"kind": "http", "where": CREATE, "when": "after", "count": 2, "status": 502}
    ],
    "a connection reset after accepting": [
        {"kind": "reset", "where": CREATE, "when": "after", "count": 1}
    ],
    "an internal error after accepting": [
        {"kind": "reject", "where": CREATE, "when": "after", "count": 1, "code": 10016}
    ],
    "a private stream that says nothing": [{"kind": "frame_drop", "where": "*"}],
    "a private stream that says everything twice": [{"kind": "frame_duplicate", "where": "*"}],
    "a private stream out of order": [{"kind": "frame_reorder", "where": "*", "chance": 0.5}],
    "a private stream that is cut": [{"kind": "cut", "where": "execution", "count": 1}],
    "a thin book": [
        {"kind": "thin_book", "where": "BTCUSDT", "depth": "0.123", "count": 2},
        {"kind": "thin_book", "where": "ETHUSDT", "depth": "2.01", "count": 1},
    ],
    "a rate limit": [{"kind": "rate_limit", "where": CREATE, "count": 2}],
    "a reply after accepting lost, and the stream silent": [
        {"kind": "http", "where": CREATE, "when": "after", "count": 2, "status": 504},
        {"kind": "frame_drop", "where": "*"},
    ],
}


async def assert_closed_through(
    world: World, made: Scene, faults: Iterable[dict[str, Any]], within: float
) -> dict[str, Any]:
    # In sync comes two quiet seconds after the last trade: no frame of it is left for the faults.
    await made.trader.until(
        str(made.closing["id"]), lambda p: p["verdict"] == "in_sync", 10, "in sync"
    )
    ids = [await fault(world.paper.url, account=made.trader.paper.uid, **spec) for spec in faults]
    await close(made)
    report = await assert_closed(world, made, within)
    for id_ in ids:
        assert await fired(world.paper.url, id_) >= 1
    return report


# Like another of these but for the words of the exchange; told in the thorough tier.
ALIKE = (
    "a 5xx after accepting",
    "an internal error after accepting",
    "a private stream out of order",
)


@pytest.mark.parametrize(
    "name",
    [pytest.param(one, marks=pytest.mark.thorough if one in ALIKE else ()) for one in SOON],
)
async def test_each_leg_is_sold_once_through(name: str, world: World, trader: Trader) -> None:
    made = await scene(world, trader)
    await assert_closed_through(world, made, SOON[name], 25)


# Nothing was executed, but only absence that is proven may be followed by a second try.
NEVER_ARRIVED: dict[str, dict[str, Any]] = {
    "a 5xx before accepting": {"kind": "http", "status": 503},
    "a connection reset before accepting": {"kind": "reset"},
    "an internal error before accepting": {"kind": "reject", "code": 10016},
    "a hang before accepting": {"kind": "hang", "ms": 20_000},
}


@pytest.mark.thorough
async def test_orders_that_never_arrived_are_proven_absent_and_sent_again_under_their_id(
    world: World,
) -> None:
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(daemon(world))
        user = await world.user("alice")
        scenes = [await _desk(world, stack, user, name) for name in NEVER_ARRIVED]
        reports = await asyncio.gather(
            *(
                assert_closed_through(
                    world, made, [{"where": CREATE, "count": 1, **spec}], within=60
                )
                for made, spec in zip(scenes, NEVER_ARRIVED.values(), strict=True)
            )
        )
    for report in reports:
        # The same rows: a second attempt would be another order under another id.
        assert [order["attempt"] for order in report["orders"]] == [1, 1]


async def _desk(world: World, stack: AsyncExitStack, user: User, label: str) -> Scene:
    return await scene(world, await stack.enter_async_context(trading(world, user, label)))


async def test_a_position_that_the_trader_closed_by_hand_ends_closed_with_nothing_sent(
    world: World, trader: Trader, paper: PaperServer
) -> None:
    position = await trader.record("alone", world.holds(trader.paper, "SOLUSDT", "Buy", "30"))
    paper.trade(trader.paper, "SOLUSDT", "Sell", "30")
    status, _, _ = await trader.post(f"/api/positions/{position['id']}/close")
    assert status == 202
    shown = await trader.until(str(position["id"]), lambda p: p["status"] == "CLOSED", 15, "CLOSED")
    (leg,) = shown["last_close"]["legs"]
    assert (leg["outcome"], Decimal(leg["filled"])) == ("shortfall", 0)
    found = await books(paper.url, trader.paper)
    assert (found.orders, found.sizes) == ([], {})


async def test_a_loss_that_nobody_owns_refuses_the_close_before_any_order(
    world: World, trader: Trader, paper: PaperServer
) -> None:
    made = await scene(world, trader)
    paper.trade(trader.paper, "BTCUSDT", "Sell", "0.1")
    answer = await close(made)
    shown = await trader.until(
        str(made.closing["id"]),
        lambda p: p["status"] == "ACTIVE" and p["last_close"],
        15,
        "ACTIVE again with the failed close on record",
    )
    assert shown["last_close"]["close_id"] == answer["close_id"]
    assert (shown["last_close"]["state"], shown["last_close"]["code"]) == (
        "FAILED",
        "shortfall-unattributed",
    )
    assert (await books(paper.url, trader.paper)).orders == []
