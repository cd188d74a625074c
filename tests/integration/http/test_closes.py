from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from multidict import CIMultiDict
from positiond.daemon.domain.errors import (
    Conflict,
    ExchangeUnreachable,
    InvalidInput,
    PositiondError,
)
from positiond.daemon.domain.orders import CloseTerms
from positiond.daemon.domain.people import Scope
from positiond.http.closes import fingerprint as fingerprint_of

from ...unit.http.stubs import ALICE, BOB, close_request, leg_view, position_view, uuid_of
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


async def test_what_is_said_with_a_close_reaches_the_desk(site: Site) -> None:
    said = {"fraction": "0.25", "slippage": "0.5", "expected_plan": "p-1", "cancel_resting": True}
    alice = await site.bearer()
    async with site.client.post(PATH, json=said, headers=alice) as response:
        assert response.status == 202
    wanted = CloseTerms(Decimal("0.25"), Decimal("0.5"), cancel_resting=True, expected_plan="p-1")
    assert site.house.desk.terms == [wanted]


async def test_a_close_that_says_nothing_is_of_the_whole(site: Site) -> None:
    nothing = dict.fromkeys(("fraction", "slippage", "expected_plan", "cancel_resting"))
    async with site.client.post(PATH, json=nothing, headers=await site.bearer()) as response:
        assert response.status == 202
    assert site.house.desk.terms == [CloseTerms()]
    assert site.house.desk.asked == [(None, fingerprint_of("POST", PATH, {}))]


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"fraction": 0.5}, "decimal-not-a-string"),
        ({"fraction": "half"}, "invalid-decimal"),
        ({"fraction": "0"}, "invalid-value"),
        ({"fraction": "-0.5"}, "invalid-value"),
        ({"fraction": "1.01"}, "invalid-value"),
        ({"fraction": "NaN"}, "invalid-decimal"),
        ({"slippage": 1}, "decimal-not-a-string"),
        ({"slippage": "0"}, "invalid-value"),
        ({"slippage": "0.005"}, "invalid-value"),
        ({"slippage": "0.125"}, "invalid-value"),
        ({"slippage": "10.01"}, "invalid-value"),
        ({"slippage": "9" * 40}, "invalid-value"),
        ({"expected_plan": 7}, "wrong-type"),
        ({"expected_plan": ""}, "invalid-value"),
        ({"expected_plan": "p" * 101}, "too-long"),
        ({"cancel_resting": "true"}, "wrong-type"),
        ({"cancel_resting": 1}, "wrong-type"),
    ],
)
async def test_terms_that_cannot_be_kept_are_refused_with_their_field(
    site: Site, said: dict[str, Any], code: str
) -> None:
    alice = await site.bearer()
    (field,) = said
    assert await refusal(site, "POST", PATH, json=said, headers=alice) == (422, code, field)
    assert site.house.desk.asked == []


@pytest.mark.parametrize(
    "said",
    [{"fraction": "1"}, {"fraction": "0.0001"}, {"slippage": "0.01"}, {"slippage": "10.00"}],
)
async def test_the_ends_of_what_is_allowed_are_allowed(site: Site, said: dict[str, Any]) -> None:
    async with site.client.post(PATH, json=said, headers=await site.bearer()) as response:
        assert response.status == 202


async def test_a_key_covers_the_terms_and_not_how_they_were_written(site: Site) -> None:
    headers = await site.bearer() | {"Idempotency-Key": "k-1"}
    first = {"fraction": "0.5", "slippage": "1"}
    async with site.client.post(PATH, json=first, headers=headers) as response:
        assert response.status == 202
    again = {"slippage": "1.00", "fraction": "0.50", "cancel_resting": False}
    async with site.client.post(PATH, json=again, headers=headers) as response:
        assert response.status == 202
    for other in ({}, first | {"fraction": "0.25"}, first | {"expected_plan": "p-1"}):
        answer = await refusal(site, "POST", PATH, json=other, headers=headers)
        assert answer == (422, "idempotency-key-reused", None)


