from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from decimal import Decimal

import pytest
from positiond.daemon.domain.model import Booked, Category, CloseId, ComponentId, Verdict
from positiond.daemon.domain.orders import CloseTerms, OrderPart, RequestState
from positiond.daemon.domain.people import Identity, Scope
from positiond.daemon.domain.services import CloseStatus
from positiond.http import evidence, render, reports, texts
from positiond.http.replies import encode

from .stubs import (
    ADL,
    ALICE,
    FEED,
    account_of,
    altered_view,
    close_order,
    close_request,
    deviation,
    leg_view,
    position_view,
    uuid_of,
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
        "booked": [{"coin": "USDT", "fees": "0.10", "funding": "0", "realized_pnl": "0"}],
        "booked_incomplete": None,
        "opened_at": "2026-03-01T12:00:00.000Z",
        "closed_at": None,
        "verified_at": "2026-03-01T12:00:00.000Z",
        "components": [],
        "deviations": [],
        "last_close": None,
    }
    component = rendered["components"]
    assert component == [
        {
            "id": str(leg_view().component.id),
            "category": "linear",
            "symbol": "BTCUSDT",
            "coin": None,
            "side": "Buy",
            "quantity": "0.5",
            "recorded_quantity": "0.5",
            "closed_quantity": "0",
            "entry_price": "100",
            "price": "110",
            "price_basis": "mark",
            "price_at": "2026-03-01T12:00:00.000Z",
            "unrealized_pnl": "5.0",
            "pnl_currency": "USDT",
            "actual": "0.5",
            "difference": "0",
            "deviates": False,
            "note": None,
        }
    ]
    assert rendered["last_close"] == reports.close_report(close_request())


def test_an_unpriced_leg_makes_the_totals_null_and_never_zero() -> None:
    rendered = render.position(position_view(legs=(leg_view(price=None),)))
    assert rendered["unrealized_pnl"] is None
    assert rendered["net_pnl"] is None
    assert rendered["pnl_incomplete"] == "BTCUSDT has no fresh price"


def test_amounts_have_no_exponent_and_no_negative_zero() -> None:
    assert texts.amount_or_none(Decimal("1E+3")) == "1000"
    assert texts.amount_or_none(Decimal("1E-9")) == "0.000000001"
    assert texts.amount_or_none(Decimal("-0.0")) == "0.0"


def test_times_are_utc_whatever_zone_they_came_in() -> None:
    there = datetime(2026, 3, 1, 14, 0, 0, 123456, timezone(timedelta(hours=2)))
    assert texts.time(there) == "2026-03-01T12:00:00.123Z"


def test_a_close_is_rendered_with_its_legs_and_orders() -> None:
    rendered = reports.close_status(CloseStatus(close_request(), (close_order(),)))
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


def test_a_close_tells_what_was_asked_of_each_leg() -> None:
    (component, was_open), *_ = close_request().open_at_acceptance.items()
    whole = reports.close_report(close_request())
    assert whole["targets"] == [
        {"component_id": str(component), "open": "0.5", "quantity": "0.5"},
    ]
    assert [whole[name] for name in ("set_id", "fraction", "slippage")] == [None] * 3
    part = replace(
        close_request(),
        set_id=uuid_of("set"),
        targets={component: was_open / 2},
        terms=CloseTerms(Decimal("0.5"), Decimal("0.10"), cancel_resting=True),
    )
    rendered = reports.close_report(part)
    assert rendered["set_id"] == str(uuid_of("set"))
    assert (rendered["fraction"], rendered["slippage"]) == ("0.5", "0.10")
    assert rendered["cancel_resting"] is True
    assert rendered["targets"] == [
        {"component_id": str(component), "open": "0.5", "quantity": "0.25"},
    ]


def test_an_order_of_a_coin_is_shown_by_its_instrument_and_with_its_parts() -> None:
    order = close_order()
    alone = reports.close_order(order)
    assert alone["symbol"] == "BTCUSDT"
    assert alone["parts"] == [
        {
            "component_id": str(order.component_id),
            "close_id": str(order.close_id),
            "quantity": "0.5",
        }
    ]
    coin = replace(order.bucket, category=Category.SPOT, symbol="BTC")
    light = OrderPart(ComponentId(uuid_of("x")), CloseId(uuid_of("y")), Decimal("0.1"), True)
    rendered = reports.close_order(replace(order, bucket=coin, symbol="BTCUSDT", parts=(light,)))
    assert rendered["symbol"] == "BTCUSDT"
    assert rendered["parts"] == [
        {"component_id": str(uuid_of("x")), "close_id": str(uuid_of("y")), "quantity": "0.1"}
    ]


def test_an_open_close_has_no_end() -> None:
    rendered = reports.close_report(close_request(state=RequestState.SENDING, code=None))
    assert rendered["ended_at"] is None
    assert rendered["code"] is None


