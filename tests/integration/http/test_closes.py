from __future__ import annotations

from typing import Any

import pytest
from multidict import CIMultiDict
from positiond.daemon.domain.errors import Conflict
from positiond.daemon.domain.people import Scope
from positiond.http.closes import fingerprint as fingerprint_of

from ...unit.http.stubs import ALICE, BOB, close_request, position_view
from .conftest import Site
from .test_positions import refusal

PAIR = position_view("pair").position.id
CLOSE = close_request().id
PATH = f"/api/positions/{PAIR}/close"


async def test_a_close_is_accepted_and_located(site: Site) -> None:
    async with site.client.post(PATH, headers=await site.bearer()) as response:
        assert response.status == 202
        assert response.headers["Location"] == f"/api/closes/{CLOSE}"
        assert await response.json() == {
            "close_id": str(CLOSE),
            "position_id": str(PAIR),
            "status": "CLOSING",
        }
    assert site.services.counters.closes_accepted == 1


@pytest.mark.parametrize(
    "request_body",
    [{"json": {}}, {"data": b""}, {"data": b" \n"}, {"data": b"{ }"}],
)
async def test_a_body_that_says_nothing_is_the_same_request(
    site: Site, request_body: dict[str, Any]
) -> None:
    key = {"Idempotency-Key": "k-1", "Content-Type": "application/json"}
    headers = await site.bearer() | key
    bodies: list[dict[str, Any]] = [{"json": {}}, request_body]
    for body in bodies:
        async with site.client.post(PATH, headers=headers, **body) as response:
            assert response.status == 202
    assert len(site.house.desk.asked) == 1


async def test_a_replayed_key_gives_the_first_answer_even_after_closed(site: Site) -> None:
    headers = await site.bearer() | {"Idempotency-Key": "k-1"}
    async with site.client.post(PATH, headers=headers) as response:
        first = await response.json()
    site.house.desk.is_closed = True
    async with site.client.post(PATH, headers=headers) as response:
        assert response.status == 202
        assert await response.json() == first
    other = headers | {"Idempotency-Key": "k-2"}
    assert await refusal(site, "POST", PATH, headers=other) == (409, "already-closed", None)


async def test_the_desk_gets_the_requests_fingerprint(site: Site) -> None:
    headers = await site.bearer()
    async with site.client.post(PATH, headers=headers):
        pass
    ((_, fingerprint),) = site.house.desk.asked
    assert len(fingerprint) == 64
    assert fingerprint == fingerprint_of("POST", PATH, {})


def test_a_fingerprint_is_the_same_for_the_same_request_only() -> None:
    asked = fingerprint_of("POST", "/a", {"a": 1, "b": 2})
    assert asked == fingerprint_of("POST", "/a", {"b": 2, "a": 1})
    assert asked != fingerprint_of("POST", "/b", {"a": 1, "b": 2})
    assert asked != fingerprint_of("PUT", "/a", {"a": 1, "b": 2})
    assert asked != fingerprint_of("POST", "/a", {"a": 1, "b": 3})


@pytest.mark.parametrize("field", ["fraction", "slippage", "expected_plan"])
async def test_what_this_version_cannot_do_is_refused_and_not_ignored(
    site: Site, field: str
) -> None:
    alice = await site.bearer()
    answer = await refusal(site, "POST", PATH, json={field: "0.5"}, headers=alice)
    assert answer == (422, "not-supported-yet", field)
    assert site.house.desk.asked == []


async def test_an_unknown_field_is_refused(site: Site) -> None:
    alice = await site.bearer()
    answer = await refusal(site, "POST", PATH, json={"fractoin": "0.5"}, headers=alice)
    assert answer == (422, "unknown-field", "fractoin")


@pytest.mark.parametrize("key", ["", "with space", "é", "k" * 256, "tab\tin"])
async def test_an_idempotency_key_that_is_none_is_refused(site: Site, key: str) -> None:
    headers = await site.bearer() | {"Idempotency-Key": key}
    answer = await refusal(site, "POST", PATH, headers=headers)
    assert answer == (422, "invalid-idempotency-key", "Idempotency-Key")


async def test_two_idempotency_keys_are_none(site: Site) -> None:
    headers = CIMultiDict(await site.bearer())
    headers.add("Idempotency-Key", "k-1")
    headers.add("Idempotency-Key", "k-2")
    answer = await refusal(site, "POST", PATH, headers=headers)
    assert answer[1] == "invalid-idempotency-key"


async def test_a_key_of_full_length_is_taken(site: Site) -> None:
    headers = await site.bearer() | {"Idempotency-Key": "!" * 254 + "~"}
    async with site.client.post(PATH, headers=headers) as response:
        assert response.status == 202


async def test_nobody_closes_somebody_elses_position(site: Site) -> None:
    bob = await site.bearer(BOB)
    assert await refusal(site, "POST", PATH, headers=bob) == (404, "unknown-position", None)
    assert await refusal(site, "GET", f"/api/closes/{CLOSE}", headers=bob) == (
        404,
        "unknown-close",
        None,
    )
    assert await refusal(site, "DELETE", f"/api/closes/{CLOSE}", headers=bob) == (
        404,
        "unknown-close",
        None,
    )


async def test_a_reading_token_may_not_close(site: Site) -> None:
    reader = await site.bearer(ALICE, Scope.READ)
    assert await refusal(site, "POST", PATH, headers=reader) == (403, "scope-read-only", None)
    assert site.house.desk.asked == []


async def test_a_close_shows_its_legs_and_orders(site: Site) -> None:
    async with site.client.get(f"/api/closes/{CLOSE}", headers=await site.bearer()) as response:
        body = await response.json()
    assert body["state"] == "FAILED"
    assert [leg["outcome"] for leg in body["legs"]] == ["residual"]
    assert [order["order_link_id"] for order in body["orders"]] == ["pd-0123"]


async def test_a_close_that_sent_nothing_can_be_cancelled(site: Site) -> None:
    alice = await site.bearer()
    async with site.client.delete(f"/api/closes/{CLOSE}", headers=alice) as response:
        assert response.status == 200
        assert (await response.json())["state"] == "CANCELLED"
    site.house.desk.cancel_error = Conflict("already-sending", "An order may have left.")
    answer = await refusal(site, "DELETE", f"/api/closes/{CLOSE}", headers=alice)
    assert answer == (409, "already-sending", None)


async def test_a_close_id_that_is_none_is_unknown(site: Site) -> None:
    alice = await site.bearer()
    answer = await refusal(site, "GET", "/api/closes/nonsense", headers=alice)
    assert answer == (404, "unknown-close", None)
