"""The compare's invariants, over generated accounts of all categories."""

from __future__ import annotations

import random
from dataclasses import replace
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st
from positiond.daemon.domain.buckets import SymbolKey
from positiond.daemon.domain.model import BucketKey, Category, PositionStatus, Verdict
from positiond.daemon.domain.verdict import Judgement, Reading, judge

from ...builders import ACCOUNT, NOON, OTHER_ACCOUNT, component, holding, position, symbol_key
from ...unit.domain.places import balance, coin_key
from ...unit.domain.samples import quantities, signed, steady
from .pictures import (
    PLACES,
    Picture,
    actual,
    bucket,
    expected,
    is_as_recorded,
    open_legs,
    pictures,
    place,
)


def compare(picture: Picture) -> Judgement:
    return judge(picture.positions, picture.unassigned, picture.readings, picture.busy)


def place_of_bucket(key: BucketKey) -> SymbolKey:
    return SymbolKey(key.account_id, key.category, key.symbol)


def told(judgement: Judgement) -> set[BucketKey]:
    return {d.bucket for d in judgement.deviations} | set(judgement.in_order)


@steady
@given(pictures(), st.randoms(use_true_random=False))
def test_the_order_of_positions_legs_and_rows_never_matters(
    picture: Picture, shuffle: random.Random
) -> None:
    def mixed(items: tuple) -> tuple:  # type: ignore[type-arg]  # any tuple, element type kept
        return tuple(shuffle.sample(items, len(items)))

    turned = Picture(
        [replace(p, components=mixed(p.components)) for p in mixed(tuple(picture.positions))],
        dict(mixed(tuple(picture.unassigned.items()))),
        {
            key: replace(reading, holdings=mixed(reading.holdings))
            for key, reading in mixed(tuple(picture.readings.items()))
        },
        picture.busy,
    )
    assert compare(turned) == compare(picture)


@steady
@given(pictures(), signed)
def test_what_is_held_where_nobody_has_a_leg_changes_nothing(
    picture: Picture, size: Decimal
) -> None:
    key, foreign, coin = symbol_key("ZUSDT"), symbol_key("AUSDT", OTHER_ACCOUNT), coin_key("Z")
    crowded = replace(
        picture,
        readings={
            **picture.readings,
            key: Reading((holding(size, "ZUSDT"),), NOON),
            foreign: Reading((holding(size, "AUSDT"),), NOON),
            coin: Reading((balance(size, "Z"),), NOON),
        },
        unassigned={**picture.unassigned, key.bucket(0): Decimal(7)},
    )
    assert compare(crowded) == compare(picture)


@steady
@given(pictures(), quantities, signed)
def test_a_position_elsewhere_has_a_verdict_of_its_own_and_changes_no_other(
    picture: Picture, recorded: Decimal, held: Decimal
) -> None:
    beside = position(component(recorded, symbol="ZUSDT", of="beside"), name="beside")
    abroad = position(
        component(recorded, symbol="AUSDT", of="abroad"), name="abroad", account_id=OTHER_ACCOUNT
    )
    keys = {symbol_key("ZUSDT"): "ZUSDT", symbol_key("AUSDT", OTHER_ACCOUNT): "AUSDT"}
    rows = {key: Reading((holding(held, symbol),), NOON) for key, symbol in keys.items()}
    alone = compare(picture)
    crowded = compare(
        replace(
            picture,
            positions=[beside, *picture.positions, abroad],
            readings={**picture.readings, **rows},
        )
    )
    verdict = Verdict.IN_SYNC if recorded == held else Verdict.ALTERED
    for one in (beside, abroad):
        assert crowded.positions[one.id].verdict is verdict
    others = {k: v for k, v in crowded.positions.items() if k not in (beside.id, abroad.id)}
    assert others == alone.positions
    assert {b for b in told(crowded) if place_of_bucket(b) not in keys} == told(alone)
    assert set(alone.deviations) <= set(crowded.deviations)


@steady
@given(pictures())
def test_a_place_that_was_not_read_well_gives_doubt_and_nothing_else(picture: Picture) -> None:
    judgement = compare(picture)
    everyone = list(open_legs(picture.positions))
    doubted = {place(leg) for _, leg in everyone if bucket(picture, leg) is None}
    for one, leg in everyone:
        sync = judgement.positions.get(one.id)
        if sync is not None and bucket(picture, leg) is None:
            assert (sync.verdict, sync.verified_at) == (Verdict.UNVERIFIED, None)
            assert sync.reason is not None
            assert leg.symbol in sync.reason
            assert leg.id not in sync.legs
    assert not {place_of_bucket(b) for b in told(judgement)} & doubted


@steady
@given(pictures())
def test_a_symbol_that_a_close_works_in_gives_no_verdict(picture: Picture) -> None:
    judgement = compare(picture)
    working = {one.id for one, leg in open_legs(picture.positions) if place(leg) in picture.busy}
    open_ones = {p.id for p in picture.positions if p.status is not PositionStatus.CLOSED}
    assert set(judgement.positions) == open_ones - working
    assert not {place_of_bucket(b) for b in told(judgement)} & picture.busy


