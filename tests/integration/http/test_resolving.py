from __future__ import annotations

from typing import Any

import pytest
from positiond.daemon.domain.errors import Conflict, ExchangeUnreachable, InvalidInput
from positiond.daemon.domain.people import Scope
from positiond.daemon.domain.records import PositionEdit
from positiond.daemon.domain.resolving import ResolveAction
from positiond.http import render

from ...unit.http.stubs import ALICE, BOB, altered_view, leg_view, position_view
from .conftest import Site
from .test_positions import refusal

PAIR = position_view("pair").position.id
LEG = leg_view().component.id
RESOLVE = f"/api/positions/{PAIR}/resolve"


async def test_a_deviation_is_resolved_and_the_position_comes_back(site: Site) -> None:
    site.house.board.shown[ALICE.id] = [altered_view()]
    for body, asked in (
        ({"action": "rebase", "component_id": str(LEG)}, (ResolveAction.REBASE, LEG)),
        ({"action": "accept"}, (ResolveAction.ACCEPT, None)),
        ({"action": "mark_closed", "component_id": None}, (ResolveAction.MARK_CLOSED, None)),
    ):
        async with site.client.post(RESOLVE, json=body, headers=await site.bearer()) as response:
            assert response.status == 200
            assert await response.json() == render.position(position_view("pair"))
        assert site.house.resolver.asked[-1] == asked


@pytest.mark.parametrize(
    ("body", "status", "code", "field"),
    [
        ({}, 422, "missing-field", "action"),
        ({"action": "undo"}, 422, "invalid-value", "action"),
        ({"action": 1}, 422, "wrong-type", "action"),
        ({"action": "accept", "component": str(LEG)}, 422, "unknown-field", "component"),
        ({"action": "accept", "component_id": 7}, 422, "wrong-type", "component_id"),
        ({"action": "accept", "component_id": "x"}, 404, "unknown-component", "component_id"),
        ({"action": "accept", "component_id": str(PAIR)}, 404, "unknown-component", None),
    ],
)
async def test_a_resolve_that_cannot_be_meant_is_refused(
    site: Site, body: dict[str, Any], status: int, code: str, field: str | None
) -> None:
    answer = await refusal(site, "POST", RESOLVE, json=body, headers=await site.bearer())
    assert answer == (status, code, field)
    assert site.house.resolver.asked == []


@pytest.mark.parametrize(
    ("error", "status"),
    [
        *(
            (Conflict(code, "It does not go."), 409)
            for code in (
                "close-open",
                "unverified",
                "nothing-to-resolve",
                "not-gone",
                "opposite-unassigned",
                "cannot-rebase",
                "changed-meanwhile",
                "already-closed",
            )
        ),
        (InvalidInput("spot-has-no-unassigned", "A wallet has none."), 422),
        (ExchangeUnreachable("exchange-unreachable", "No answer."), 503),
    ],
    ids=lambda value: getattr(value, "code", ""),
)
async def test_what_the_resolver_refuses_reaches_the_caller(
    site: Site, error: Conflict, status: int
) -> None:
    site.house.resolver.error = error
    body = {"action": "accept"}
    answer = await refusal(site, "POST", RESOLVE, json=body, headers=await site.bearer())
    assert answer == (status, error.code, None)


async def test_name_note_and_tags_are_changed_each_for_itself(site: Site) -> None:
    path, alice = f"/api/positions/{PAIR}", await site.bearer()
    for body, change in (
        ({"name": "renamed"}, PositionEdit(name="renamed")),
        ({"note": "", "tags": []}, PositionEdit(note="", tags=())),
        ({"name": None, "note": "two\nlines"}, PositionEdit(note="two\nlines")),
        ({"tags": ["basis"]}, PositionEdit(tags=("basis",))),
    ):
        async with site.client.patch(path, json=body, headers=alice) as response:
            assert response.status == 200
            shown = await response.json()
        assert site.house.resolver.edits[-1] == change
        assert shown["name"] == (body.get("name") or "pair")


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({}, "missing-field", None),
        ({"name": None}, "missing-field", None),
        ({"name": " "}, "invalid-value", "name"),
        ({"name": "x" * 201}, "too-long", "name"),
        ({"tags": "basis"}, "wrong-type", "tags"),
        ({"tags": [""]}, "invalid-value", "tags[0]"),
        ({"status": "CLOSED"}, "unknown-field", "status"),
    ],
)
async def test_an_edit_that_cannot_be_meant_is_refused(
    site: Site, body: dict[str, Any], code: str, field: str | None
) -> None:
    path = f"/api/positions/{PAIR}"
    answer = await refusal(site, "PATCH", path, json=body, headers=await site.bearer())
    assert answer == (422, code, field)
    assert site.house.resolver.edits == []


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [("PATCH", "", {"name": "mine"}), ("POST", "/resolve", {"action": "accept"})],
)
async def test_a_position_is_changed_only_by_its_owner_with_a_trading_token(
    site: Site, method: str, path: str, body: dict[str, str]
) -> None:
    bob, reader = await site.bearer(BOB), await site.bearer(ALICE, Scope.READ)
    where = f"/api/positions/{PAIR}{path}"
    answer = await refusal(site, method, where, json=body, headers=bob)
    assert answer == (404, "unknown-position", None)
    answer = await refusal(site, method, where, json=body, headers=reader)
    assert answer == (403, "scope-read-only", None)
    nowhere = f"/api/positions/nonsense{path}"
    answer = await refusal(site, method, nowhere, json=body, headers=await site.bearer())
    assert answer == (404, "unknown-position", None)
    assert site.house.resolver.asked == site.house.resolver.edits == []


async def test_a_foreign_page_cannot_resolve_with_a_cookie(site: Site) -> None:
    assert await site.sign_in() == 204
    body = {"action": "accept"}
    for headers in ({}, {"Origin": "https://elsewhere.example"}):
        answer = await refusal(site, "POST", RESOLVE, json=body, headers=headers)
        assert answer == (403, "foreign-origin", None)
    async with site.client.post(RESOLVE, json=body, headers=site.own_origin) as response:
        assert response.status == 200
