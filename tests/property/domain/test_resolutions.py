"""Whatever is resolved is in order afterwards, or lacks what was told; nothing else has moved."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st
from positiond.daemon.domain.errors import Conflict, InvalidInput
from positiond.daemon.domain.model import BucketKey, Category, Component, Position, PositionStatus
from positiond.daemon.domain.resolving import Resolution, ResolveAction, offers, resolve
from positiond.daemon.domain.verdict import Judgement, judge

from ...builders import ALICE, NOON
from ...unit.domain.samples import steady
from .pictures import Picture, actual, bucket, expected, fee, is_as_recorded, pictures, place

actions = st.sampled_from(list(ResolveAction))


def compare(picture: Picture) -> Judgement:
    return judge(picture.positions, picture.unassigned, picture.readings, frozenset())


def tried(
    picture: Picture, action: ResolveAction, one: Position, leg: Component | None
) -> Resolution | str:
    """What the action does, or the code of its refusal."""
    named = None if leg is None else [leg.id]
    try:
        return resolve(
            action,
            one,
            named,
            picture.positions,
            picture.unassigned,
            picture.readings,
            actor=ALICE,
            at=NOON,
        )
    except (Conflict, InvalidInput) as refusal:
        return refusal.code


def applied(picture: Picture, resolution: Resolution) -> Picture:
    """The records as a store would leave them."""

    def moved(leg: Component) -> Component:
        change = resolution.opens.get(leg.id)
        if change is None:
            return leg
        assert change.before == leg.open
        return replace(leg, quantity=leg.closed_quantity + change.after)

    unassigned = dict(picture.unassigned)
    for key, change in resolution.unassigned.items():
        assert change.before == unassigned.get(key, 0)
        unassigned[key] = change.after
    ones = [replace(p, components=tuple(map(moved, p.components))) for p in picture.positions]
    return replace(picture, positions=ones, unassigned=unassigned)


def by_bucket(judgement: Judgement) -> dict[BucketKey, object]:
    return {d.bucket: d for d in judgement.deviations} | dict.fromkeys(judgement.in_order, "well")


@steady
@given(pictures(is_sound=True), actions, st.booleans())
def test_what_is_resolved_is_in_order_and_nothing_else_moved(
    picture: Picture, action: ResolveAction, is_named: bool
) -> None:
    before = by_bucket(compare(picture))
    for one in picture.positions:
        for leg in one.components if is_named else (None,):
            resolution = tried(picture, action, one, leg)
            if isinstance(resolution, str):
                continue
            after_it = applied(picture, resolution)
            after = by_bucket(compare(after_it))
            touched = set(resolution.actual)
            assert touched
            for key in touched:
                assert resolution.actual[key] == actual(picture, key)
                lack = resolution.lacking.get(key, Decimal(0))
                assert lack == 0 or action is ResolveAction.MARK_CLOSED
                assert (after.get(key, "well") == "well") is (lack == 0)
                if key.category is not Category.SPOT:
                    assert expected(after_it, key) == actual(picture, key) + lack
            assert {k: v for k, v in after.items() if k not in touched} == {
                k: v for k, v in before.items() if k not in touched
            }


@steady
@given(pictures(is_sound=True))
def test_an_action_is_refused_only_where_it_could_not_end_in_order(picture: Picture) -> None:
    for one in picture.positions:
        for leg in one.components:
            key = bucket(picture, leg)
            if one.status is PositionStatus.CLOSED or leg.open == 0 or key is None:
                continue
            codes = {action: tried(picture, action, one, leg) for action in ResolveAction}
            taken = {action for action, code in codes.items() if not isinstance(code, str)}
            if key.category is not Category.SPOT:
                assert taken == contract_actions(picture, leg, key)
            elif is_as_recorded(picture, key):
                assert taken <= {ResolveAction.REBASE, ResolveAction.MARK_CLOSED}
            else:
                beside = expected(picture, key) - leg.open
                could_be_less = actual(picture, key) >= beside - fee(picture, key, without=leg)
                assert (ResolveAction.REBASE in taken) is could_be_less
                assert ResolveAction.ACCEPT not in taken


def contract_actions(picture: Picture, leg: Component, key: BucketKey) -> set[ResolveAction]:
    """What can be done of a contract's deviation, by the words of the rules."""
    held, wanted = actual(picture, key), expected(picture, key)
    if held == wanted:
        return set()
    own = leg.open * leg.side.sign
    unassigned = picture.unassigned.get(key, Decimal(0))
    found = set()
    if (held - wanted + unassigned) * (wanted - unassigned) >= 0:
        found.add(ResolveAction.ACCEPT)
    others, left = wanted - own - unassigned, held - (wanted - own)
    # Where the bucket turned past the leg, what is there can be the trader's beside the others.
    is_turned = left * leg.side.sign < 0 and (held - others) * others >= 0
    if left * leg.side.sign >= 0 or is_turned:
        found.add(ResolveAction.REBASE)
    if left * leg.side.sign <= 0:
        found.add(ResolveAction.MARK_CLOSED)
    return found


@steady
@given(pictures())
def test_what_is_offered_is_what_is_taken(picture: Picture) -> None:
    for one in picture.positions:
        if one.status is PositionStatus.CLOSED:
            continue
        offered = offers(one, picture.positions, picture.unassigned, picture.readings)
        assert set(offered) == {leg.id for leg in one.components if leg.open > 0}
        for leg in one.components:
            for action in ResolveAction if leg.open > 0 else ():
                is_taken = not isinstance(tried(picture, action, one, leg), str)
                assert (action in offered[leg.id]) is is_taken


@steady
@given(pictures(), actions)
def test_doubt_resolves_nothing(picture: Picture, action: ResolveAction) -> None:
    for one in picture.positions:
        if one.status is PositionStatus.CLOSED:
            continue
        legs = [leg for leg in one.components if leg.open > 0]
        doubted = [leg for leg in legs if bucket(picture, leg) is None]
        for leg in doubted:
            assert tried(picture, action, one, leg) == "unverified"
        if doubted:
            assert tried(picture, action, one, None) == "unverified"
        elif all(is_as_recorded(picture, k) for k in (bucket(picture, leg) for leg in legs) if k):
            assert tried(picture, action, one, None) == "nothing-to-resolve"
        assert all(place(leg) in picture.readings for leg in legs if leg not in doubted)
