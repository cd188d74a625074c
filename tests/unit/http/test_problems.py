from __future__ import annotations

from datetime import timedelta

import orjson
import pytest
from aiohttp import web
from positiond.daemon.domain.errors import (
    Conflict,
    CredentialsRefused,
    ExchangeBusy,
    ExchangeRefused,
    ExchangeUnreachable,
    Forbidden,
    IllegalTransition,
    InvalidInput,
    NotFound,
    PositiondError,
    SchemaMismatch,
    StoreUnavailable,
    Throttled,
    Unauthenticated,
)
from positiond.http.problems import CODES, problem, problem_of

from .stubs import NOW


def reply_to(error: PositiondError) -> web.Response:
    found = problem_of(error, NOW)
    assert found is not None
    return found.reply()


def body_of(response: web.Response) -> dict[str, object]:
    assert isinstance(response.body, bytes)
    body = orjson.loads(response.body)
    assert isinstance(body, dict)
    return body


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InvalidInput("unknown-symbol", "d"), 422),
        (InvalidInput("malformed-json", "d"), 400),
        (InvalidInput("body-too-large", "d"), 413),
        (InvalidInput("unsupported-media-type", "d"), 415),
        (InvalidInput("a-code-of-another-floor", "d"), 422),
        (NotFound("unknown-close", "d"), 404),
        (Conflict("already-closed", "d"), 409),
        (Unauthenticated("not-signed-in", "d"), 401),
        (Forbidden("scope-read-only", "d"), 403),
        (Throttled("too-many-sign-ins", "d", retry_after=1.2), 429),
        (StoreUnavailable("store-unavailable", "d"), 503),
        (ExchangeUnreachable("exchange-unreachable", "d"), 503),
        (ExchangeBusy("exchange-busy", "d", retry_at=NOW), 503),
        (ExchangeRefused("exchange-refused", "d", ret_code=10001), 503),
        (CredentialsRefused("key-refused", "d", ret_code=10003), 503),
    ],
)
def test_the_kind_of_an_error_decides_its_status(error: PositiondError, status: int) -> None:
    response = reply_to(error)
    body = body_of(response)
    assert response.status == status
    assert response.content_type == "application/problem+json"
    assert body["status"] == status
    assert body["code"] == error.code
    assert body["detail"] == "d"
    assert body["type"] == f"/api/docs#{error.code}"
    assert body["title"]


@pytest.mark.parametrize(
    "error", [IllegalTransition("illegal-transition", "d"), SchemaMismatch("schema", "d")]
)
def test_an_error_that_no_caller_caused_has_no_problem_of_its_own(error: PositiondError) -> None:
    assert problem_of(error, NOW) is None


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (Throttled("too-many-sign-ins", "d", retry_after=1.2), "2"),
        (Throttled("too-many-sign-ins", "d", retry_after=0), "1"),
        (ExchangeBusy("exchange-busy", "d", retry_at=NOW + timedelta(seconds=6.5)), "7"),
        (ExchangeBusy("exchange-busy", "d", retry_at=NOW - timedelta(seconds=9)), "1"),
        (StoreUnavailable("store-unavailable", "d"), "5"),
        (ExchangeUnreachable("exchange-unreachable", "d"), "5"),
    ],
)
def test_what_passes_says_when_to_come_back(error: PositiondError, seconds: str) -> None:
    assert reply_to(error).headers["Retry-After"] == seconds


def test_what_does_not_pass_gives_no_time_to_come_back() -> None:
    assert "Retry-After" not in reply_to(Conflict("already-closed", "d")).headers


def test_a_refused_sign_in_names_the_scheme_to_use() -> None:
    plain = reply_to(Unauthenticated("not-signed-in", "d")).headers["WWW-Authenticate"]
    wrong = reply_to(Unauthenticated("invalid-token", "d")).headers["WWW-Authenticate"]
    assert plain == 'Bearer realm="positiond"'
    assert wrong == 'Bearer realm="positiond", error="invalid_token"'


def test_the_field_is_there_only_when_one_is_to_blame() -> None:
    with_field = body_of(reply_to(InvalidInput("wrong-type", "d", field="components[0].side")))
    assert with_field["field"] == "components[0].side"
    assert "field" not in body_of(reply_to(Conflict("already-closed", "d")))


def test_a_conflict_stays_a_conflict_whatever_its_code_is_listed_as() -> None:
    assert reply_to(Conflict("unknown-close", "d")).status == 409


def test_every_listed_code_makes_a_whole_problem() -> None:
    for code, (status, title) in CODES.items():
        found = problem(code, "detail")
        assert (found.status, found.title) == (status, title)
        assert 400 <= status < 600
        assert code == code.lower()
