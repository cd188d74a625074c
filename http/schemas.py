"""The JSON Schemas (2020-12) of what goes in and out, as the API's description carries them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from ..daemon.domain.deviations import CauseKind
from ..daemon.domain.model import (
    Category,
    DeviationKind,
    Environment,
    PositionStatus,
    PriceBasis,
    Side,
    Verdict,
)
from ..daemon.domain.orders import LegOutcome, OrderState, RequestState
from ..daemon.domain.people import Scope
from ..daemon.domain.resolving import ResolveAction
from .intake import (
    LONGEST_NAME,
    LONGEST_NOTE,
    LONGEST_SYMBOL,
    LONGEST_TAG,
    MOST_COMPONENTS,
    MOST_TAGS,
)
from .replies import Json


def ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def record(required: Mapping[str, Json], optional: Mapping[str, Json] | None = None) -> Json:
    """A closed object."""
    return {
        "type": "object",
        "required": list(required),
        "properties": {**required, **(optional or {})},
        "additionalProperties": False,
    }


def listing(of: Json, most: int | None = None, fewest: int | None = None) -> Json:
    bounds = {"minItems": fewest, "maxItems": most}
    return {
        "type": "array",
        "items": of,
        **{key: value for key, value in bounds.items() if value is not None},
    }


def text(longest: int | None = None, shortest: int = 1) -> Json:
    if longest is None:
        return {"type": "string"}
    return {"type": "string", "minLength": shortest, "maxLength": longest}


def or_null(schema: Json) -> Json:
    return {"anyOf": [schema, {"type": "null"}]}


def words(values: Iterable[str]) -> Json:
    return {"type": "string", "enum": [str(value) for value in values]}


_ID: Final[Json] = {"type": "string", "format": "uuid"}
_TIME: Final[Json] = {"type": "string", "format": "date-time"}
_DECIMAL: Final[Json] = {
    "type": "string",
    "pattern": r"^-?[0-9]+(\.[0-9]+)?$",
    "description": "A decimal number as text, every digit kept",
}
_FLAG: Final[Json] = {"type": "boolean"}
_INTEGER: Final[Json] = {"type": "integer"}

_POSITION: Final[Mapping[str, Json]] = {
    "id": _ID,
    "account_id": _ID,
    "name": text(),
    "external_id": or_null(text()),
    "note": text(),
    "tags": listing(text()),
    "status": words(PositionStatus),
    "is_altered": _FLAG,
    "verdict": words(Verdict),
    "verdict_reason": or_null(text()),
    "unrealized_pnl": or_null(_DECIMAL),
    "pnl_currency": text(),
    "pnl_at": or_null(_TIME),
    "pnl_incomplete": or_null(text()),
    "fees": or_null(_DECIMAL),
    "funding": or_null(_DECIMAL),
    "realized_pnl": or_null(_DECIMAL),
    "net_pnl": or_null(_DECIMAL),
    "booked": listing(ref("Booked")),
    "booked_incomplete": or_null(text()),
    "opened_at": _TIME,
    "closed_at": or_null(_TIME),
    "verified_at": or_null(_TIME),
    "components": listing(ref("Component")),
    "deviations": listing(ref("Deviation")),
    "last_close": or_null(ref("CloseReport")),
}
_CLOSE_REPORT: Final[Mapping[str, Json]] = {
    "close_id": _ID,
    "position_id": _ID,
    "state": words(RequestState),
    "code": or_null(text()),
    "detail": or_null(text()),
    "created_at": _TIME,
    "ended_at": or_null(_TIME),
    "legs": listing(ref("CloseLeg")),
}
_FEED: Final[Mapping[str, Json]] = {
    "public": words(("live", "stale", "down")),
    "private": words(("live", "stale", "down")),
    "last_sweep_at": or_null(_TIME),
    "trading_paused": _FLAG,
}
_DEVIATION: Final[Mapping[str, Json]] = {
    "position_id": _ID,
    "is_altered": _FLAG,
    "verdict": words(Verdict),
    "symbol": or_null(text()),
    "difference": or_null(_DECIMAL),
    "kind": or_null(words(DeviationKind)),
    "expected": or_null(_DECIMAL),
    "actual": or_null(_DECIMAL),
    "cause": or_null(text()),
    "first_seen": or_null(_TIME),
    "detail": or_null(text()),
}
# A delta carries the id and what changed; an unknown id comes whole, a gone one as removed.
_CHANGE: Final[Json] = record({"id": _ID}, {**_POSITION, "removed": _FLAG})

SCHEMAS: Final[Mapping[str, Json]] = MappingProxyType(
    {
        "SignIn": record({"username": text(100), "password": text(1000)}),
        "Session": record({"user": record({"id": _ID, "username": text()}), "scope": words(Scope)}),
        "Position": record(_POSITION),
        "PositionDetail": record(
            {
                **_POSITION,
                "close_requests": listing(ref("CloseReport")),
                "events": listing(ref("Event")),
            }
        ),
        "PositionEdit": record(
            {},
            {
                "name": or_null(text(LONGEST_NAME)),
                "note": or_null(text(LONGEST_NOTE, 0)),
                "tags": or_null(listing(text(LONGEST_TAG), MOST_TAGS)),
            },
        ),
        "Resolve": record({"action": words(ResolveAction)}, {"component_id": or_null(_ID)}),
        "Booked": record(
            {"coin": text(), "fees": _DECIMAL, "funding": _DECIMAL, "realized_pnl": _DECIMAL}
        ),
        "Deviation": record(
            {
                "id": _INTEGER,
                "category": words(Category),
                "symbol": text(),
                "position_idx": _INTEGER,
                "kind": words(DeviationKind),
                "expected": _DECIMAL,
                "actual": _DECIMAL,
                "difference": _DECIMAL,
                "first_seen": _TIME,
                "last_verified": _TIME,
                "ended_at": or_null(_TIME),
                "resolution": or_null(text()),
                "cause": or_null(text()),
                "cause_kind": or_null(words(CauseKind)),
                "cause_quantity": or_null(_DECIMAL),
                "cause_price": or_null(_DECIMAL),
                "cause_at": or_null(_TIME),
                "cause_order_ids": listing(text()),
                "while_away": _FLAG,
            }
        ),
        "Event": record(
            {
                "id": _INTEGER,
                "at": _TIME,
                "kind": text(),
                "actor": or_null(text()),
                "data": {"type": "object"},
            }
        ),
        "PnlHistory": record({"pnl": listing(ref("PnlPoint"))}),
        "PnlPoint": record(
            {
                "at": _TIME,
                "unrealized_pnl": _DECIMAL,
                "net_pnl": or_null(_DECIMAL),
                "currency": text(),
            }
        ),
        "Holdings": record(
            {"holdings": listing(ref("Holding")), "read_at": _TIME, "incomplete": or_null(text())}
        ),
        "Holding": record(
            {
                "category": words(Category),
                "symbol": text(),
                "position_idx": _INTEGER,
                "total": _DECIMAL,
                "tracked": _DECIMAL,
                "unassigned": _DECIMAL,
                "free": _DECIMAL,
                "entry_price": or_null(_DECIMAL),
                "price": or_null(_DECIMAL),
            }
        ),
        "Nothing": record({}),
        "PositionList": record({"positions": listing(ref("Position"))}, {"next": text()}),
        "Component": record(
            {
                "id": _ID,
                "category": words(Category),
                "symbol": text(),
                "coin": or_null(text()),
                "side": words(Side),
                "quantity": _DECIMAL,
                "recorded_quantity": _DECIMAL,
                "closed_quantity": _DECIMAL,
                "entry_price": _DECIMAL,
                "price": or_null(_DECIMAL),
                "price_basis": words(PriceBasis),
                "price_at": or_null(_TIME),
                "unrealized_pnl": or_null(_DECIMAL),
                "pnl_currency": or_null(text()),
                "actual": or_null(_DECIMAL),
                "difference": or_null(_DECIMAL),
                "deviates": _FLAG,
                "note": or_null(text()),
            }
        ),
        "NewPosition": record(
            {
                "account_id": _ID,
                "name": text(LONGEST_NAME),
                "components": listing(ref("NewComponent"), MOST_COMPONENTS, 1),
            },
            {
                "external_id": or_null(text(LONGEST_NAME)),
                "note": or_null(text(LONGEST_NOTE, 0)),
                "tags": or_null(listing(text(LONGEST_TAG), MOST_TAGS)),
            },
        ),
        "NewComponent": record(
            {
                "category": words(Category),
                "symbol": text(LONGEST_SYMBOL),
                "side": words(Side),
                "quantity": _DECIMAL,
                "entry_price": _DECIMAL,
            }
        ),
        "Close": record({}),
        "Accepted": record(
            {"close_id": _ID, "position_id": _ID, "status": words([PositionStatus.CLOSING])}
        ),
        "CloseReport": record(_CLOSE_REPORT),
        "CloseLeg": record(
            {
                "component_id": _ID,
                "outcome": words(LegOutcome),
                "filled": _DECIMAL,
                "average_price": or_null(_DECIMAL),
                "detail": text(),
            }
        ),
        "CloseOrder": record(
            {
                "order_link_id": text(),
                "order_id": or_null(text()),
                "component_id": _ID,
                "category": words(Category),
                "symbol": text(),
                "position_idx": _INTEGER,
                "side": words(Side),
                "quantity": _DECIMAL,
                "filled": _DECIMAL,
                "average_price": or_null(_DECIMAL),
                "attempt": _INTEGER,
                "state": words(OrderState),
                "status": or_null(text()),
                "detail": or_null(text()),
                "signed_at": or_null(_TIME),
                "created_at": _TIME,
            }
        ),
        "CloseStatus": record(
            {
                **_CLOSE_REPORT,
                "account_id": _ID,
                "expires_at": _TIME,
                "orders": listing(ref("CloseOrder")),
            }
        ),
        "Account": record(
            {"id": _ID, "label": text(), "environment": words(Environment), "api_key": text()}
        ),
        "AccountList": record({"accounts": listing(ref("Account"))}),
        "Health": record({"status": words(["alive"])}),
        "Readiness": record({"status": words(["ready", "not-ready"]), "reasons": listing(text())}),
        "StreamFrame": {
            "description": "The data of one event; which one, its event field says",
            "anyOf": [
                record({"seq": _INTEGER, "positions": listing(ref("Position"))}),
                record({"seq": _INTEGER, "changes": listing(_CHANGE)}),
                record({"seq": _INTEGER, **_CLOSE_REPORT}),
                record({"seq": _INTEGER, **_DEVIATION}),
                record(_FEED, {"seq": _INTEGER}),
            ],
        },
        "OpenApiDocument": {"type": "object"},
        "Problem": record(
            {
                "type": text(),
                "title": text(),
                "status": _INTEGER,
                "detail": text(),
                "code": ref("ProblemCode"),
            },
            {"field": text(), "error_id": text()},
        ),
    }
)
