"""The own share of a bucket: never another's, and refused where nobody can know whose it is."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from positiond.daemon.domain.model import Category, Component
from positiond.daemon.domain.share import Blocker, bucket_share, sendable

from ...builders import LONG, SHORT, claims, component, holding, instrument
from .samples import quantities, sides, signed, steady

ONE = Decimal(1)


@st.composite
def crowds(draw: st.DrawFn) -> tuple[Component, ...]:
    """Components of several positions in one bucket."""
    count = draw(st.integers(1, 4))
    return tuple(component(draw(quantities), draw(sides), of=f"p{n}") for n in range(count))


@steady
@given(crowds(), signed, signed)
def test_a_share_is_never_above_what_is_open(
    crowd: tuple[Component, ...], unassigned: Decimal, actual: Decimal
) -> None:
    for one in crowd:
        share = bucket_share([one], claims(*crowd, unassigned=str(unassigned)), [holding(actual)])
        assert 0 <= share.quantity <= one.open
        assert share.shortfall == one.open - share.quantity


@steady
@given(crowds(), signed, signed)
def test_a_share_is_never_above_what_the_bucket_holds_beyond_everybody_else(
    crowd: tuple[Component, ...], unassigned: Decimal, actual: Decimal
) -> None:
    for one in crowd:
        share = bucket_share([one], claims(*crowd, unassigned=str(unassigned)), [holding(actual)])
        others = sum(c.signed_open for c in crowd if c.id != one.id)
        beyond = one.side.sign * (actual - unassigned - others)
        assert share.quantity <= max(beyond, Decimal(0))


@steady
@given(crowds(), signed, signed)
def test_the_shares_of_one_direction_together_are_never_above_what_is_there_for_it(
    crowd: tuple[Component, ...], unassigned: Decimal, actual: Decimal
) -> None:
    recorded = claims(*crowd, unassigned=str(unassigned))
    for side in (LONG, SHORT):
        shares = [bucket_share([c], recorded, [holding(actual)]) for c in crowd if c.side is side]
        against = sum(c.signed_open for c in crowd if c.side is not side)
        there = side.sign * (actual - unassigned - against)
        assert sum(s.quantity for s in shares) <= max(there, Decimal(0))


@steady
@given(crowds(), signed, signed)
def test_legs_that_close_together_never_take_more_than_is_there_beyond_the_others(
    crowd: tuple[Component, ...], unassigned: Decimal, actual: Decimal
) -> None:
    legs, others = crowd[: len(crowd) // 2 + 1], crowd[len(crowd) // 2 + 1 :]
    share = bucket_share(legs, claims(*crowd, unassigned=str(unassigned)), [holding(actual)])
    net = sum((leg.signed_open for leg in legs), Decimal(0))
    beyond = actual - unassigned - sum(c.signed_open for c in others)
    assert 0 <= share.quantity <= abs(net)
    assert share.quantity <= max(share.sign * beyond, Decimal(0))


# --- rule 3: a loss without an owner --------------------------------------------------------


@pytest.mark.parametrize(("held", "share"), [("1", "1"), ("0.4", "0.4"), ("0", "0"), ("3", "1")])
def test_alone_a_leg_closes_what_is_there_and_reports_the_rest(held: str, share: str) -> None:
    one = component("1")
    found = bucket_share([one], claims(one), [holding(held)])
    assert (found.quantity, found.shortfall, found.blocker) == (
        Decimal(share),
        ONE - Decimal(share),
        None,
    )


def test_a_short_leg_alone_closes_what_is_there() -> None:
    one = component("1", SHORT)
    found = bucket_share([one], claims(one), [holding("-0.4")])
    assert (found.quantity, found.blocker) == (Decimal("0.4"), None)


def test_a_flipped_bucket_is_refused_even_to_a_leg_alone() -> None:
    one = component("1")
    found = bucket_share([one], claims(one), [holding("-1")])
    assert found.blocker is Blocker.SHORTFALL_UNATTRIBUTED
    assert "-1" in found.detail
    assert "+1" in found.detail


def test_a_bucket_flipped_in_a_legs_favour_is_refused_too() -> None:
    one, three_short = component("1"), component("3", SHORT, of="other")
    found = bucket_share([one], claims(one, three_short), [holding("1")])
    assert found.blocker is Blocker.SHORTFALL_UNATTRIBUTED


def test_a_loss_beside_another_position_is_nobodys_to_guess() -> None:
    one, other = component("1"), component("1", of="other")
    found = bucket_share([one], claims(one, other), [holding("1.5")])
    assert (found.quantity, found.blocker) == (Decimal("0.5"), Blocker.SHORTFALL_UNATTRIBUTED)


def test_a_loss_beside_claims_that_net_to_nothing_is_nobodys_to_guess_either() -> None:
    one = component("1")
    rivals = component("1", of="long"), component("1", SHORT, of="short")
    found = bucket_share([one], claims(one, *rivals), [holding("0.5")])
    assert found.blocker is Blocker.SHORTFALL_UNATTRIBUTED


def test_a_loss_beside_an_unassigned_quantity_is_nobodys_to_guess() -> None:
    one = component("1")
    found = bucket_share([one], claims(one, unassigned="2"), [holding("2.5")])
    assert found.blocker is Blocker.SHORTFALL_UNATTRIBUTED


def test_a_closed_leg_of_another_position_is_no_claim() -> None:
    one, closed = component("1"), component("1", of="other", closed="1")
    found = bucket_share([one], claims(one, closed), [holding("0.5")])
    assert (found.quantity, found.blocker) == (Decimal("0.5"), None)


def test_a_surplus_belongs_to_nobody_and_blocks_nobody() -> None:
    one, other = component("1"), component("1", of="other")
    found = bucket_share([one], claims(one, other), [holding("5")])
    assert (found.quantity, found.blocker) == (ONE, None)


# --- what one order can take ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("share", "sent"),
    [("1.2345", "1.23"), ("0.049", "0"), ("0.05", "0.05"), ("12.34", "10"), ("0", "0")],
)
def test_an_order_is_floored_to_step_and_kept_within_its_limits(share: str, sent: str) -> None:
    rules = instrument(step="0.01", least="0.05", most="10.005")
    assert sendable(Decimal(share), rules) == Decimal(sent)


def test_the_last_piece_is_never_left_below_the_minimum() -> None:
    rules = instrument(step="0.01", least="0.05", most="10")
    first = sendable(Decimal("10.02"), rules)
    assert sendable(Decimal("10.02") - first, rules) == Decimal("10.02") - first


# --- several legs ---------------------------------------------------------------------------


def test_a_set_short_of_its_net_cannot_know_whose_it_is() -> None:
    legs = component("1", of="a"), component("1", of="b")
    share = bucket_share(legs, claims(*legs), [holding("1.5")])
    assert share.blocker is Blocker.SHORTFALL_UNATTRIBUTED


def test_a_set_that_nets_to_nothing_needs_the_bucket_to_be_flat() -> None:
    legs = component("1", of="a"), component("1", SHORT, of="b")
    assert bucket_share(legs, claims(*legs), [holding("0")]).blocker is None
    share = bucket_share(legs, claims(*legs), [holding("0.3")])
    assert share.blocker is Blocker.SHORTFALL_UNATTRIBUTED


# --- spot -----------------------------------------------------------------------------------


def spot(quantity: str, of: str = "pair") -> Component:
    return replace(component(quantity, category=Category.SPOT, of=of), coin="BTC")


def test_a_shortage_that_the_fee_of_buying_explains_is_nobodys_loss() -> None:
    one, other = spot("1", "a"), spot("1", "b")
    rows = [holding("1.998", "BTC")]
    share = bucket_share([one], claims(one, other), rows, fee_tolerance=Decimal("0.002"))
    assert (share.quantity, share.blocker) == (Decimal("0.998"), None)
    assert bucket_share([one], claims(one, other), rows).blocker is Blocker.SHORTFALL_UNATTRIBUTED


def test_the_fee_of_a_leg_that_is_mostly_sold_is_nobodys_loss_either() -> None:
    one, other = spot("0.5", "a"), replace(spot("1", "b"), closed_quantity=Decimal("0.99"))
    # 0.1 % of 1.5 is lacking, of which 0.99 was sold.
    rows = [holding("0.5085", "BTC")]
    share = bucket_share([one], claims(one, other), rows, fee_tolerance=Decimal("0.002"))
    assert (share.quantity, share.blocker) == (Decimal("0.4985"), None)


def test_a_small_leg_never_pays_the_fees_of_all_others() -> None:
    one, other = spot("1", "a"), spot("2000", "b")
    share = bucket_share(
        [one], claims(one, other), [holding("2000", "BTC")], fee_tolerance=Decimal("0.002")
    )
    assert share.blocker is Blocker.SHORTFALL_UNATTRIBUTED
