"""Causes: executions that add up to a difference, and the sentence about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from positiond.daemon.domain.cause_words import Mark
from positiond.daemon.domain.causes import Gathered, explain
from positiond.daemon.domain.deviations import Cause, CauseKind, DeviationRow
from positiond.daemon.domain.model import BucketKey, Category, Delivery, DeviationKind, Fill, Side
from positiond.daemon.domain.verdict import Deviation, kind_of

from ...builders import ACCOUNT, BTC, LONG, NOON, SHORT, after, fill
from .samples import steady

D = Decimal


def deviation(
    expected: str | Decimal,
    actual: str | Decimal,
    category: Category = Category.LINEAR,
    symbol: str = BTC,
    idx: int = 0,
) -> Deviation:
    bucket = BucketKey(ACCOUNT, category, symbol, idx)
    return Deviation(bucket, kind_of(D(expected), D(actual)), D(expected), D(actual))


def trade(
    quantity: str | Decimal,
    side: Side = SHORT,
    *,
    at: float = 0,
    price: str = "64250.1",
    made_by: str = "CreateByUser",
    exec_type: str = "Trade",
    link_id: str = "",
    order: str = "1234567890",
    category: Category = Category.LINEAR,
    closed: str | None = None,
    fee: tuple[str, str] = ("0.01", "USDT"),
    changes_size: bool = True,
) -> Fill:
    """An execution at NOON + `at` seconds."""
    made = fill(
        quantity,
        side,
        exec_id=f"{order}-{at}-{quantity}",
        link_id=link_id,
        price=price,
        at=after(at),
        exec_type=exec_type,
        changes_size=changes_size,
    )
    return replace(
        made,
        create_type=made_by,
        order_id=order,
        category=category,
        closed_size=None if closed is None else D(closed),
        fee=D(fee[0]),
        fee_coin=fee[1],
    )


def gathered(
    *fills: Fill,
    deliveries: Sequence[Delivery] = (),
    owners: dict[str, str] | None = None,
    away: frozenset[str] = frozenset(),
    now: datetime = NOON,
    mark: Mark = Mark.IN_ORDER,
    expired_at: datetime | None = None,
) -> Gathered:
    return Gathered(
        fills,
        deliveries,
        owners or {},
        after(-60),
        now,
        lambda exec_id, at: exec_id in away,
        mark,
        expired_at,
    )


def told(off: Deviation, *fills: Fill, unit: str = "BTC") -> str:
    return explain(off, gathered(*fills), unit).text


# --- one cause, in words ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("exec_type", "made_by", "kind", "verb"),
    [
        ("Trade", "CreateByUser", CauseKind.BY_HAND, "reduced by hand"),
        ("Trade", "CreateByClosing", CauseKind.BY_HAND, "reduced by hand"),
        ("BustTrade", "CreateByTakeOver_PassThrough", CauseKind.LIQUIDATION, "by liquidation"),
        ("AdlTrade", "CreateByAdl_PassThrough", CauseKind.ADL, "reduced by ADL"),
        ("Trade", "CreateByTakeProfit", CauseKind.TAKE_PROFIT, "reduced by take-profit"),
        ("Trade", "CreateByStopLoss", CauseKind.STOP_LOSS, "reduced by stop-loss"),
        ("Trade", "CreateByTrailingStop", CauseKind.TRAILING_STOP, "reduced by trailing stop"),
        ("Settle", "CreateBySettle", CauseKind.SETTLEMENT, "settled"),
        ("MovePosition", "", CauseKind.MOVE_POSITION, "reduced by a position move"),
        ("BlockTrade", "", CauseKind.BLOCK_TRADE, "reduced by a block trade"),
        ("Trade", "CreateByFGridBot", CauseKind.BOT, "reduced by a grid bot"),
        ("Trade", "CreateByNobody", CauseKind.UNKNOWN, "of the unknown kind CreateByNobody"),
    ],
)
def test_a_short_leg_says_who_reduced_it(
    exec_type: str, made_by: str, kind: CauseKind, verb: str
) -> None:
    one = trade("0.4", LONG, at=4 * 60 + 31, exec_type=exec_type, made_by=made_by)
    cause = explain(deviation("-1", "-0.6"), gathered(one), "BTC")
    assert cause.kind is kind
    assert cause.text.startswith("Short leg ")
    assert verb in cause.text
    assert "at 12:04:31 UTC, 0.4 BTC at 64250.1, order 12345678…" in cause.text
    assert (cause.quantity, cause.price, cause.at) == (D("0.4"), D("64250.1"), after(271))
    assert cause.order_ids == ("1234567890",)


def test_the_sentence_reads_as_the_field_speaks() -> None:
    adl = trade("0.4", LONG, at=271, exec_type="AdlTrade", made_by="CreateByAdl_PassThrough")
    assert told(deviation("-1", "-0.6"), adl) == (
        "Short leg reduced by ADL at 12:04:31 UTC, 0.4 BTC at 64250.1, order 12345678…"
    )


@pytest.mark.parametrize(
    ("expected", "actual", "side", "quantity", "words"),
    [
        ("1", "0.6", SHORT, "0.4", "Long leg reduced by hand"),
        ("1", "1.5", LONG, "0.5", "Long leg increased by hand"),
        ("1", "0", SHORT, "1", "Long leg closed by hand"),
        ("1", "-0.4", SHORT, "1.4", "Long leg flipped by hand"),
        ("-1", "-1.5", SHORT, "0.5", "Short leg increased by hand"),
        ("-1", "0", LONG, "1", "Short leg closed by hand"),
        ("-1", "0.4", LONG, "1.4", "Short leg flipped by hand"),
        ("0", "0.4", LONG, "0.4", "BTCUSDT bought by hand"),
        ("0", "-0.4", SHORT, "0.4", "BTCUSDT sold by hand"),
    ],
)
def test_the_verb_says_what_became_of_the_leg(
    expected: str, actual: str, side: Side, quantity: str, words: str
) -> None:
    assert told(deviation(expected, actual), trade(quantity, side)).startswith(words)


def test_an_inverse_leg_counts_dollars() -> None:
    one = trade("500", category=Category.INVERSE)
    assert ", 500 USD at 64250.1," in told(deviation("1000", "500"), one, unit="USD")


def test_the_fills_of_one_order_are_told_once_at_their_average_price() -> None:
    fills = trade("0.1", at=1, price="100"), trade("0.3", at=2, price="104")
    cause = explain(deviation("1", "0.6"), gathered(*fills), "BTC")
    assert (cause.quantity, cause.price) == (D("0.4"), D("103.00"))
    assert cause.text.count("by hand") == 1
    assert cause.order_ids == ("1234567890",)


def test_the_average_of_an_inverse_contract_is_by_the_coins_paid() -> None:
    fills = [
        trade("100", at=n, price=price, category=Category.INVERSE)
        for n, price in enumerate(("100", "50"))
    ]
    off = deviation("200", "0", Category.INVERSE, "BTCUSD")
    assert explain(off, gathered(*fills), "USD").price == D("66.67")


def test_many_orders_are_counted_not_listed() -> None:
    fills = [trade("0.1", at=n, order=f"o{n}") for n in range(5)]
    assert told(deviation("1", "0.5"), *fills).endswith("orders o0, o1, o2 and 2 more")


def test_a_time_of_another_day_carries_its_date() -> None:
    cause = explain(deviation("1", "0.5"), gathered(trade("0.5"), now=after(86_400)), "BTC")
    assert "at 2026-03-01 12:00:00 UTC" in cause.text


# --- which executions count -------------------------------------------------------------------


@pytest.mark.parametrize("exec_type", ["Funding", "SessionSettlePnL"])
def test_money_that_moves_with_the_full_size_explains_nothing(exec_type: str) -> None:
    paid = trade("0.4", SHORT, exec_type=exec_type, changes_size=False)
    cause = explain(deviation("1", "0.6"), gathered(paid), "BTC")
    assert cause.kind is CauseKind.UNKNOWN
    assert exec_type not in cause.text


def test_only_the_newest_fills_that_add_up_are_the_cause() -> None:
    earlier = trade("0.3", at=1, order="earlier", made_by="CreateByTakeProfit")
    latest = trade("0.4", at=2, order="latest")
    cause = explain(deviation("1", "0.6"), gathered(earlier, latest), "BTC")
    assert (cause.kind, cause.order_ids) == (CauseKind.BY_HAND, ("latest",))


def test_an_order_that_adds_up_is_found_among_others_that_cancel_out_of_line() -> None:
    culprit = trade("0.4", at=1, order="culprit", made_by="CreateByStopLoss")
    noise = trade("0.1", LONG, at=2, order="noise")
    cause = explain(deviation("1", "0.6"), gathered(culprit, noise), "BTC")
    assert (cause.kind, cause.order_ids) == (CauseKind.STOP_LOSS, ("culprit",))


def test_several_kinds_are_told_part_by_part_in_their_order() -> None:
    fills = (
        trade("0.2", at=1, order="hand"),
        trade("0.3", at=2, order="adl", exec_type="AdlTrade"),
    )
    cause = explain(deviation("1", "0.5"), gathered(*fills), "BTC")
    assert cause.kind is CauseKind.SEVERAL
    assert cause.text == (
        "Long leg reduced by hand at 12:00:01 UTC, 0.2 BTC at 64250.1, order hand; "
        "then reduced by ADL at 12:00:02 UTC, 0.3 BTC at 64250.1, order adl"
    )
    assert (cause.quantity, cause.at) == (D("0.5"), after(2))
    assert cause.order_ids == ("hand", "adl")


def test_our_own_booked_fills_are_not_the_cause_of_anything() -> None:
    ours = trade("0.4", at=2, link_id="pd-1", order="ours")
    hand = trade("0.4", at=1, order="hand")
    cause = explain(deviation("1", "0.6"), gathered(hand, ours, owners={"pd-1": "carry"}), "BTC")
    assert (cause.kind, cause.order_ids) == (CauseKind.BY_HAND, ("hand",))


def test_the_order_of_another_position_is_named_where_nothing_else_adds_up() -> None:
    ours = trade("0.4", link_id="pd-1")
    cause = explain(deviation("1", "0.6"), gathered(ours, owners={"pd-1": "carry"}), "BTC")
    assert cause.kind is CauseKind.OTHER_POSITION
    assert "reduced by the close of our position “carry” at 12:00:00 UTC" in cause.text


def test_an_order_of_ours_from_before_the_bucket_was_in_order_is_no_cause() -> None:
    ours = trade("0.4", link_id="pd-1", at=-61)
    cause = explain(deviation("1", "0.6"), gathered(ours, owners={"pd-1": "carry"}), "BTC")
    assert cause.kind is CauseKind.UNKNOWN


def test_what_happened_while_away_says_so() -> None:
    one = trade("0.4")
    cause = explain(deviation("1", "0.6"), gathered(one, away=frozenset({one.exec_id})), "BTC")
    assert cause.while_away
    assert cause.text.startswith("While we were away: Long leg reduced by hand")


# --- hedge mode -------------------------------------------------------------------------------


def test_in_hedge_mode_a_sale_that_closed_is_of_the_long_side() -> None:
    closing = trade("0.4", SHORT, at=1, closed="0.4", order="closing")
    opening = trade("0.4", SHORT, at=2, closed="0", order="opening")
    both = gathered(closing, opening)
    long = explain(deviation("1", "0.6", idx=1), both, "BTC")
    short = explain(deviation("-1", "-1.4", idx=2), both, "BTC")
    assert (long.order_ids, short.order_ids) == (("closing",), ("opening",))
    assert long.text.startswith("Long leg reduced")
    assert short.text.startswith("Short leg increased")


def test_in_hedge_mode_a_stop_can_only_close() -> None:
    stop = trade("0.4", SHORT, made_by="CreateByStopLoss")
    assert explain(deviation("1", "0.6", idx=1), gathered(stop), "BTC").kind is CauseKind.STOP_LOSS
    other = explain(deviation("-1", "-1.4", idx=2), gathered(stop), "BTC")
    assert other.kind is CauseKind.UNKNOWN


def test_in_hedge_mode_a_hand_trade_of_unknown_direction_counts_if_it_adds_up() -> None:
    sale = trade("0.4", SHORT)
    assert explain(deviation("1", "0.6", idx=1), gathered(sale), "BTC").kind is CauseKind.BY_HAND


def test_a_flat_side_in_hedge_mode_still_knows_its_name() -> None:
    buy = trade("0.4", LONG, closed="0")
    assert told(deviation("0", "0.4", idx=1), buy).startswith("Long leg increased by hand")


# --- the end of a contract ---------------------------------------------------------------------

OPTION = "BTC-1MAR26-60000-C"


def delivery(size: str, side: Side) -> Delivery:
    return Delivery(Category.OPTION, OPTION, side, D(size), D("64000"), after(5))


@pytest.mark.parametrize("side", [LONG, SHORT])
def test_a_delivery_takes_off_what_was_held_whichever_side_its_row_shows(side: Side) -> None:
    gone = trade("1", side, exec_type="Delivery", made_by="CreateBySettle")
    cause = explain(deviation("-1", "0"), gathered(gone), "BTC")
    assert cause.kind is CauseKind.DELIVERY
    assert cause.text == "Short leg delivered at 12:00:00 UTC, 1 BTC at 64250.1"
    assert cause.order_ids == ()


def test_an_expired_option_is_explained_by_its_delivery_record() -> None:
    off = deviation("1", "0", Category.OPTION, OPTION)
    cause = explain(off, gathered(deliveries=[delivery("1", LONG)]), "BTC")
    assert cause.kind is CauseKind.DELIVERY
    assert cause.text == "Long leg delivered at 12:00:05 UTC, 1 BTC at 64000"


def test_a_delivery_that_is_told_twice_counts_once() -> None:
    hand = trade("0.5", SHORT, at=-9, category=Category.OPTION, order="hand")
    gone = trade("0.5", SHORT, exec_type="Delivery", category=Category.OPTION)
    off = deviation("1", "0", Category.OPTION, OPTION)
    cause = explain(off, gathered(hand, gone, deliveries=[delivery("0.5", LONG)]), "BTC")
    assert (cause.kind, cause.order_ids) == (CauseKind.SEVERAL, ("hand",))


def test_an_expired_contract_without_its_record_says_what_is_missing() -> None:
    off = deviation("1", "0", Category.OPTION, OPTION)
    cause = explain(off, gathered(expired_at=after(-30)), "BTC")
    assert cause.kind is CauseKind.UNKNOWN
    assert "it expired at 11:59:30 UTC and Bybit's delivery record is not there yet" in cause.text


def test_a_split_is_a_corporate_action_not_a_trade() -> None:
    split = trade("1", LONG, at=3, exec_type="CorporateAction", changes_size=False)
    cause = explain(deviation("1", "2"), gathered(split), "AAPL")
    assert cause.kind is CauseKind.CORPORATE_ACTION
    assert cause.text == (
        "Long leg changed by a corporate action at 12:00:03 UTC, from 1 AAPL to 2 AAPL"
    )
    assert cause.quantity == D(1)


# --- spot --------------------------------------------------------------------------------------


def spot(expected: str, actual: str) -> Deviation:
    return deviation(expected, actual, Category.SPOT, "BTC")


def test_a_coin_sold_by_hand_is_named() -> None:
    sale = trade("0.4", category=Category.SPOT, made_by="")
    assert told(spot("1", "0.6"), sale) == (
        "BTC sold by hand at 12:00:00 UTC, 0.4 BTC at 64250.1, order 12345678…"
    )


def test_a_sale_larger_than_what_is_missing_used_up_the_surplus_first() -> None:
    sale = trade("4.5", category=Category.SPOT)
    cause = explain(spot("1", "0.5"), gathered(sale), "BTC")
    assert (cause.kind, cause.quantity) == (CauseKind.BY_HAND, D("4.5"))
    assert cause.text.endswith("; 0.5 BTC of it is missing here")


def test_a_contract_is_never_covered_by_a_larger_trade() -> None:
    assert explain(deviation("1", "0.5"), gathered(trade("4.5")), "BTC").kind is CauseKind.UNKNOWN


def test_a_coin_that_left_without_a_trade_may_be_a_transfer() -> None:
    cause = explain(spot("1", "0.6"), gathered(), "BTC")
    assert cause == Cause(
        CauseKind.UNKNOWN,
        "0.4 BTC less than recorded; no trade explains it since 11:59:00 UTC, when it was last in "
        "order; a transfer, a withdrawal or a conversion would look like this",
    )


def test_what_the_buyer_paid_in_the_coin_itself_is_the_fee() -> None:
    buy = trade("1", LONG, category=Category.SPOT, fee=("0.003", "BTC"))
    cause = explain(spot("1", "0.997"), gathered(buy), "BTC")
    assert (cause.kind, cause.quantity) == (CauseKind.FEE, D("0.003"))
    assert cause.text == (
        "0.003 BTC missing is the fee of buying it, taken in the coin itself at 12:00:00 UTC, "
        "order 12345678…"
    )


def test_a_purchase_counts_without_its_fee() -> None:
    sale = trade("0.5", at=1, category=Category.SPOT, order="sale")
    buy = trade("0.2", LONG, at=2, category=Category.SPOT, fee=("0.001", "BTC"), order="buy")
    cause = explain(spot("1", "0.699"), gathered(sale, buy), "BTC")
    assert cause.order_ids == ("sale", "buy")
    assert "of it is missing" not in cause.text


# --- what does not add up -----------------------------------------------------------------------


def test_a_part_is_told_with_both_numbers_and_stays_unknown() -> None:
    cause = explain(deviation("1", "0.6"), gathered(trade("0.3")), "BTC")
    assert cause.kind is CauseKind.UNKNOWN
    assert cause.text == (
        "0.3 of 0.4 BTC explained: Long leg reduced by hand at 12:00:00 UTC, 0.3 BTC at 64250.1, "
        "order 12345678…; no trade explains the rest since 11:59:00 UTC, when it was last in order"
    )
    assert cause.quantity == D("0.3")


def test_trades_that_overshoot_are_told_as_what_they_are() -> None:
    text = told(deviation("1", "0.6"), trade("0.7"))
    assert text.startswith("trades add up to -0.7 of -0.4 BTC: Long leg reduced by hand")


def test_what_filled_before_it_was_in_order_is_told_only_where_it_adds_up() -> None:
    opened = trade("1", LONG, at=-63, order="opened")
    text = told(deviation("1", "0.6"), opened)
    assert text.startswith("Long leg reduced by 0.4 BTC; no trade explains it")
    # An execution of that moment may have been too new for the read.
    text = told(deviation("1", "0.6"), opened, trade("0.4", at=-61))
    assert text.startswith("Long leg reduced by hand at 11:58:59 UTC, 0.4 BTC")


def test_nothing_at_all_is_said_plainly() -> None:
    cause = explain(deviation("1", "0.6"), gathered(mark=Mark.RECORDED), "BTC")
    assert cause == Cause(
        CauseKind.UNKNOWN,
        "Long leg reduced by 0.4 BTC; no trade explains it since 11:59:00 UTC, when it was "
        "recorded",
    )


def test_an_execution_of_an_unknown_type_is_named() -> None:
    odd = trade("0.4", exec_type="Merger", changes_size=False)
    assert "executions of an unknown type: Merger" in told(deviation("1", "0.6"), odd)


# --- a difference that grew ---------------------------------------------------------------------


def row(difference: str, cause: Cause | None) -> DeviationRow:
    bucket = BucketKey(ACCOUNT, Category.LINEAR, BTC, 0)
    expected, actual = D(1), D(1) + D(difference)
    kind = DeviationKind.MISSING
    return DeviationRow(1, bucket, kind, expected, actual, NOON, NOON, None, cause, None)


HAND = Cause(
    CauseKind.BY_HAND,
    "Long leg reduced by hand",
    quantity=D("0.1"),
    price=D("100"),
    at=NOON,
    order_ids=("old",),
)


def test_only_the_change_is_explained_where_the_first_part_is_on_record() -> None:
    new = trade("0.3", at=9, order="new", exec_type="AdlTrade", price="104")
    cause = explain(deviation("1", "0.6"), gathered(new), "BTC", row("-0.1", HAND))
    assert cause == Cause(
        CauseKind.SEVERAL,
        "Long leg reduced by hand; later: Long leg reduced by ADL at 12:00:09 UTC, 0.3 BTC at 104, "
        "order new",
        quantity=D("0.4"),
        price=D("103.00"),
        at=after(9),
        order_ids=("old", "new"),
    )


def test_the_same_doing_twice_keeps_its_kind() -> None:
    cause = explain(deviation("1", "0.6"), gathered(trade("0.3")), "BTC", row("-0.1", HAND))
    assert cause.kind is CauseKind.BY_HAND


def test_a_change_is_not_added_to_what_nobody_could_explain() -> None:
    unknown = Cause(CauseKind.UNKNOWN, "no trade explains it")
    cause = explain(deviation("1", "0.6"), gathered(trade("0.3")), "BTC", row("-0.1", unknown))
    assert cause.kind is CauseKind.UNKNOWN
    assert cause.text.startswith("0.3 of 0.4 BTC explained")


# --- any picture ---------------------------------------------------------------------------------

kinds = st.sampled_from(
    ["CreateByUser", "CreateByStopLoss", "CreateByAdl_PassThrough", "CreateByX", ""]
)
amounts = st.integers(1, 5).map(lambda n: D(n) / 10)
fills = st.builds(
    trade,
    amounts,
    st.sampled_from([LONG, SHORT]),
    at=st.integers(0, 5),
    made_by=kinds,
    link_id=st.sampled_from(["", "pd-1", "pd-2", "x"]),
    order=st.sampled_from(["a", "b", "c"]),
)


@steady
@given(
    st.lists(fills, max_size=6),
    st.integers(-10, 10),
    st.integers(-10, 10).filter(bool),
    st.sampled_from([0, 1, 2]),
)
def test_a_cause_that_is_known_always_adds_up(
    made: list[Fill], expected: int, difference: int, idx: int
) -> None:
    start = D(expected) / 10
    off = deviation(start, start + D(difference) / 10, idx=idx)
    cause = explain(off, gathered(*made, owners={"pd-1": "carry"}), "BTC")
    assert cause.text
    if cause.kind is CauseKind.UNKNOWN:
        return
    mine = [one for one in made if one.order_id in cause.order_ids]
    signed = [one.side.sign * one.quantity for one in mine]
    assert cause.quantity is not None
    assert abs(off.actual - off.expected) <= cause.quantity <= sum(map(abs, signed))
