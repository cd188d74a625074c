"""The dashboard in a real browser: sign in, watch, see what was altered, close, reload."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from playwright.async_api import Locator, expect
from positiond.bybit.paper.server import PaperServer
from positiond.http.passwords import hash_password

from tests.e2e.browser import PASSWORD, Window, needs_browser, record, window
from tests.e2e.exchange import books, control, fault
from tests.e2e.gate import PUBLIC, Gate
from tests.e2e.world import Trader, World, daemon, trading

pytestmark = needs_browser

MINUS = "\N{MINUS SIGN}"
GREEN, RED = "positive", "negative"


async def signed_pnl(row: Locator, sign: str, mark: str) -> str:
    """The shown P&L once it has the sign, in text, in its attribute and in colour."""
    pnl = row.get_by_test_id("pnl")
    await expect(pnl).to_have_attribute("data-sign", sign)
    await expect(pnl).to_have_class(re.compile(rf"\b{sign}\b"))
    await expect(pnl).to_have_text(re.compile(rf"^{re.escape(mark)}[\d,]+\.\d\d USDT$"))
    return str(await pnl.evaluate("element => getComputedStyle(element).color"))


async def test_a_trader_watches_a_position_sees_it_altered_and_closes_it(
    world: World, alice: Trader, paper: PaperServer
) -> None:
    position = await record(world, alice)
    async with window(world.url) as opened:
        page, row = opened.page, opened.row(position)
        await opened.sign_in("alice", "not her password")
        await expect(page.get_by_test_id("sign-in-fault")).to_be_visible()
        await opened.sign_in("alice")
        await expect(row).to_have_attribute("data-verdict", "in_sync")

        pnl = row.get_by_test_id("pnl")
        before = await pnl.inner_text()
        await expect(pnl).not_to_have_text(before)
        await control(paper.url, "POST", "price", symbol="BTCUSDT", mark="103000")
        green = await signed_pnl(row, GREEN, "+")
        await control(paper.url, "POST", "price", symbol="BTCUSDT", mark="99000")
        red = await signed_pnl(row, RED, MINUS)
        assert green != red

        paper.trade(alice.paper, "BTCUSDT", "Sell", "0.2")
        badge = row.get_by_test_id("altered-badge")
        await expect(badge).to_contain_text(f"BTCUSDT {MINUS}0.2")
        paper.trade(alice.paper, "BTCUSDT", "Buy", "0.2")
        await expect(badge).to_have_count(0)

        await close_in(world, opened, position)
    found = await books(paper.url, alice.paper)
    found.assert_each_leg_sold_once(position["components"])
    assert found.sizes == {}


async def close_in(world: World, opened: Window, position: dict[str, Any]) -> None:
    """Close, think better of it, close: held up long enough to look at it and to reload."""
    page, row = opened.page, opened.row(position)
    modal = page.get_by_test_id("close-modal")
    button = row.get_by_test_id("close-button")
    await button.click()
    await expect(modal).to_be_visible()
    lines = modal.get_by_test_id("close-order")
    await expect(lines).to_have_count(2)
    await expect(lines.nth(0)).to_contain_text(re.compile(r"Sell.*0\.5.*BTCUSDT.*reduce-only"))
    await expect(lines.nth(1)).to_contain_text(re.compile(r"Buy.*7.*ETHUSDT.*reduce-only"))
    await expect(lines.nth(0)).to_contain_text(re.compile(r"At about [\d,.]+ · fee about .* USDT"))
    await modal.get_by_test_id("cancel-close").click()
    await expect(modal).to_have_count(0)
    assert await world.sql("SELECT FROM close_requests") == []

    await button.click()
    await expect(lines.nth(0)).to_contain_text("At about")
    held = await fault(world.paper.url, "http", where="/v5/position/list", status=502)
    await modal.get_by_test_id("confirm-close").click()
    await expect(row).to_have_attribute("data-status", "CLOSING")
    await expect(button).to_be_disabled()
    await expect(row).to_contain_text("Closing…")
    await page.reload()
    await expect(row).to_have_attribute("data-status", "CLOSING")
    await expect(row).to_contain_text("Closing…")
    await control(world.paper.url, "DELETE", "faults", id=held)
    await expect(row).to_have_count(0)
    await expect(page.get_by_test_id("empty-state")).to_be_visible()
    assert len(await world.sql("SELECT FROM close_requests")) == 1


async def test_a_second_person_s_page_shows_nothing_of_the_first(
    world: World, alice: Trader
) -> None:
    position = await record(world, alice)
    await world.store.people.add_user("bob", hash_password(PASSWORD))
    async with window(world.url) as opened:
        await opened.sign_in("bob")
        await expect(opened.page.get_by_test_id("empty-state")).to_be_visible()
        text = await opened.page.content()
        assert position["id"] not in text
        assert "own pair" not in text
        # Alice's position goes on moving; nothing of it may reach bob's page later either.
        shown = await alice.position(str(position["id"]))
        await alice.until(
            str(position["id"]),
            lambda p: Decimal(p["unrealized_pnl"] or 0) != Decimal(shown["unrealized_pnl"] or 0),
            10,
            "it moves",
        )
        await expect(opened.page.get_by_test_id("position-row")).to_have_count(0)


async def test_prices_that_are_cut_show_a_dash_and_no_number(gated: World, gate: Gate) -> None:
    async with daemon(gated):
        user = await gated.store.people.add_user("alice", hash_password(PASSWORD))
        async with trading(gated, user, "main") as trader, window(gated.url) as opened:
            position = await record(gated, trader)
            await opened.sign_in("alice")
            pnl = opened.row(position).get_by_test_id("pnl")
            await expect(pnl).to_have_attribute("data-sign", re.compile("positive|negative"))
            gate.shut(PUBLIC)
            await expect(pnl).to_have_attribute("data-sign", "none", timeout=5_000)
            await expect(pnl).to_contain_text("no fresh price of")
            gate.open()
            await expect(pnl).to_have_attribute(
                "data-sign", re.compile("positive|negative"), timeout=15_000
            )


async def test_a_trader_reads_why_a_position_is_altered_and_rebases_it(
    world: World, alice: Trader, paper: PaperServer
) -> None:
    position = await record(world, alice)
    async with window(world.url) as opened:
        page, row = opened.page, opened.row(position)
        await opened.sign_in("alice")
        await expect(row).to_have_attribute("data-verdict", "in_sync")
        await expect(row).to_contain_text("In sync")
        paper.trade(alice.paper, "BTCUSDT", "Sell", "0.2")
        await expect(row.get_by_test_id("altered-badge")).to_be_visible(timeout=10_000)
        await row.get_by_test_id("expand-button").click()
        deviation = page.get_by_test_id("deviation")
        await expect(deviation).to_contain_text(f"Long BTCUSDT {MINUS}0.2 Less than recorded")
        await expect(page.get_by_test_id("deviation-cause")).to_contain_text("by hand")
        await expect(row.get_by_test_id("cause")).to_contain_text("by hand")
        await expect(deviation).to_contain_text("First seen")

        modal = page.get_by_test_id("resolve-modal")
        await page.get_by_test_id("resolve-rebase").click()
        await expect(modal.get_by_test_id("resolve-effect")).to_contain_text("0.5 → 0.3")
        await modal.get_by_test_id("cancel-resolve").click()
        await expect(modal).to_have_count(0)
        assert (await alice.position(position["id"]))["is_altered"]

        await page.get_by_test_id("resolve-rebase").click()
        await modal.get_by_test_id("confirm-resolve").click()
        await expect(modal).to_have_count(0)
        await expect(row).to_have_attribute("data-verdict", "in_sync")
        await expect(row).to_contain_text("In sync")
        await expect(deviation).to_have_count(0)
        leg = page.locator('[data-testid=leg-row][data-symbol="BTCUSDT"]')
        await expect(leg).to_contain_text("at first 0.5")
        journal = page.get_by_test_id("journal")
        await journal.locator("summary").click()
        await expect(journal).to_contain_text("Resolved: rebase · BTCUSDT 0.5 → 0.3")
        await expect(journal.get_by_test_id("ended-deviations")).to_contain_text("leg rebased")
    found = await alice.position(position["id"])
    assert (found["is_altered"], found["deviations"][0]["resolution"]) == (False, "rebase")
    assert [c["quantity"] for c in found["components"] if c["symbol"] == "BTCUSDT"] == ["0.3"]
    assert await world.sql("SELECT FROM close_orders") == []


async def test_a_resolve_that_fails_says_why_in_place_and_can_be_tried_again(
    world: World, alice: Trader, paper: PaperServer
) -> None:
    position = await record(world, alice)
    paper.trade(alice.paper, "BTCUSDT", "Sell", "0.5")
    async with window(world.url) as opened:
        page, row = opened.page, opened.row(position)
        await opened.sign_in("alice")
        await row.get_by_test_id("expand-button").click()
        await page.get_by_test_id("resolve-mark_closed").click(timeout=10_000)
        modal = page.get_by_test_id("resolve-modal")
        await expect(modal.get_by_test_id("resolve-effect")).to_contain_text("0.5 → 0")

        broken = await fault(paper.url, "http", where="/v5/position/list", status=502)
        await modal.get_by_test_id("confirm-resolve").click()
        await expect(modal.get_by_test_id("resolve-fault")).to_contain_text(
            "BTCUSDT could not be read", timeout=15_000
        )
        assert (await alice.position(position["id"]))["components"][0]["quantity"] == "0.5"
        await control(paper.url, "DELETE", "faults", id=broken)
        await modal.get_by_test_id("confirm-resolve").click()
        await expect(modal).to_have_count(0, timeout=15_000)
        await expect(row).to_have_attribute("data-verdict", "in_sync")
        # What the browser itself logs of a refusal is no fault of the page.
        opened.complaints[:] = [text for text in opened.complaints if "503" not in text]
    found = await alice.position(position["id"])
    assert [c["quantity"] for c in found["components"]] == ["0", "7"]
    assert found["status"] == "ACTIVE"


async def test_a_trader_records_what_is_held_already(
    world: World, alice: Trader, paper: PaperServer
) -> None:
    paper.trade(alice.paper, "BTCUSDT", "Buy", "0.5")
    async with window(world.url) as opened:
        page = opened.page
        await opened.sign_in("alice")
        await page.get_by_test_id("adopt").click()
        modal = page.get_by_test_id("adopt-modal")
        await modal.get_by_label("Name").fill("adopted")
        holding = modal.locator('[data-testid=holding][data-symbol="BTCUSDT"]')
        await holding.get_by_role("checkbox").check()
        await holding.get_by_label("Quantity").fill("0.3")
        await modal.get_by_test_id("confirm-adopt").click()
        await expect(modal).to_have_count(0)
        row = page.get_by_test_id("position-row")
        await expect(row).to_contain_text("adopted")
        await expect(row).to_have_attribute("data-verdict", "in_sync", timeout=15_000)
        await row.get_by_test_id("expand-button").click()
        await page.get_by_test_id("recheck").click()
        await expect(page.get_by_test_id("recheck-answer")).to_contain_text("Asked for")
        await page.get_by_test_id("edit").click()
        await page.get_by_test_id("edit-modal").get_by_label("Name").fill("renamed")
        await page.get_by_test_id("confirm-edit").click()
        await expect(row).to_contain_text("renamed", timeout=5_000)
    (component,) = await world.sql("SELECT expected_quantity::text AS q FROM position_components")
    assert component["q"] == "0.3"
