"""Closing by a plan, in part, together, and past what stands in the way."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

from tests.e2e.exchange import books, control, fault
from tests.e2e.world import Trader, World, leg


async def ended(trader: Trader, close_id: str, within: float = 20) -> dict[str, Any]:
    """The report of the close once it has ended."""
    async with asyncio.timeout(within):
        while True:
            report = dict(await trader.get(f"/api/closes/{close_id}"))
            if report["state"] in ("DONE", "FAILED", "CANCELLED"):
                return report
            await asyncio.sleep(0.05)


async def closed(trader: Trader, position: dict[str, Any], **terms: object) -> dict[str, Any]:
    status, answer, _ = await trader.post(f"/api/positions/{position['id']}/close", terms)
    assert status == 202, answer
    return await ended(trader, answer["close_id"])


async def test_half_is_planned_and_closed_and_then_the_rest(world: World, trader: Trader) -> None:
    pair = await trader.record(
        "pair",
        world.holds(trader.paper, "BTCUSDT", "Buy", "0.5"),
        world.holds(trader.paper, "ETHUSDT", "Sell", "7"),
    )
    path = f"/api/positions/{pair['id']}/close-plan?fraction=0.5"
    plan = await trader.get(path)
    assert [leg["quantity"] for leg in plan["legs"]] == ["0.25", "3.5"]
    assert all(leg["estimated_price"] and leg["estimated_fee"] for leg in plan["legs"])
    report = await closed(trader, pair, fraction="0.5", expected_plan=plan["plan_id"])
    assert (report["state"], {leg["outcome"] for leg in report["legs"]}) == ("DONE", {"flat"})
    await trader.until(pair["id"], lambda p: p["status"] == "ACTIVE", 10, "ACTIVE")
    found = await books(world.paper.url, trader.paper)
    assert found.sizes == {"BTCUSDT": Decimal("0.25"), "ETHUSDT": Decimal("-3.5")}
    # What was planned then is not what would be sent now.
    status, answer, _ = await trader.post(
        f"/api/positions/{pair['id']}/close", {"expected_plan": plan["plan_id"]}
    )
    assert (status, answer["code"]) == (409, "plan-changed")
    assert (await closed(trader, pair))["state"] == "DONE"
    await trader.until(pair["id"], lambda p: p["status"] == "CLOSED", 10, "CLOSED")
    assert (await books(world.paper.url, trader.paper)).sizes == {}


async def test_a_trade_by_hand_after_the_plan_stops_the_close(world: World, trader: Trader) -> None:
    pair = await trader.record("one", world.holds(trader.paper, "BTCUSDT", "Buy", "0.5"))
    plan = await trader.get(f"/api/positions/{pair['id']}/close-plan")
    world.paper.trade(trader.paper, "BTCUSDT", "Sell", "0.1")
    report = await closed(trader, pair, expected_plan=plan["plan_id"])
    assert (report["state"], report["code"]) == ("FAILED", "plan-changed")
    assert report["orders"] == []


async def test_positions_that_net_close_together_with_one_order(
    world: World, trader: Trader
) -> None:
    long = await trader.record("long", world.holds(trader.paper, "BTCUSDT", "Buy", "0.5"))
    world.paper.trade(trader.paper, "BTCUSDT", "Sell", "0.3")
    price = world.holds(trader.paper, "ETHUSDT", "Buy", "1")["entry_price"]
    short = await trader.record("short", leg("BTCUSDT", "Sell", "0.3", price))
    plan = await trader.get(f"/api/positions/{long['id']}/close-plan")
    assert [one["code"] for leg in plan["legs"] for one in leg["blockers"]] == ["netted"]
    assert not plan["can_close"]
    ids = [long["id"], short["id"]]
    status, answer, _ = await trader.post("/api/positions/close", {"position_ids": ids})
    assert status == 202, answer
    reports = [await ended(trader, close["close_id"]) for close in answer["closes"]]
    assert [report["state"] for report in reports] == ["DONE", "DONE"]
    quantities = {
        order["order_link_id"]: order["quantity"] for r in reports for order in r["orders"]
    }
    assert list(quantities.values()) == ["0.2"]
    for one in (long, short):
        await trader.until(one["id"], lambda p: p["status"] == "CLOSED", 10, "CLOSED")
    sizes = (await books(world.paper.url, trader.paper)).sizes
    assert sizes == {"ETHUSDT": Decimal(1)}


async def test_resting_orders_are_named_and_cancelled_only_if_that_was_said(
    world: World, trader: Trader
) -> None:
    one = await trader.record("one", world.holds(trader.paper, "BTCUSDT", "Buy", "0.5"))
    price = Decimal(one["components"][0]["entry_price"]) * Decimal("1.02")
    made = await control(
        world.paper.url,
        "POST",
        "order",
        account=trader.paper.uid,
        category="linear",
        symbol="BTCUSDT",
        side="Sell",
        qty="0.4",
        price=str(price.quantize(Decimal("0.1"))),
        reduce_only=True,
    )
    plan = await trader.get(f"/api/positions/{one['id']}/close-plan")
    (row,) = plan["legs"]
    assert [blocker["code"] for blocker in row["blockers"]] == ["resting-orders"]
    assert [order["order_id"] for order in row["resting_orders"]] == [made["order"]["orderId"]]
    refused = await closed(trader, one, expected_plan=plan["plan_id"])
    assert (refused["state"], refused["code"]) == ("FAILED", "resting-orders")
    report = await closed(trader, one, expected_plan=plan["plan_id"], cancel_resting=True)
    assert report["state"] == "DONE", report
    assert (await books(world.paper.url, trader.paper)).sizes == {}


async def test_a_recheck_of_a_close_answers_and_one_of_an_ended_close_is_refused(
    world: World, trader: Trader
) -> None:
    one = await trader.record("one", world.holds(trader.paper, "BTCUSDT", "Buy", "0.5"))
    await fault(world.paper.url, "hang", where="/v5/order/create", when="after", count=1, ms=2_000)
    status, answer, _ = await trader.post(f"/api/positions/{one['id']}/close")
    assert status == 202
    path = f"/api/closes/{answer['close_id']}/recheck"
    status, seen, _ = await trader.post(path)
    assert (status, seen["close_id"]) == (202, answer["close_id"])
    assert (await ended(trader, answer["close_id"]))["state"] == "DONE"
    status, refusal, _ = await trader.post(path)
    assert (status, refusal["code"]) == (409, "already-ended")
