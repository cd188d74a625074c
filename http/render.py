"""Domain values → JSON: amounts as plain decimal strings, times as RFC 3339 in UTC."""

from __future__ import annotations

from ..daemon.domain import money
from ..daemon.domain.model import Account, Booked
from ..daemon.domain.people import Identity
from ..daemon.domain.views import FeedState, LegView, PositionView
from .evidence import deviation_row, worst
from .replies import Json
from .reports import close_report
from .texts import amount_or_none, time, time_or_none


def position(view: PositionView) -> Json:
    recorded = view.position
    return {
        "id": str(recorded.id),
        "account_id": str(recorded.account_id),
        "name": recorded.name,
        "external_id": recorded.external_id,
        "note": recorded.note,
        "tags": list(recorded.tags),
        "status": str(recorded.status),
        "is_altered": recorded.is_altered,
        "verdict": str(view.verdict),
        "verdict_reason": view.verdict_reason,
        "unrealized_pnl": amount_or_none(view.unrealized_pnl),
        "pnl_currency": view.pnl_currency,
        "pnl_at": time_or_none(view.pnl_at),
        "pnl_incomplete": view.pnl_incomplete,
        "fees": amount_or_none(view.fees),
        "funding": amount_or_none(view.funding),
        "realized_pnl": amount_or_none(view.realized_pnl),
        "net_pnl": amount_or_none(view.net_pnl),
        "booked": [booked(one) for one in recorded.booked],
        "booked_incomplete": view.booked_incomplete,
        "opened_at": time(recorded.opened_at),
        "closed_at": time_or_none(recorded.closed_at),
        "verified_at": time_or_none(view.verified_at),
        "components": [component(leg) for leg in view.legs],
        "deviations": [deviation_row(row) for row in view.deviations],
        "last_close": None if view.last_close is None else close_report(view.last_close),
    }


def booked(one: Booked) -> Json:
    return {
        "coin": one.coin,
        "fees": money.plain(one.fees),
        "funding": money.plain(one.funding),
        "realized_pnl": money.plain(one.realized_pnl),
    }


def component(leg: LegView) -> Json:
    recorded = leg.component
    at_first = recorded.recorded_quantity
    return {
        "id": str(recorded.id),
        "category": str(recorded.category),
        "symbol": recorded.symbol,
        "coin": recorded.coin,
        "side": str(recorded.side),
        "quantity": money.plain(recorded.quantity),
        "recorded_quantity": money.plain(recorded.quantity if at_first is None else at_first),
        "closed_quantity": money.plain(recorded.closed_quantity),
        "entry_price": money.plain(recorded.entry_price),
        "price": amount_or_none(leg.price),
        "price_basis": str(leg.price_basis),
        "price_at": time_or_none(leg.price_at),
        "unrealized_pnl": amount_or_none(leg.unrealized_pnl),
        "pnl_currency": leg.pnl_currency,
        "actual": amount_or_none(leg.actual),
        "difference": amount_or_none(leg.difference),
        "deviates": leg.deviates,
        "note": leg.note,
    }


def account(entry: Account) -> Json:
    """The key is shown by its last characters: enough to find it on Bybit, not to use it."""
    return {
        "id": str(entry.id),
        "label": entry.label,
        "environment": str(entry.environment),
        "api_key": f"…{entry.api_key[-4:]}",
    }


def identity(who: Identity) -> Json:
    return {
        "user": {"id": str(who.user.id), "username": who.user.username},
        "scope": str(who.scope),
    }


def feed(state: FeedState) -> Json:
    return {
        "public": state.public,
        "private": state.private,
        "last_sweep_at": time_or_none(state.last_sweep_at),
        "trading_paused": state.trading_paused,
    }


def deviation(view: PositionView) -> Json:
    """What changed in a position's verdict; `symbol` is the leg that is furthest off."""
    leg, row = worst(view)
    return {
        "position_id": str(view.position.id),
        "is_altered": view.position.is_altered,
        "verdict": str(view.verdict),
        "symbol": None if leg is None else leg.component.symbol,
        "difference": None if leg is None else amount_or_none(leg.difference),
        "kind": None if row is None else str(row.kind),
        "expected": None if row is None else money.plain(row.expected),
        "actual": None if row is None else money.plain(row.actual),
        "cause": None if row is None or row.cause is None else row.cause.text,
        "first_seen": None if row is None else time(row.first_seen),
        "detail": view.verdict_reason,
    }
