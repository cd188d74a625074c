"""What may be recorded, with the code and the field of each refusal; and what is unassigned."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from positiond.daemon.domain.errors import InvalidInput
from positiond.daemon.domain.model import Category, Component, NewComponent, NewPosition, Side
from positiond.daemon.domain.registration import check_legs, unassigned_after

from ...builders import (
    ACCOUNT,
    BTC,
    ETH,
    LONG,
    SHORT,
    claims,
    component,
    holding,
    instrument,
    symbol_key,
)
from .places import balance, coin_key

OPTION = "BTC-27MAR26-100000-C-USDT"
LISTED = {
    (i.key.category, i.key.symbol): i
    for i in (
        instrument(BTC, step="0.001"),
        instrument(ETH, step="0.01"),
        instrument("OLDUSDT", status="Closed"),
        instrument("NEWUSDT", status="PreLaunch"),
        instrument("LASTUSDT", status="Delivering"),
        instrument("BTCUSD", step="1", category=Category.INVERSE),
        instrument(OPTION, step="0.01", category=Category.OPTION),
        instrument(BTC, step="0.000001", category=Category.SPOT),
        replace(instrument("BTCUSDC", step="0.000001", category=Category.SPOT), base_coin="BTC"),
        instrument(ETH, step="0.00001", category=Category.SPOT),
    )
}


def leg(
    quantity: str = "1",
    side: Side = LONG,
    symbol: str = BTC,
    *,
    entry: str = "100",
    category: Category = Category.LINEAR,
) -> NewComponent:
    return NewComponent(category, symbol, side, Decimal(quantity), Decimal(entry))


def check(*legs: NewComponent) -> None:
    check_legs(NewPosition(ACCOUNT, "pair", None, legs), LISTED)


@pytest.mark.parametrize(
    "legs",
    [
        (leg(),),
        (leg("0.001"), leg("0.01", SHORT, ETH)),
        (leg(entry="0.00000001"),),
        (leg("123456789012345678901234567890.123"),),
        (leg("0.000001", category=Category.SPOT), leg(side=SHORT)),
        (leg(category=Category.SPOT), leg("0.00001", symbol=ETH, category=Category.SPOT)),
        (leg("100", SHORT, "BTCUSD", category=Category.INVERSE),),
        (leg("0.01", SHORT, OPTION, category=Category.OPTION),),
        (leg(symbol="LASTUSDT"),),
    ],
)
def test_legs_that_can_be_traded_are_taken(legs: tuple[NewComponent, ...]) -> None:
    check(*legs)


@pytest.mark.parametrize(
    ("legs", "code", "field"),
    [
        ((), "no-components", "components"),
        ((leg(), leg("2", SHORT)), "duplicate-component", "components[1].symbol"),
        ((leg(side=SHORT, category=Category.SPOT),), "spot-short", "components[0].side"),
        ((leg(), leg("1", SHORT, "?", category=Category.SPOT)), "spot-short", "components[1].side"),
        (
            (
                leg(category=Category.SPOT),
                leg(),
                leg(symbol="BTCUSDC", category=Category.SPOT),
            ),
            "duplicate-component",
            "components[2].symbol",
        ),
        (
            (leg("0.0000005", category=Category.SPOT),),
            "quantity-off-step",
            "components[0].quantity",
        ),
        (
            (leg("0.5", symbol="BTCUSD", category=Category.INVERSE),),
            "quantity-off-step",
            "components[0].quantity",
        ),
        (
            (leg("0.015", symbol=OPTION, category=Category.OPTION),),
            "quantity-off-step",
            "components[0].quantity",
        ),
        ((leg(category=Category.INVERSE),), "unknown-symbol", "components[0].symbol"),
        ((leg(symbol="OLDUSDT"),), "not-trading", "components[0].symbol"),
        ((leg(symbol="NEWUSDT"),), "not-trading", "components[0].symbol"),
        ((leg(symbol="NOSUCH"),), "unknown-symbol", "components[0].symbol"),
        ((leg(), leg("0", symbol=ETH)), "quantity-not-positive", "components[1].quantity"),
        ((leg("-1"),), "quantity-not-positive", "components[0].quantity"),
        ((leg("0.0005"),), "quantity-off-step", "components[0].quantity"),
        ((leg("1.0001"),), "quantity-off-step", "components[0].quantity"),
        ((leg("1." + "0" * 33 + "1"),), "quantity-off-step", "components[0].quantity"),
        ((leg(entry="0"),), "price-not-positive", "components[0].entry_price"),
        ((leg(entry="-5"),), "price-not-positive", "components[0].entry_price"),
    ],
)
def test_a_bad_leg_is_refused_by_code_and_field(
    legs: tuple[NewComponent, ...], code: str, field: str
) -> None:
    with pytest.raises(InvalidInput) as refusal:
        check(*legs)
    assert (refusal.value.code, refusal.value.field) == (code, field)
    assert refusal.value.detail


def test_the_same_symbol_in_two_categories_is_no_duplicate() -> None:
    check(leg(), leg(category=Category.SPOT))


def test_an_inverse_quantity_off_step_is_explained_in_its_unit() -> None:
    with pytest.raises(InvalidInput, match="1 USD contracts"):
        check(leg("0.5", symbol="BTCUSD", category=Category.INVERSE))


# --- what is unassigned from then on --------------------------------------------------------


def unassigned(
    new: NewComponent,
    held: str,
    *recorded: Component,
    before: str | None = None,
    deviates: bool = False,
) -> Decimal:
    found = unassigned_after(
        symbol_key(), new, claims(*recorded, unassigned=before), [holding(held)], deviates=deviates
    )
    assert found is not None
    bucket, quantity = found
    assert bucket == symbol_key().bucket(0)
    return quantity


def test_what_is_held_beyond_the_new_leg_is_the_traders_own() -> None:
    assert unassigned(leg("1"), "3") == 2
    assert unassigned(leg("1", SHORT), "-3") == -2


def test_a_leg_that_is_all_there_is_leaves_nothing() -> None:
    assert unassigned(leg("1"), "1") == 0


def test_other_legs_are_not_the_traders_own() -> None:
    assert unassigned(leg("1"), "3", component("1.5", of="other")) == Decimal("0.5")


def test_adopting_takes_from_what_was_unassigned() -> None:
    assert unassigned(leg("1"), "3", component("1", of="other"), before="2") == 1


def test_a_lack_is_a_deviation_and_not_a_negative_holding() -> None:
    assert unassigned(leg("1"), "0.4") == 0
    assert unassigned(leg("1"), "-2") == 0
    assert unassigned(leg("1", SHORT), "0") == 0


def test_legs_that_net_to_nothing_leave_the_whole_holding_to_the_trader() -> None:
    opposite = component("1", SHORT, of="other")
    assert unassigned(leg("1"), "0.7", opposite) == Decimal("0.7")
    assert unassigned(leg("1"), "-0.7", opposite) == Decimal("-0.7")


def test_an_open_deviation_is_kept_and_not_absorbed() -> None:
    assert unassigned(leg("1"), "9", component("1", of="other"), deviates=True) == 0
    assert unassigned(leg("1"), "9", before="2", deviates=True) == 2


def test_in_hedge_mode_the_leg_s_own_side_is_counted() -> None:
    rows = [holding("3", idx=1), holding("-5", idx=2)]
    found = unassigned_after(symbol_key(), leg("1", SHORT), claims(), rows, deviates=False)
    assert found == (symbol_key().bucket(2), Decimal(-4))


def test_in_hedge_mode_the_other_side_claims_nothing_of_it() -> None:
    rows = [holding("3", idx=1), holding("-5", idx=2)]
    recorded = claims(component("2", of="long"), component("1", SHORT, of="short"))
    found = unassigned_after(symbol_key(), leg("1", SHORT), recorded, rows, deviates=False)
    assert found == (symbol_key().bucket(2), Decimal(-3))


def test_spot_has_nothing_unassigned() -> None:
    bought = leg("1", category=Category.SPOT)
    for deviates in (False, True):
        found = unassigned_after(coin_key(), bought, claims(), [balance("9")], deviates=deviates)
        assert found is None
