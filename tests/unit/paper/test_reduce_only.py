"""The one-way part of Bybit's reduce-only table, case by case."""

from decimal import Decimal as D

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from positiond.bybit.paper.refusals import Refused
from positiond.bybit.vocab import CancelType, OrderStatus, Side

from tests.searching import examples

from .floor import Floor


def test_a_quantity_up_to_the_position_fills_normally(floor: Floor) -> None:
    floor.order(side="Buy", qty="0.5")
    order = floor.order(side="Sell", qty="0.2", reduceOnly=True)
    assert (order.status, order.qty, order.cum_qty) == (OrderStatus.FILLED, D("0.2"), D("0.2"))
    assert floor.position().signed == D("0.3")


def test_a_quantity_above_the_position_is_cut_down_to_it(floor: Floor) -> None:
    floor.order(side="Buy", qty="0.5")
    order = floor.order(side="Sell", qty="2", reduceOnly=True)
    assert (order.status, order.qty, order.cum_qty) == (OrderStatus.FILLED, D("0.5"), D("0.5"))
    assert floor.position().side is None


def test_a_flat_position_refuses_with_110017_and_says_zero(floor: Floor) -> None:
    with pytest.raises(Refused) as refused:
        floor.order(side="Sell", reduceOnly=True)
    assert refused.value.code == 110017
    assert "current position is zero" in refused.value.message


@pytest.mark.parametrize(("held", "side"), [("Buy", "Buy"), ("Sell", "Sell")])
def test_the_position_s_own_side_refuses_with_110017(floor: Floor, held: str, side: str) -> None:
    floor.order(side=held)
    with pytest.raises(Refused) as refused:
        floor.order(side=side, reduceOnly=True)
    assert refused.value.code == 110017
    assert "same side" in refused.value.message


def test_a_position_that_goes_between_ack_and_match_cancels_the_order(floor: Floor) -> None:
    floor.order(side="Buy", qty="0.5")
    first = floor.request(side="Sell", qty="0.5", reduceOnly=True)
    second = floor.request(side="Sell", qty="0.5", reduceOnly=True)
    floor.pass_time(100)
    ends = sorted(floor.books.orders[o.order_id].status for o in (first, second))
    assert ends == [OrderStatus.CANCELLED, OrderStatus.FILLED]
    (lost,) = (o for o in floor.books.orders.values() if o.status is OrderStatus.CANCELLED)
    assert (lost.cum_qty, lost.cancel_type) == (D(0), CancelType.BY_REDUCE_ONLY)
    assert floor.position().side is None


def test_a_position_that_shrinks_between_ack_and_match_trims_the_order(floor: Floor) -> None:
    floor.order(side="Buy", qty="0.5")
    floor.request(side="Sell", qty="0.3", reduceOnly=True)
    floor.request(side="Sell", qty="0.3", reduceOnly=True)
    floor.pass_time(100)
    assert floor.position().side is None
    filled = [o.cum_qty for o in floor.books.orders.values() if o.reduce_only]
    assert sorted(filled) == [D("0.2"), D("0.3")]


def test_resting_orders_never_add_up_to_more_than_the_position(floor: Floor) -> None:
    floor.order(side="Buy", qty="0.5")
    limit = {"orderType": "Limit", "price": "102500", "side": "Sell", "reduceOnly": True}
    old = floor.order(qty="0.3", **limit)
    new = floor.order(qty="0.2", **limit)
    floor.order(side="Sell", qty="0.4", reduceOnly=True)
    old, new = (floor.books.orders[o.order_id] for o in (old, new))
    assert (old.status, old.leaves) == (OrderStatus.NEW, D("0.1"))
    assert (new.status, new.cancel_type) == (OrderStatus.CANCELLED, CancelType.BY_REDUCE_ONLY)


def test_close_on_trigger_alone_opens_nothing(floor: Floor) -> None:
    refused = floor.refusal(side="Sell", qty="0.1", closeOnTrigger=True)
    assert refused.code == 110017
    floor.order(qty="0.3")
    order = floor.order(side="Sell", qty="0.5", closeOnTrigger=True)
    assert (order.cum_qty, floor.position().side) == (D("0.3"), None)


def test_without_reduce_only_an_order_may_turn_the_position_over(floor: Floor) -> None:
    floor.order(side="Buy", qty="0.5")
    floor.order(side="Sell", qty="0.8")
    assert floor.position().signed == D("-0.3")


def test_close_all_needs_both_flags_and_closes_everything(floor: Floor) -> None:
    floor.order(side="Buy", qty="0.5")
    with pytest.raises(Refused) as refused:
        floor.order(side="Sell", qty="0", reduceOnly=True)
    assert refused.value.code == 10001
    order = floor.order(side="Sell", qty="0", reduceOnly=True, closeOnTrigger=True)
    assert (order.qty, order.status) == (D("0.5"), OrderStatus.FILLED)


steps = st.lists(
    st.tuples(
        st.sampled_from(["Buy", "Sell"]),
        st.integers(1, 900).map(lambda n: str(D(n) / 1000)),
        st.booleans(),
    ),
    min_size=1,
    max_size=8,
)


@given(steps)
@settings(max_examples=examples(30), deadline=None)
def test_reduce_only_only_ever_brings_a_position_closer_to_zero(
    orders: list[tuple[str, str, bool]],
) -> None:
    floor = Floor()
    for side, qty, reduce_only in orders:
        before = floor.position()
        try:
            floor.order(side=side, qty=qty, reduceOnly=reduce_only)
        except Refused:
            assert floor.position() == before
            continue
        after = floor.position()
        if reduce_only:
            assert before.side is not None
            assert after.side in (None, before.side)
            assert after.size <= before.size
    fills = floor.books.executions.values()
    signed = sum((e.qty if e.side is Side.BUY else -e.qty for rows in fills for e in rows), D(0))
    assert floor.position().signed == signed


def test_closing_by_trigger_with_nothing_held_is_refused(floor: Floor) -> None:
    assert floor.refusal(closeOnTrigger=True).code == 110017
