"""The JSON Schemas (2020-12) of what goes in and out, as the API's description carries them."""

from __future__ import annotations

from collections.abc import Mapping
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
from ..daemon.domain.people import Scope
from ..daemon.domain.resolving import ResolveAction
from .close_schemas import CLOSE_REPORT, CLOSE_SCHEMAS
from .intake import (
    LONGEST_NAME,
    LONGEST_NOTE,
    LONGEST_SYMBOL,
    LONGEST_TAG,
    MOST_COMPONENTS,
    MOST_TAGS,
)
from .replies import Json
from .shapes import DECIMAL, FLAG, ID, INTEGER, TIME, listing, or_null, record, ref, text, words

_POSITION: Final[Mapping[str, Json]] = {
    "id": ID,
    "account_id": ID,
    "name": text(),
    "external_id": or_null(text()),
    "note": text(),
    "tags": listing(text()),
    "status": words(PositionStatus),
    "is_altered": FLAG,
    "verdict": words(Verdict),
    "verdict_reason": or_null(text()),
    "unrealized_pnl": or_null(DECIMAL),
    "pnl_currency": text(),
    "pnl_at": or_null(TIME),
    "pnl_incomplete": or_null(text()),
    "fees": or_null(DECIMAL),
    "funding": or_null(DECIMAL),
    "realized_pnl": or_null(DECIMAL),
    "net_pnl": or_null(DECIMAL),
    "booked": listing(ref("Booked")),
    "booked_incomplete": or_null(text()),
    "opened_at": TIME,
    "closed_at": or_null(TIME),
    "verified_at": or_null(TIME),
    "components": listing(ref("Component")),
    "deviations": listing(ref("Deviation")),
    "last_close": or_null(ref("CloseReport")),
}
_FEED: Final[Mapping[str, Json]] = {
    "public": words(("live", "stale", "down")),
    "private": words(("live", "stale", "down")),
    "last_sweep_at": or_null(TIME),
    "trading_paused": FLAG,
}
_DEVIATION: Final[Mapping[str, Json]] = {
    "position_id": ID,
    "is_altered": FLAG,
    "verdict": words(Verdict),
    "symbol": or_null(text()),
    "difference": or_null(DECIMAL),
    "kind": or_null(words(DeviationKind)),
    "expected": or_null(DECIMAL),
    "actual": or_null(DECIMAL),
    "cause": or_null(text()),
    "first_seen": or_null(TIME),
    "detail": or_null(text()),
}
# A delta carries the id and what changed; an unknown id comes whole, a gone one as removed.
_CHANGE: Final[Json] = record({"id": ID}, {**_POSITION, "removed": FLAG})

SCHEMAS: Final[Mapping[str, Json]] = MappingProxyType(
    {
        "SignIn": record({"username": text(100), "password": text(1000)}),
        "Session": record({"user": record({"id": ID, "username": text()}), "scope": words(Scope)}),
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
        "Resolve": record({"action": words(ResolveAction)}, {"component_id": or_null(ID)}),
        "Booked": record(
            {"coin": text(), "fees": DECIMAL, "funding": DECIMAL, "realized_pnl": DECIMAL}
        ),
        "Deviation": record(
            {
                "id": INTEGER,
                "category": words(Category),
                "symbol": text(),
                "position_idx": INTEGER,
                "kind": words(DeviationKind),
                "expected": DECIMAL,
                "actual": DECIMAL,
                "difference": DECIMAL,
                "first_seen": TIME,
                "last_verified": TIME,
                "ended_at": or_null(TIME),
                "resolution": or_null(text()),
                "cause": or_null(text()),
                "cause_kind": or_null(words(CauseKind)),
                "cause_quantity": or_null(DECIMAL),
                "cause_price": or_null(DECIMAL),
                "cause_at": or_null(TIME),
                "cause_order_ids": listing(text()),
                "while_away": FLAG,
            }
        ),
        "Event": record(
            {
                "id": INTEGER,
                "at": TIME,
                "kind": text(),
                "actor": or_null(text()),
                "data": {"type": "object"},
            }
        ),
        "PnlHistory": record({"pnl": listing(ref("PnlPoint"))}),
        "PnlPoint": record(
            {
                "at": TIME,
                "unrealized_pnl": DECIMAL,
                "net_pnl": or_null(DECIMAL),
                "currency": text(),
            }
        ),
        "Holdings": record(
            {"holdings": listing(ref("Holding")), "read_at": TIME, "incomplete": or_null(text())}
        ),
        "Holding": record(
            {
                "category": words(Category),
                "symbol": text(),
                "position_idx": INTEGER,
                "total": DECIMAL,
                "tracked": DECIMAL,
                "unassigned": DECIMAL,
                "free": DECIMAL,
                "entry_price": or_null(DECIMAL),
                "price": or_null(DECIMAL),
            }
        ),
        "Nothing": record({}),
        "PositionList": record({"positions": listing(ref("Position"))}, {"next": text()}),
        "Component": record(
            {
                "id": ID,
                "category": words(Category),
                "symbol": text(),
                "coin": or_null(text()),
                "side": words(Side),
                "quantity": DECIMAL,
                "recorded_quantity": DECIMAL,
                "closed_quantity": DECIMAL,
                "entry_price": DECIMAL,
                "price": or_null(DECIMAL),
                "price_basis": words(PriceBasis),
                "price_at": or_null(TIME),
                "unrealized_pnl": or_null(DECIMAL),
                "pnl_currency": or_null(text()),
                "actual": or_null(DECIMAL),
                "difference": or_null(DECIMAL),
                "deviates": FLAG,
                "note": or_null(text()),
            }
        ),
        "NewPosition": record(
            {
                "account_id": ID,
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
                "quantity": DECIMAL,
                "entry_price": DECIMAL,
            }
        ),
        **CLOSE_SCHEMAS,
        "Account": record(
            {"id": ID, "label": text(), "environment": words(Environment), "api_key": text()}
        ),
        "AccountList": record({"accounts": listing(ref("Account"))}),
        "Health": record({"status": words(["alive"])}),
        "Readiness": record({"status": words(["ready", "not-ready"]), "reasons": listing(text())}),
        "StreamFrame": {
            "description": "The data of one event; which one, its event field says",
            "anyOf": [
                record({"seq": INTEGER, "positions": listing(ref("Position"))}),
                record({"seq": INTEGER, "changes": listing(_CHANGE)}),
                record({"seq": INTEGER, **CLOSE_REPORT}),
                record({"seq": INTEGER, **_DEVIATION}),
                record(_FEED, {"seq": INTEGER}),
            ],
        },
        "OpenApiDocument": {"type": "object"},
        "Problem": record(
            {
                "type": text(),
                "title": text(),
                "status": INTEGER,
                "detail": text(),
                "code": ref("ProblemCode"),
            },
            {"field": text(), "error_id": text()},
        ),
    }
)
