"""The compare: invariants over generated pictures, and the cases by name."""

from __future__ import annotations

import random
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from positiond.daemon.domain.model import Category, DeviationKind, Holding, Position, Verdict
from positiond.daemon.domain.verdict import Judgement, PositionSync, Reading, judge, symbol_of

from ...builders import (
    BTC,
    ETH,
    NOON,
    OTHER_ACCOUNT,
    SHORT,
    after,
    component,
    holding,
    position,
    symbol_key,
)
from .samples import Picture, pictures, signed, steady


def compare(picture: Picture) -> Judgement:
    return judge(picture.positions, picture.unassigned, picture.readings, picture.busy)


def sync_of(one: Position, *rows: Holding, failure: str | None = None) -> PositionSync:
    """The verdict of a position alone in its account, with every symbol read as given."""
    keys = {symbol_of(one, c) for c in one.components}
    readings = {
        key: Reading(tuple(r for r in rows if r.symbol == key.symbol), NOON, failure)
        for key in keys
    }
    return judge([one], {}, readings, frozenset()).positions[one.id]


# --- invariants -----------------------------------------------------------------------------


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
    key, foreign = symbol_key("ZUSDT"), symbol_key("AUSDT", OTHER_ACCOUNT)
    crowded = replace(
        picture,
        readings={
            **picture.readings,
            key: Reading((holding(size, "ZUSDT"),), NOON),
            foreign: Reading((holding(size, "AUSDT"),), NOON),
        },
        unassigned={**picture.unassigned, key.bucket(0): Decimal(7)},
    )
    assert compare(crowded) == compare(picture)


@steady
@given(pictures())
def test_a_symbol_that_was_not_read_gives_doubt_and_nothing_else(picture: Picture) -> None:
    judgement = compare(picture)
    unread = {
        symbol_of(p, c)
        for p in picture.positions
        for c in p.components
        if (r := picture.readings.get(symbol_of(p, c))) is None or r.failure
    }
    for one in picture.positions:
        sync = judgement.positions.get(one.id)
        symbols = {symbol_of(one, c) for c in one.components if c.open > 0}
        if sync is not None and symbols & unread:
            assert sync.verdict is Verdict.UNVERIFIED
            assert sync.verified_at is None
            assert sync.reason
    told = [d.bucket for d in judgement.deviations] + list(judgement.in_order)
    assert all(symbol_key(b.symbol, b.account_id) not in unread for b in told)


@steady
@given(pictures())
def test_a_symbol_that_a_close_works_in_gives_no_verdict(picture: Picture) -> None:
    judgement = compare(picture)
    for one in picture.positions:
        symbols = {symbol_of(one, c) for c in one.components if c.open > 0}
        assert (one.id in judgement.positions) is not bool(symbols & picture.busy)
    told = [d.bucket for d in judgement.deviations] + list(judgement.in_order)
    assert all(symbol_key(b.symbol, b.account_id) not in picture.busy for b in told)


@steady
@given(pictures())
def test_every_position_of_a_deviating_bucket_is_altered_and_no_other(picture: Picture) -> None:
    judgement = compare(replace(picture, busy=frozenset()))
    deviating = {d.bucket for d in judgement.deviations}
    for one in picture.positions:
        sync = judgement.positions[one.id]
        touched = False
        for leg in one.components:
            reading = picture.readings.get(symbol_of(one, leg))
            if leg.open == 0 or reading is None or reading.failure:
                continue
            hedged = any(h.position_idx for h in reading.holdings)
            idx = (2 if leg.side is SHORT else 1) if hedged else 0
            touched |= symbol_of(one, leg).bucket(idx) in deviating
        if sync.verdict is not Verdict.UNVERIFIED:
            assert (sync.verdict is Verdict.ALTERED) is touched


@steady
@given(pictures())
def test_a_deviation_is_what_is_held_less_what_is_recorded(picture: Picture) -> None:
    for deviation in compare(picture).deviations:
        bucket = deviation.bucket
        rows = picture.readings[symbol_key(bucket.symbol)].holdings
        held = sum(h.signed for h in rows if h.position_idx == bucket.position_idx)
        recorded = sum(
            c.signed_open
            for p in picture.positions
            for c in p.components
            if c.symbol == bucket.symbol and bucket.position_idx in (0, 2 if c.side is SHORT else 1)
        )
        assert deviation.actual == held
        assert deviation.expected == recorded + picture.unassigned.get(bucket, Decimal(0))
        assert deviation.expected != deviation.actual


# --- cases ----------------------------------------------------------------------------------


def test_a_position_as_recorded_is_in_sync_as_of_its_oldest_read() -> None:
    pair = position(component("1"), component("2", SHORT, ETH))
    readings = {
        symbol_key(BTC): Reading((holding("1"),), after(3)),
        symbol_key(ETH): Reading((holding("-2", ETH),), after(1)),
    }
    sync = judge([pair], {}, readings, frozenset()).positions[pair.id]
    assert (sync.verdict, sync.reason, sync.verified_at) == (Verdict.IN_SYNC, None, after(1))
    assert [leg.actual for leg in sync.legs.values()] == [1, 2]


