"""Closes as JSON: the preview, the answer, where one stands, its orders."""

from __future__ import annotations

from ..daemon.domain import money
from ..daemon.domain.model import PositionStatus
from ..daemon.domain.orders import (
    AcceptedClose,
    AcceptedSet,
    CloseOrder,
    CloseRequest,
    LegResult,
    OrderPart,
    RestingOrder,
)
from ..daemon.domain.services import ClosePlan, CloseStatus, PlanBlocker, PlannedLeg
from .replies import Json
from .texts import amount_or_none, time, time_or_none


def close_plan(plan: ClosePlan) -> Json:
    return {
        "plan_id": plan.plan_id,
        "expires_at": time(plan.expires_at),
        "fraction": amount_or_none(plan.fraction),
        "legs": [planned_leg(leg) for leg in plan.legs],
        "can_close": plan.can_close,
    }


def planned_leg(leg: PlannedLeg) -> Json:
    """`side` is the leg's own, as recorded; what closes it goes the other way."""
    return {
        "component_id": str(leg.component.id),
        "category": str(leg.component.category),
        "symbol": leg.component.symbol,
        "side": str(leg.component.side),
        "open": money.plain(leg.component.open),
        "quantity": money.plain(leg.quantity),
        "shortfall": money.plain(leg.shortfall),
        "dust": money.plain(leg.dust),
        "estimated_price": amount_or_none(leg.estimated_price),
        "estimated_fee": amount_or_none(leg.estimated_fee),
        "fee_coin": leg.fee_coin,
        "blockers": [blocker(one) for one in leg.blockers],
        "resting_orders": [resting_order(one) for one in leg.resting],
    }


def blocker(one: PlanBlocker) -> Json:
    return {"code": one.code, "detail": one.detail, "resolve": [str(each) for each in one.resolve]}


def resting_order(order: RestingOrder) -> Json:
    """`quantity` is what may still fill of it."""
    return {
        "order_id": order.order_id,
        "side": str(order.side),
        "quantity": money.plain(order.left),
        "price": amount_or_none(order.price),
        "type": order.kind,
    }


def accepted_close(accepted: AcceptedClose) -> Json:
    return {
        "close_id": str(accepted.close_id),
        "position_id": str(accepted.position_id),
        "status": str(PositionStatus.CLOSING),
    }


def accepted_set(accepted: AcceptedSet) -> Json:
    return {
        "set_id": str(accepted.set_id),
        "closes": [accepted_close(each) for each in accepted.closes],
    }


def close_report(request: CloseRequest) -> Json:
    """A close request without its orders, as positions and the stream carry it."""
    return {
        "close_id": str(request.id),
        "position_id": str(request.position_id),
        "set_id": None if request.set_id is None else str(request.set_id),
        "state": str(request.state),
        "code": request.code,
        "detail": request.detail,
        "fraction": amount_or_none(request.terms.fraction),
        "slippage": amount_or_none(request.terms.slippage),
        "cancel_resting": request.terms.cancel_resting,
        "created_at": time(request.created_at),
        "ended_at": time_or_none(request.ended_at),
        "targets": close_targets(request),
        "legs": [close_leg(leg) for leg in request.legs],
    }


def close_targets(request: CloseRequest) -> list[Json]:
    """Per leg: what was open when the close was asked for, and how much of it is to be closed."""
    return [
        {
            "component_id": str(component_id),
            "open": money.plain(was_open),
            "quantity": money.plain(request.target(component_id)),
        }
        for component_id, was_open in request.open_at_acceptance.items()
    ]


def close_leg(leg: LegResult) -> Json:
    return {
        "component_id": str(leg.component_id),
        "outcome": str(leg.outcome),
        "filled": money.plain(leg.filled),
        "average_price": amount_or_none(leg.average_price),
        "detail": leg.detail,
    }


def close_status(status: CloseStatus) -> Json:
    report = close_report(status.request)
    return {
        **report,
        "account_id": str(status.request.account_id),
        "expires_at": time(status.request.expires_at),
        "orders": [close_order(order) for order in status.orders],
    }


def close_order(order: CloseOrder) -> Json:
    return {
        "order_link_id": order.link_id,
        "order_id": order.order_id,
        "component_id": str(order.component_id),
        "category": str(order.bucket.category),
        "symbol": order.instrument_symbol,
        "position_idx": order.bucket.position_idx,
        "side": str(order.side),
        "quantity": money.plain(order.quantity),
        "filled": money.plain(order.filled),
        "average_price": amount_or_none(order.average_price),
        "attempt": order.attempt,
        "state": str(order.state),
        "status": order.status,
        "detail": order.detail,
        "signed_at": time_or_none(order.signed_at),
        "created_at": time(order.created_at),
        "parts": [order_part(part) for part in order.shares],
    }


def order_part(part: OrderPart) -> Json:
    """What the order closes of one leg; of a set's legs some may lie on its own side."""
    return {
        "component_id": str(part.component_id),
        "close_id": str(part.close_id),
        "quantity": money.plain(part.quantity),
    }
