from __future__ import annotations

import json
from copy import deepcopy
from datetime import timedelta
from typing import Any

import pytest
from positiond.daemon.domain.errors import ExchangeUnreachable, InvalidInput
from positiond.daemon.domain.model import PositionStatus
from positiond.daemon.domain.people import Scope
from positiond.http import render, reports

from ...unit.http.stubs import ALICE, BOB, NOW, account_of, close_request, position_view
from .conftest import Site

PAIR = position_view("pair")
BODY: dict[str, Any] = {
    "account_id": str(account_of(ALICE).id),
    "name": "pair",
    "components": [
        {
            "category": "linear",
            "symbol": "BTCUSDT",
            "side": "Buy",
            "quantity": "0.5",
            "entry_price": "100",
        }
    ],
}


async def names(site: Site, query: str, headers: dict[str, str]) -> list[str]:
    async with site.client.get(f"/api/positions{query}", headers=headers) as response:
        assert response.status == 200, await response.text()
        return [position["name"] for position in (await response.json())["positions"]]


async def refusal(site: Site, method: str, path: str, **request: Any) -> tuple[int, Any, Any]:
    """Status, code and field of a refusal."""
    async with site.client.request(method, path, **request) as response:
        assert response.content_type == "application/problem+json"
        body = await response.json(content_type=None)
    assert body["status"] == response.status
    return response.status, body["code"], body.get("field")


async def test_each_user_lists_only_their_own(site: Site) -> None:
    assert await names(site, "", await site.bearer(ALICE)) == ["pair"]
    assert await names(site, "", await site.bearer(BOB)) == ["hers not"]


async def test_somebody_elses_position_is_as_unknown_as_none(site: Site) -> None:
    alice = await site.bearer(ALICE)
    foreign = position_view("hers not", owner=BOB).position.id
    for path in (foreign, "00000000-0000-4000-8000-000000000000", "nonsense"):
        answer = await refusal(site, "GET", f"/api/positions/{path}", headers=alice)
        assert answer == (404, "unknown-position", None)


async def test_one_position_is_what_the_list_shows_of_it_with_its_past(site: Site) -> None:
    path = f"/api/positions/{PAIR.position.id}"
    async with site.client.get(path, headers=await site.bearer()) as response:
        assert response.status == 200
        assert response.headers["Cache-Control"] == "no-store"
        body = await response.json()
    past = {name: body.pop(name) for name in ("deviations", "close_requests", "events")}
    assert body | {"deviations": []} == render.position(PAIR)
    assert [row["resolution"] for row in past["deviations"]] == ["accept"]
    assert past["close_requests"] == [reports.close_report(close_request())]
    assert past["events"] == [
        {
            "id": 9,
            "at": "2026-03-01T12:00:00.000Z",
            "kind": "deviation-began",
            "actor": "alice",
            "data": {"symbol": "BTCUSDT"},
        }
    ]


async def test_closed_positions_are_listed_only_when_asked_for(site: Site) -> None:
    site.house.board.shown[ALICE.id] += [
        position_view("old", status=PositionStatus.CLOSED, opened_at=NOW - timedelta(days=1)),
        position_view("going", status=PositionStatus.CLOSING, opened_at=NOW + timedelta(hours=1)),
    ]
    alice = await site.bearer()
    assert await names(site, "", alice) == ["pair", "going"]
    assert await names(site, "?status=CLOSED", alice) == ["old"]
    assert await names(site, "?status=ACTIVE,CLOSED", alice) == ["old", "pair"]


async def test_pages_follow_next_to_the_end(site: Site) -> None:
    views = [position_view(f"p{i}", opened_at=NOW + timedelta(seconds=i)) for i in range(5)]
    site.house.board.shown[ALICE.id] = views
    alice = await site.bearer()
    seen: list[str] = []
    query = "?limit=2"
    for _ in range(3):
        async with site.client.get(f"/api/positions{query}", headers=alice) as response:
            page = await response.json()
        seen += [position["name"] for position in page["positions"]]
        query = f"?limit=2&after={page.get('next')}"
    assert seen == ["p0", "p1", "p2", "p3", "p4"]
    assert "next" not in page


@pytest.mark.parametrize(
    ("query", "status", "code", "field"),
    [
        ("?status=OPEN", 422, "invalid-value", "status"),
        ("?status=", 422, "invalid-value", "status"),
        ("?limit=0", 422, "invalid-value", "limit"),
        ("?after=x", 422, "invalid-value", "after"),
        ("?acount=x", 422, "unknown-field", "acount"),
        ("?account=x", 404, "unknown-account", "account"),
        (f"?account={account_of(BOB).id}", 404, "unknown-account", "account"),
    ],
)
async def test_a_filter_that_cannot_be_meant_is_refused(
    site: Site, query: str, status: int, code: str, field: str
) -> None:
    alice = await site.bearer()
    answer = await refusal(site, "GET", f"/api/positions{query}", headers=alice)
    assert answer == (status, code, field)


