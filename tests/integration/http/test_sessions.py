from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from argon2 import PasswordHasher
from positiond.daemon.domain.errors import StoreUnavailable
from positiond.daemon.domain.people import Scope
from positiond.http.access import COOKIE
from positiond.http.keys import digest
from positiond.http.services import HttpSettings

from ...unit.http.stubs import ALICE, BOB, CHEAP, NOW, close_request, position_view
from .conftest import OpenSite, Site
from .test_positions import refusal

CLOSE_PATH = f"/api/positions/{position_view('pair').position.id}/close"


async def status_of(site: Site, method: str, path: str, **request: Any) -> int:
    async with site.client.request(method, path, allow_redirects=False, **request) as response:
        return response.status


async def set_cookie(site: Site, **body: str) -> str:
    credentials = {"username": "alice", "password": "correct horse"} | body
    async with site.client.post("/api/session", json=credentials) as response:
        assert response.status == 204
        return response.headers["Set-Cookie"]


async def test_signing_in_sets_a_cookie_that_no_script_and_no_other_site_can_use(
    site: Site,
) -> None:
    cookie = await set_cookie(site)
    parts = {part.strip().lower() for part in cookie.split(";")[1:]}
    assert {"httponly", "samesite=strict", "path=/", "max-age=43200"} <= parts
    assert "secure" not in parts


async def test_the_cookie_is_secure_where_browsers_come_by_https(open_site: OpenSite) -> None:
    site = await open_site(HttpSettings(public_url="https://desk.example"))
    assert "; secure" in (await set_cookie(site)).lower()


async def test_the_session_says_who_and_what(site: Site) -> None:
    assert await refusal(site, "GET", "/api/session") == (401, "not-signed-in", None)
    assert await site.sign_in() == 204
    async with site.client.get("/api/session") as response:
        assert await response.json() == {
            "user": {"id": str(ALICE.id), "username": "alice"},
            "scope": "trade",
        }


async def test_only_a_hash_of_the_cookie_is_stored(site: Site) -> None:
    cookie = await set_cookie(site)
    key = cookie.split(";")[0].removeprefix(f"{COOKIE}=")
    assert list(site.house.people.sessions) == [digest(key)]


async def test_a_session_ends_after_twelve_hours(site: Site) -> None:
    await site.sign_in()
    site.house.clock.advance(12 * 3600 - 1)
    assert await status_of(site, "GET", "/api/session") == 200
    site.house.clock.advance(2)
    assert await status_of(site, "GET", "/api/session") == 401


async def test_signing_out_ends_the_session_for_good(site: Site) -> None:
    cookie = (await set_cookie(site)).split(";")[0]
    assert await status_of(site, "DELETE", "/api/session", headers=site.own_origin) == 204
    assert site.house.people.sessions == {}
    assert await status_of(site, "GET", "/api/session", headers={"Cookie": cookie}) == 401
    assert await status_of(site, "DELETE", "/api/session") == 204


async def test_signing_in_again_ends_the_session_before(site: Site) -> None:
    await site.sign_in()
    await site.sign_in()
    assert len(site.house.people.sessions) == 1


@pytest.mark.parametrize(
    ("username", "password"),
    [("alice", "wrong"), ("nobody", "correct horse"), ("alice ", "correct horse")],
)
async def test_a_wrong_name_and_a_wrong_password_are_told_in_the_same_words(
    site: Site, username: str, password: str
) -> None:
    body = {"username": username, "password": password}
    async with site.client.post("/api/session", json=body) as response:
        assert response.status == 401
        assert response.headers["WWW-Authenticate"].startswith("Bearer")
        assert "Set-Cookie" not in response.headers
        problem = await response.json(content_type=None)
    assert problem["code"] == "sign-in-failed"
    assert problem["detail"] == "The username or the password is wrong."
    assert site.services.counters.sign_ins_failed == 1


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({"username": "alice"}, "missing-field", "password"),
        ({"username": "alice", "password": 5}, "wrong-type", "password"),
        ({"username": "alice", "password": ""}, "invalid-value", "password"),
        ({"username": "alice", "password": "x" * 1001}, "invalid-value", "password"),
        ({"username": "x" * 101, "password": "x"}, "too-long", "username"),
        ({"username": "alice", "password": "x", "remember": True}, "unknown-field", "remember"),
    ],
)
async def test_a_sign_in_that_is_not_one_is_refused(
    site: Site, body: dict[str, object], code: str, field: str
) -> None:
    assert await refusal(site, "POST", "/api/session", json=body) == (422, code, field)