async def test_a_plan_that_no_longer_holds_is_a_conflict(site: Site) -> None:
    site.house.desk.refusal = Conflict("plan-changed", "Look again.")
    alice = await site.bearer()
    answer = await refusal(site, "POST", PATH, json={"expected_plan": "p-1"}, headers=alice)
    assert answer == (409, "plan-changed", None)


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


# --- the preview --------------------------------------------------------------------------------


async def test_a_plan_shows_what_would_be_sent_and_what_stands_in_the_way(site: Site) -> None:
    plan = f"/api/positions/{PAIR}/close-plan"
    async with site.client.get(f"{plan}?fraction=0.5", headers=await site.bearer()) as response:
        assert response.status == 200
        body = await response.json()
    (leg,) = body.pop("legs")
    assert body == {
        "plan_id": "plan-1",
        "expires_at": "2026-03-01T12:01:00.000Z",
        "fraction": "0.5",
        "can_close": False,
    }
    assert leg == {
        "component_id": str(leg_view().component.id),
        "category": "linear",
        "symbol": "BTCUSDT",
        "side": "Buy",
        "open": "0.5",
        "quantity": "0.4",
        "shortfall": "0.1",
        "dust": "0",
        "estimated_price": "109.50",
        "estimated_fee": None,
        "fee_coin": "USDT",
        "blockers": [
            {
                "code": "shortfall-unattributed",
                "detail": "BTCUSDT: whose is it?",
                "resolve": ["rebase"],
            }
        ],
        "resting_orders": [
            {
                "order_id": "venue-9",
                "side": "Sell",
                "quantity": "0.2",
                "price": None,
                "type": "Stop",
            }
        ],
    }
    assert site.house.desk.planned == [Decimal("0.5")]


async def test_a_plan_of_the_whole_needs_no_fraction(site: Site) -> None:
    path = f"/api/positions/{PAIR}/close-plan"
    async with site.client.get(path, headers=await site.bearer(ALICE, Scope.READ)) as response:
        assert (await response.json())["fraction"] is None
    assert site.house.desk.planned == [None]


@pytest.mark.parametrize(
    ("query", "code", "field"),
    [
        ("fraction=2", "invalid-value", "fraction"),
        ("fraction=", "invalid-decimal", "fraction"),
        ("fractoin=0.5", "unknown-field", "fractoin"),
    ],
)
async def test_a_plan_of_something_else_than_asked_is_never_given(
    site: Site, query: str, code: str, field: str
) -> None:
    alice = await site.bearer()
    path = f"/api/positions/{PAIR}/close-plan?{query}"
    assert await refusal(site, "GET", path, headers=alice) == (422, code, field)
    assert site.house.desk.planned == []


async def test_a_plan_that_cannot_be_read_says_so(site: Site) -> None:
    site.house.desk.refusal = ExchangeUnreachable("exchange-unreachable", "No answer.")
    path = f"/api/positions/{PAIR}/close-plan"
    answer = await refusal(site, "GET", path, headers=await site.bearer())
    assert answer == (503, "exchange-unreachable", None)


# --- several together ---------------------------------------------------------------------------

TOGETHER = "/api/positions/close"


async def test_several_are_asked_for_together(site: Site) -> None:
    body = {"position_ids": [str(PAIR)], "slippage": "0.5", "cancel_resting": True}
    headers = await site.bearer() | {"Idempotency-Key": "k-1"}
    for _ in range(2):
        async with site.client.post(TOGETHER, json=body, headers=headers) as response:
            assert response.status == 202
            assert await response.json() == {
                "set_id": str(uuid_of("set")),
                "closes": [{"close_id": str(CLOSE), "position_id": str(PAIR), "status": "CLOSING"}],
            }
    assert site.house.desk.terms == [CloseTerms(slippage=Decimal("0.5"), cancel_resting=True)]
    other = body | {"cancel_resting": False}
    answer = await refusal(site, "POST", TOGETHER, json=other, headers=headers)
    assert answer == (422, "idempotency-key-reused", None)