async def test_the_account_filter_takes_ones_own(site: Site) -> None:
    assert await names(site, f"?account={account_of(ALICE).id}", await site.bearer()) == ["pair"]


async def test_a_recorded_position_is_created_and_located(site: Site) -> None:
    alice = await site.bearer()
    async with site.client.post("/api/positions", json=BODY, headers=alice) as response:
        assert response.status == 201
        body = await response.json()
        assert response.headers["Location"] == f"/api/positions/{body['id']}"
    ((user_id, position),) = site.house.recorder.recorded
    assert user_id == ALICE.id
    assert str(position.components[0].quantity) == "0.5"


async def test_the_same_external_id_again_answers_200(site: Site) -> None:
    alice = await site.bearer()
    body = BODY | {"external_id": "p-1"}
    statuses = []
    for _ in range(2):
        async with site.client.post("/api/positions", json=body, headers=alice) as response:
            statuses.append(response.status)
    assert statuses == [201, 200]


@pytest.mark.parametrize(
    ("raw", "status", "code"),
    [
        (b"", 400, "malformed-json"),
        (b"{", 400, "malformed-json"),
        (b'{"name": NaN}', 400, "malformed-json"),
        (b"\xff\xfe", 400, "malformed-json"),
        (b"[" * 5000, 400, "malformed-json"),
        (b"[]", 422, "wrong-type"),
        (b'"text"', 422, "wrong-type"),
        (b"null", 422, "wrong-type"),
        (b'{"x": "' + b"y" * 70_000 + b'"}', 413, "body-too-large"),
    ],
)
async def test_a_body_that_is_no_object_is_refused(
    site: Site, raw: bytes, status: int, code: str
) -> None:
    headers = await site.bearer() | {"Content-Type": "application/json"}
    answer = await refusal(site, "POST", "/api/positions", data=raw, headers=headers)
    assert answer[:2] == (status, code)
    assert site.house.recorder.recorded == []


async def test_a_body_that_is_not_what_its_encoding_says_is_refused(site: Site) -> None:
    headers = await site.bearer() | {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    answer = await refusal(site, "POST", "/api/positions", data=b"not gzip", headers=headers)
    assert answer[:2] == (400, "malformed-json")


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded"])
async def test_a_body_of_another_type_is_refused(site: Site, content_type: str) -> None:
    headers = await site.bearer() | {"Content-Type": content_type}
    data = json.dumps(BODY)
    answer = await refusal(site, "POST", "/api/positions", data=data, headers=headers)
    assert answer[:2] == (415, "unsupported-media-type")


async def test_a_bad_component_is_refused_with_its_place(site: Site) -> None:
    body = deepcopy(BODY)
    body["components"][0]["quantity"] = 0.5
    answer = await refusal(site, "POST", "/api/positions", json=body, headers=await site.bearer())
    assert answer == (422, "decimal-not-a-string", "components[0].quantity")


async def test_what_the_recorder_refuses_reaches_the_caller(site: Site) -> None:
    alice = await site.bearer()
    site.house.recorder.error = InvalidInput(
        "unknown-symbol", "BTCUSD is not listed.", field="components[0].symbol"
    )
    answer = await refusal(site, "POST", "/api/positions", json=BODY, headers=alice)
    assert answer == (422, "unknown-symbol", "components[0].symbol")
    site.house.recorder.error = ExchangeUnreachable("exchange-unreachable", "No answer.")
    answer = await refusal(site, "POST", "/api/positions", json=BODY, headers=alice)
    assert answer == (503, "exchange-unreachable", None)


async def test_recording_into_somebody_elses_account_is_refused(site: Site) -> None:
    bob = await site.bearer(BOB)
    answer = await refusal(site, "POST", "/api/positions", json=BODY, headers=bob)
    assert answer == (404, "unknown-account", "account_id")


async def test_a_reading_token_may_list_but_not_record(site: Site) -> None:
    reader = await site.bearer(ALICE, Scope.READ)
    assert await names(site, "", reader) == ["pair"]
    answer = await refusal(site, "POST", "/api/positions", json=BODY, headers=reader)
    assert answer == (403, "scope-read-only", None)
    assert site.house.recorder.recorded == []


async def test_accounts_are_listed_without_their_keys(site: Site) -> None:
    async with site.client.get("/api/accounts", headers=await site.bearer()) as response:
        body = await response.json()
    assert body == {"accounts": [render.account(account_of(ALICE))]}
