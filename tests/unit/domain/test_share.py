"""The own share of a bucket: never another's, and refused where nobody can know whose it is."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from positiond.daemon.domain.model import Component
from positiond.daemon.domain.share import Blocker, own_share, sendable

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
        share = own_share(one, claims(*crowd, unassigned=str(unassigned)), [holding(actual)])
        assert 0 <= share.quantity <= one.open
        assert share.shortfall == one.open - share.quantity


@steady
@given(crowds(), signed, signed)
def test_a_share_is_never_above_what_the_bucket_holds_beyond_everybody_else(
    crowd: tuple[Component, ...], unassigned: Decimal, actual: Decimal
) -> None:
    for one in crowd:
        share = own_share(one, claims(*crowd, unassigned=str(unassigned)), [holding(actual)])
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
        shares = [own_share(c, recorded, [holding(actual)]) for c in crowd if c.side is side]
        against = sum(c.signed_open for c in crowd if c.side is not side)
        there = side.sign * (actual - unassigned - against)
        assert sum(s.quantity for s in shares) <= max(there, Decimal(0))


@steady
@given(crowds(), signed, signed)
def test_what_may_be_sent_is_never_above_what_reduce_only_can_take(
    crowd: tuple[Component, ...], unassigned: Decimal, actual: Decimal
) -> None:
    for one in crowd:
        share = own_share(one, claims(*crowd, unassigned=str(unassigned)), [holding(actual)])
        if share.blocker is None:
            assert share.quantity <= max(one.side.sign * actual, Decimal(0))


# --- rule 3: a loss without an owner --------------------------------------------------------


@pytest.mark.parametrize(("held", "share"), [("1", "1"), ("0.4", "0.4"), ("0", "0"), ("3", "1")])
def test_alone_a_leg_closes_what_is_there_and_reports_the_rest(held: str, share: str) -> None:
    one = component("1")
    found = own_share(one, claims(one), [holding(held)])
    assert (found.quantity, found.shortfall, found.blocker) == (
        Decimal(share),
        ONE - Decimal(share),
        None,
    )


def test_a_short_leg_alone_closes_what_is_there() -> None:
    one = component("1", SHORT)
    found = own_share(one, claims(one), [holding("-0.4")])
    assert (found.quantity, found.blocker) == (Decimal("0.4"), None)


def test_a_flipped_bucket_is_refused_even_to_a_leg_alone() -> None:
    one = component("1")
    found = own_share(one, claims(one), [holding("-1")])
    assert found.blocker is Blocker.SHORTFALL_UNATTRIBUTED
    assert "-1" in found.detail
    assert "+1" in found.detail


def test_a_bucket_flipped_in_a_legs_favour_is_refused_too() -> None:
    one, three_short = component("1"), component("3", SHORT, of="other")
    found = own_share(one, claims(one, three_short), [holding("1")])
    assert found.blocker is Blocker.SHORTFALL_UNATTRIBUTED


def test_a_loss_beside_another_position_is_nobodys_to_guess() -> None:
    one, other = component("1"), component("1", of="other")
    found = own_share(one, claims(one, other), [holding("1.5")])
    assert (found.quantity, found.blocker) == (Decimal("0.5"), Blocker.SHORTFALL_UNATTRIBUTED)


def test_a_loss_beside_claims_that_net_to_nothing_is_nobodys_to_guess_either() -> None:
    one = component("1")
    rivals = component("1", of="long"), component("1", SHORT, of="short")
    found = own_share(one, claims(one, *rivals), [holding("0.5")])
    assert found.blocker is Blocker.SHORTFALL_UNATTRIBUTED


def test_a_loss_beside_an_unassigned_quantity_is_nobodys_to_guess() -> None:
    one = component("1")
    found = own_share(one, claims(one, unassigned="2"), [holding("2.5")])
    assert found.blocker is Blocker.SHORTFALL_UNATTRIBUTED


def test_a_closed_leg_of_another_position_is_no_claim() -> None:
    one, closed = component("1"), component("1", of="other", closed="1")
    found = own_share(one, claims(one, closed), [holding("0.5")])
    assert (found.quantity, found.blocker) == (Decimal("0.5"), None)


def test_a_surplus_belongs_to_nobody_and_blocks_nobody() -> None:
    one, other = component("1"), component("1", of="other")
    found = own_share(one, claims(one, other), [holding("5")])
    assert (found.quantity, found.blocker) == (ONE, None)


# --- rule 4: netted legs --------------------------------------------------------------------


def test_a_leg_netted_against_an_opposite_position_is_refused_with_its_name() -> None:
    one, opposite = component("1"), component("1", SHORT, of="other")
    found = own_share(one, claims(one, opposite), [holding("0")])
    assert found.blocker is Blocker.NETTED
    assert "other positions' -1" in found.detail


def test_a_leg_netted_against_the_traders_own_holding_is_refused() -> None:
    one = component("1")
    found = own_share(one, claims(one, unassigned="-3"), [holding("-2")])
    assert found.blocker is Blocker.NETTED
    assert "unassigned -3" in found.detail


def test_a_netted_leg_is_allowed_where_the_bucket_still_holds_its_quantity() -> None:
    three, opposite = component("3"), component("1", SHORT, of="other")
    assert own_share(opposite, claims(three, opposite), [holding("2")]).blocker is Blocker.NETTED
    small = component("2", of="small")
    found = own_share(small, claims(small, three, opposite), [holding("4")])
    assert (found.quantity, found.blocker) == (Decimal(2), None)


def test_in_hedge_mode_opposite_legs_are_in_buckets_of_their_own() -> None:
    one, opposite = component("1"), component("1", SHORT, of="other")
    rows = [holding("1", idx=1), holding("-1", idx=2)]
    found = own_share(opposite, claims(one, opposite), rows)
    assert (found.position_idx, found.quantity, found.blocker) == (2, ONE, None)


# --- what one order can take ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("share", "sent"),
    [("1.2345", "1.23"), ("0.049", "0"), ("0.05", "0.05"), ("12.34", "10"), ("0", "0")],
)
def test_an_order_is_floored_to_step_and_kept_within_its_limits(share: str, sent: str) -> None:
    rules = instrument(step="0.01", least="0.05", most="10.005")
    assert sendable(Decimal(share), rules) == Decimal(sent)
