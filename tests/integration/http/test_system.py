from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from positiond.http.services import HttpSettings
from structlog.testing import capture_logs

from ...unit.http.stubs import ALICE
from .conftest import OpenSite, Site, until
from .test_positions import refusal

CSP = "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"


async def test_alive_and_ready_are_two_answers(site: Site) -> None:
    site.house.board.reasons = ("The first full compare is not done.",)
    async with site.client.get("/healthz") as response:
        assert response.status == 200
    async with site.client.get("/readyz") as response:
        assert response.status == 503
        assert await response.json() == {
            "status": "not-ready",
            "reasons": ["The first full compare is not done."],
        }
    site.house.board.reasons = ()
    async with site.client.get("/readyz") as response:
        assert response.status == 200
        assert await response.json() == {"status": "ready", "reasons": []}


@pytest.mark.parametrize(
    "path", ["/", "/healthz", "/readyz", "/api/openapi.json", "/api/positions"]
)
async def test_what_can_be_read_also_answers_to_head(site: Site, path: str) -> None:
    alice = await site.bearer()
    async with site.client.get(path, headers=alice) as response:
        wanted = response.status
    async with site.client.head(path, headers=alice) as response:
        assert (response.status, await response.read()) == (wanted, b"")


@pytest.mark.parametrize("path", ["/sign-in?ticket=abc", "/api/stream"])
async def test_a_mere_look_signs_nobody_in_and_opens_no_stream(site: Site, path: str) -> None:
    async with site.client.head(path, headers=await site.bearer()) as response:
        assert response.status == 405


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/healthz",
        "/api/positions",
        "/api/docs",
        "/assets/main-4f3a.js",
        "/nowhere",
        "/sign-in",
    ],
)
async def test_every_answer_carries_the_security_headers(site: Site, path: str) -> None:
    async with site.client.get(path) as response:
        assert response.headers["Content-Security-Policy"] == CSP
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Referrer-Policy"] == "no-referrer"
        assert response.headers["Server"] == "positiond"


async def test_a_stream_carries_the_security_headers_too(site: Site) -> None:
    async with site.client.get("/api/stream", headers=await site.bearer()) as response:
        assert response.headers["Content-Security-Policy"] == CSP
        assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", ["/nowhere", "/api/nowhere", "/assets/../index.html", "/assets/"])
async def test_an_unknown_path_is_a_problem(site: Site, path: str) -> None:
    assert await refusal(site, "GET", path) == (404, "unknown-path", None)


async def test_a_wrong_method_is_told_the_right_ones(site: Site) -> None:
    async with site.client.put("/api/positions", headers=await site.bearer()) as response:
        assert response.status == 405
        assert response.headers["Allow"] == "GET, HEAD, POST"
        assert (await response.json(content_type=None))["code"] == "method-not-allowed"


async def test_an_unforeseen_error_is_logged_by_a_number_and_not_told(site: Site) -> None:
    site.house.people.error = RuntimeError("secret inside")
    with capture_logs() as logs:
        async with site.client.get("/api/positions", headers=await site.bearer()) as response:
            assert response.status == 500
            body = await response.json(content_type=None)
    assert body["code"] == "internal-error"
    assert "secret" not in str(body)
    (logged,) = [entry for entry in logs if entry["log_level"] == "error"]
    assert logged["error_id"] == body["error_id"]
    assert logged["error_id"] in body["detail"]
    assert isinstance(logged["exc_info"], RuntimeError)
    assert site.services.counters.failures == 1


async def test_the_access_log_has_no_query_and_no_header(site: Site) -> None:
    with capture_logs() as logs:
        async with site.client.get("/sign-in?ticket=very-secret", headers={"X-Secret": "hush"}):
            pass
        await until(lambda: any(entry["event"] == "request" for entry in logs))
    (entry,) = [entry for entry in logs if entry["event"] == "request"]
    assert entry["path"] == "/sign-in"
    assert entry["log_level"] == "debug"
    assert "secret" not in str(entry)
    assert "hush" not in str(entry)


async def test_requests_are_counted_by_how_they_ended(site: Site) -> None:
    for path in ("/healthz", "/nowhere", "/api/positions"):
        async with site.client.get(path):
            pass
    counters = site.services.counters
    assert (counters.requests, counters.refusals, counters.failures) == (3, 2, 0)


async def test_the_index_is_asked_for_each_time_and_hashed_assets_never_again(site: Site) -> None:
    async with site.client.get("/") as response:
        assert response.status == 200
        assert response.content_type == "text/html"
        assert response.headers["Cache-Control"] == "no-cache"
        etag = response.headers["ETag"]
    async with site.client.get("/", headers={"If-None-Match": etag}) as response:
        assert response.status == 304
        assert await response.read() == b""
    async with site.client.get("/assets/main-4f3a.js") as response:
        assert response.headers["Content-Type"] == "text/javascript; charset=utf-8"
        assert response.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert response.headers["Content-Encoding"] == "gzip"
        assert (await response.text()).startswith("export const x = 1;")
    async with site.client.get("/mark.svg") as response:
        assert response.headers["Content-Type"] == "image/svg+xml"
        assert response.headers["Cache-Control"] == "no-cache"


async def test_a_client_that_reads_no_gzip_gets_none(site: Site) -> None:
    headers = {"Accept-Encoding": "identity"}
    async with site.client.get("/assets/main-4f3a.js", headers=headers) as response:
        assert "Content-Encoding" not in response.headers
        assert len(await response.read()) == 20 * 200


async def test_without_a_built_dashboard_the_api_still_works(
    open_site: OpenSite, tmp_path: Path
) -> None:
    site = await open_site(HttpSettings(dashboard=tmp_path / "not-there"))
    assert await refusal(site, "GET", "/") == (503, "dashboard-missing", None)
    async with site.client.get("/healthz") as response:
        assert response.status == 200


async def test_a_body_that_never_ends_is_given_up(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("positiond.http.body._SECONDS_TO_ARRIVE", 0.05)
    token = (await site.bearer(ALICE))["Authorization"]
    reader, writer = await asyncio.open_connection(site.url.host, site.url.port)
    writer.write(
        b"POST /api/positions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Content-Length: 100\r\nAuthorization: " + token.encode() + b"\r\n\r\n{"
    )
    async with asyncio.timeout(5):
        assert b" 408 " in await reader.readline()
    writer.close()
    await writer.wait_closed()