def test_an_account_shows_the_end_of_its_key_only() -> None:
    rendered = render.account(account_of(ALICE))
    assert rendered["api_key"] == "…wxyz"
    assert b"key-of" not in encode(rendered)


def test_a_rebased_leg_keeps_what_was_recorded_at_first() -> None:
    leg = leg_view(quantity="0.1")
    rebased = replace(leg.component, recorded_quantity=Decimal("0.5"), coin="BTC")
    rendered = render.component(replace(leg, component=rebased))
    assert rendered["quantity"] == "0.1"
    assert rendered["recorded_quantity"] == "0.5"
    assert rendered["coin"] == "BTC"


def test_money_that_cannot_be_valued_is_null_and_stands_per_coin() -> None:
    view = position_view()
    booked = (Booked("BTC", Decimal("0.1"), Decimal("-0.2"), Decimal("1E-8")),)
    rendered = render.position(
        replace(
            view,
            position=replace(view.position, booked=booked),
            fees=None,
            funding=None,
            realized_pnl=None,
            booked_incomplete="no price of BTC",
        )
    )
    assert [rendered[name] for name in ("fees", "funding", "realized_pnl", "net_pnl")] == [None] * 4
    assert rendered["booked_incomplete"] == "no price of BTC"
    assert rendered["booked"] == [
        {"coin": "BTC", "fees": "0.1", "funding": "-0.2", "realized_pnl": "0.00000001"}
    ]


def test_a_deviation_carries_its_evidence() -> None:
    (row,) = altered_view().deviations
    assert evidence.deviation_row(row) == {
        "id": 7,
        "category": "linear",
        "symbol": "BTCUSDT",
        "position_idx": 0,
        "kind": "missing",
        "expected": "0.5",
        "actual": "0.1",
        "difference": "-0.4",
        "first_seen": "2026-03-01T11:59:00.000Z",
        "last_verified": "2026-03-01T12:00:00.000Z",
        "ended_at": None,
        "resolution": None,
        "cause": "Long leg reduced by ADL 11:59:00, 0.4 BTC",
        "cause_kind": "adl",
        "cause_quantity": "0.4",
        "cause_price": "109.50",
        "cause_at": "2026-03-01T11:59:00.000Z",
        "cause_order_ids": ["order-1"],
        "while_away": True,
    }
    bare = evidence.deviation_row(replace(row, cause=None))
    assert bare.keys() == evidence.deviation_row(row).keys()
    assert bare["cause"] is None
    assert bare["while_away"] is False


def test_a_verdict_names_the_leg_that_is_furthest_off_for_its_size() -> None:
    legs = (
        leg_view("BTCUSDT", quantity="0.5", difference="-0.4"),
        leg_view("DOGEUSDT", quantity="10000", difference="-100"),
    )
    rows = (deviation("DOGEUSDT"), deviation(idx=2, actual="0.3"), deviation(cause=ADL))
    view = replace(position_view(legs=legs, verdict=Verdict.ALTERED), deviations=rows)
    rendered = render.deviation(view)
    assert rendered["is_altered"] is True
    assert rendered["symbol"] == "BTCUSDT"
    assert rendered["difference"] == "-0.4"
    assert rendered["kind"] == "missing"
    assert (rendered["expected"], rendered["actual"]) == ("0.5", "0.1")
    assert rendered["cause"] == ADL.text
    assert rendered["first_seen"] == "2026-03-01T11:59:00.000Z"


def test_a_permitted_difference_is_not_told_as_the_worst() -> None:
    fee = replace(leg_view("BTCUSDT", difference="-0.4"), deviates=False)
    legs = (fee, leg_view("ETHUSDT", quantity="8", difference="-0.1"))
    assert render.deviation(position_view(legs=legs))["symbol"] == "ETHUSDT"


def test_a_spot_leg_s_deviation_stands_at_its_coin() -> None:
    leg = leg_view(difference="-0.4")
    spot = replace(leg.component, category=Category.SPOT, coin="BTC")
    rows = (deviation("BTC", category=Category.SPOT, cause=ADL),)
    view = position_view(legs=(replace(leg, component=spot),), verdict=Verdict.ALTERED)
    rendered = render.deviation(replace(view, deviations=rows))
    assert (rendered["symbol"], rendered["cause"]) == ("BTCUSDT", ADL.text)


def test_a_deviation_without_a_record_still_says_how_far_off_the_leg_is() -> None:
    rendered = render.deviation(
        position_view(legs=(leg_view(difference="-0.4"),), verdict=Verdict.ALTERED)
    )
    assert rendered["difference"] == "-0.4"
    assert rendered["cause"] is None


def test_a_deviation_that_ended_names_no_leg() -> None:
    rendered = render.deviation(position_view())
    assert rendered["symbol"] is None
    assert rendered["kind"] is None
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