async def test_guessing_is_throttled_by_username_and_says_for_how_long(site: Site) -> None:
    statuses = [await site.sign_in(password="wrong") for _ in range(6)]
    assert statuses == [401] * 5 + [429]
    # The right password does not help before the time is over: else it would be a way to tell.
    body = {"username": "alice", "password": "correct horse"}
    async with site.client.post("/api/session", json=body) as response:
        assert response.status == 429
        wait = int(response.headers["Retry-After"])
    assert 25 <= wait <= 30
    assert await site.sign_in(username="bob") == 204
    site.house.clock.advance(wait)
    assert await site.sign_in() == 204
    assert site.services.counters.sign_ins_throttled == 2


async def test_the_right_password_gives_the_tries_back(site: Site) -> None:
    passwords = (["wrong"] * 4 + ["correct horse"]) * 2
    assert [await site.sign_in(password=word) for word in passwords] == ([401] * 4 + [204]) * 2


async def test_an_address_is_throttled_whoever_it_claims_to_be(open_site: OpenSite) -> None:
    site = await open_site(HttpSettings(behind_proxy=True))

    async def attempt(name: str, forwarded: str) -> int:
        body = {"username": name, "password": "wrong"}
        headers = {"X-Forwarded-For": forwarded}
        return await status_of(site, "POST", "/api/session", json=body, headers=headers)

    statuses = [await attempt(f"user{i}", f"9.9.9.{i}, 10.0.0.1") for i in range(21)]
    assert statuses == [401] * 20 + [429]
    assert await attempt("somebody", "10.0.0.2") == 401


async def test_a_forwarded_address_counts_for_nothing_without_a_stated_proxy(site: Site) -> None:
    statuses = []
    for i in range(21):
        body = {"username": f"user{i}", "password": "wrong"}
        headers = {"X-Forwarded-For": f"10.0.0.{i}"}
        statuses.append(await status_of(site, "POST", "/api/session", json=body, headers=headers))
    assert statuses[-1] == 429


def make_outdated(site: Site) -> None:
    """Alice's password, hashed with the parameters of another day."""
    older = PasswordHasher(time_cost=2, memory_cost=8, parallelism=1)
    site.house.people.stored["alice"] = (ALICE, older.hash("correct horse"))


async def test_an_outdated_hash_is_renewed_by_the_sign_in(site: Site) -> None:
    make_outdated(site)
    assert await site.sign_in() == 204
    assert not CHEAP.check_needs_rehash(site.house.people.stored["alice"][1])
    assert await status_of(site, "GET", "/api/session") == 200


async def test_a_renewed_hash_is_no_new_password_and_ends_no_other_session(site: Site) -> None:
    elsewhere = {"Cookie": (await set_cookie(site)).split(";")[0]}
    site.client.cookie_jar.clear()
    make_outdated(site)
    assert await site.sign_in() == 204
    site.client.cookie_jar.clear()
    assert await status_of(site, "GET", "/api/session", headers=elsewhere) == 200