async def test_a_set_in_another_order_is_the_same_request(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site.house.desk, "_known", lambda _, position_id: position_id)
    ids = [str(PAIR), str(uuid_of("another"))]
    headers = await site.bearer() | {"Idempotency-Key": "k-1"}
    for body in ({"position_ids": ids}, {"position_ids": ids[::-1]}):
        async with site.client.post(TOGETHER, json=body, headers=headers) as response:
            assert response.status == 202
    fewer = {"position_ids": ids[:1]}
    answer = await refusal(site, "POST", TOGETHER, json=fewer, headers=headers)
    assert answer == (422, "idempotency-key-reused", None)


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        ({}, (422, "missing-field", "position_ids")),
        ({"position_ids": str(PAIR)}, (422, "wrong-type", "position_ids")),
        ({"position_ids": []}, (422, "invalid-value", "position_ids")),
        ({"position_ids": [7]}, (422, "wrong-type", "position_ids[0]")),
        ({"position_ids": [str(PAIR), "x"]}, (404, "unknown-position", "position_ids[1]")),
        ({"position_ids": [str(PAIR)] * 2}, (422, "duplicate-position", "position_ids[1]")),
        ({"position_ids": [str(PAIR)] * 101}, (422, "invalid-value", "position_ids")),
        ({"position_ids": [str(PAIR)], "fraction": "0.5"}, (422, "unknown-field", "fraction")),
        ({"position_ids": [str(PAIR)], "slippage": "11"}, (422, "invalid-value", "slippage")),
    ],
)
async def test_a_set_that_is_none_is_refused_with_its_field(
    site: Site, body: dict[str, Any], answer: tuple[int, str, str]
) -> None:
    alice = await site.bearer()
    assert await refusal(site, "POST", TOGETHER, json=body, headers=alice) == answer
    assert site.house.desk.asked == []


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Conflict("close-open", "One is closing."), 409),
        (InvalidInput("several-accounts", "Two accounts."), 422),
    ],
)
async def test_a_set_that_cannot_close_together_is_refused_whole(
    site: Site, error: PositiondError, status: int
) -> None:
    site.house.desk.refusal = error
    body = {"position_ids": [str(PAIR)]}
    answer = await refusal(site, "POST", TOGETHER, json=body, headers=await site.bearer())
    assert answer == (status, error.code, None)


async def test_reading_tokens_and_strangers_close_no_set(site: Site) -> None:
    body = {"position_ids": [str(PAIR)]}
    reader = await site.bearer(ALICE, Scope.READ)
    refused = await refusal(site, "POST", TOGETHER, json=body, headers=reader)
    assert refused == (403, "scope-read-only", None)
    refused = await refusal(site, "POST", TOGETHER, json=body, headers=await site.bearer(BOB))
    assert refused == (404, "unknown-position", None)


# --- hurrying one -------------------------------------------------------------------------------


async def test_an_open_close_can_be_told_to_look_now(site: Site) -> None:
    alice = await site.bearer()
    path = f"/api/closes/{CLOSE}/recheck"
    async with site.client.post(path, headers=alice) as response:
        assert response.status == 202
        assert (await response.json())["close_id"] == str(CLOSE)
    assert site.house.desk.rechecked == [CLOSE]
    site.house.desk.refusal = Conflict("already-ended", "It has ended.")
    assert await refusal(site, "POST", path, headers=alice) == (409, "already-ended", None)
    reader = await site.bearer(ALICE, Scope.READ)
    assert await refusal(site, "POST", path, headers=reader) == (403, "scope-read-only", None)
    bob = await site.bearer(BOB)
    assert await refusal(site, "POST", path, headers=bob) == (404, "unknown-close", None)
    answer = await refusal(site, "POST", path, json={"now": True}, headers=alice)
    assert answer == (422, "unknown-field", "now")
