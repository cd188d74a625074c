"""How a leg fared: only what is proven counts, and every permitted end is one by a rule."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from positiond.daemon.domain.bucket_plan import WantedLeg, plan_bucket
from positiond.daemon.domain.model import Category, Component
from positiond.daemon.domain.orders import CloseOrder, LegOutcome, LegResult, Netting, OrderPart
from positiond.daemon.domain.outcome import LegWork, average_price, leg_result, unverified_result

from ...builders import SHORT, close_order, component
from .surroundings import CLOSE, around, wallet


def attempts(*filled: str) -> list[CloseOrder]:
    return [close_order("1", f, attempt=n) for n, f in enumerate(filled, start=1)]


def fared(
    held: str,
    *orders: CloseOrder,
    quantity: str = "1",
    others: tuple[Component, ...] = (),
    unassigned: str | None = None,
    least: str | None = None,
) -> tuple[LegResult, Decimal]:
    """The result of a leg of `quantity` of which the orders closed what they filled."""
    closed = sum(order.filled for order in orders)
    leg = component(quantity, closed=str(closed))
    work = LegWork(leg, Decimal(quantity), is_part=False, orders=orders)
    there = around(leg, held, *others, unassigned=unassigned, least=least)
    return leg_result(work, plan_bucket([WantedLeg(leg, CLOSE, work.left)], there))


def outcome(result: tuple[LegResult, Decimal]) -> LegOutcome:
    return result[0].outcome


def test_all_closed_is_flat_whatever_the_bucket_holds() -> None:
    for held in ("0", "5", "-2"):
        assert outcome(fared(held, *attempts("0.4", "0.6"))) is LegOutcome.FLAT


def test_the_average_is_weighted_by_what_each_attempt_filled() -> None:
    orders = [
        close_order("1", "0.25", attempt=1, average="100"),
        close_order("0.75", "0", attempt=2),
        close_order("0.75", "0.75", attempt=3, average="104"),
    ]
    result, dust = fared("0", *orders)
    assert (result.filled, result.average_price, dust) == (1, Decimal(103), 0)


def test_the_average_of_an_inverse_leg_is_over_the_coins_that_were_paid() -> None:
    leg = replace(component("200"), category=Category.INVERSE)
    orders = [
        close_order("100", "100", leg=leg, attempt=1, average="50000"),
        close_order("100", "100", leg=leg, attempt=2, average="60000"),
    ]
    average = average_price(LegWork(leg, Decimal(200), is_part=False, orders=orders))
    assert average is not None
    assert round(average, 2) == Decimal("54545.45")


def test_nothing_filled_has_no_average() -> None:
    assert fared("1", close_order())[0].average_price is None


def test_what_was_no_longer_there_is_a_shortfall_to_a_leg_alone() -> None:
    assert outcome(fared("0")) is LegOutcome.SHORTFALL
    assert outcome(fared("0", close_order("1", "0.4"))) is LegOutcome.SHORTFALL
    assert "0.6" in fared("0", close_order("1", "0.4"))[0].detail


def test_a_shortfall_beside_others_is_a_residual() -> None:
    other = component("1", of="other")
    result, _ = fared("1", close_order("1", "0.4"), others=(other,))
    assert result.outcome is LegOutcome.RESIDUAL
    assert "nobody can know" in result.detail


def test_nothing_filled_while_the_bucket_holds_the_leg_is_never_closed() -> None:
    assert outcome(fared("1", *attempts("0", "0"))) is LegOutcome.RESIDUAL


def test_zero_fills_are_no_shortfall_while_the_wallet_holds_the_coin() -> None:
    small = replace(component("1", category=Category.SPOT), coin="BTC")
    others = replace(component("2000", category=Category.SPOT, of="other"), coin="BTC")
    leg = replace(small, quantity=Decimal(100), closed_quantity=Decimal(99))
    work = LegWork(leg, Decimal(1), is_part=False)
    plan = plan_bucket([WantedLeg(leg, CLOSE, work.left)], wallet(leg, "2000", others))
    assert (plan.quantity, plan.blockers) == (0, ())
    assert leg_result(work, plan)[0].outcome is LegOutcome.RESIDUAL


def test_too_little_to_trade_is_dust_and_says_how_much() -> None:
    result, dust = fared("0.04", close_order("1", "0.96"), least="0.05")
    assert (result.outcome, dust) == (LegOutcome.DUST, Decimal("0.04"))


def test_dust_is_what_is_there_not_what_was_recorded() -> None:
    result, dust = fared("0.03", close_order("1", "0.9"), least="0.05")
    assert (result.outcome, dust) == (LegOutcome.DUST, Decimal("0.03"))


def test_dust_beside_others_stays_the_legs_own() -> None:
    other = component("2", of="other")
    result, dust = fared("2.04", close_order("1", "0.96"), others=(other,), least="0.05")
    assert (result.outcome, dust) == (LegOutcome.DUST, Decimal("0.04"))


def test_a_refusal_with_nothing_filled_is_a_rejection_in_the_venues_words() -> None:
    refused = close_order(status="refused", detail="Bybit 110007: not enough")
    result, _ = fared("1", refused)
    assert (result.outcome, result.detail) == (LegOutcome.REJECTED, "Bybit 110007: not enough")


def test_a_refusal_because_the_position_is_gone_is_a_shortfall() -> None:
    refused = close_order(status="refused", detail="Bybit 110017: position is zero")
    assert outcome(fared("0", refused)) is LegOutcome.SHORTFALL


def test_a_refusal_on_a_flipped_position_stops() -> None:
    refused = close_order(status="refused", detail="Bybit 110017: same side")
    assert outcome(fared("-1", refused)) is LegOutcome.REJECTED


def test_a_refusal_after_a_part_fill_leaves_a_residual() -> None:
    orders = [
        close_order("1", "0.4", attempt=1),
        close_order("0.6", attempt=2, status="refused", detail="Bybit 110007: not enough"),
    ]
    result, _ = fared("0.6", *orders)
    assert result.outcome is LegOutcome.RESIDUAL
    assert "110007" in result.detail


@pytest.mark.parametrize("held", ["0", "1", "-1"])
def test_a_foreign_order_under_our_id_is_never_a_closed_leg(held: str) -> None:
    foreign = close_order(status="foreign", detail="differs")
    assert outcome(fared(held, foreign)) is LegOutcome.REJECTED


def test_a_residual_says_why() -> None:
    cancelled = close_order("1", "0.4", detail="EC_NoImmediateQtyToFill")
    result, _ = fared("0.6", cancelled)
    assert result.outcome is LegOutcome.RESIDUAL
    assert "0.6 is still open: EC_NoImmediateQtyToFill" in result.detail


def test_a_short_leg_is_flat_and_dusty_by_the_same_rules() -> None:
    leg = component("1", SHORT, closed="0.96")
    work = LegWork(leg, Decimal(1), is_part=False, orders=[close_order("1", "0.96", leg=leg)])
    there = around(leg, "-0.04", least="0.05")
    result, dust = leg_result(work, plan_bucket([WantedLeg(leg, CLOSE, work.left)], there))
    assert (result.outcome, dust) == (LegOutcome.DUST, Decimal("0.04"))


# --- fractions ------------------------------------------------------------------------------


def part(held: str, closed: str, target: str, least: str) -> tuple[LegResult, Decimal]:
    """The result of a fraction of a leg of 1, of which an order closed so much."""
    leg = component("1", closed=closed)
    orders = [close_order(target, closed)] if Decimal(closed) else []
    work = LegWork(leg, Decimal(target), is_part=True, orders=orders)
    there = around(leg, held, least=least)
    return leg_result(work, plan_bucket([WantedLeg(leg, CLOSE, work.left)], there))


def test_a_fraction_that_is_filled_is_flat_and_leaves_no_dust() -> None:
    assert part("0.5", "0.5", "0.5", "0.05")[0].outcome is LegOutcome.FLAT


def test_what_a_fraction_leaves_below_a_step_stays_the_positions() -> None:
    result, dust = part("0.667", "0.333", "0.3333", "0.05")
    assert (result.outcome, dust) == (LegOutcome.FLAT, 0)


def test_a_fraction_that_is_too_little_to_trade_is_reported_and_stays_the_positions() -> None:
    result, dust = part("1", "0", "0.01", "0.05")
    assert (result.outcome, result.filled, dust) == (LegOutcome.DUST, 0, 0)


# --- several legs of one order --------------------------------------------------------------


def test_both_sides_of_a_shared_order_have_its_price() -> None:
    long, short = component("1", of="a"), component("0.4", SHORT, of="b")
    parts = (
        OrderPart(long.id, CLOSE, Decimal(1)),
        OrderPart(short.id, CLOSE, Decimal("0.4"), is_light=True),
    )
    order = replace(close_order("0.6", "0.3", average="104"), parts=parts, step=Decimal("0.1"))
    works = [LegWork(leg, leg.quantity, is_part=False, orders=[order]) for leg in (long, short)]
    assert [work.closed for work in works] == [Decimal("0.5"), Decimal("0.2")]
    assert [average_price(work) for work in works] == [104, 104]


def test_legs_netted_without_an_order_have_the_price_of_that_moment() -> None:
    long = component("1")
    netting = Netting(CLOSE, long.id, Decimal(1), Decimal(105), "USDT")
    work = LegWork(long, Decimal(1), is_part=False, nettings=[netting])
    assert (work.closed, average_price(work)) == (1, 105)


def test_what_cannot_be_verified_any_more_says_what_is_known() -> None:
    leg = component("1")
    half = LegWork(leg, Decimal(1), is_part=False, orders=[close_order("1", "0.5")])
    result = unverified_result(half, "the key is revoked")
    assert (result.outcome, result.filled) == (LegOutcome.REJECTED, Decimal("0.5"))
    assert result.detail == "0.5 is still open: the key is revoked"
