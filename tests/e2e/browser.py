"""A real browser with the dashboard in it, and whoever sits before it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from playwright.async_api import BrowserContext, Locator, Page, async_playwright, expect

from tests.e2e.world import Trader, World

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")

OPTIONS = ("--no-sandbox", "--disable-quic", "--disable-background-networking")
# A browser beside four workers is slow; what it waits for is awaited, not timed.
expect.set_options(timeout=20_000)
PASSWORD = "correct horse battery staple"


@dataclass
class Window:
    """A browser of one person, with everything that its console complained of."""

    context: BrowserContext
    page: Page
    complaints: list[str] = field(default_factory=list)

    def row(self, position: dict[str, Any]) -> Locator:
        return self.page.locator(f'[data-testid=position-row][data-position-id="{position["id"]}"]')

    async def sign_in(self, username: str, password: str = PASSWORD) -> None:
        form = self.page.get_by_test_id("sign-in-form")
        await form.locator("[name=username]").fill(username)
        await form.locator("[name=password]").fill(password)
        await form.locator("[type=submit]").click()


@asynccontextmanager
async def window(url: str) -> AsyncIterator[Window]:
    """A browser with a profile of its own, at the dashboard; it must have nothing to complain."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        async with async_playwright() as playwright:
            context = await playwright.chromium.launch_persistent_context(
                profile, executable_path=CHROMIUM, args=list(OPTIONS)
            )
            try:
                made = Window(context, context.pages[0])
                listen(made)
                await made.page.goto(url)
                yield made
            finally:
                await context.close()
    assert made.complaints == []


def listen(opened: Window) -> None:
    """Script errors, refused policies, failed requests and strange hosts, as they come."""
    page = opened.page

    def console(message: Any) -> None:
        # Being nobody yet is what the page asks first; the browser logs its 401.
        if message.type in ("error", "warning") and "401" not in message.text:
            opened.complaints.append(message.text)

    def request(asked: Any) -> None:
        if not asked.url.startswith(page.url.rstrip("/")) and page.url != "about:blank":
            opened.complaints.append(f"asked {asked.url}")

    page.on("console", console)
    page.on("pageerror", lambda error: opened.complaints.append(str(error)))
    page.on("request", request)


async def record(world: World, trader: Trader) -> dict[str, Any]:
    return await trader.record(
        "alice's own pair",
        world.holds(trader.paper, "BTCUSDT", "Buy", "0.5"),
        world.holds(trader.paper, "ETHUSDT", "Sell", "7"),
    )
