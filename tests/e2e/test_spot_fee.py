"""Coin that was bought with its fee really missing, and then sold in parts: no loss at any time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest

from tests.e2e.test_closing_terms import closed
from tests.e2e.world import Trader, World, now

SYMBOL, COIN = "SOLUSDT", "SOL"


def bought(world: World, trader: Trader, quantity: str) -> dict[str, str]:
    """A leg that was just bought: the wallet got 0.1 % less than it says."""
    before = world.paper.books.wallet(trader.paper.uid, COIN).balance
    order = world.paper.trade(trader.paper, SYMBOL, "Buy", quantity, category="spot")["order"]
    assert order["cumExecQty"] == quantity, order
    got = world.paper.books.wallet(trader.paper.uid, COIN).balance - before
    assert got == Decimal(quantity) * Decimal("0.999")
    return {
        "category": "spot",
        "symbol": SYMBOL,
        "side": "Buy",
        "quantity": quantity,
        "entry_price": order["avgPrice"],
    }


async def in_sync(trader: Trader, *positions: dict[str, Any]) -> None:
    """Each compared anew, and found in sync."""
    since = now().isoformat()
    for one in positions:
        await trader.until(
            one["id"],
            lambda p: p["verdict"] == "in_sync" and (p["verified_at"] or "") > since,
            15,
            "in sync by a new compare",
        )


@asynccontextmanager
async def never_altered(world: World, trader: Trader, *ids: str) -> AsyncIterator[None]:
    """Whatever happens inside, no page shows these as altered, and no deviation is on record."""

    async def sample() -> None:
        while True:
            for one in ids:
                shown = await trader.position(one)
                assert (shown["verdict"], shown["is_altered"]) != ("altered", True), shown
            await asyncio.sleep(0.02)

    sampling = asyncio.create_task(sample())
    yield
    sampling.cancel()
    await asyncio.wait([sampling])
    assert sampling.cancelled(), sampling.exception()
    assert await world.sql("SELECT * FROM deviations") == []


@pytest.mark.parametrize("has_neighbour", [False, True])
async def test_coin_bought_with_its_fee_missing_is_sold_in_parts_and_always_in_sync(
    world: World, trader: Trader, has_neighbour: bool
) -> None:
    one = await trader.record("large", bought(world, trader, "50"))
    others = []
    if has_neighbour:
        others = [await trader.record("small", bought(world, trader, "5"))]
    async with never_altered(world, trader, one["id"], *(p["id"] for p in others)):
        await in_sync(trader, one, *others)
        report = await closed(trader, one, fraction="0.9")
        assert (report["state"], report["legs"][0]["filled"]) == ("DONE", "45")
        # 4.95 (beside a small one 9.945) where 5 (10) is open: 1 % of it, 0.1 % of what was bought.
        await in_sync(trader, one, *others)
        (leg,) = (await trader.position(one["id"]))["components"]
        assert leg["note"] is not None, leg
        assert "fee of the purchase" in leg["note"], leg
        report = await closed(trader, one)
        assert (report["state"], report["legs"][0]["outcome"]) == ("DONE", "shortfall")
        assert (await trader.position(one["id"]))["status"] == "CLOSED"
        await in_sync(trader, *others)
