"""Bad input to the running daemon: a 4xx problem with a stable code and the field, no row left."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest
import pytest_asyncio
from positiond.bybit.paper.server import PaperServer

from tests.e2e.world import Trader, World, a_world, daemon, leg, trading
from tests.fixtures_store import PostgresServer

pytestmark = pytest.mark.asyncio(loop_scope="module")

LARGEST_BODY = 64 * 1024


@dataclass(frozen=True)
class Stage:
    """Two users on one daemon, shared by the tests of this file; alice never gets a position."""

    world: World
    alice: Trader
    bob: Trader


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(postgres_server: PostgresServer) -> AsyncIterator[Stage]:
    name = await postgres_server.create()
    with tempfile.TemporaryDirectory() as directory:
        async with (
            PaperServer(seed=11) as paper,
            a_world(postgres_server.url(name), Path(directory), paper) as world,
            daemon(world),
            trading(world, await world.user("alice"), "main") as alice,
            trading(world, await world.user("bob"), "main") as bob,
        ):
            yield Stage(world, alice, bob)
    await postgres_server.drop(name)


def good(stage: Stage) -> dict[str, Any]:
    return {
        "account_id": str(stage.alice.account.id),
        "name": "pair",
        "components": [
            leg("BTCUSDT", "Buy", "0.5", "101250.1"),
            leg("ETHUSDT", "Sell", "7", "3890"),
        ],
    }


def legs(**changes: object) -> dict[str, object]:
    """The first leg with these fields changed."""
    return {"components": [{**leg("BTCUSDT", "Buy", "0.5", "101250.1"), **changes}]}


TWICE = [leg("BTCUSDT", "Buy", "0.5", "101250.1"), leg("BTCUSDT", "Sell", "0.1", "101250.1")]

# what is changed, the status, the code, the field
REFUSED: dict[str, tuple[dict[str, object], int, str, str]] = {
    "an unknown symbol": (legs(symbol="NOPEUSDT"), 422, "unknown-symbol", "components[0].symbol"),
    "a symbol in other letters": (
        legs(symbol="btcusdt"),
        422,
        "unknown-symbol",
        "components[0].symbol",
    ),
    "a category that is none": (
        legs(category="future"),
        422,
        "wrong-category",
        "components[0].category",
    ),
    "another category than the symbol's": (
        legs(category="inverse"),
        422,
        "unknown-symbol",
        "components[0].symbol",
    ),
    "a side that is none": (legs(side="Long"), 422, "invalid-value", "components[0].side"),
    "a zero quantity": (legs(quantity="0"), 422, "quantity-zero", "components[0].quantity"),
    "a zero quantity with digits": (
        legs(quantity="0.000"),
        422,
        "quantity-zero",
        "components[0].quantity",
    ),
    "a negative quantity": (legs(quantity="-1"), 422, "quantity-zero", "components[0].quantity"),
    "a quantity off the step": (
        legs(quantity="0.5005"),
        422,
        "quantity-off-step",
        "components[0].quantity",
    ),
    "a quantity that is not a number": (
        legs(quantity="NaN"),
        422,
        "invalid-decimal",
        "components[0].quantity",
    ),
    "a quantity with an exponent": (
        legs(quantity="1e3"),
        422,
        "invalid-decimal",
        "components[0].quantity",
    ),
    "a quantity as a JSON number": (
        legs(quantity=0.5),
        422,
        "decimal-not-a-string",
        "components[0].quantity",
    ),
    "a negative price": (
        legs(entry_price="-101250.1"),
        422,
        "price-not-positive",
        "components[0].entry_price",
    ),
    "a price of zero": (
        legs(entry_price="0"),
        422,
        "price-not-positive",
        "components[0].entry_price",
    ),
    "a component twice": (
        {"components": TWICE},
        422,
        "duplicate-component",
        "components[1].symbol",
    ),
    "no component": ({"components": []}, 422, "no-components", "components"),
    "a field that is not known": (
        legs(leverage="5"),
        422,
        "unknown-field",
        "components[0].leverage",
    ),
    "a name of another type": ({"name": 7}, 422, "wrong-type", "name"),
    "an account that is no id": ({"account_id": "main"}, 404, "unknown-account", "account_id"),
}


async def refusal(trader: Trader, path: str, raw: bytes, kind: str = "application/json") -> Any:
    async with trader.http.post(path, data=raw, headers={"Content-Type": kind}) as reply:
        assert reply.content_type == "application/problem+json", await reply.text()
        problem = await reply.json()
    assert problem["status"] == reply.status
    assert problem["title"]
    assert problem["detail"]
    return reply.status, problem["code"], problem.get("field")


async def assert_nothing_recorded(stage: Stage) -> None:
    assert (await stage.alice.get("/api/positions"))["positions"] == []
    rows = await stage.world.sql(
        "SELECT FROM synthetic_positions WHERE account_id = $1", stage.alice.account.id
    )
    assert rows == []


@pytest.mark.parametrize("name", REFUSED)
async def test_a_position_is_refused_with_code_and_field_for(name: str, stage: Stage) -> None:
    changes, *expected = REFUSED[name]
    body = {**deepcopy(good(stage)), **changes}
    answer = await refusal(stage.alice, "/api/positions", orjson.dumps(body))
    assert list(answer) == expected
    await assert_nothing_recorded(stage)


@pytest.mark.parametrize("field", ["account_id", "name", "components"])
async def test_a_missing_field_is_named(field: str, stage: Stage) -> None:
    body = good(stage)
    del body[field]
    answer = await refusal(stage.alice, "/api/positions", orjson.dumps(body))
    assert answer == (422, "missing-field", field)


async def test_someone_else_s_account_is_unknown(stage: Stage) -> None:
    body = {**good(stage), "account_id": str(stage.bob.account.id)}
    answer = await refusal(stage.alice, "/api/positions", orjson.dumps(body))
    assert answer == (404, "unknown-account", "account_id")
    await assert_nothing_recorded(stage)


@pytest.mark.parametrize("raw", [b"", b"{", b"[1, 2", b"\xff\xfe", b"{'name': 1}", b"nul"])
async def test_malformed_json_is_told_as_such(raw: bytes, stage: Stage) -> None:
    status, code, _ = await refusal(stage.alice, "/api/positions", raw)
    assert (status, code) == (400, "malformed-json")


async def test_json_that_is_no_object_is_told_as_such(stage: Stage) -> None:
    status, code, _ = await refusal(stage.alice, "/api/positions", b"[]")
    assert (status, code) == (422, "wrong-type")


async def test_a_body_that_is_not_declared_as_json_is_refused(stage: Stage) -> None:
    body = orjson.dumps(good(stage))
    status, code, _ = await refusal(stage.alice, "/api/positions", body, "text/plain")
    assert (status, code) == (415, "unsupported-media-type")


@pytest.mark.parametrize("path", ["/api/positions", "/api/session"])
async def test_an_oversized_body_is_refused(path: str, stage: Stage) -> None:
    body = orjson.dumps({**good(stage), "note": "x" * LARGEST_BODY})
    status, code, _ = await refusal(stage.alice, path, body)
    assert (status, code) == (413, "body-too-large")


@pytest.mark.parametrize("id_", ["1", "not-an-id", "00000000-0000-0000-0000-000000000000", "%00"])
async def test_an_id_that_is_none_is_as_unknown_as_any_other(id_: str, stage: Stage) -> None:
    answer = await refusal(stage.alice, f"/api/positions/{id_}/close", b"{}")
    assert answer[:2] == (404, "unknown-position")


async def test_after_all_that_a_good_position_is_still_recorded(stage: Stage) -> None:
    answers = await asyncio.gather(
        *(refusal(stage.alice, "/api/positions", b"{" * n) for n in range(1, 50))
    )
    assert {answer[:2] for answer in answers} == {(400, "malformed-json")}
    body = {**good(stage), "account_id": str(stage.bob.account.id)}
    status, answer, _ = await stage.bob.post("/api/positions", body)
    assert status == 201, answer
    await assert_nothing_recorded(stage)
