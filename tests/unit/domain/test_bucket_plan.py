"""A bucket's next order: one leg's own share, or the net of several; and what forbids it."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from positiond.daemon.domain.bucket_plan import (
    Around,
    BucketPlan,
    WantedLeg,
    by_bucket,
    plan_bucket,
    plan_hash,
)
from positiond.daemon.domain.errors import Conflict
from positiond.daemon.domain.model import Category, Component, ComponentId
from positiond.daemon.domain.orders import RestingOrder
from positiond.daemon.domain.share import Blocker

from ...builders import ETH, LONG, SHORT, component, holding
from .samples import quantities, sides, signed, steady
from .surroundings import CLOSE, around, resting, wallet


def planned(
    legs: list[Component], there: Around, wanted: dict[ComponentId, str] | None = None
) -> BucketPlan:
    """The plan of the legs, of each all that is open unless `wanted` says how much."""
    asked = {leg.id: leg.open for leg in legs}
    asked |= {leg: Decimal(quantity) for leg, quantity in (wanted or {}).items()}
    return plan_bucket([WantedLeg(leg, CLOSE, asked[leg.id]) for leg in legs], there)


def alone(leg: Component, there: Around, wanted: str | None = None) -> BucketPlan:
    return planned([leg], there, {leg.id: wanted} if wanted else None)


def codes(plan: BucketPlan) -> list[Blocker]:
    return [blockage.code for blockage in plan.blockers]


# --- one leg --------------------------------------------------------------------------------


def test_a_plan_is_the_share_floored_to_step() -> None:
    leg = component("1.2345")
    plan = alone(leg, around(leg, "1.2345", step="0.01"))
    assert (plan.quantity, plan.blockers, plan.bucket.position_idx) == (Decimal("1.23"), (), 0)
    assert plan.side is SHORT
    assert plan.legs[0].dust == Decimal("0.0045")


def test_nothing_left_is_a_report_and_no_blocker() -> None:
    leg = component("1")
    plan = alone(leg, around(leg, "0", status="Closed"))
    assert (plan.quantity, plan.blockers, plan.legs[0].shortfall) == (0, (), 1)


def test_what_went_with_a_delivered_contract_is_nobodys_to_assign() -> None:
    leg, other, short = component("1"), component("2", of="other"), component("3", SHORT, of="s")
    for others in ((other,), (short,), (other, short)):
        there = around(leg, "0", *others, status="Closed")
        assert codes(alone(leg, there)) != []
        plan = alone(leg, replace(there, is_over=True))
        assert (plan.quantity, plan.blockers, plan.legs[0].shortfall) == (0, (), 1)


def test_legs_that_netted_in_a_delivered_contract_wait_for_no_price() -> None:
    long, short = component("1"), component("1", SHORT, of="short")
    there = replace(around(long, "0", short, status="Closed"), is_over=True)
    plan = planned([long, short], there)
    assert (plan.nettings, plan.blockers) == ((), ())
    assert [one.shortfall for one in plan.legs] == [1, 1]


def test_what_bybit_still_holds_of_a_contract_past_its_delivery_is_no_shortfall() -> None:
    leg = component("1")
    plan = alone(leg, replace(around(leg, "1", status="Closed"), is_over=True))
    assert codes(plan) == [Blocker.NOT_TRADING]


def test_below_the_minimum_is_a_report_and_no_blocker() -> None:
    leg = component("0.04")
    plan = alone(leg, around(leg, "0.04", step="0.01", least="0.05", status="Closed"))
    assert (plan.quantity, plan.blockers, plan.legs[0].dust) == (0, (), Decimal("0.04"))
    assert "0.04" in plan.detail


@pytest.mark.parametrize("status", ["Closed", "PreLaunch"])
def test_a_contract_that_does_not_trade_is_a_blocker(status: str) -> None:
    leg = component()
    assert codes(alone(leg, around(leg, "1", status=status))) == [Blocker.NOT_TRADING]


def test_a_contract_that_is_not_listed_is_a_blocker() -> None:
    leg = component()
    unlisted = replace(around(leg, "1"), instrument=None)
    assert codes(alone(leg, unlisted)) == [Blocker.NOT_TRADING]


def test_a_contract_that_still_takes_reducing_orders_is_none() -> None:
    leg = component()
    assert alone(leg, around(leg, "1", status="Delivering")).quantity == 1


def test_a_blocked_share_is_never_planned() -> None:
    leg = component()
    plan = alone(leg, around(leg, "1.5", component(of="other")))
    assert (plan.quantity, codes(plan)) == (0, [Blocker.SHORTFALL_UNATTRIBUTED])


@steady
@given(quantities, signed, signed, st.integers(0, 3))
def test_no_plan_is_above_the_legs_own_share(
    quantity: Decimal, held: Decimal, unassigned: Decimal, rivals: int
) -> None:
    leg = component(quantity)
    others = [component("0.5", of=f"rival {n}") for n in range(rivals)]
    there = around(leg, held, *others, unassigned=str(unassigned))
    plan = alone(leg, there)
    assert 0 <= plan.quantity <= there.share([leg]).quantity <= leg.open
    if plan.sends:
        assert plan.quantity <= max(held, Decimal(0))


def test_a_leg_that_its_place_knows_nothing_of_is_not_thereby_closed() -> None:
    leg, other = component("1"), component("1", of="other")
    with pytest.raises(Conflict) as refused:
        alone(leg, around(other, "0"))
    assert refused.value.code == "leg-unclaimed"


def test_a_large_leg_is_planned_in_pieces() -> None:
    leg = component("25")
    plan = alone(leg, around(leg, "25", most="10"))
    assert (plan.quantity, plan.total, plan.legs[0].quantity) == (10, 25, 25)


# --- rule 4: netted legs --------------------------------------------------------------------


def test_a_leg_netted_against_an_opposite_position_is_refused_with_its_name() -> None:
    one, opposite = component("1"), component("1", SHORT, of="other")
    plan = alone(one, around(one, "0", opposite))
    assert codes(plan) == [Blocker.NETTED]
    assert "other positions' -1" in plan.detail


def test_a_leg_netted_against_the_traders_own_holding_is_refused() -> None:
    one = component("1")
    plan = alone(one, around(one, "-2", unassigned="-3"))
    assert codes(plan) == [Blocker.NETTED]
    assert "unassigned -3" in plan.detail


def test_a_netted_leg_is_allowed_where_the_bucket_still_holds_its_quantity() -> None:
    three, opposite = component("3"), component("1", SHORT, of="other")
    assert codes(alone(opposite, around(opposite, "2", three))) == [Blocker.NETTED]
    small = component("2", of="small")
    plan = alone(small, around(small, "4", three, opposite))
    assert (plan.quantity, plan.blockers) == (2, ())


def test_a_fraction_that_the_bucket_still_holds_is_allowed() -> None:
    one, opposite = component("1"), component("0.5", SHORT, of="other")
    there = around(one, "0.5", opposite)
    assert codes(alone(one, there)) == [Blocker.NETTED]
    assert alone(one, there, "0.5").quantity == Decimal("0.5")


def test_in_hedge_mode_opposite_legs_are_in_buckets_of_their_own() -> None:
    one, opposite = component("1"), component("1", SHORT, of="other")
    there = replace(
        around(one, "1", opposite), holdings=(holding("1", idx=1), holding("-1", idx=2))
    )
    wanted = [WantedLeg(leg, CLOSE, leg.open) for leg in (one, opposite)]
    groups = by_bucket(wanted, there.holdings)
    plans = [plan_bucket(group, there) for group in groups.values()]
    assert [(p.bucket.position_idx, p.side, p.quantity) for p in plans] == [
        (1, SHORT, 1),
        (2, LONG, 1),
    ]


# --- a set ----------------------------------------------------------------------------------


def test_a_set_sends_one_order_of_its_net() -> None:
    long, short = component("1", of="a"), component("0.4", SHORT, of="b")
    plan = planned([long, short], around(long, "0.6", short))
    assert (plan.side, plan.quantity, plan.nettings) == (SHORT, Decimal("0.6"), ())
    assert [(p.component_id, p.quantity, p.is_light) for p in plan.parts] == [
        (long.id, 1, False),
        (short.id, Decimal("0.4"), True),
    ]


def test_a_set_that_nets_to_nothing_sends_nothing_and_closes_both() -> None:
    long, short = component("1", of="a"), component("1", SHORT, of="b")
    plan = planned([long, short], around(long, "0", short))
    assert (plan.sends, plan.blockers) == (False, ())
    assert [(p.component_id, p.quantity) for p in plan.nettings] == [(long.id, 1), (short.id, 1)]


def test_a_net_below_the_minimum_is_dust_of_the_heavy_side_alone() -> None:
    long, short = component("1", of="a"), component("0.98", SHORT, of="b")
    plan = planned([long, short], around(long, "0.02", short, least="0.05"))
    assert (plan.sends, plan.blockers) == (False, ())
    assert {p.quantity for p in plan.nettings} == {Decimal("0.98")}
    assert [leg.dust for leg in plan.legs] == [Decimal("0.02"), 0]


def test_a_set_beside_a_third_position_leaves_it_its_own() -> None:
    long, short = component("1", of="a"), component("0.4", SHORT, of="b")
    third = component("5", of="third")
    assert planned([long, short], around(long, "5.6", short, third)).quantity == Decimal("0.6")


def test_the_last_open_leg_of_a_set_closes_what_is_there() -> None:
    first, last = component("1", closed="1"), component("1", of="last")
    plan = planned([first, last], around(last, "0.3", first))
    assert (plan.quantity, plan.blockers) == (Decimal("0.3"), ())
    assert [one.shortfall for one in plan.legs] == [0, Decimal("0.7")]
    gone = planned([first, last], around(last, "0", first))
    assert (gone.quantity, gone.blockers) == (0, ())
    assert [one.shortfall for one in gone.legs] == [0, 1]


def test_a_set_that_a_third_position_nets_against_is_refused() -> None:
    long, short = component("1", of="a"), component("0.4", SHORT, of="b")
    third = component("0.3", SHORT, of="third")
    plan = planned([long, short], around(long, "0.3", short, third))
    assert codes(plan) == [Blocker.NETTED]


def test_a_piece_of_a_net_order_takes_both_sides_in_proportion() -> None:
    long, short = component("10", of="a"), component("4", SHORT, of="b")
    plan = planned([long, short], around(long, "6", short, most="3"))
    assert (plan.quantity, plan.total) == (3, 6)
    assert [part.quantity for part in plan.parts] == [5, 2]


@steady
@given(st.lists(st.tuples(quantities, sides), min_size=1, max_size=4), signed, signed)
def test_a_sets_order_is_its_parts_and_never_more_than_reduce_only_can_take(
    drawn: list[tuple[Decimal, object]], held: Decimal, unassigned: Decimal
) -> None:
    legs = [component(q, s, of=f"p{n}") for n, (q, s) in enumerate(drawn)]  # type: ignore[arg-type]  # a sampled side
    plan = planned(legs, around(legs[0], held, *legs[1:], unassigned=str(unassigned)))
    if not plan.sends:
        assert not plan.nettings or sum(leg.signed_open for leg in legs) == 0
        return
    net = sum(-p.quantity if p.is_light else p.quantity for p in plan.parts)
    assert net == plan.quantity
    assert plan.quantity <= max(plan.side.reverse.sign * held, Decimal(0))
    assert all(part.quantity <= leg.open for part, leg in zip(plan.parts, legs, strict=True))


# --- resting orders -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("order", "is_in_the_way"),
    [
        (resting("0.5"), True),
        (resting("0.5", reduce_only=False), False),
        (resting("0.5", side="Buy"), False),
        (resting("0.5", kind="StopLoss"), False),
        (resting("0.5", idx=1), False),
        (resting("0"), False),
    ],
)
def test_live_reduce_only_orders_on_our_closing_side_are_in_the_way(
    order: RestingOrder, is_in_the_way: bool
) -> None:
    leg = component("1")
    plan = alone(leg, around(leg, "1", resting=(order,)))
    assert codes(plan) == ([Blocker.RESTING_ORDERS] if is_in_the_way else [])
    assert plan.resting == ((order,) if is_in_the_way else ())


def test_a_resting_order_beside_which_ours_still_fits_is_in_nobodys_way() -> None:
    leg = component("1")
    plan = alone(leg, around(leg, "3", unassigned="2", resting=(resting("2"),)))
    assert (plan.quantity, plan.blockers) == (1, ())


# --- spot -----------------------------------------------------------------------------------


def spot(quantity: str, of: str = "pair", coin: str | None = "BTC") -> Component:
    return replace(component(quantity, category=Category.SPOT, of=of), coin=coin)


def test_a_spot_leg_sells_its_own_of_the_wallet() -> None:
    leg = spot("1")
    plan = alone(leg, wallet(leg, "3.5", spot("2", "other")))
    assert (plan.quantity, plan.side, plan.blockers) == (1, SHORT, ())


def test_a_spot_leg_sells_what_the_fee_left_of_it() -> None:
    leg = spot("1")
    plan = alone(leg, wallet(leg, "0.999"))
    assert (plan.quantity, plan.legs[0].shortfall) == (Decimal("0.999"), Decimal("0.001"))


def test_locked_coin_is_a_blocker_and_no_shortfall() -> None:
    leg = spot("1")
    plan = alone(leg, wallet(leg, "1", locked="0.25"))
    assert codes(plan) == [Blocker.COIN_LOCKED]
    assert "0.25 is locked" in plan.detail
    assert plan.legs[0].shortfall == 0


def test_locked_coin_of_the_traders_surplus_is_in_nobodys_way() -> None:
    leg = spot("1")
    assert alone(leg, wallet(leg, "1.5", locked="0.5")).quantity == 1


def test_a_sale_below_the_minimum_value_is_dust() -> None:
    leg = spot("0.01")
    plan = alone(leg, wallet(leg, "0.01", price="100"))
    assert (plan.quantity, plan.legs[0].dust, plan.blockers) == (0, Decimal("0.01"), ())
    assert alone(leg, wallet(leg, "0.01", price="1000")).quantity == Decimal("0.01")


def test_nothing_is_sold_of_a_coin_that_a_leg_may_or_may_not_claim() -> None:
    leg = spot("1")
    there = wallet(leg, "0")
    doubtful = replace(there, claims=replace(there.claims, doubtful=("BTCUSDX",)))
    plan = alone(leg, doubtful)
    assert codes(plan) == [Blocker.COIN_UNKNOWN]
    assert "the coin of BTCUSDX is not known yet" in plan.detail


# --- the plan's name ------------------------------------------------------------------------


def test_a_plans_name_is_of_what_decides_and_of_nothing_else() -> None:
    leg = component("1")
    there = around(leg, "1")
    name = plan_hash([alone(leg, there)])
    assert name == plan_hash([alone(leg, replace(there, price=Decimal(7)))])
    assert name == plan_hash([alone(component("1.0"), around(component("1.00"), "1.000"))])
    others = [
        alone(leg, around(leg, "1.5")),
        alone(leg, there, "0.5"),
        alone(leg, around(leg, "1", resting=(resting("1"),))),
        alone(component("1", of="other"), around(component("1", of="other"), "1")),
    ]
    assert len({name, *(plan_hash([plan]) for plan in others)}) == 5


def test_a_plans_name_does_not_hang_on_the_order_of_its_legs() -> None:
    one, other = component("1", of="a"), component("1", SHORT, of="b")
    plans = [alone(one, around(one, "1")), alone(other, around(other, "-1"))]
    assert plan_hash(plans) == plan_hash(plans[::-1])


def test_a_leg_that_is_closed_already_decides_nothing() -> None:
    one, gone = component("1"), component("2", SHORT, ETH, closed="2")
    plans = [alone(one, around(one, "1")), alone(gone, around(gone, "-5"))]
    assert plan_hash(plans) == plan_hash(plans[:1])
