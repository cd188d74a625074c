"""Every refusal as RFC 9457 problem+json: the stable codes, their titles, their status."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final

from aiohttp import web

from ..daemon.domain.errors import (
    Conflict,
    ExchangeBusy,
    ExchangeRefused,
    ExchangeUnreachable,
    Forbidden,
    InvalidInput,
    NotFound,
    PositiondError,
    StoreUnavailable,
    Throttled,
    Unauthenticated,
)
from .replies import PROBLEM_JSON, json_reply

# Code → (status, title). This is the one list; OpenAPI and /api/docs are made from it.
CODES: Final[Mapping[str, tuple[int, str]]] = MappingProxyType(
    {
        # How the request was put.
        "bad-request": (400, "The request is malformed"),
        "malformed-json": (400, "The body is not JSON"),
        "unknown-path": (404, "There is nothing at this address"),
        "method-not-allowed": (405, "The address does not take this method"),
        "body-timeout": (408, "The body did not arrive in time"),
        "body-too-large": (413, "The body is too large"),
        "unsupported-media-type": (415, "The body must be application/json"),
        # What its fields say.
        "missing-field": (422, "A field is missing"),
        "unknown-field": (422, "A field is not known"),
        "wrong-type": (422, "A field has the wrong type"),
        "invalid-value": (422, "A field has a value that is not allowed"),
        "decimal-not-a-string": (422, "A decimal number must be sent as a string"),
        "invalid-decimal": (422, "A text is not a decimal number"),
        "too-long": (422, "A text is too long"),
        "no-components": (422, "A position needs a component"),
        "too-many-components": (422, "A position has too many components"),
        "duplicate-component": (422, "A component stands twice in the position"),
        "unknown-symbol": (422, "The symbol is not listed"),
        "wrong-category": (422, "The category does not fit"),
        "quantity-zero": (422, "The quantity must be above zero"),
        "not-trading": (422, "The symbol cannot be traded"),
        "quantity-off-step": (422, "The quantity is no multiple of the step"),
        "price-not-positive": (422, "The price must be above zero"),
        "spot-short": (422, "A spot component cannot be short"),
        "spot-has-no-unassigned": (422, "A wallet's surplus is never recorded as unassigned"),
        "duplicate-position": (422, "A position stands twice in the list"),
        "several-accounts": (422, "The positions are of several accounts"),
        "invalid-idempotency-key": (422, "The Idempotency-Key is not usable"),
        "idempotency-key-reused": (422, "The Idempotency-Key belongs to another request"),
        # Who asks.
        "not-signed-in": (401, "Nobody is signed in"),
        "sign-in-failed": (401, "The sign-in failed"),
        "invalid-token": (401, "The token is not valid"),
        "foreign-origin": (403, "The request comes from another site"),
        "scope-read-only": (403, "The token may only read"),
        "too-many-sign-ins": (429, "Too many sign-in attempts"),
        "too-many-streams": (429, "Too many open streams"),
        "reconciled-just-now": (429, "The account was compared just now"),
        # What it is about.
        "unknown-account": (404, "There is no such account"),
        "unknown-position": (404, "There is no such position"),
        "unknown-component": (404, "The position has no such component"),
        "unknown-close": (404, "There is no such close request"),
        "already-closed": (409, "The position is closed"),
        "already-sending": (409, "An order may have left already"),
        "already-ended": (409, "The close request has ended"),
        "close-in-progress": (409, "A close is under way in the same bucket"),
        "coin-unknown": (409, "The coin that backs a spot leg is not known yet"),
        "close-open": (409, "A close is open on what would be changed"),
        "plan-changed": (409, "The plan of the close no longer holds"),
        "unverified": (409, "What Bybit holds is not verified"),
        "nothing-to-resolve": (409, "Nothing deviates there"),
        "not-gone": (409, "Bybit still holds the leg"),
        "opposite-unassigned": (409, "The difference cannot be the trader's own"),
        "cannot-rebase": (409, "The leg cannot be rebased to match"),
        "changed-meanwhile": (409, "The position changed meanwhile"),
        "read-only-key": (409, "The account's API key may not trade"),
        "key-lacks-right": (409, "The account's API key may not trade one of the legs"),
        "leg-unclaimed": (409, "A leg is not found among what is recorded in its place"),
        "lost-update": (409, "Somebody else changed it first"),
        "not-leader": (409, "Another daemon has taken over trading"),
        # What cannot be reached.
        "store-unavailable": (503, "The database does not answer"),
        "exchange-unreachable": (503, "Bybit does not answer"),
        "holdings-unread": (503, "What Bybit holds could not be read"),
        "exchange-unreadable": (503, "Bybit's answer is not understood"),
        "no-row": (503, "Bybit gave no row for a leg"),
        "rows-lag": (503, "Bybit's rows are older than its fills"),
        "contradictory-rows": (503, "Bybit's rows contradict one another"),
        "exchange-busy": (503, "Bybit asks to wait"),
        "exchange-refused": (503, "Bybit refused"),
        "key-refused": (503, "Bybit refuses the API key"),
        "clock-refused": (503, "Bybit refuses our clock"),
        "account-not-connected": (503, "The account is not connected to Bybit"),
        "dashboard-missing": (503, "The dashboard is not built"),
        "internal-error": (500, "Something went wrong on our side"),
    }
)

# The kind of an error decides where its code is not listed above.
_STATUS_BY_KIND: Final[tuple[tuple[type[PositiondError], int], ...]] = (
    (InvalidInput, 422),
    (NotFound, 404),
    (Conflict, 409),
    (Unauthenticated, 401),
    (Forbidden, 403),
    (Throttled, 429),
    (StoreUnavailable, 503),
    (ExchangeUnreachable, 503),
    (ExchangeBusy, 503),
    (ExchangeRefused, 503),
)

_TITLES_BY_STATUS: Final[Mapping[int, str]] = MappingProxyType(
    {
        401: "Nobody is signed in",
        403: "Not allowed",
        404: "Not found",
        409: "It contradicts the present state",
        422: "The input is not valid",
        429: "Too many requests",
        503: "Not available now",
    }
)

# Seconds after which another try is worth it where the error itself does not say.
_RETRY_AFTER = 5


@dataclass(frozen=True, slots=True)
class Problem:
    """One refusal, ready to be sent."""

    status: int
    code: str
    title: str
    detail: str
    field: str | None = None
    retry_after: int | None = None
    error_id: str | None = None

    def reply(self) -> web.Response:
        body = {
            "type": f"/api/docs#{self.code}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
        }
        if self.field is not None:
            body["field"] = self.field
        if self.error_id is not None:
            body["error_id"] = self.error_id
        return json_reply(
            body, status=self.status, headers=self._headers(), content_type=PROBLEM_JSON
        )

    def _headers(self) -> dict[str, str]:
        headers: dict[str, str] = {}
        if self.retry_after is not None:
            headers["Retry-After"] = str(self.retry_after)
        if self.status == 401:
            challenge = ', error="invalid_token"' if self.code == "invalid-token" else ""
            headers["WWW-Authenticate"] = f'Bearer realm="positiond"{challenge}'
        return headers


def problem(code: str, detail: str, *, field: str | None = None) -> Problem:
    """A problem with a listed code."""
    status, title = CODES[code]
    return Problem(status, code, title, detail, field)


def problem_of(error: PositiondError, now: datetime) -> Problem | None:
    """The problem that a domain error stands for; None for those no caller can do about."""
    status = next((status for kind, status in _STATUS_BY_KIND if isinstance(error, kind)), None)
    if status is None:
        return None
    title = _TITLES_BY_STATUS[status]
    if error.code in CODES:
        listed, title = CODES[error.code]
        # The catalogue may only refine a refusal of the input (400, 413, 415 rather than 422).
        status = listed if isinstance(error, InvalidInput) else status
    wait = _seconds_to_wait(error, status, now)
    return Problem(status, error.code, title, error.detail, error.field, wait)


def _seconds_to_wait(error: PositiondError, status: int, now: datetime) -> int | None:
    if isinstance(error, Throttled):
        return max(1, math.ceil(error.retry_after))
    if isinstance(error, ExchangeBusy):
        return max(1, math.ceil((error.retry_at - now).total_seconds()))
    return _RETRY_AFTER if status == 503 else None
