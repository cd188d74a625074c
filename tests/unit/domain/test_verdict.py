"""The compare, case by case; its invariants stand in tests/property."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from positiond.daemon.domain.model import (
    Category,
    DeviationKind,
    Holding,
    Position,
    PositionStatus,
    Verdict,
)
from positiond.daemon.domain.verdict import (
    Judgement,
    PositionSync,
    Reading,
    contradiction,
    judge,
    symbol_of,
)

from ...builders import (
    BTC,
    ETH,
    LONG,
    NOON,
    SHORT,
    after,
    component,
    holding,
    position,
    symbol_key,
)
from .places import balance, coin_key, row, spot_leg


def sync_of(one: Position, *rows: Holding, failure: str | None = None) -> PositionSync:
    """The verdict of a position alone in its account, with every symbol read as given."""
    keys = {symbol_of(one, c) for c in one.components}
    readings = {
        key: Reading(tuple(r for r in rows if r.symbol == key.symbol), NOON, failure)
        for key in keys
    }
    return judge([one], {}, readings, frozenset()).positions[one.id]


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


def test_a_leg_that_was_closed_in_the_focus_takes_its_old_verdict_with_it() -> None:
    gone = replace(component("1"), closed_quantity=Decimal(1))
    pair = position(gone, component("1", symbol=ETH))
    readings = {
        symbol_key(BTC): Reading((holding("0"),), NOON),
        symbol_key(ETH): Reading((holding("1", ETH),), NOON),
    }
    judgement = judge([pair], {}, readings, frozenset(), frozenset({symbol_key(BTC)}))
    sync = judgement.positions[pair.id]
    assert (sync.verdict, set(sync.legs)) == (Verdict.IN_SYNC, {pair.components[1].id})


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


# --- options, inverse contracts and coins ---------------------------------------------------


@pytest.mark.parametrize("category", [Category.LINEAR, Category.INVERSE, Category.OPTION])
def test_contracts_of_every_category_are_compared_alike(category: Category) -> None:
    one = position(component("100", category=category))
    key = replace(symbol_key(), category=category)
    for held, verdict in (("100", Verdict.IN_SYNC), ("99", Verdict.ALTERED)):
        readings = {key: Reading((row(held, BTC, category),), NOON)}
        assert judge([one], {}, readings, frozenset()).positions[one.id].verdict is verdict


def compared_spot(net: str, *ones: Position) -> Judgement:
    return judge(ones, {}, {coin_key(): Reading((balance(net),), NOON)}, frozenset())


@pytest.mark.parametrize("net", ["1", "1.0000001", "50"])
def test_what_a_wallet_holds_beyond_a_leg_is_the_traders(net: str) -> None:
    one = position(spot_leg("1"))
    judgement = compared_spot(net, one)
    (leg,) = judgement.positions[one.id].legs.values()
    assert judgement.positions[one.id].verdict is Verdict.IN_SYNC
    assert (leg.actual, leg.difference, leg.deviates, leg.note) == (1, 0, False, None)
    assert judgement.in_order == (coin_key().bucket(0),)


def test_the_fee_of_a_spot_purchase_is_shown_and_in_order() -> None:
    one = position(spot_leg("0.5"))
    sync = compared_spot("0.49950000", one).positions[one.id]
    (leg,) = sync.legs.values()
    assert (sync.verdict, leg.deviates) == (Verdict.IN_SYNC, False)
    assert (leg.actual, leg.difference) == (Decimal("0.4995"), Decimal("-0.0005"))
    assert leg.note == "0.0005 BTC short: the fee of the purchase in the base coin"


@pytest.mark.parametrize(("net", "is_fee"), [("0.998", True), ("0.9979", False), ("-3", False)])
def test_more_than_a_fee_is_missing(net: str, is_fee: bool) -> None:
    one = position(spot_leg("1"))
    judgement = compared_spot(net, one)
    verdict = Verdict.IN_SYNC if is_fee else Verdict.ALTERED
    assert judgement.positions[one.id].verdict is verdict
    kinds = [d.kind for d in judgement.deviations]
    assert kinds == ([] if is_fee else [DeviationKind.MISSING])


def test_the_permitted_fee_can_be_set() -> None:
    one, readings = position(spot_leg("1")), {coin_key(): Reading((balance("0.999"),), NOON)}
    for tolerance, verdict in (("0", Verdict.ALTERED), ("0.001", Verdict.IN_SYNC)):
        judgement = judge([one], {}, readings, frozenset(), fee_tolerance=Decimal(tolerance))
        assert judgement.positions[one.id].verdict is verdict


@pytest.mark.parametrize(
    ("closed", "net", "is_fee"),
    [
        ("0.9", "0.099", True),
        ("0.999", "0", True),
        ("0.9", "0.098", True),
        ("0.9", "0.0979", False),
    ],
)
def test_what_is_sold_takes_nothing_of_the_fee_with_it(closed: str, net: str, is_fee: bool) -> None:
    one = position(spot_leg("1", closed=closed))
    judgement = compared_spot(net, one)
    verdict = Verdict.IN_SYNC if is_fee else Verdict.ALTERED
    assert judgement.positions[one.id].verdict is verdict
    assert (not judgement.deviations) is is_fee


def test_a_small_position_is_no_loser_beside_a_large_one_that_is_almost_sold() -> None:
    large = position(spot_leg("1", of="large", closed="0.9989"), name="large")
    small = position(spot_leg("0.1", of="small"), name="small")
    judgement = compared_spot("0.1", large, small)
    assert {s.verdict for s in judgement.positions.values()} == {Verdict.IN_SYNC}
    # With what the large one lacked it is gone: its fee explains nothing any more.
    assert compared_spot("0.0989", small).deviations


@pytest.mark.parametrize("status", [PositionStatus.CLOSING, PositionStatus.ACTIVE])
def test_what_a_close_has_sold_in_full_leaves_its_fee_to_the_others_until_its_end(
    status: PositionStatus,
) -> None:
    # Three bought with 0.1 % each and closed together: the last one lacks it for all.
    sold = [position(spot_leg("1", of=n, closed="1"), name=n, status=status) for n in ("a", "b")]
    last = position(spot_leg("1", of="c", closed="0.997"), name="c", status=status)
    judgement = compared_spot("0", *sold, last)
    assert bool(judgement.deviations) is (status is PositionStatus.ACTIVE)


def test_two_spot_legs_of_one_coin_share_its_balance() -> None:
    usdt = position(spot_leg("1", of="usdt"), name="usdt")
    usdc = position(spot_leg("2", "BTCUSDC", of="usdc"), name="usdc")
    assert not compared_spot("3", usdt, usdc).deviations
    judgement = compared_spot("2.5", usdt, usdc)
    assert {s.verdict for s in judgement.positions.values()} == {Verdict.ALTERED}
    (deviation,) = judgement.deviations
    assert (deviation.expected, deviation.actual) == (3, Decimal("2.5"))


def test_spot_expects_nothing_unassigned() -> None:
    one = position(spot_leg("1"))
    readings = {coin_key(): Reading((balance("1"),), NOON)}
    unassigned = {coin_key().bucket(0): Decimal(5)}
    assert not judge([one], unassigned, readings, frozenset()).deviations


def test_a_spot_leg_whose_coin_is_unknown_is_unverified_whatever_was_read() -> None:
    one = position(spot_leg("1", coin=None))
    readings = {coin_key("BTCUSDT"): Reading((balance("9", "BTCUSDT"),), NOON)}
    for read in ({}, readings):
        sync = judge([one], {}, read, frozenset()).positions[one.id]
        assert sync.verdict is Verdict.UNVERIFIED
        assert sync.reason == "BTCUSDT: the instrument is not known yet"


# --- rows that cannot all be true -----------------------------------------------------------

ABSURD = {
    "one-way and hedge": (holding("1"), holding("1", idx=1)),
    "one-way and hedge short": (holding("1"), holding("-1", idx=2)),
    "one-way and flat hedge": (holding("1"), holding("0", idx=1), holding("0", idx=2)),
    "one row twice": (holding("1"), holding("2")),
    "one flat row twice": (holding("0"), holding("0")),
    "below zero": (replace(holding("1"), size=Decimal(-1)),),
    "no side": (replace(holding("1"), side=None),),
    "a short long row": (holding("-1", idx=1),),
    "a long short row": (holding("1", idx=2),),
    "an unknown row": (holding("1", idx=3),),
    "another symbol": (holding("0"), holding("-1", ETH, idx=2)),
}


@pytest.mark.parametrize("rows", ABSURD.values(), ids=ABSURD.keys())
def test_rows_that_contradict_each_other_are_doubt(rows: tuple[Holding, ...]) -> None:
    why = contradiction(rows)
    assert why
    one = position(component("1"), component("2", SHORT))
    judgement = judge([one], {}, {symbol_key(): Reading(rows, NOON)}, frozenset())
    sync = judgement.positions[one.id]
    assert (sync.verdict, sync.verified_at, sync.legs) == (Verdict.UNVERIFIED, None, {})
    assert sync.reason == f"BTCUSDT: {why}"
    assert (judgement.deviations, judgement.in_order) == ((), ())


@pytest.mark.parametrize(
    "rows",
    [
        (),
        (holding("0"),),
        (holding("-1"),),
        (holding("0", idx=1), holding("0", idx=2)),
        (holding("1", idx=1), holding("-1", idx=2)),
        (holding("0"), holding("1", idx=1), holding("0", idx=2)),
        (balance("-1"),),
    ],
)
def test_rows_as_bybit_gives_them_contradict_nothing(rows: tuple[Holding, ...]) -> None:
    assert contradiction(rows) is None


def test_a_row_that_an_answer_leaves_out_holds_nothing_for_sure() -> None:
    long = position(component("1", of="long"), name="long")
    short = position(component("2", SHORT, of="short"), name="short")
    readings = {symbol_key(): Reading((holding("1", idx=1),), NOON)}
    judgement = judge([long, short], {}, readings, frozenset())
    assert judgement.positions[long.id].verdict is Verdict.IN_SYNC
    sync = judgement.positions[short.id]
    assert (sync.verdict, sync.legs) == (Verdict.UNVERIFIED, {})
    assert sync.reason == "BTCUSDT: Bybit gave no row for one side of the hedge"
    assert judgement.deviations == ()


@pytest.mark.parametrize(
    ("rows", "is_whole"),
    [
        ((holding("0"),), True),
        ((holding("0", idx=1), holding("0", idx=2)), True),
        ((holding("1", idx=1),), True),
        ((holding("0", idx=1),), True),
        ((holding("0", idx=2),), False),
        ((holding("-1", idx=2),), False),
    ],
)
def test_a_side_that_is_asked_for_has_a_row(rows: tuple[Holding, ...], is_whole: bool) -> None:
    assert (contradiction(rows, [LONG]) is None) is is_whole
    assert contradiction(rows) is None


# --- while a close is in flight -------------------------------------------------------------


def during_a_close(held: str, change: str, *rest: Position) -> Judgement:
    return judge(
        [position(component("1")), *rest],
        {},
        {
            symbol_key(): Reading((holding(held),), NOON),
            symbol_key(ETH): Reading((holding("5", ETH),), NOON),
        },
        frozenset({symbol_key()}),
        in_flight={symbol_key(): {0: Decimal(change)}},
    )


@pytest.mark.parametrize("held", ["1", "0.7", "0"])
def test_what_a_close_may_have_done_gives_no_new_verdict(held: str) -> None:
    judgement = during_a_close(held, "-1")
    assert judgement.positions == {}
    assert (judgement.deviations, judgement.in_order) == ((), ())


@pytest.mark.parametrize(("held", "change"), [("1.1", "-1"), ("-0.1", "-1"), ("0.5", "-0.4")])
def test_a_trade_by_hand_beyond_a_close_is_seen(held: str, change: str) -> None:
    judgement = during_a_close(held, change)
    assert [s.verdict for s in judgement.positions.values()] == [Verdict.ALTERED]
    assert [(d.expected, d.actual) for d in judgement.deviations] == [(1, Decimal(held))]


@pytest.mark.parametrize(("net", "is_silent"), [("0.499", True), ("0.497", False), ("9", True)])
def test_a_sale_in_flight_leaves_room_for_the_fee_of_the_purchase(
    net: str, is_silent: bool
) -> None:
    one, key = position(spot_leg("1")), coin_key()
    judgement = judge(
        [one],
        {},
        {key: Reading((balance(net),), NOON)},
        frozenset({key}),
        in_flight={key: {0: Decimal("-0.5")}},
    )
    assert (one.id not in judgement.positions) is is_silent
    assert bool(judgement.deviations) is not is_silent


def test_a_sale_in_flight_of_what_was_mostly_sold_leaves_room_for_the_fee_of_all() -> None:
    one, key = position(spot_leg("1", closed="0.9")), coin_key()
    for net, is_silent in (("0.049", True), ("0.047", False)):
        judgement = judge(
            [one],
            {},
            {key: Reading((balance(net),), NOON)},
            frozenset({key}),
            in_flight={key: {0: Decimal("-0.05")}},
        )
        assert (one.id not in judgement.positions) is is_silent


def test_a_certain_deviation_counts_beside_a_leg_that_is_being_closed() -> None:
    pair = position(component("1", of="b"), component("4", symbol=ETH, of="b"), name="b")
    judgement = during_a_close("2", "-1", pair)
    sync = judgement.positions[pair.id]
    assert sync.verdict is Verdict.ALTERED
    assert [leg.deviates for leg in sync.legs.values()] == [False, True]
    other = during_a_close("1.5", "-1", replace(pair, components=pair.components[:1]))
    assert pair.id not in other.positions


def test_a_leg_that_is_being_closed_says_so() -> None:
    pair = position(component("1", of="b"), component("4", symbol=ETH, of="b"), name="b")
    closing, _ = during_a_close("1.5", "-1", pair).positions[pair.id].legs.values()
    assert (closing.difference, closing.note) == (Decimal("-0.5"), "a close is under way")


def test_a_busy_symbol_without_a_known_change_says_nothing() -> None:
    one, readings = position(component("1")), {symbol_key(): Reading((holding("9"),), NOON)}
    judgement = judge([one], {}, readings, frozenset({symbol_key()}))
    assert (judgement.positions, judgement.deviations) == ({}, ())


def test_a_closed_position_claims_nothing_and_has_no_verdict() -> None:
    one = position(component("1"))
    gone = position(component("2", of="gone"), name="gone", status=PositionStatus.CLOSED)
    judgement = judge([one, gone], {}, {symbol_key(): Reading((holding("1"),), NOON)}, frozenset())
    assert {k: s.verdict for k, s in judgement.positions.items()} == {one.id: Verdict.IN_SYNC}
