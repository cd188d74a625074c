"""Who sees and does what: users apart, tokens by scope, cookies by origin, links by ticket."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import uuid4

import aiohttp
import pytest
from positiond.daemon.domain.people import Scope, User
from positiond.http.keys import digest, new_session_key
from positiond.http.passwords import hash_password

from tests.e2e.live import following
from tests.e2e.world import Trader, World, now, trading

PASSWORD = "correct horse battery staple"


@pytest.fixture
async def bob(world: World, trader: Trader) -> AsyncIterator[Trader]:
    """A second user beside alice, with an account and a position of his own."""
    async with trading(world, await world.user("bob"), "bob's") as made:
        await made.record("bob's", world.holds(made.paper, "SOLUSDT", "Buy", "30"))
        yield made


@asynccontextmanager
async def browser(world: World, origin: str | None = None) -> AsyncIterator[aiohttp.ClientSession]:
    """Keeps cookies, and says from which page it comes."""
    async with aiohttp.ClientSession(
        base_url=world.url,
        cookie_jar=aiohttp.CookieJar(unsafe=True),
        headers={"Origin": origin} if origin else {},
    ) as http:
        yield http


async def refusal(http: aiohttp.ClientSession, method: str, path: str, **more: Any) -> Any:
    async with http.request(method, path, **more) as reply:
        assert reply.content_type == "application/problem+json", await reply.text()
        return reply.status, (await reply.json())["code"]


async def test_somebody_else_s_positions_closes_and_accounts_are_not_there(
    world: World, trader: Trader, bob: Trader
) -> None:
    leg = world.holds(trader.paper, "BTCUSDT", "Buy", "0.5")
    position = await trader.record("alice's", leg)
    _, close, _ = await trader.post(f"/api/positions/{position['id']}/close")
    unknown = uuid4()
    for path, code in (
        (f"/api/positions/{position['id']}", "unknown-position"),
        (f"/api/positions/{unknown}", "unknown-position"),
        (f"/api/closes/{close['close_id']}", "unknown-close"),
        (f"/api/closes/{unknown}", "unknown-close"),
        (f"/api/positions?account={trader.account.id}", "unknown-account"),
    ):
        assert await refusal(bob.http, "GET", path) == (404, code)
    path = f"/api/positions/{position['id']}/close"
    assert await refusal(bob.http, "POST", path, json={}) == (404, "unknown-position")
    path = f"/api/closes/{close['close_id']}"
    assert await refusal(bob.http, "DELETE", path) == (404, "unknown-close")
    body = {"account_id": str(trader.account.id), "name": "mine now", "components": [leg]}
    assert await refusal(bob.http, "POST", "/api/positions", json=body) == (404, "unknown-account")

    everything = "/api/positions?status=ACTIVE,CLOSING,CLOSED"
    assert [p["name"] for p in (await bob.get(everything))["positions"]] == ["bob's"]
    assert [p["name"] for p in (await trader.get(everything))["positions"]] == ["alice's"]
    assert [a["label"] for a in (await bob.get("/api/accounts"))["accounts"]] == ["bob's"]


async def test_a_stream_tells_nobody_of_somebody_else_s_positions(
    world: World, trader: Trader, bob: Trader
) -> None:
    # Alice watches, too: only then is anything told of her position at all.
    async with following(trader.http), following(bob.http) as live:
        position = await trader.record("a", world.holds(trader.paper, "BTCUSDT", "Buy", "0.5"))
        await trader.post(f"/api/positions/{position['id']}/close")
        await trader.until(str(position["id"]), lambda p: p["status"] == "CLOSED", 15, "CLOSED")
        before = len(live.frames)
        await live.until(lambda: len(live.frames) > before + 3, 5, "bob's own prices")
        told = json.dumps([frame.data for frame in live.frames])
        assert str(position["id"]) not in told
        assert str(trader.account.id) not in told
        assert set(live.page.positions) == {p["id"] for p in (await _open_of(bob))}


async def _open_of(trader: Trader) -> list[dict[str, Any]]:
    return list((await trader.get("/api/positions"))["positions"])


async def test_a_read_token_reads_and_changes_nothing(world: World, trader: Trader) -> None:
    leg = world.holds(trader.paper, "BTCUSDT", "Buy", "0.5")
    position = await trader.record("held", leg)
    token = await world.token(trader.user, Scope.READ)
    async with aiohttp.ClientSession(
        base_url=world.url, headers={"Authorization": f"Bearer {token}"}
    ) as reader:
        async with reader.get("/api/positions") as reply:
            assert len((await reply.json())["positions"]) == 1
        path = f"/api/positions/{position['id']}/close"
        assert await refusal(reader, "POST", path, json={}) == (403, "scope-read-only")
        body = {"account_id": str(trader.account.id), "name": "x", "components": [leg]}
        assert await refusal(reader, "POST", "/api/positions", json=body) == (
            403,
            "scope-read-only",
        )
    assert await world.sql("SELECT FROM close_requests") == []


async def test_nobody_gets_in_without_a_key_that_is_known(world: World, trader: Trader) -> None:
    position = await trader.record("held", world.holds(trader.paper, "BTCUSDT", "Buy", "0.5"))
    path = f"/api/positions/{position['id']}"
    async with aiohttp.ClientSession(base_url=world.url) as nobody:
        for asked in (path, "/api/positions", "/api/accounts", "/api/stream", "/api/session"):
            assert await refusal(nobody, "GET", asked) == (401, "not-signed-in")
        assert await refusal(nobody, "POST", f"{path}/close", json={}) == (401, "not-signed-in")
        wrong = {"Authorization": "Bearer pd_made_up"}
        assert await refusal(nobody, "GET", path, headers=wrong) == (401, "invalid-token")


async def _with_password(world: World, name: str) -> User:
    return await world.store.people.add_user(name, hash_password(PASSWORD))


async def _sign_in(http: aiohttp.ClientSession, username: str, password: str) -> int:
    body = {"username": username, "password": password}
    async with http.post("/api/session", json=body) as reply:
        return reply.status


async def test_a_session_trades_only_from_our_own_pages_and_ends_with_the_sign_out(
    world: World, trader: Trader
) -> None:
    user = await _with_password(world, "carol")
    async with trading(world, user, "carol's") as carol:
        position = await carol.record("held", world.holds(carol.paper, "BTCUSDT", "Buy", "0.5"))
    path = f"/api/positions/{position['id']}/close"
    async with browser(world) as http:
        assert await _sign_in(http, "carol", "wrong") == 401
        assert await _sign_in(http, "nobody", PASSWORD) == 401
        assert await _sign_in(http, "carol", PASSWORD) == 204
        (cookie,) = http.cookie_jar
        assert cookie["httponly"]
        assert cookie["samesite"] == "Strict"
        async with http.get("/api/session") as reply:
            assert (await reply.json())["user"]["username"] == "carol"
        for origin in ({}, {"Origin": "https://evil.example"}, {"Origin": "null"}):
            answer = await refusal(http, "POST", path, json={}, headers=origin)
            assert answer == (403, "foreign-origin")
        assert await world.sql("SELECT FROM close_requests") == []
        own = {"Origin": world.url}
        async with http.post(path, json={}, headers=own) as reply:
            assert reply.status == 202
        key = cookie.value
        async with http.delete("/api/session", headers=own) as reply:
            assert reply.status == 204
        # The cookie is worth nothing now, even if somebody kept it.
        kept = {"Cookie": f"{cookie.key}={key}"}
        answer = await refusal(http, "GET", "/api/positions", headers=kept)
        assert answer == (401, "not-signed-in")


async def test_another_site_cannot_sign_somebody_in(world: World, trader: Trader) -> None:
    await _with_password(world, "carol")
    async with browser(world, "https://evil.example") as http:
        assert await _sign_in(http, "carol", PASSWORD) == 403
    async with browser(world, world.url) as http:
        assert await _sign_in(http, "carol", PASSWORD) == 204


async def test_a_sign_in_link_opens_a_session_until_its_ticket_expires(
    world: World, trader: Trader
) -> None:
    good, old = new_session_key(), new_session_key()
    people = world.store.people
    await people.create_ticket(trader.user.id, digest(good), now() + timedelta(minutes=5))
    await people.create_ticket(trader.user.id, digest(old), now() - timedelta(seconds=1))
    async with browser(world) as http:
        for ticket in (old, "made-up", ""):
            async with http.get("/sign-in", params={"ticket": ticket}) as reply:
                assert reply.status == 403
        async with http.get("/api/session") as reply:
            assert reply.status == 401
        async with http.get("/sign-in", params={"ticket": good}, allow_redirects=False) as reply:
            assert (reply.status, reply.headers["Location"]) == (303, "/")
        async with http.get("/api/session") as reply:
            assert (await reply.json())["user"]["username"] == "alice"
