from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from decimal import Decimal

import pytest
from positiond.daemon.domain.model import Verdict
from positiond.daemon.domain.orders import RequestState
from positiond.daemon.domain.people import Identity, Scope
from positiond.daemon.domain.services import CloseStatus
from positiond.http import render
from positiond.http.replies import encode

from .stubs import (
    ALICE,
    FEED,
    account_of,
    close_order,
    close_request,
    leg_view,
    position_view,
)


def test_a_position_is_rendered_as_the_contract_spells_it() -> None:
    rendered = render.position(position_view(last_close=close_request()))
    assert rendered | {"components": [], "last_close": None} == {
        "id": str(position_view().position.id),
        "account_id": str(account_of(ALICE).id),
        "name": "pair",
        "external_id": None,
        "note": "",
        "tags": [],
        "status": "ACTIVE",
        "is_altered": False,
        "verdict": "in_sync",
        "verdict_reason": None,
        "unrealized_pnl": "5.0",
        "pnl_currency": "USDT",
        "pnl_at": "2026-03-01T12:00:00.000Z",
        "pnl_incomplete": None,
        "fees": "0.10",
        "funding": "0",
        "realized_pnl": "0",
        "net_pnl": "4.90",
        "opened_at": "2026-03-01T12:00:00.000Z",
        "closed_at": None,
        "verified_at": "2026-03-01T12:00:00.000Z",
        "components": [],
        "last_close": None,
    }
    component = rendered["components"]
    assert component == [
        {
            "id": str(leg_view().component.id),
            "category": "linear",
            "symbol": "BTCUSDT",
            "side": "Buy",
            "quantity": "0.5",
            "closed_quantity": "0",
            "entry_price": "100",
            "price": "110",
            "price_basis": "mark",
            "price_at": "2026-03-01T12:00:00.000Z",
            "unrealized_pnl": "5.0",
            "actual": "0.5",
            "difference": "0",
        }
    ]
    assert rendered["last_close"] == render.close_report(close_request())


def test_an_unpriced_leg_makes_the_totals_null_and_never_zero() -> None:
    rendered = render.position(position_view(legs=(leg_view(price=None),)))
    assert rendered["unrealized_pnl"] is None
    assert rendered["net_pnl"] is None
    assert rendered["pnl_incomplete"] == "BTCUSDT has no fresh price"


def test_amounts_have_no_exponent_and_no_negative_zero() -> None:
    assert render.amount_or_none(Decimal("1E+3")) == "1000"
    assert render.amount_or_none(Decimal("1E-9")) == "0.000000001"
    assert render.amount_or_none(Decimal("-0.0")) == "0.0"


def test_times_are_utc_whatever_zone_they_came_in() -> None:
    there = datetime(2026, 3, 1, 14, 0, 0, 123456, timezone(timedelta(hours=2)))
    assert render.time(there) == "2026-03-01T12:00:00.123Z"


def test_a_close_is_rendered_with_its_legs_and_orders() -> None:
    rendered = render.close_status(CloseStatus(close_request(), (close_order(),)))
    assert rendered["state"] == "FAILED"
    assert rendered["code"] == "residual"
    assert rendered["ended_at"] == "2026-03-01T12:00:03.000Z"
    legs, orders = rendered["legs"], rendered["orders"]
    assert isinstance(legs, list)
    assert isinstance(orders, list)
    assert legs[0]["outcome"] == "residual"
    assert legs[0]["filled"] == "0.3"
    assert orders[0]["order_link_id"] == "pd-0123"
    assert orders[0]["side"] == "Sell"
    assert orders[0]["state"] == "TERMINAL"


def test_an_open_close_has_no_end() -> None:
    rendered = render.close_report(close_request(state=RequestState.SENDING, code=None))
    assert rendered["ended_at"] is None
    assert rendered["code"] is None


def test_an_account_shows_the_end_of_its_key_only() -> None:
    rendered = render.account(account_of(ALICE))
    assert rendered["api_key"] == "…wxyz"
    assert b"key-of" not in encode(rendered)


def test_a_deviation_names_the_leg_that_is_furthest_off_for_its_size() -> None:
    legs = (
        leg_view("BTCUSDT", quantity="0.5", difference="-0.4"),
        leg_view("DOGEUSDT", quantity="10000", difference="-100"),
    )
    view = position_view(legs=legs, verdict=Verdict.ALTERED, verdict_reason="BTC leg reduced")
    rendered = render.deviation(view)
    assert rendered["symbol"] == "BTCUSDT"
    assert rendered["difference"] == "-0.4"
    assert rendered["detail"] == "BTC leg reduced"
    assert rendered["is_altered"] is True


def test_a_deviation_that_ended_names_no_leg() -> None:
    rendered = render.deviation(position_view())
    assert rendered["symbol"] is None
    assert rendered["verdict"] == "in_sync"


def test_the_feed_and_the_session_say_what_the_page_reads() -> None:
    assert render.feed(replace(FEED, last_sweep_at=None)) == {
        "public": "live",
        "private": "live",
        "last_sweep_at": None,
        "trading_paused": False,
    }
    assert render.identity(Identity(ALICE, Scope.READ, by_session=False)) == {
        "user": {"id": str(ALICE.id), "username": "alice"},
        "scope": "read",
    }


def test_an_amount_that_was_not_rendered_is_an_error_and_not_a_float() -> None:
    with pytest.raises(TypeError):
        encode({"quantity": Decimal("0.1")})
