"""Resolve actions, case by case: what each changes, and why it is refused."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from decimal import Decimal

import pytest
from positiond.daemon.domain.errors import Conflict, InvalidInput, NotFound, PositiondError
from positiond.daemon.domain.model import (
    Category,
    Component,
    ComponentId,
    Holding,
    Position,
    PositionStatus,
)
from positiond.daemon.domain.resolving import Change, Resolution, ResolveAction, offers, resolve
from positiond.daemon.domain.verdict import Reading, symbol_of

from ...builders import (
    ACCOUNT,
    ALICE,
    BTC,
    ETH,
    NOON,
    SHORT,
    component,
    holding,
    position,
    symbol_key,
    uuid_of,
)
from .places import balance, spot_leg

ACCEPT, REBASE, MARK_CLOSED = ResolveAction.ACCEPT, ResolveAction.REBASE, ResolveAction.MARK_CLOSED


def resolved(
    action: ResolveAction,
    one: Position,
    *rows: Holding,
    others: tuple[Position, ...] = (),
    unassigned: str = "0",
    only: Collection[Component] | None = None,
    failure: str | None = None,
) -> Resolution:
    """What the action does where the rows are all that Bybit holds."""
    places = {symbol_of(p, c) for p in (one, *others) for c in p.components}
    return resolve(
        action,
        one,
        None if only is None else [leg.id for leg in only],
        (one, *others),
        {symbol_key().bucket(rows[0].position_idx): Decimal(unassigned)} if rows else {},
        {
            key: Reading(tuple(r for r in rows if r.symbol == key.symbol), NOON, failure)
            for key in places
        },
        actor=ALICE,
        at=NOON,
    )


def refusal(action: ResolveAction, one: Position, *rows: Holding, **more: object) -> PositiondError:
    with pytest.raises(PositiondError) as caught:
        resolved(action, one, *rows, **more)  # type: ignore[arg-type]  # as resolved takes them
    assert caught.value.detail
    return caught.value


def changed(before: str, after: str) -> Change:
    return Change(Decimal(before), Decimal(after))


# --- accept ---------------------------------------------------------------------------------


def test_accepting_a_surplus_makes_it_unassigned() -> None:
    found = resolved(ACCEPT, position(component("1")), holding("1.5"))
    key = symbol_key().bucket(0)
    assert found.unassigned == {key: changed("0", "0.5")}
    assert (found.opens, found.actual) == ({}, {key: Decimal("1.5")})
    assert (found.account_id, found.actor, found.at) == (ACCOUNT, ALICE, NOON)


def test_accepting_a_loss_takes_it_from_what_was_unassigned() -> None:
    found = resolved(ACCEPT, position(component("1")), holding("1.5"), unassigned="2")
    assert list(found.unassigned.values()) == [changed("2", "0.5")]


@pytest.mark.parametrize("held", ["0.4", "0", "-1"])
def test_a_loss_of_the_legs_cannot_be_accepted(held: str) -> None:
    error = refusal(ACCEPT, position(component("1")), holding(held), unassigned="2")
    assert isinstance(error, Conflict)
    assert error.code == "opposite-unassigned"


def test_where_the_legs_net_to_nothing_either_direction_can_be_accepted() -> None:
    opposite = position(component("1", SHORT, of="other"), name="other")
    for held in ("0.5", "-0.5"):
        found = resolved(ACCEPT, position(component("1")), holding(held), others=(opposite,))
        assert list(found.unassigned.values()) == [changed("0", held)]


def test_a_wallet_has_nothing_unassigned_to_accept() -> None:
    error = refusal(ACCEPT, position(spot_leg("1")), balance("0.5"))
    assert isinstance(error, InvalidInput)
    assert error.code == "spot-has-no-unassigned"


def test_in_hedge_mode_the_leg_s_own_side_is_resolved() -> None:
    rows = (holding("-3", idx=2), holding("1", idx=1))
    found = resolved(ACCEPT, position(component("2", SHORT)), *rows)
    assert found.unassigned == {symbol_key().bucket(2): changed("0", "-1")}


# --- rebase ---------------------------------------------------------------------------------


@pytest.mark.parametrize("held", ["0.4", "1.5", "0"])
def test_rebasing_makes_the_leg_what_is_there(held: str) -> None:
    leg = component("1")
    found = resolved(REBASE, position(leg), holding(held))
    assert (found.opens, found.unassigned) == ({leg.id: changed("1", held)}, {})


def test_rebasing_a_short_leg_counts_in_its_own_direction() -> None:
    leg = component("2", SHORT)
    found = resolved(REBASE, position(leg), holding("-0.5"))
    assert found.opens == {leg.id: changed("2", "0.5")}


def test_rebasing_leaves_the_others_and_the_trader_what_is_theirs() -> None:
    leg, other = component("2"), position(component("1", of="other"), name="other")
    found = resolved(REBASE, position(leg), holding("3.5"), others=(other,), unassigned="1")
    assert found.opens == {leg.id: changed("2", "1.5")}


def test_rebasing_counts_from_what_is_open_and_not_from_what_was_recorded() -> None:
    leg = component("3", closed="1")
    assert resolved(REBASE, position(leg), holding("1.5")).opens == {leg.id: changed("2", "1.5")}


@pytest.mark.parametrize("held", ["-0.5", "0.9"])
def test_a_leg_that_explains_nothing_cannot_be_rebased(held: str) -> None:
    other = position(component("1", of="other"), name="other")
    error = refusal(REBASE, position(component("2")), holding(held), others=(other,))
    assert (type(error), error.code) == (Conflict, "cannot-rebase")


def test_the_fee_of_a_leg_that_is_mostly_sold_is_no_loss_to_resolve() -> None:
    one = position(spot_leg("1", closed="0.9"))
    assert refusal(REBASE, one, balance("0.099")).code == "nothing-to-resolve"
    assert resolved(REBASE, one, balance("0.0979")).opens


def test_as_little_as_its_fee_is_left_of_a_leg_that_was_sold() -> None:
    leg = spot_leg("1", closed="0.9")
    gone = resolved(MARK_CLOSED, position(leg), balance("0.002"), only=[leg])
    assert gone.opens[leg.id].after == 0
    assert refusal(MARK_CLOSED, position(leg), balance("0.0021"), only=[leg]).code == "not-gone"


def test_the_fee_of_a_spot_purchase_can_be_rebased_if_the_leg_is_named() -> None:
    leg = spot_leg("1")
    one = position(leg)
    found = resolved(REBASE, one, balance("0.999"), only=[leg])
    assert found.opens == {leg.id: changed("1", "0.999")}
    assert refusal(REBASE, one, balance("0.999")).code == "nothing-to-resolve"
    assert refusal(REBASE, one, balance("1.5"), only=[leg]).code == "nothing-to-resolve"


def test_two_legs_of_one_balance_are_rebased_one_at_a_time() -> None:
    usdt, usdc = spot_leg("1"), spot_leg("2", "BTCUSDC")
    pair = position(usdt, usdc)
    error = refusal(REBASE, pair, balance("2.5"))
    assert (error.code, "name the leg" in error.detail) == ("cannot-rebase", True)
    assert resolved(REBASE, pair, balance("2.5"), only=[usdc]).opens == {
        usdc.id: changed("2", "1.5")
    }


# --- mark closed ----------------------------------------------------------------------------


def test_a_leg_that_is_gone_is_marked_closed() -> None:
    leg = component("1", SHORT)
    found = resolved(MARK_CLOSED, position(leg), holding("0"))
    assert (found.opens, found.unassigned) == ({leg.id: changed("1", "0")}, {})
    assert found.actual == {symbol_key().bucket(0): Decimal(0)}


def test_a_leg_is_gone_though_others_are_still_there() -> None:
    leg, other = component("2"), position(component("1", of="other"), name="other")
    found = resolved(MARK_CLOSED, position(leg), holding("1.5"), others=(other,), unassigned="0.5")
    assert found.opens == {leg.id: changed("2", "0")}


@pytest.mark.parametrize("held", ["0.1", "1.5"])
def test_a_leg_of_which_something_is_left_is_not_gone(held: str) -> None:
    error = refusal(MARK_CLOSED, position(component("1")), holding(held))
    assert (type(error), error.code) == (Conflict, "not-gone")
    assert f"{Decimal(held):+f}" in error.detail


@pytest.mark.parametrize("action", [MARK_CLOSED, REBASE])
@pytest.mark.parametrize(("had", "held", "becomes"), [("0", "-0.2", "-0.2"), ("0.5", "0.3", "0.3")])
def test_where_the_bucket_turned_past_a_leg_what_is_there_is_the_traders(
    action: ResolveAction, had: str, held: str, becomes: str
) -> None:
    leg = component("1")
    found = resolved(action, position(leg), holding(held), unassigned=had)
    assert found.opens == {leg.id: changed("1", "0")}
    assert found.unassigned == {symbol_key().bucket(0): changed(had, becomes)}


@pytest.mark.parametrize(("held", "lacking"), [("0", "1"), ("0.4", "0.6"), ("-0.8", "1.8")])
def test_a_leg_is_gone_though_its_neighbour_lacks_something_too(held: str, lacking: str) -> None:
    leg, other = component("1"), position(component("1", of="other"), name="other")
    found = resolved(MARK_CLOSED, position(leg), holding(held), others=(other,))
    assert (found.opens, found.unassigned) == ({leg.id: changed("1", "0")}, {})
    assert found.lacking == {symbol_key().bucket(0): Decimal(lacking)}
    assert refusal(REBASE, position(leg), holding(held), others=(other,)).code == "cannot-rebase"


def test_of_a_short_that_is_gone_with_its_neighbour_the_lack_is_negative() -> None:
    other = position(component("2", of="other", side=SHORT), name="other")
    found = resolved(
        MARK_CLOSED, position(component("1", side=SHORT)), holding("0"), others=(other,)
    )
    assert found.lacking == {symbol_key().bucket(0): Decimal(-2)}


def test_where_a_leg_explains_it_all_nothing_is_lacking() -> None:
    other = position(component("2", of="other"), name="other")
    found = resolved(MARK_CLOSED, position(component("1")), holding("2"), others=(other,))
    assert found.lacking == {}


def test_of_a_coin_that_two_positions_lost_each_leg_can_be_marked_closed() -> None:
    leg, other = spot_leg("3"), position(spot_leg("2", of="other"), name="other")
    found = resolved(MARK_CLOSED, position(leg), balance("0.001"), others=(other,))
    assert found.opens == {leg.id: changed("3", "0")}
    assert list(found.lacking.values()) == [Decimal("1.999")]


def test_a_closed_position_beside_it_claims_nothing() -> None:
    gone = position(component("1", of="gone"), name="gone", status=PositionStatus.CLOSED)
    leg = component("1")
    assert resolved(MARK_CLOSED, position(leg), holding("0"), others=(gone,)).opens


@pytest.mark.parametrize(("net", "is_gone"), [("0", True), ("0.002", True), ("0.0021", False)])
def test_a_sold_coin_is_gone_but_for_its_fee(net: str, is_gone: bool) -> None:
    one = position(spot_leg("1"))
    if is_gone:
        assert resolved(MARK_CLOSED, one, balance(net)).opens
    else:
        assert refusal(MARK_CLOSED, one, balance(net)).code == "not-gone"


def test_legs_that_went_together_are_marked_closed_together() -> None:
    usdt, usdc = spot_leg("1"), spot_leg("2", "BTCUSDC")
    found = resolved(MARK_CLOSED, position(usdt, usdc), balance("0"))
    assert set(found.opens) == {usdt.id, usdc.id}


# --- which legs -----------------------------------------------------------------------------


def test_without_a_name_every_leg_that_deviates_is_resolved() -> None:
    btc, eth, sol = component("1"), component("2", symbol=ETH), component("3", symbol="SOLUSDT")
    rows = (holding("0"), holding("2", ETH), holding("1", "SOLUSDT"))
    one = position(btc, eth, sol)
    assert set(resolved(REBASE, one, *rows).opens) == {btc.id, sol.id}
    assert set(resolved(REBASE, one, *rows, only=[sol]).opens) == {sol.id}


def test_one_refusal_refuses_all() -> None:
    pair = position(component("1"), component("2", symbol=ETH))
    assert refusal(MARK_CLOSED, pair, holding("0"), holding("1", ETH)).code == "not-gone"


def test_where_nothing_deviates_there_is_nothing_to_resolve() -> None:
    leg, done = component("1"), component("2", symbol=ETH, closed="2")
    one = position(leg, done)
    for action in ResolveAction:
        for only in (None, [leg], [done]):
            error = refusal(action, one, holding("1"), holding("0", ETH), only=only)
            assert (type(error), error.code) == (Conflict, "nothing-to-resolve")


def test_a_component_of_nobody_is_not_found() -> None:
    stranger = replace(component(), id=ComponentId(uuid_of("stranger")))
    error = refusal(REBASE, position(component("1")), holding("0"), only=[stranger])
    assert (type(error), error.code) == (NotFound, "unknown-component")


def test_a_closed_position_has_nothing_to_resolve() -> None:
    done = position(component("1"), status=PositionStatus.CLOSED)
    assert refusal(MARK_CLOSED, done, holding("0")).code == "already-closed"


# --- doubt ----------------------------------------------------------------------------------


@pytest.mark.parametrize("action", ResolveAction)
def test_a_read_that_failed_resolves_nothing(action: ResolveAction) -> None:
    error = refusal(action, position(component("1")), holding("0"), failure="timed out")
    assert (type(error), error.code) == (Conflict, "unverified")
    assert "timed out" in error.detail


def test_rows_that_contradict_each_other_resolve_nothing() -> None:
    error = refusal(REBASE, position(component("1")), holding("1"), holding("1", idx=1))
    assert error.code == "unverified"


def test_a_symbol_that_was_not_read_resolves_nothing() -> None:
    one = position(component("1"))
    with pytest.raises(Conflict) as caught:
        resolve(REBASE, one, None, [one], {}, {}, actor=ALICE, at=NOON)
    assert caught.value.code == "unverified"
    spot = position(spot_leg("1", coin=None))
    assert refusal(REBASE, spot, balance("0", BTC)).code == "unverified"


def test_a_named_leg_needs_no_other_leg_s_reading() -> None:
    leg, unread = component("1"), component("2", symbol=ETH)
    one = position(leg, unread)
    readings = {symbol_key(): Reading((holding("0"),), NOON)}
    found = resolve(REBASE, one, [leg.id], [one], {}, readings, actor=ALICE, at=NOON)
    assert found.opens == {leg.id: changed("1", "0")}


# --- what is offered ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("leg", "row", "offered"),
    [
        (component("1"), holding("1"), ()),
        (component("1"), holding("1.5"), (ACCEPT, REBASE)),
        (component("1"), holding("0.4"), (REBASE,)),
        (component("1"), holding("0"), (REBASE, MARK_CLOSED)),
        (component("1"), holding("-1"), (REBASE, MARK_CLOSED)),
        (spot_leg("1"), balance("2"), ()),
        (spot_leg("1"), balance("0.999"), (REBASE,)),
        (spot_leg("1"), balance("0.4"), (REBASE,)),
        (spot_leg("1"), balance("0"), (REBASE, MARK_CLOSED)),
        (component("1", category=Category.OPTION), holding("0"), ()),
    ],
)
def test_what_would_be_taken_is_offered(
    leg: Component, row: Holding, offered: tuple[ResolveAction, ...]
) -> None:
    one = position(leg)
    key = symbol_key() if row.category is Category.LINEAR else symbol_of(one, leg)
    readings = {key: Reading((row,), NOON)}
    assert offers(one, [one], {}, readings) == {leg.id: offered}


def test_a_leg_that_is_closed_is_offered_nothing() -> None:
    assert offers(position(component("1", closed="1")), [], {}, {}) == {}
