"""A close's next order, whose order a found one is, and how a leg fared."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from positiond.daemon.domain.model import Category, Component, Holding, OrderReport, OrderStatus
from positiond.daemon.domain.orders import CloseOrder, LegOutcome, LegResult, OrderState
from positiond.daemon.domain.plan import (
    IDLE_ATTEMPTS,
    Surroundings,
    idle_attempts,
    is_as_new_as,
    is_expired,
    is_ours,
    leg_result,
    may_try_again,
    plan_leg,
)

from ...builders import (
    ETH,
    LONG,
    NOON,
    SHORT,
    after,
    claims,
    close_order,
    component,
    fill,
    holding,
    instrument,
    report,
)
from .samples import quantities, signed, steady


def around(
    leg: Component,
    held: str | Decimal,
    *others: Component,
    unassigned: str | None = None,
    step: str = "0.001",
    least: str | None = None,
    status: str = "Trading",
) -> Surroundings:
    return Surroundings(
        leg,
        instrument(step=step, least=least, status=status),
        claims(leg, *others, unassigned=unassigned),
        (holding(held),),
    )


# --- the next order -------------------------------------------------------------------------


def test_a_plan_is_the_share_floored_to_step() -> None:
    plan = plan_leg(around(component("1.2345"), "1.2345", step="0.01"))
    assert (plan.quantity, plan.code, plan.position_idx) == (Decimal("1.23"), None, 0)


def test_nothing_left_is_a_report_and_no_blocker() -> None:
    plan = plan_leg(around(component("1"), "0", status="Closed"))
    assert (plan.quantity, plan.code) == (0, None)


def test_below_the_minimum_is_a_report_and_no_blocker() -> None:
    plan = plan_leg(around(component("0.04"), "0.04", step="0.01", least="0.05"))
    assert (plan.quantity, plan.code) == (0, None)
    assert "0.04" in plan.detail


@pytest.mark.parametrize("status", ["Closed", "PreLaunch"])
def test_a_contract_that_does_not_trade_is_a_blocker(status: str) -> None:
    assert plan_leg(around(component(), "1", status=status)).code == "instrument-not-trading"


def test_a_contract_that_is_not_listed_is_a_blocker() -> None:
    leg = component()
    plan = plan_leg(Surroundings(leg, None, claims(leg), (holding("1"),)))
    assert plan.code == "instrument-not-trading"


def test_a_contract_that_still_takes_reducing_orders_is_none() -> None:
    assert plan_leg(around(component(), "1", status="Delivering")).quantity == 1


def test_a_blocked_share_is_never_planned() -> None:
    plan = plan_leg(around(component(), "1.5", component(of="other")))
    assert (plan.quantity, plan.code) == (0, "shortfall-unattributed")


@steady
@given(quantities, signed, signed, st.integers(0, 3))
def test_no_plan_is_above_the_legs_own_share(
    quantity: Decimal, held: Decimal, unassigned: Decimal, rivals: int
) -> None:
    leg = component(quantity)
    others = [component("0.5", of=f"rival {n}") for n in range(rivals)]
    surroundings = around(leg, held, *others, unassigned=str(unassigned))
    plan = plan_leg(surroundings)
    assert 0 <= plan.quantity <= surroundings.share.quantity <= leg.open


# --- attempts -------------------------------------------------------------------------------


def attempts(*filled: str) -> list[CloseOrder]:
    return [close_order("1", f, attempt=n) for n, f in enumerate(filled, start=1)]


def test_the_first_attempt_is_always_allowed() -> None:
    assert may_try_again([])


def test_attempts_that_fill_nothing_are_bounded() -> None:
    assert may_try_again(attempts(*["0"] * (IDLE_ATTEMPTS - 1)))
    assert not may_try_again(attempts(*["0"] * IDLE_ATTEMPTS))


def test_a_fill_starts_the_count_anew() -> None:
    orders = attempts("0", "0", "0.1", "0", "0")
    assert idle_attempts(orders) == 2
    assert may_try_again(orders)


@pytest.mark.parametrize(
    "state", [OrderState.PLANNED, OrderState.SENT, OrderState.ACKED, OrderState.UNKNOWN]
)
def test_no_attempt_beside_one_that_is_not_settled(state: OrderState) -> None:
    orders = [*attempts("0.5"), close_order(attempt=2, state=state, status=None)]
    assert not may_try_again(orders)


@pytest.mark.parametrize("status", ["refused", "foreign"])
def test_a_refusal_is_not_repeated(status: str) -> None:
    assert not may_try_again([close_order(status=status)])


def test_a_proven_absent_attempt_may_be_followed_by_another() -> None:
    assert may_try_again([close_order(state=OrderState.ABSENT, status=None)])


# --- rule 8: is a found order ours ----------------------------------------------------------

WRITTEN = close_order("1", state=OrderState.SENT, status=None)


@pytest.mark.parametrize(
    "found",
    [
        report(),
        report(filled="0.3", status=OrderStatus.CANCELLED),
        # Bybit cuts a reduce-only order down to what the position holds.
        report(quantity="0.4", filled="0.4"),
        # Its clock and ours are not one.
        report(created_at=after(-2)),
        report(created_at=after(30)),
    ],
)
def test_an_order_as_written_down_is_ours(found: OrderReport) -> None:
    assert is_ours(found, WRITTEN)


@pytest.mark.parametrize(
    "found",
    [
        report(link_id="link-2"),
        report(symbol=ETH),
        report(category=Category.INVERSE),
        report(side=LONG),
        report(quantity="1.001", filled="1"),
        report(reduce_only=False),
        report(created_at=after(-2.1)),
    ],
)
def test_an_order_that_differs_in_anything_is_not_ours(found: OrderReport) -> None:
    assert not is_ours(found, WRITTEN)


def test_an_order_sent_again_is_ours_from_its_first_writing_on() -> None:
    resigned = replace(WRITTEN, signed_at=after(60), dies_at=after(65))
    assert is_ours(report(created_at=after(1)), resigned)
    assert not is_ours(report(created_at=after(-3)), resigned)


# --- is a read as new as a fill -------------------------------------------------------------

SOLD = fill(at=after(10), seq=100)


def test_without_a_fill_every_read_is_new_enough() -> None:
    assert is_as_new_as([], 0, None)


@pytest.mark.parametrize(
    ("row", "is_new"),
    [
        (holding(seq=99, updated_at=after(60), read_at=after(60)), False),
        (holding(seq=100, updated_at=after(1)), True),
        (holding(seq=101), True),
        (holding(seq=None, updated_at=after(9.9), read_at=after(60)), False),
        (holding(seq=None, updated_at=after(10)), True),
        # -1 and 0 stand for "no sequence" (a symbol never traded).
        (holding(seq=-1, updated_at=after(10)), True),
        (holding(seq=0, updated_at=after(9)), False),
        (holding(read_at=after(11.9)), False),
        (holding(read_at=after(12)), True),
        # A row of another bucket says nothing.
        (holding(seq=500, idx=1), False),
    ],
)
def test_a_read_is_new_by_sequence_else_by_update_else_by_its_own_time(
    row: Holding, is_new: bool
) -> None:
    assert is_as_new_as([row], 0, SOLD) is is_new


def test_without_a_sequence_on_the_fill_the_times_decide() -> None:
    unnumbered = fill(at=after(10))
    assert is_as_new_as([holding(seq=5, updated_at=after(10))], 0, unnumbered)
    assert not is_as_new_as([holding(seq=5, updated_at=after(9))], 0, unnumbered)


# --- how a leg fared ------------------------------------------------------------------------


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
    surroundings = around(leg, held, *others, unassigned=unassigned, least=least)
    return leg_result(surroundings, Decimal(quantity), orders)


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
    surroundings = Surroundings(leg, instrument(least="0.05"), claims(leg), (holding("-0.04"),))
    result, dust = leg_result(surroundings, Decimal(1), [close_order("1", "0.96", leg=leg)])
    assert (result.outcome, dust) == (LegOutcome.DUST, Decimal("0.04"))


def test_a_request_expires_at_its_moment() -> None:
    assert not is_expired(NOON, after(-0.001))
    assert is_expired(NOON, NOON)
