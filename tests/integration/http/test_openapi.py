from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from positiond.daemon.domain.model import Booked, Verdict
from positiond.http.access import Access, Gate
from positiond.http.openapi import problem_codes
from positiond.http.problems import CODES
from positiond.http.routes import api_routes
from positiond.http.services import HttpSettings

from ...unit.http.frames import parse
from ...unit.http.schema_check import faults, resolve
from ...unit.http.stubs import (
    ALICE,
    House,
    account_of,
    altered_view,
    close_request,
    position_view,
    priced,
)
from .conftest import Site


async def document_of(site: Site) -> dict[str, Any]:
    async with site.client.get("/api/openapi.json") as response:
        assert response.status == 200
        assert response.content_type == "application/json"
        document = await response.json()
    assert isinstance(document, dict)
    return document


def references_in(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if "$ref" in value else []
        return own + [ref for item in value.values() for ref in references_in(item)]
    if isinstance(value, list):
        return [ref for item in value for ref in references_in(item)]
    return []


async def test_every_route_that_is_served_is_described_and_the_other_way_round() -> None:
    house = House()
    services, settings = house.services(), HttpSettings()
    routes = api_routes(services, Gate(house.people, house.clock, None), settings)
    keys = [(route.method, route.path) for route in routes]
    assert len(keys) == len(set(keys))
    ids = [route.operation.id for route in routes]
    assert len(ids) == len(set(ids))


async def test_the_contracts_routes_are_all_there(site: Site) -> None:
    paths = (await document_of(site))["paths"]
    assert {path: sorted(item) for path, item in paths.items()} == {
        "/api/session": ["delete", "get", "post"],
        "/sign-in": ["get"],
        "/api/positions": ["get", "post"],
        "/api/positions/{position_id}": ["get", "patch"],
        "/api/positions/{position_id}/pnl": ["get"],
        "/api/positions/{position_id}/resolve": ["post"],
        "/api/positions/{position_id}/close-plan": ["get"],
        "/api/positions/{position_id}/close": ["post"],
        "/api/positions/close": ["post"],
        "/api/closes/{close_id}": ["delete", "get"],
        "/api/closes/{close_id}/recheck": ["post"],
        "/api/accounts": ["get"],
        "/api/accounts/{account_id}/holdings": ["get"],
        "/api/accounts/{account_id}/reconcile": ["post"],
        "/api/stream": ["get"],
        "/healthz": ["get"],
        "/readyz": ["get"],
        "/api/openapi.json": ["get"],
        "/api/docs": ["get"],
    }


async def test_the_document_has_the_shape_of_openapi_3_1(site: Site) -> None:
    document = await document_of(site)
    assert document["openapi"] == "3.1.0"
    assert {"title", "version"} <= document["info"].keys()
    schemes = document["components"]["securitySchemes"]
    for path, item in document["paths"].items():
        for method, operation in item.items():
            assert operation["operationId"]
            assert operation["responses"], (path, method)
            for status, response in operation["responses"].items():
                assert 200 <= int(status) < 600
                assert response["description"]
            named = {p["name"] for p in operation["parameters"] if p["in"] == "path"}
            assert named == {part[1:-1] for part in path.split("/") if part.startswith("{")}
            for parameter in operation["parameters"]:
                assert parameter["in"] in ("path", "query", "header")
                assert "schema" in parameter
    for requirement in document["security"]:
        assert requirement.keys() <= schemes.keys()


async def test_every_reference_leads_somewhere_and_every_schema_is_used(site: Site) -> None:
    document = await document_of(site)
    used = set(references_in(document))
    for reference in used:
        assert resolve(reference, document)
    assert used == {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}


async def test_only_routes_that_need_nobody_say_so(site: Site) -> None:
    document = await document_of(site)
    anonymous = {
        (method, path)
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if operation.get("security") == []
    }
    assert anonymous == {
        ("post", "/api/session"),
        ("delete", "/api/session"),
        ("get", "/sign-in"),
        ("get", "/healthz"),
        ("get", "/readyz"),
        ("get", "/api/openapi.json"),
        ("get", "/api/docs"),
    }


async def test_every_problem_code_is_listed_and_described(site: Site) -> None:
    document = await document_of(site)
    assert document["components"]["schemas"]["ProblemCode"]["enum"] == sorted(CODES)
    house = House()
    routes = api_routes(house.services(), Gate(house.people, house.clock, None), HttpSettings())
    for route in routes:
        assert set(problem_codes(route)) <= CODES.keys()
        assert ("scope-read-only" in problem_codes(route)) == (route.access is Access.TRADE)


@pytest.mark.parametrize(
    ("path", "schema"),
    [
        ("/api/session", "Session"),
        ("/api/positions", "PositionList"),
        ("/api/positions?limit=1", "PositionList"),
        ("/api/positions/{pair}", "PositionDetail"),
        ("/api/positions/{pair}/pnl", "PnlHistory"),
        ("/api/accounts/{account}/holdings", "Holdings"),
        ("/api/positions/{pair}/close-plan?fraction=0.5", "ClosePlan"),
        ("/api/closes/{close}", "CloseStatus"),
        ("/api/accounts", "AccountList"),
        ("/healthz", "Health"),
        ("/readyz", "Readiness"),
        ("/api/positions/unknown", "Problem"),
        ("/api/positions?statsu=ACTIVE", "Problem"),
    ],
)
async def test_what_is_answered_conforms_to_what_is_described(
    site: Site, path: str, schema: str
) -> None:
    booked = (Booked("BTC", Decimal("0.1")), Booked("USDT", funding=Decimal(-2)))
    pair = replace(
        altered_view(), last_close=close_request(), fees=None, booked_incomplete="no price of BTC"
    )
    pair = replace(pair, position=replace(pair.position, booked=booked))
    site.house.board.shown[ALICE.id] = [pair, priced("other", "1")]
    ids = {"pair": pair.position.id, "account": account_of(ALICE).id}
    path = path.format(close=close_request().id, **ids)
    async with site.client.get(path, headers=await site.bearer()) as response:
        body = await response.json(content_type=None)
    document = await document_of(site)
    assert faults(body, document["components"]["schemas"][schema], document) == []


async def test_every_frame_of_the_stream_conforms_to_its_schema(site: Site) -> None:
    document = await document_of(site)
    hub = site.house.hub
    client = hub.join(
        ALICE.id,
        [priced("pair", "1")],
        site.house.board.feed_state(ALICE.id),
        None,
        lambda: None,
    )
    raw = await client.news(0)
    hub.positions(ALICE.id, [priced("pair", "2"), priced("new", "3")], [])
    hub.positions(ALICE.id, [], [priced("pair", "1").position.id])
    hub.close(ALICE.id, close_request())
    hub.deviation(ALICE.id, altered_view())
    hub.deviation(ALICE.id, position_view(verdict=Verdict.UNVERIFIED))
    hub.feed(ALICE.id, site.house.board.feed_state(ALICE.id))
    frames = parse(raw + await client.news(0))
    assert len(frames) == 8
    for frame in frames:
        assert faults(frame.data, document["components"]["schemas"]["StreamFrame"], document) == []


def test_the_checker_sees_what_is_wrong() -> None:
    schema = {
        "type": "object",
        "required": ["a"],
        "properties": {"a": {"type": "string", "enum": ["x"]}},
        "additionalProperties": False,
    }
    assert faults({"a": "x"}, schema, {}) == []
    assert faults({"a": "y"}, schema, {})
    assert faults({"a": 1}, schema, {})
    assert faults({}, schema, {})
    assert faults({"a": "x", "b": 1}, schema, {})
    assert faults({"a": "x"}, schema | {"oneOf": []}, {})


async def test_the_page_for_people_has_no_script_and_no_outside_host(site: Site) -> None:
    async with site.client.get("/api/docs") as response:
        assert response.status == 200
        assert response.content_type == "text/html"
        page = await response.text()
    assert "<script" not in page
    assert "style=" not in page
    assert "<style" not in page
    assert "//" not in page.replace("<!doctype html>", "")
    for code in CODES:
        assert f'id="{code}"' in page
    async with site.client.get("/api/docs.css") as response:
        assert response.content_type == "text/css"
