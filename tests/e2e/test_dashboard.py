"""The dashboard in a real browser, on a running demo: watch, flag, close."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Locator, Page, async_playwright, expect

from tests.e2e.demo_run import Demo, demo

pytestmark = pytest.mark.thorough

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
# The runner has no user namespaces as root, and nothing may phone home.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-dev-shm-usage",
]


@pytest.fixture
async def running() -> AsyncIterator[Demo]:
    if CHROMIUM is None:
        # Silence here would hide that the page was never looked at.
        if os.environ.get("CI"):
            pytest.fail("Chromium is not installed")
        pytest.skip("Chromium is not installed")
    with tempfile.TemporaryDirectory(prefix="positiond-demo-") as directory:
        async with demo(Path(directory), "--alter-after", "5") as made:
            yield made


@pytest.fixture
async def page(running: Demo) -> AsyncIterator[Page]:
    """Signed in by the link; an error on the page's console fails the test."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        opened = await browser.new_page()
        faults: list[str] = []
        opened.on("pageerror", lambda error: faults.append(str(error)))
        opened.on(
            "console", lambda said: faults.append(said.text) if said.type == "error" else None
        )
        await opened.goto(running.facts["sign_in_url"])
        yield opened
        await browser.close()
        assert faults == []


async def test_a_trader_watches_a_position_sees_one_altered_and_closes_one(
    page: Page, running: Demo
) -> None:
    positions = await running.positions()
    rows = page.get_by_test_id("position-row")
    await expect(rows).to_have_count(len(positions), timeout=15_000)

    await _pnl_moves(page, positions["demo-btc-eth"]["id"])
    await _altered_shows(page, positions["demo-avax-dot"]["id"])
    await _closes(page, positions["demo-sol"]["id"], len(positions))

    await page.reload()
    await expect(rows).to_have_count(len(positions) - 1, timeout=15_000)
    assert "demo-sol" not in await running.positions()


async def _pnl_moves(page: Page, position_id: str) -> None:
    pnl = _row(page, position_id).get_by_test_id("pnl").first
    before = await pnl.inner_text()
    await expect(pnl).not_to_have_text(before, timeout=10_000)
    sign, text = await pnl.evaluate("one => [one.dataset.sign, one.innerText]")
    assert (sign == "negative") == ("−" in text or "-" in text)


async def _altered_shows(page: Page, position_id: str) -> None:
    badge = _row(page, position_id).get_by_test_id("altered-badge")
    await expect(badge).to_be_visible(timeout=30_000)
    await expect(badge).to_contain_text("DOTUSDT")
    await expect(badge).to_have_attribute("title", re.compile("by hand"))
    await expect(page.get_by_test_id("altered-badge")).to_have_count(1)


async def _closes(page: Page, position_id: str, count: int) -> None:
    await _row(page, position_id).get_by_test_id("close-button").click()
    modal = page.get_by_test_id("close-modal")
    await expect(modal).to_be_visible()
    # An Enter pressed by habit must not sell anything.
    await expect(page.get_by_test_id("confirm-close")).not_to_be_focused()
    await page.keyboard.press("Escape")
    await expect(modal).to_have_count(0)

    await _row(page, position_id).get_by_test_id("close-button").click()
    await page.get_by_test_id("confirm-close").click()
    await expect(_row(page, position_id)).to_have_count(0, timeout=20_000)
    await expect(page.get_by_test_id("position-row")).to_have_count(count - 1)


def _row(page: Page, position_id: str) -> Locator:
    return page.locator(f'[data-testid="position-row"][data-position-id="{position_id}"]')