def test_a_short_leg_reads_in_its_own_direction() -> None:
    short = position(component("2", SHORT))
    sync = sync_of(short, holding("-1.5"))
    (leg,) = sync.legs.values()
    assert (sync.verdict, leg.actual, leg.difference) == (
        Verdict.ALTERED,
        Decimal("1.5"),
        Decimal("-0.5"),
    )


def test_a_flat_row_is_a_missing_leg() -> None:
    assert sync_of(position(), holding("0")).verdict is Verdict.ALTERED


def test_a_partial_read_shows_what_was_read_and_says_what_was_not() -> None:
    pair = position(component("1"), component("2", SHORT, ETH))
    readings = {
        symbol_key(BTC): Reading((holding("0.4"),), NOON),
        symbol_key(ETH): Reading((), NOON, "timed out"),
    }
    sync = judge([pair], {}, readings, frozenset()).positions[pair.id]
    assert (sync.verdict, sync.reason) == (Verdict.UNVERIFIED, "ETHUSDT: timed out")
    assert [leg.difference for leg in sync.legs.values()] == [Decimal("-0.6")]


def test_two_positions_on_one_symbol_are_compared_by_their_sum() -> None:
    first = position(component("1", of="a"), name="a")
    second = position(component("2", of="b"), name="b")
    readings = {symbol_key(): Reading((holding("2.5"),), NOON)}
    judgement = judge([first, second], {}, readings, frozenset())
    assert {s.verdict for s in judgement.positions.values()} == {Verdict.ALTERED}
    (deviation,) = judgement.deviations
    assert (deviation.expected, deviation.actual) == (3, Decimal("2.5"))


def test_what_is_unassigned_is_expected_too() -> None:
    one = position(component("1"))
    readings = {symbol_key(): Reading((holding("1.5"),), NOON)}
    unassigned = {symbol_key().bucket(0): Decimal("0.5")}
    judgement = judge([one], unassigned, readings, frozenset())
    assert judgement.positions[one.id].verdict is Verdict.IN_SYNC
    assert judgement.in_order == (symbol_key().bucket(0),)


def test_legs_that_are_closed_are_expected_nowhere() -> None:
    one = position(component("1", closed="1"), component("2", SHORT, ETH))
    sync = sync_of(one, holding("-2", ETH))
    assert sync.verdict is Verdict.IN_SYNC


def test_in_hedge_mode_both_sides_of_a_symbol_are_compared_apart() -> None:
    long = position(component("1", of="long"), name="long")
    short = position(component("2", SHORT, of="short"), name="short")
    rows = (holding("1", idx=1), holding("-1", idx=2))
    judgement = judge([long, short], {}, {symbol_key(): Reading(rows, NOON)}, frozenset())
    assert judgement.positions[long.id].verdict is Verdict.IN_SYNC
    assert judgement.positions[short.id].verdict is Verdict.ALTERED
    assert [d.bucket.position_idx for d in judgement.deviations] == [2]


def test_a_focus_judges_only_who_holds_one_of_its_symbols() -> None:
    btc = position(component("1", of="btc"), name="btc")
    eth = position(component("1", symbol=ETH, of="eth"), name="eth")
    readings = {
        symbol_key(BTC): Reading((holding("1"),), NOON),
        symbol_key(ETH): Reading((holding("1", ETH),), NOON),
    }
    judgement = judge([btc, eth], {}, readings, frozenset(), frozenset({symbol_key(ETH)}))
    assert set(judgement.positions) == {eth.id}


@pytest.mark.parametrize(
    ("held", "kind"),
    [
        ("0.5", DeviationKind.MISSING),
        ("0", DeviationKind.MISSING),
        ("1.5", DeviationKind.SURPLUS),
        ("-0.1", DeviationKind.FLIPPED),
    ],
)
def test_a_deviation_has_a_name(held: str, kind: DeviationKind) -> None:
    one = position(component("1"))
    judgement = judge([one], {}, {symbol_key(): Reading((holding(held),), NOON)}, frozenset())
    assert [d.kind for d in judgement.deviations] == [kind]


def test_categories_never_mix() -> None:
    one = position(component("1", category=Category.INVERSE))
    sync = judge([one], {}, {symbol_key(): Reading((holding("1"),), NOON)}, frozenset())
    assert sync.positions[one.id].verdict is Verdict.UNVERIFIED


def test_one_reason_for_many_legs_is_told_once() -> None:
    pair = position(component("1"), component("2", SHORT, ETH))
    assert sync_of(pair, failure="timed out").reason == "BTCUSDT, ETHUSDT: timed out"
