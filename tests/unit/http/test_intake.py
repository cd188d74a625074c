from __future__ import annotations

from copy import deepcopy
from decimal import Decimal
from typing import Any

import pytest
from positiond.daemon.domain.errors import InvalidInput, NotFound, PositiondError
from positiond.daemon.domain.model import Category, Side
from positiond.http.fields import Fields
from positiond.http.intake import new_position

from .stubs import ALICE, account_of

GOOD: dict[str, Any] = {
    "account_id": str(account_of(ALICE).id),
    "name": "BTC/ETH pair",
    "components": [
        {
            "category": "linear",
            "symbol": "BTCUSDT",
            "side": "Buy",
            "quantity": "0.50",
            "entry_price": "101250.1",
        },
        {
            "category": "linear",
            "symbol": "ETHUSDT",
            "side": "Sell",
            "quantity": "10",
            "entry_price": "3500",
        },
    ],
}


def refusal_of(body: dict[str, Any]) -> PositiondError:
    with pytest.raises(PositiondError) as refused:
        new_position(Fields(body))
    return refused.value


def test_a_good_position_is_read_to_the_last_digit() -> None:
    body = deepcopy(GOOD) | {"external_id": "p-1", "note": "two\nlines", "tags": ["a", "b"]}
    position = new_position(Fields(body))
    assert position.name == "BTC/ETH pair"
    assert position.external_id == "p-1"
    assert position.note == "two\nlines"
    assert position.tags == ("a", "b")
    first, second = position.components
    assert (first.category, first.symbol, first.side) == (Category.LINEAR, "BTCUSDT", Side.BUY)
    assert str(first.quantity) == "0.50"
    assert second.entry_price == Decimal(3500)


def test_optional_fields_that_are_null_count_as_absent() -> None:
    position = new_position(Fields(GOOD | {"external_id": None, "note": None, "tags": None}))
    assert (position.external_id, position.note, position.tags) == (None, "", ())


@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        ({"nmae": "x"}, "unknown-field", "nmae"),
        ({"name": ""}, "invalid-value", "name"),
        ({"name": "   "}, "invalid-value", "name"),
        ({"name": "x" * 201}, "too-long", "name"),
        ({"name": "a\x00b"}, "invalid-value", "name"),
        ({"name": "a\ud800b"}, "invalid-value", "name"),
        ({"name": "a\u202eb"}, "invalid-value", "name"),
        ({"name": "a\u2066b"}, "invalid-value", "name"),
        ({"name": "a\u2028b"}, "invalid-value", "name"),
        ({"name": 5}, "wrong-type", "name"),
        ({"name": None}, "wrong-type", "name"),
        ({"account_id": 5}, "wrong-type", "account_id"),
        ({"external_id": ""}, "invalid-value", "external_id"),
        ({"external_id": "x" * 201}, "too-long", "external_id"),
        ({"tags": "a"}, "wrong-type", "tags"),
        ({"tags": ["a", 5]}, "wrong-type", "tags[1]"),
        ({"tags": ["a"] * 21}, "invalid-value", "tags"),
        ({"components": []}, "no-components", "components"),
        ({"components": {}}, "wrong-type", "components"),
        ({"components": ["BTCUSDT"]}, "wrong-type", "components[0]"),
        ({"components": GOOD["components"][:1] * 51}, "too-many-components", "components"),
    ],
)
def test_a_bad_position_is_refused_by_code_and_field(
    change: dict[str, Any], code: str, field: str
) -> None:
    refusal = refusal_of(deepcopy(GOOD) | change)
    assert (refusal.code, refusal.field) == (code, field)
    assert isinstance(refusal, InvalidInput)


@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        ({"quantity": 0.5}, "decimal-not-a-string", "quantity"),
        ({"quantity": 1}, "decimal-not-a-string", "quantity"),
        ({"quantity": True}, "wrong-type", "quantity"),
        ({"quantity": None}, "wrong-type", "quantity"),
        ({"quantity": "1e3"}, "invalid-decimal", "quantity"),
        ({"quantity": "NaN"}, "invalid-decimal", "quantity"),
        ({"quantity": "0x10"}, "invalid-decimal", "quantity"),
        ({"quantity": " 1"}, "invalid-decimal", "quantity"),
        ({"quantity": "1" * 41}, "invalid-decimal", "quantity"),
        ({"quantity": "0"}, "quantity-zero", "quantity"),
        ({"quantity": "-0.5"}, "quantity-zero", "quantity"),
        ({"entry_price": "0"}, "price-not-positive", "entry_price"),
        ({"entry_price": "-1"}, "price-not-positive", "entry_price"),
        ({"category": "futures"}, "wrong-category", "category"),
        ({"category": 1}, "wrong-type", "category"),
        ({"side": "buy"}, "invalid-value", "side"),
        ({"symbol": ""}, "invalid-value", "symbol"),
        ({"symbol": "X" * 61}, "too-long", "symbol"),
        ({"category": "spot", "side": "Sell"}, "spot-short", "side"),
        ({"leverage": "2"}, "unknown-field", "leverage"),
    ],
)
def test_a_bad_component_is_refused_by_code_and_place(
    change: dict[str, Any], code: str, field: str
) -> None:
    body = deepcopy(GOOD)
    body["components"][1] |= change
    refusal = refusal_of(body)
    assert (refusal.code, refusal.field) == (code, f"components[1].{field}")


@pytest.mark.parametrize("name", ["account_id", "name", "components"])
def test_each_missing_field_is_named(name: str) -> None:
    body = deepcopy(GOOD)
    del body[name]
    refusal = refusal_of(body)
    assert (refusal.code, refusal.field) == ("missing-field", name)


@pytest.mark.parametrize("name", ["category", "symbol", "side", "quantity", "entry_price"])
def test_each_missing_field_of_a_component_is_named(name: str) -> None:
    body = deepcopy(GOOD)
    del body["components"][0][name]
    refusal = refusal_of(body)
    assert (refusal.code, refusal.field) == ("missing-field", f"components[0].{name}")


def test_the_same_symbol_twice_is_refused_whatever_its_side() -> None:
    body = deepcopy(GOOD)
    body["components"][1]["symbol"] = "BTCUSDT"
    refusal = refusal_of(body)
    assert (refusal.code, refusal.field) == ("duplicate-component", "components[1].symbol")


def test_the_same_symbol_in_two_categories_is_two_instruments() -> None:
    body = deepcopy(GOOD)
    body["components"][1] |= {"symbol": "BTCUSDT", "category": "spot", "side": "Buy"}
    assert len(new_position(Fields(body)).components) == 2


@pytest.mark.parametrize("account_id", ["", "nonsense", "{" + "0" * 34 + "}"])
def test_an_account_id_that_is_no_uuid_is_an_unknown_account(account_id: str) -> None:
    refusal = refusal_of(GOOD | {"account_id": account_id})
    assert isinstance(refusal, NotFound)
    assert (refusal.code, refusal.field) == ("unknown-account", "account_id")


def test_the_message_for_a_number_says_how_to_send_it() -> None:
    body = deepcopy(GOOD)
    body["components"][0]["quantity"] = 0.5
    assert "send it as a string" in refusal_of(body).detail


def test_a_huge_unknown_name_is_not_quoted_back_whole() -> None:
    assert len(refusal_of(GOOD | {"x" * 50_000: 1}).detail) < 200
