"""Closing from the dashboard: by the preview, in part, together, and while it waits."""

from __future__ import annotations

import asyncio
import re

from playwright.async_api import expect
from positiond.bybit.paper.server import PaperServer

from tests.e2e.browser import needs_browser, record, window
from tests.e2e.exchange import books, control, fault, sdk
from tests.e2e.world import Trader, World

pytestmark = needs_browser


async def test_a_trader_closes_half_and_then_the_rest_over_a_resting_order(
    world: World, alice: Trader, paper: PaperServer
) -> None:
    position = await record(world, alice)
    async with window(world.url) as opened:
        page, row = opened.page, opened.row(position)
        await opened.sign_in("alice")
        modal, button = page.get_by_test_id("close-modal"), row.get_by_test_id("close-button")
        lines, confirm = modal.get_by_test_id("close-order"), modal.get_by_test_id("confirm-close")
        await button.click()
        await modal.get_by_test_id("fraction-0.5").click()
        await expect(confirm).to_have_text("Close 50 %", timeout=10_000)
        await expect(lines.nth(0)).to_contain_text(re.compile(r"Sell.*0\.25.*BTCUSDT.*At about"))
        await expect(lines.nth(1)).to_contain_text(re.compile(r"Buy.*3\.5.*ETHUSDT.*At about"))
        await modal.get_by_test_id("slippage").fill("2")
        await confirm.click()
        await expect(modal).to_have_count(0)
        half = await alice.until(
            str(position["id"]),
            lambda p: (p["last_close"] or {}).get("state") == "DONE",
            20,
            "half of it is closed",
        )
        assert half["status"] == "ACTIVE"
        assert [c["closed_quantity"] for c in half["components"]] == ["0.25", "3.5"]
        close = half["last_close"]
        assert (close["fraction"], close["slippage"]) == ("0.5", "2")
        await expect(row).to_have_attribute("data-status", "ACTIVE", timeout=10_000)
        await row.get_by_test_id("expand-button").click()
        await expect(page.get_by_test_id("last-close")).to_contain_text("Last close of 50 %: done")

        await asyncio.to_thread(_rest_in_the_way, paper.url, alice, "BTCUSDT", "Sell", "0.2")
        await button.click()
        resting = modal.get_by_test_id("resting-order")
        await expect(resting).to_contain_text("Sell 0.2 at", timeout=10_000)
        await expect(confirm).to_be_disabled()
        await modal.get_by_test_id("cancel-resting").check()
        await confirm.click()
        await expect(row).to_have_count(0, timeout=30_000)
    found = await books(paper.url, alice.paper)
    found.assert_each_leg_sold_once(position["components"])
    assert found.sizes == {}


async def test_a_trader_closes_two_that_net_by_one_confirmation(
    world: World, alice: Trader, paper: PaperServer
) -> None:
    long = await alice.record("long", world.holds(alice.paper, "BTCUSDT", "Buy", "0.5"))
    short = await alice.record("short", world.holds(alice.paper, "BTCUSDT", "Sell", "0.2"))
    async with window(world.url) as opened:
        page = opened.page
        await opened.sign_in("alice")
        for position in (long, short):
            await opened.row(position).get_by_test_id("select").check()
        await page.get_by_test_id("close-together").click()
        modal = page.get_by_test_id("close-set-modal")
        listed = modal.get_by_test_id("close-set-position")
        await expect(listed).to_have_text([re.compile("Long 0.5 BTC"), re.compile("Short 0.2 BTC")])
        await modal.get_by_test_id("confirm-close-set").click()
        await expect(page.get_by_test_id("empty-state")).to_be_visible(timeout=30_000)
        await expect(page.get_by_test_id("notice")).to_have_text(
            [re.compile("is closed"), re.compile("is closed")]
        )
    rows = await world.sql("SELECT state, set_id FROM close_requests")
    assert [row["state"] for row in rows] == ["DONE", "DONE"]
    assert len({row["set_id"] for row in rows}) == 1
    found = await books(paper.url, alice.paper)
    assert [order["cumExecQty"] for order in found.orders] == ["0.3"]
    assert found.sizes == {}


async def test_a_close_that_waits_is_looked_into_and_given_up(world: World, alice: Trader) -> None:
    position = await record(world, alice)
    async with window(world.url) as opened:
        page, row = opened.page, opened.row(position)
        await opened.sign_in("alice")
        await row.get_by_test_id("expand-button").click()
        await row.get_by_test_id("close-button").click()
        confirm = page.get_by_test_id("confirm-close")
        await expect(confirm).to_be_enabled(timeout=10_000)
        held = await fault(world.paper.url, "http", where="/v5/position/list", status=502)
        await confirm.click()
        running = page.get_by_test_id("running-close")
        await expect(running).to_be_visible(timeout=10_000)
        await expect(running.get_by_test_id("close-progress")).to_have_count(2)
        await expect(running.get_by_test_id("close-waits")).to_be_visible(timeout=20_000)
        await running.get_by_test_id("recheck-close").click()
        await expect(running.get_by_test_id("recheck-close")).to_be_enabled(timeout=10_000)
        await running.get_by_test_id("cancel-running-close").click()
        await expect(running).to_have_count(0, timeout=10_000)
        await expect(row.get_by_test_id("close-failure")).to_contain_text("Close cancelled")
        await control(world.paper.url, "DELETE", "faults", id=held)
    assert await world.sql("SELECT FROM close_orders") == []
    assert (await alice.position(str(position["id"])))["status"] == "ACTIVE"


def _rest_in_the_way(url: str, trader: Trader, symbol: str, side: str, quantity: str) -> None:
    """A reduce-only order of the trader's own, far from the price."""
    with sdk(url, trader.paper) as session:
        session.place_order(
            category="linear",
            symbol=symbol,
            side=side,
            orderType="Limit",
            price="150000",
            qty=quantity,
            reduceOnly=True,
        )
