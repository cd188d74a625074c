"""An application on a free port, and ways to talk to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import aiohttp
import pytest
from positiond.daemon.domain.people import Scope, User
from positiond.http.app import build_app, serving
from positiond.http.keys import digest, new_token
from positiond.http.services import HttpSettings, Services
from yarl import URL

from ...unit.http.stubs import ALICE, BOB, House, position_view


@dataclass(frozen=True)
class Site:
    """A running application."""

    url: URL
    house: House
    services: Services
    client: aiohttp.ClientSession
    """Nobody is signed in here, and cookies are kept as a browser does."""

    async def bearer(self, user: User = ALICE, scope: Scope = Scope.TRADE) -> dict[str, str]:
        """The header that makes a request the user's."""
        token = new_token()
        await self.house.people.create_token(user.id, "test", scope, digest(token))
        return {"Authorization": f"Bearer {token}"}

    async def sign_in(self, username: str = "alice", password: str = "correct horse") -> int:
        body = {"username": username, "password": password}
        async with self.client.post("/api/session", json=body) as response:
            return response.status

    @property
    def own_origin(self) -> dict[str, str]:
        return {"Origin": str(self.url.origin())}


_DEFAULTS = HttpSettings()


class OpenSite(Protocol):
    async def __call__(self, settings: HttpSettings = ..., house: House | None = ...) -> Site: ...


async def until(condition: Callable[[], bool]) -> None:
    """Wait for an effect that nothing announces."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.005)


@pytest.fixture
def dashboard(tmp_path: Path) -> Path:
    """A small bundle, laid out as the real one."""
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("<!doctype html><title>positiond</title>")
    (tmp_path / "assets" / "main-4f3a.js").write_text("export const x = 1;\n" * 200)
    (tmp_path / "mark.svg").write_text("<svg/>")
    return tmp_path


@pytest.fixture
async def open_site(dashboard: Path) -> AsyncIterator[OpenSite]:
    async with AsyncExitStack() as stack:

        async def open_one(settings: HttpSettings = _DEFAULTS, house: House | None = None) -> Site:
            house = house or House()
            services = house.services()
            app = build_app(services, replace(settings, dashboard=settings.dashboard or dashboard))
            url = URL(await stack.enter_async_context(serving(app, "127.0.0.1", 0)))
            # Unsafe = also for an address by number, which a plain jar keeps no cookies for.
            jar = aiohttp.CookieJar(unsafe=True)
            client = aiohttp.ClientSession(base_url=url, cookie_jar=jar)
            await stack.enter_async_context(client)
            return Site(url, house, services, client)

        yield open_one


@pytest.fixture
async def site(open_site: OpenSite) -> Site:
    """Alice has the position `pair`, bob has `hers not`."""
    opened = await open_site()
    opened.house.board.shown[ALICE.id] = [position_view("pair")]
    opened.house.board.shown[BOB.id] = [position_view("hers not", owner=BOB)]
    return opened