@steady
@given(pictures())
def test_in_sync_is_when_every_leg_s_bucket_holds_what_is_expected(picture: Picture) -> None:
    judgement = compare(replace(picture, busy=frozenset()))
    for one in picture.positions:
        if one.status is PositionStatus.CLOSED:
            continue
        keys = [bucket(picture, leg) for leg in one.components if leg.open > 0]
        verdict = judgement.positions[one.id].verdict
        if None in keys:
            assert verdict is Verdict.UNVERIFIED
        elif all(is_as_recorded(picture, key) for key in keys if key):
            assert verdict is Verdict.IN_SYNC
        else:
            assert verdict is Verdict.ALTERED


@steady
@given(pictures())
def test_each_bucket_is_told_once_with_what_is_recorded_and_what_is_held(picture: Picture) -> None:
    judgement = compare(picture)
    keys = {bucket(picture, leg) for _, leg in open_legs(picture.positions)}
    assert told(judgement) == {k for k in keys if k and place_of_bucket(k) not in picture.busy}
    for found in judgement.deviations:
        assert found.bucket not in judgement.in_order
        assert not is_as_recorded(picture, found.bucket)
        assert found.expected == expected(picture, found.bucket)
        assert found.actual == actual(picture, found.bucket)


@steady
@given(pictures())
def test_a_leg_shows_what_is_there_of_it(picture: Picture) -> None:
    for one in picture.positions:
        sync = compare(picture).positions.get(one.id)
        for leg in one.components:
            if sync is None or leg.id not in sync.legs:
                continue
            key, shown = bucket(picture, leg), sync.legs[leg.id]
            assert key is not None
            off = (actual(picture, key) - expected(picture, key)) * leg.side.sign
            if leg.category is Category.SPOT:
                off = min(off, Decimal(0))
            assert (shown.difference, shown.actual) == (off, leg.open + off)
            assert shown.deviates is not is_as_recorded(picture, key)
            assert (shown.note is not None) is (off != 0 and not shown.deviates)


@steady
@given(pictures())
def test_what_is_closed_changes_nothing(picture: Picture) -> None:
    ones = [
        replace(p, components=tuple(c for c in p.components if c.open > 0))
        for p in picture.positions
        if p.status is not PositionStatus.CLOSED
    ]
    without, within = compare(replace(picture, positions=ones)), compare(picture)
    assert (without.deviations, without.in_order) == (within.deviations, within.in_order)
    for one in ones:
        if one.components:
            assert without.positions.get(one.id) == within.positions.get(one.id)
    assert {p.id for p in picture.positions if p.status is PositionStatus.CLOSED}.isdisjoint(
        within.positions
    )


@steady
@given(
    pictures(is_sound=True),
    st.lists(
        st.tuples(st.sampled_from(("free", "shut", "flying", "flying")), signed),
        min_size=len(PLACES),
        max_size=len(PLACES),
    ),
)
def test_a_close_in_flight_hides_what_it_may_do_and_nothing_else(
    picture: Picture, works: list[tuple[str, Decimal]]
) -> None:
    named = dict(zip(PLACES, works, strict=True))
    busy = frozenset(where for where, (work, _) in named.items() if work != "free")
    in_flight = {
        where: {0: change, 1: min(change, Decimal(0)), 2: max(change, Decimal(0))}
        for where, (work, change) in named.items()
        if work == "flying"
    }
    shut = busy - set(in_flight)
    judgement = judge(
        picture.positions, picture.unassigned, picture.readings, busy, in_flight=in_flight
    )
    plain = compare(replace(picture, busy=shut))

    def hidden(key: BucketKey) -> bool:
        where = place_of_bucket(key)
        if where not in in_flight:
            return False
        wanted, change = expected(picture, key), in_flight[where][key.position_idx]
        reach = [wanted, wanted + change]
        if key.category is Category.SPOT:
            return actual(picture, key) >= min(reach) - wanted * Decimal("0.002")
        return min(reach) <= actual(picture, key) <= max(reach)

    assert judgement.deviations == tuple(d for d in plain.deviations if not hidden(d.bucket))
    assert judgement.in_order == tuple(b for b in plain.in_order if not hidden(b))
    for one in picture.positions:
        if one.id not in plain.positions:
            continue
        keys = [bucket(picture, leg) for leg in one.components if leg.open > 0]
        sync = judgement.positions.get(one.id)
        seen = [k for k in keys if k and not is_as_recorded(picture, k) and not hidden(k)]
        if None in keys:
            assert sync is not None
            assert sync.verdict is Verdict.UNVERIFIED
        elif seen:
            assert sync is not None
            assert sync.verdict is Verdict.ALTERED
        elif any(hidden(k) for k in keys if k):
            assert sync is None
        else:
            assert sync == plain.positions[one.id]


@steady
@given(pictures())
def test_a_focus_judges_its_holders_as_a_full_compare_does(picture: Picture) -> None:
    focus = frozenset({PLACES[0], symbol_key("AUSDT", ACCOUNT)})
    full = compare(picture)
    found = judge(picture.positions, picture.unassigned, picture.readings, picture.busy, focus)
    # Of what has nothing open nothing is read: it is judged by any compare.
    judged = {
        one.id
        for one in picture.positions
        if any(place(leg) in focus for leg in one.components)
        or not any(leg.open > 0 for leg in one.components)
    }
    assert found.positions == {k: v for k, v in full.positions.items() if k in judged}
