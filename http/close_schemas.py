"""The JSON Schemas of closes: what is asked, previewed, accepted and reported."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from ..daemon.domain.model import Category, PositionStatus, Side
from ..daemon.domain.orders import LegOutcome, OrderState, RequestState
from ..daemon.domain.resolving import ResolveAction
from .replies import Json
from .shapes import DECIMAL, FLAG, ID, INTEGER, TIME, listing, or_null, record, ref, text, words
from .terms import LEAST_SLIPPAGE, LONGEST_PLAN_ID, MOST_SLIPPAGE, MOST_TOGETHER

CLOSE_REPORT: Final[Mapping[str, Json]] = {
    "close_id": ID,
    "position_id": ID,
    "set_id": or_null(ID),
    "state": words(RequestState),
    "code": or_null(text()),
    "detail": or_null(text()),
    "fraction": or_null(DECIMAL),
    "slippage": or_null(DECIMAL),
    "cancel_resting": FLAG,
    "created_at": TIME,
    "ended_at": or_null(TIME),
    "targets": listing(ref("CloseTarget")),
    "legs": listing(ref("CloseLeg")),
}
_FRACTION: Final[Json] = or_null(
    {
        **DECIMAL,
        "description": "Of each leg's open quantity, above 0 and at most 1",
        "examples": ["0.5"],
    }
)
_PLAN_ID: Final[Json] = or_null(
    {**text(LONGEST_PLAN_ID), "description": "`plan_id` of the preview that was agreed to"}
)
_CLOSE_TERMS: Final[Mapping[str, Json]] = {
    "slippage": or_null(
        {
            **DECIMAL,
            "description": "Percent from the best price beyond which nothing fills: "
            f"{LEAST_SLIPPAGE} to {MOST_SLIPPAGE}, at most two decimals",
            "examples": ["0.5"],
        }
    ),
    "cancel_resting": or_null(
        {**FLAG, "description": "Cancel resting reduce-only orders that are in the way"}
    ),
}

CLOSE_SCHEMAS: Final[Mapping[str, Json]] = MappingProxyType(
    {
        "Close": record({}, {**_CLOSE_TERMS, "fraction": _FRACTION, "expected_plan": _PLAN_ID}),
        "CloseTogether": record({"position_ids": listing(ID, MOST_TOGETHER, 1)}, _CLOSE_TERMS),
        "Accepted": record(
            {"close_id": ID, "position_id": ID, "status": words([PositionStatus.CLOSING])}
        ),
        "AcceptedSet": record({"set_id": ID, "closes": listing(ref("Accepted"))}),
        "ClosePlan": record(
            {
                "plan_id": text(),
                "expires_at": TIME,
                "fraction": or_null(DECIMAL),
                "legs": listing(ref("PlannedLeg")),
                "can_close": FLAG,
            }
        ),
        "PlannedLeg": record(
            {
                "component_id": ID,
                "category": words(Category),
                "symbol": text(),
                "side": words(Side),
                "open": DECIMAL,
                "quantity": DECIMAL,
                "shortfall": DECIMAL,
                "dust": DECIMAL,
                "estimated_price": or_null(DECIMAL),
                "estimated_fee": or_null(DECIMAL),
                "fee_coin": or_null(text()),
                "blockers": listing(ref("PlanBlocker")),
                "resting_orders": listing(ref("RestingOrder")),
            }
        ),
        "PlanBlocker": record(
            {"code": text(), "detail": text(), "resolve": listing(words(ResolveAction))}
        ),
        "RestingOrder": record(
            {
                "order_id": text(),
                "side": words(Side),
                "quantity": DECIMAL,
                "price": or_null(DECIMAL),
                "type": text(),
            }
        ),
        "CloseTarget": record({"component_id": ID, "open": DECIMAL, "quantity": DECIMAL}),
        "CloseReport": record(CLOSE_REPORT),
        "CloseLeg": record(
            {
                "component_id": ID,
                "outcome": words(LegOutcome),
                "filled": DECIMAL,
                "average_price": or_null(DECIMAL),
                "detail": text(),
            }
        ),
        "CloseOrder": record(
            {
                "order_link_id": text(),
                "order_id": or_null(text()),
                "component_id": ID,
                "category": words(Category),
                "symbol": text(),
                "position_idx": INTEGER,
                "side": words(Side),
                "quantity": DECIMAL,
                "filled": DECIMAL,
                "average_price": or_null(DECIMAL),
                "attempt": INTEGER,
                "state": words(OrderState),
                "status": or_null(text()),
                "detail": or_null(text()),
                "signed_at": or_null(TIME),
                "created_at": TIME,
                "parts": listing(ref("OrderPart")),
            }
        ),
        "OrderPart": record({"component_id": ID, "close_id": ID, "quantity": DECIMAL}),
        "CloseStatus": record(
            {
                **CLOSE_REPORT,
                "account_id": ID,
                "expires_at": TIME,
                "orders": listing(ref("CloseOrder")),
            }
        ),
    }
)
