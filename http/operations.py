"""What each route takes and gives, in the words of the API's description."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from aiohttp.typedefs import Handler

from .access import Access


@dataclass(frozen=True, slots=True)
class Parameter:
    """A query parameter or request header; the schema is JSON Schema."""

    name: str
    where: str
    description: str
    schema: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Answer:
    """What comes back; `schema` names one of the schemas, None means no body is described."""

    description: str
    schema: str | None = None
    content_type: str = "application/json"


@dataclass(frozen=True, slots=True)
class Operation:
    """`codes` are the problem codes worth telling, beyond those that any route may give."""

    id: str
    summary: str
    answers: Mapping[int, Answer]
    body: str | None = None
    is_body_optional: bool = False
    parameters: tuple[Parameter, ...] = ()
    codes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Route:
    """One line of the route table; `handler` is behind its checks already."""

    method: str
    path: str
    handler: Handler
    access: Access
    operation: Operation
    takes_head: bool = False


_TEXT = {"type": "string"}
_EMPTY_BODY_CODES = (
    "malformed-json",
    "body-timeout",
    "body-too-large",
    "unsupported-media-type",
    "unknown-field",
    "wrong-type",
)
_BODY_CODES = (*_EMPTY_BODY_CODES, "missing-field", "invalid-value")
_CLOSE_CODES = (
    *_EMPTY_BODY_CODES,
    "invalid-value",
    "decimal-not-a-string",
    "invalid-decimal",
    "too-long",
    "invalid-idempotency-key",
    "idempotency-key-reused",
    "unknown-position",
    "already-closed",
    "read-only-key",
    "key-lacks-right",
)
_EXCHANGE_CODES = (
    "exchange-unreachable",
    "exchange-unreadable",
    "exchange-busy",
    "exchange-refused",
    "key-refused",
    "clock-refused",
    "account-not-connected",
)
_FRACTION = {"type": "string", "pattern": r"^[0-9]*\.?[0-9]+$", "examples": ["0.5"]}
_IDEMPOTENCY_KEY = Parameter(
    "Idempotency-Key",
    "header",
    "Kept for 24 h: the same key again gives the original answer",
    {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
)

SIGN_IN = Operation(
    "signIn",
    "Sign in with a password",
    {204: Answer("Signed in; the session cookie is set")},
    body="SignIn",
    codes=(*_BODY_CODES, "too-long", "sign-in-failed", "too-many-sign-ins", "foreign-origin"),
)
WHO_AM_I = Operation(
    "whoAmI", "Who is signed in, and what may they do", {200: Answer("You", "Session")}
)
SIGN_OUT = Operation(
    "signOut",
    "Sign out; harmless when nobody is signed in",
    {204: Answer("Signed out")},
    codes=("foreign-origin",),
)
SIGN_IN_LINK = Operation(
    "signInByLink",
    "Sign in by a link that the operator made",
    {
        303: Answer("Signed in; the session cookie is set"),
        403: Answer("The link has expired or is not complete", content_type="text/html"),
    },
    parameters=(Parameter("ticket", "query", "The ticket in the link", _TEXT),),
)
LIST_POSITIONS = Operation(
    "listPositions",
    "The synthetic positions with live P&L, verdict and components, oldest first",
    {200: Answer("A page of positions; `next` where there are more", "PositionList")},
    parameters=(
        Parameter(
            "status",
            "query",
            "Statuses, separated by commas; ACTIVE,CLOSING where absent. Of CLOSED the newest 200.",
            {"type": "string", "examples": ["ACTIVE,CLOSING"]},
        ),
        Parameter("account", "query", "Only this account's", {"type": "string", "format": "uuid"}),
        Parameter(
            "limit",
            "query",
            "How many at most",
            {"type": "integer", "minimum": 1, "maximum": 1000, "default": 1000},
        ),
        Parameter("after", "query", "`next` of the page before", _TEXT),
    ),
    codes=("invalid-value", "unknown-field", "unknown-account"),
)
RECORD_POSITION = Operation(
    "recordPosition",
    "Record a synthetic position; its components are what is held on Bybit already",
    {
        201: Answer("Recorded", "Position"),
        200: Answer("The account has this external_id already: the first one", "Position"),
    },
    body="NewPosition",
    codes=(
        *_BODY_CODES,
        "decimal-not-a-string",
        "invalid-decimal",
        "too-long",
        "no-components",
        "too-many-components",
        "duplicate-component",
        "unknown-symbol",
        "not-trading",
        "wrong-category",
        "quantity-zero",
        "quantity-off-step",
        "price-not-positive",
        "spot-short",
        "unknown-account",
        "close-in-progress",
        "holdings-unread",
        *_EXCHANGE_CODES,
    ),
)
GET_POSITION = Operation(
    "getPosition",
    "One position with its past: deviations, close requests and events, each newest first",
    {200: Answer("It", "PositionDetail")},
    codes=("unknown-position",),
)
EDIT_POSITION = Operation(
    "editPosition",
    "Change a position's name, note or tags",
    {200: Answer("As it is now", "Position")},
    body="PositionEdit",
    codes=(*_BODY_CODES, "too-long", "unknown-position"),
)
RESOLVE_POSITION = Operation(
    "resolvePosition",
    "Resolve a deviation: accept it, rebase the leg to what is there, or mark the leg closed. "
    "Without a component, all that deviate. No order is sent",
    {
        200: Answer(
            "Resolved; expected equals actual again, but for what others lack in the same bucket",
            "Position",
        )
    },
    body="Resolve",
    codes=(
        *_BODY_CODES,
        "unknown-position",
        "unknown-component",
        "already-closed",
        "close-open",
        "unverified",
        "nothing-to-resolve",
        "not-gone",
        "opposite-unassigned",
        "cannot-rebase",
        "changed-meanwhile",
        "coin-unknown",
        "spot-has-no-unassigned",
        *_EXCHANGE_CODES,
    ),
)
PNL_HISTORY = Operation(
    "pnlHistory",
    "P&L over time, oldest first: a point a minute while open, fewer as it gets older",
    {200: Answer("The points of the span", "PnlHistory")},
    parameters=(
        Parameter(
            "from",
            "query",
            "Where the span starts; 24 h before its end where absent",
            {"type": "string", "format": "date-time"},
        ),
        Parameter(
            "to",
            "query",
            "Where it ends; now where absent",
            {"type": "string", "format": "date-time"},
        ),
    ),
    codes=("invalid-value", "unknown-field", "unknown-position"),
)
CLOSE_PLAN = Operation(
    "closePlan",
    "Preview of a close, read from Bybit now: what would be sent of each leg, at about which "
    "price and fee, and what stands in the way. Holds for a minute",
    {200: Answer("The plan; a close may name it as `expected_plan`", "ClosePlan")},
    parameters=(
        Parameter(
            "fraction",
            "query",
            "Of each leg's open quantity, above 0 and at most 1; all of it where absent",
            _FRACTION,
        ),
    ),
    codes=(
        "invalid-value",
        "invalid-decimal",
        "unknown-field",
        "unknown-position",
        "already-closed",
        "leg-unclaimed",
        "no-row",
        "rows-lag",
        "contradictory-rows",
        *_EXCHANGE_CODES,
    ),
)
CLOSE_POSITION = Operation(
    "closePosition",
    "Ask for the close of a position or a fraction of it, by market orders that can only reduce: "
    "reduce-only for contracts, for spot a sale of no more than the position's own coin",
    {202: Answer("Accepted and committed; a close that is open already is joined", "Accepted")},
    body="Close",
    is_body_optional=True,
    parameters=(_IDEMPOTENCY_KEY,),
    codes=(*_CLOSE_CODES, "plan-changed"),
)
CLOSE_TOGETHER = Operation(
    "closeTogether",
    "Ask for the close of several positions of one account: all of them or none is accepted. "
    "Where they share a bucket, one order of the net goes out",
    {202: Answer("Accepted and committed, in the order asked for", "AcceptedSet")},
    body="CloseTogether",
    parameters=(_IDEMPOTENCY_KEY,),
    codes=(
        *_CLOSE_CODES,
        "missing-field",
        "duplicate-position",
        "several-accounts",
        "close-open",
    ),
)
GET_CLOSE = Operation(
    "getClose",
    "Where a close stands: state, outcome of each leg, its orders",
    {200: Answer("It", "CloseStatus")},
    codes=("unknown-close",),
)
RECHECK_CLOSE = Operation(
    "recheckClose",
    "Have an open close look at once for whatever it waits for",
    {202: Answer("Asked for; where it stands so far", "CloseStatus")},
    body="Nothing",
    is_body_optional=True,
    codes=(*_EMPTY_BODY_CODES, "unknown-close", "already-ended"),
)
CANCEL_CLOSE = Operation(
    "cancelClose",
    "Cancel a close that has sent nothing yet; with it all that were asked for together",
    {200: Answer("Cancelled", "CloseStatus")},
    codes=("unknown-close", "already-sending", "already-ended"),
)
LIST_ACCOUNTS = Operation(
    "listAccounts", "The accounts, without secrets", {200: Answer("All of them", "AccountList")}
)
HOLDINGS = Operation(
    "holdings",
    "What Bybit holds in the account, read now: per bucket the total, what positions track of "
    "it, what is recorded as the trader's own, and what is free to be recorded",
    {200: Answer("All of it; `incomplete` names what could not be read", "Holdings")},
    codes=("unknown-account", *_EXCHANGE_CODES),
)
RECONCILE = Operation(
    "reconcile",
    "Compare the account with Bybit now, not only on the clock",
    {202: Answer("Asked for; the stream tells the outcome", "Nothing")},
    body="Nothing",
    is_body_optional=True,
    codes=(*_EMPTY_BODY_CODES, "unknown-account", "reconciled-just-now"),
)
STREAM = Operation(
    "stream",
    "Server-sent events: `snapshot`, then `positions`, `close`, `deviation`, `feed`",
    {200: Answer("Frames, as described by StreamFrame", "StreamFrame", "text/event-stream")},
    parameters=(Parameter("Last-Event-ID", "header", "The last id seen: resumes after it", _TEXT),),
    codes=("too-many-streams",),
)
HEALTH = Operation("health", "Whether the process is alive", {200: Answer("It is", "Health")})
READINESS = Operation(
    "readiness",
    "Whether the daemon may be relied on, and if not, why",
    {200: Answer("Ready", "Readiness"), 503: Answer("Not ready", "Readiness")},
)
DESCRIPTION = Operation(
    "describe", "This description", {200: Answer("OpenAPI 3.1", "OpenApiDocument")}
)
DOCS = Operation(
    "docs", "This description, to read", {200: Answer("A page", content_type="text/html")}
)