async def test_a_password_set_while_the_hash_is_renewed_stays(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_outdated(site)
    another = CHEAP.hash("another horse")

    async def hash_slowly(password: str) -> str:
        await site.house.people.set_password("alice", another)
        return CHEAP.hash(password)

    monkeypatch.setattr(site.services.passwords, "hash", hash_slowly)
    await site.sign_in()
    assert site.house.people.stored["alice"][1] == another


@pytest.mark.parametrize(
    "origin",
    [
        None,
        "null",
        "https://evil.example",
        "http://127.0.0.1",
        "http://127.0.0.1.evil.example:{port}",
        "https://127.0.0.1:{port}",
    ],
)
async def test_a_change_with_a_cookie_must_come_from_our_own_page(
    site: Site, origin: str | None
) -> None:
    await site.sign_in()
    headers = {} if origin is None else {"Origin": origin.format(port=site.url.port)}
    close = f"/api/closes/{close_request().id}"
    for method, path in (("POST", CLOSE_PATH), ("POST", "/api/positions"), ("DELETE", close)):
        answer = await refusal(site, method, path, headers=headers)
        assert answer == (403, "foreign-origin", None)
    assert site.house.desk.asked == []
    assert await status_of(site, "DELETE", "/api/session", headers=headers) == 403
    assert len(site.house.people.sessions) == 1


async def test_our_own_page_may_close_and_read(site: Site) -> None:
    await site.sign_in()
    assert await status_of(site, "POST", CLOSE_PATH, headers=site.own_origin) == 202
    assert await status_of(site, "GET", "/api/positions") == 200


async def test_the_stated_public_address_is_an_origin_of_ours(open_site: OpenSite) -> None:
    site = await open_site(HttpSettings(public_url="https://desk.example/"))
    cookie = (await set_cookie(site)).split(";")[0]
    headers = {"Cookie": cookie, "Origin": "https://desk.example"}
    assert await status_of(site, "POST", CLOSE_PATH, headers=headers) == 202


async def test_another_sites_page_cannot_sign_our_user_in(site: Site) -> None:
    body = {"username": "bob", "password": "correct horse"}
    headers = {"Origin": "https://evil.example"}
    answer = await refusal(site, "POST", "/api/session", json=body, headers=headers)
    assert answer == (403, "foreign-origin", None)


async def test_a_token_needs_no_origin(site: Site) -> None:
    headers = await site.bearer() | {"Origin": "https://tool.example"}
    assert await status_of(site, "POST", CLOSE_PATH, headers=headers) == 202


@pytest.mark.parametrize(
    "header",
    ["Bearer pd_wrong", "Bearer ", "Bearer", "Basic YTpi", "pd_wrong", f"Bearer {'x' * 5000}"],
)
async def test_a_token_that_is_none_is_refused_even_beside_a_good_cookie(
    site: Site, header: str
) -> None:
    await site.sign_in()
    answer = await refusal(site, "GET", "/api/positions", headers={"Authorization": header})
    assert answer == (401, "invalid-token", None)


async def answer_to(site: Site, *lines: bytes, body: bytes = b"") -> tuple[bytes, bytes]:
    """The status line and the rest of the answer to bytes that no client library would send."""
    reader, writer = await asyncio.open_connection(site.url.host, site.url.port)
    head = (*lines, b"Host: desk", b"Connection: close", b"Content-Length: %d" % len(body))
    writer.write(b"\r\n".join(head) + b"\r\n\r\n" + body)
    answer = await reader.read()
    writer.close()
    status, _, rest = answer.partition(b"\r\n")
    return status, rest


@pytest.mark.parametrize("path", [b"/api/positions", b"/api/stream"])
async def test_a_token_of_bytes_that_are_no_text_is_refused_as_any_other(
    site: Site, path: bytes
) -> None:
    status, rest = await answer_to(
        site, b"GET %s HTTP/1.1" % path, b"Authorization: Bearer pd_\xff\xfe"
    )
    assert status == b"HTTP/1.1 401 Unauthorized"
    assert b'"code":"invalid-token"' in rest
    assert site.house.people.asked == 0


async def test_a_cookie_of_bytes_that_are_no_text_is_nobodys(site: Site) -> None:
    cookie = b"Cookie: %s=\xff" % COOKIE.encode()
    status, rest = await answer_to(site, b"GET /api/positions HTTP/1.1", cookie)
    assert status == b"HTTP/1.1 401 Unauthorized"
    assert b'"code":"not-signed-in"' in rest
    # Nor does it keep its holder from signing in or out.
    body = b'{"username":"alice","password":"correct horse"}'
    typed = b"Content-Type: application/json"
    status, _ = await answer_to(site, b"POST /api/session HTTP/1.1", cookie, typed, body=body)
    assert status == b"HTTP/1.1 204 No Content"
    status, _ = await answer_to(site, b"DELETE /api/session HTTP/1.1", cookie)
    assert status == b"HTTP/1.1 204 No Content"


@pytest.mark.parametrize(
    ("name", "status"),
    [
        (b"Idempotency-Key", b"422 Unprocessable Entity"),
        (b"If-Match", b"202 Accepted"),
        (b"Content-Type", b"202 Accepted"),
        (b"Origin", b"202 Accepted"),
        (b"X-Forwarded-For", b"202 Accepted"),
    ],
)
async def test_no_header_of_bytes_that_are_no_text_is_a_failure_of_ours(
    site: Site, name: bytes, status: bytes
) -> None:
    token = (await site.bearer())["Authorization"].encode()
    line = b"POST %s HTTP/1.1" % CLOSE_PATH.encode()
    answer, _ = await answer_to(site, line, b"Authorization: " + token, name + b": \xff")
    assert answer == b"HTTP/1.1 " + status


async def test_a_last_event_id_of_bytes_that_are_no_text_gets_a_snapshot(site: Site) -> None:
    token = (await site.bearer())["Authorization"].encode()
    lines = (b"GET /api/stream HTTP/1.1", b"Authorization: " + token, b"Last-Event-ID: \xff")
    reader, writer = await asyncio.open_connection(site.url.host, site.url.port)
    writer.write(b"\r\n".join((*lines, b"Host: desk")) + b"\r\n\r\n")
    assert b"200 OK" in await reader.readuntil(b"\r\n")
    await reader.readuntil(b"event: snapshot")
    writer.close()


async def test_a_revoked_token_is_refused(site: Site) -> None:
    headers = await site.bearer(ALICE, Scope.READ)
    assert await status_of(site, "GET", "/api/positions", headers=headers) == 200
    site.house.people.bearers.clear()
    assert await status_of(site, "GET", "/api/positions", headers=headers) == 401


async def test_a_database_that_is_away_is_not_a_refused_sign_in(site: Site) -> None:
    headers = await site.bearer()
    site.house.people.error = StoreUnavailable("store-unavailable", "The database is away.")
    async with site.client.get("/api/positions", headers=headers) as response:
        assert response.status == 503
        assert response.headers["Retry-After"] == "5"


async def test_a_link_signs_in_as_often_as_it_is_opened_until_it_expires(site: Site) -> None:
    await site.house.people.create_ticket(BOB.id, digest("t-1"), NOW + timedelta(minutes=10))
    for _ in range(2):
        async with site.client.get("/sign-in?ticket=t-1", allow_redirects=False) as response:
            assert response.status == 303
            assert response.headers["Location"] == "/"
    async with site.client.get("/api/session") as response:
        assert (await response.json())["user"]["username"] == "bob"
    site.house.clock.advance(600)
    assert await status_of(site, "GET", "/sign-in?ticket=t-1") == 403


@pytest.mark.parametrize("query", ["", "?ticket=", "?ticket=wrong", f"?ticket={'x' * 500}"])
async def test_a_link_that_does_not_work_says_so_on_a_page(site: Site, query: str) -> None:
    async with site.client.get(f"/sign-in{query}") as response:
        assert response.status == 403
        assert response.content_type == "text/html"
        assert "Set-Cookie" not in response.headers
        assert "does not work" in await response.text()
