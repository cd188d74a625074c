"""Hedge mode: a long and a short side by side, and the index that names them."""

from decimal import Decimal as D

import pytest
from positiond.bybit.paper.refusals import Refused
from positiond.bybit.vocab import CancelType, Category, PositionMode, Side

from .floor import ALICE, Floor

HEDGE, ONE_WAY = PositionMode.HEDGE, PositionMode.ONE_WAY


def switch(floor: Floor, mode: PositionMode, **at: str) -> int:
    """The code of a switch, 0 when it was done."""
    try:
        floor.engine.switch_mode(ALICE, mode, **at)
    except Refused as refused:
        return refused.code
    return 0


@pytest.fixture
def hedged(floor: Floor) -> Floor:
    assert switch(floor, HEDGE, symbol="BTCUSDT") == 0
    return floor


def test_both_sides_stand_beside_each_other(hedged: Floor) -> None:
    hedged.order(side="Buy", qty="0.5", positionIdx=1)
    hedged.order(side="Sell", qty="0.3", positionIdx=2)
    long, short = hedged.position(idx=1), hedged.position(idx=2)
    assert (long.side, long.size) == (Side.BUY, D("0.5"))
    assert (short.side, short.size) == (Side.SELL, D("0.3"))
    assert hedged.position(idx=0).side is None
    rows = hedged.engine.positions_of(ALICE, Category.LINEAR, "BTCUSDT")
    assert [row.idx for row in rows] == [1, 2]


@pytest.mark.parametrize("idx", [0, 1, 2])
def test_the_index_must_fit_the_mode(floor: Floor, idx: int) -> None:
    if idx:
        assert floor.refusal(positionIdx=idx).code == 10001
    switch(floor, HEDGE, symbol="BTCUSDT")
    if idx == 0:
        assert floor.refusal(positionIdx=idx).message == "position idx not match position mode"


def test_a_sell_on_the_short_index_without_reduce_only_opens_more_short(hedged: Floor) -> None:
    hedged.order(side="Buy", qty="0.5", positionIdx=1)
    hedged.order(side="Sell", qty="0.5", positionIdx=2)
    assert hedged.position(idx=1).size == D("0.5")
    assert hedged.position(idx=2).signed == D("-0.5")


def test_a_close_is_cut_to_its_own_side_and_never_flips_it(hedged: Floor) -> None:
    hedged.order(side="Buy", qty="0.5", positionIdx=1)
    hedged.order(side="Sell", qty="0.2", positionIdx=2)
    order = hedged.order(side="Sell", qty="0.9", positionIdx=1, reduceOnly=True)
    assert order.cum_qty == D("0.5")
    assert hedged.position(idx=1).side is None
    assert hedged.position(idx=2).size == D("0.2")


def test_closing_needs_no_flag_and_never_opens(hedged: Floor) -> None:
    hedged.order(side="Buy", qty="0.5", positionIdx=1)
    order = hedged.order(side="Sell", qty="0.9", positionIdx=1)
    assert (order.cum_qty, order.reduce_only) == (D("0.5"), True)
    assert hedged.refusal(side="Sell", positionIdx=1).code == 110017
    assert hedged.refusal(side="Buy", positionIdx=2).code == 110017


@pytest.mark.parametrize(("side", "idx"), [("Buy", 1), ("Sell", 2)])
def test_reduce_only_on_the_side_that_grows_is_refused(hedged: Floor, side: str, idx: int) -> None:
    hedged.order(side=side, qty="0.5", positionIdx=idx)
    refused = hedged.refusal(side=side, qty="0.1", positionIdx=idx, reduceOnly=True)
    assert refused.code == 110017
    assert "same side" in refused.message


def test_a_shrunk_side_trims_only_its_own_orders(hedged: Floor) -> None:
    for side, idx in (("Buy", 1), ("Sell", 2)):
        hedged.order(side=side, qty="0.5", positionIdx=idx)
    rest = {"orderType": "Limit", "qty": "0.5", "reduceOnly": True}
    sells = hedged.order(side="Sell", price="102500.00", positionIdx=1, **rest)
    buys = hedged.order(side="Buy", price="100000.00", positionIdx=2, **rest)
    hedged.order(side="Sell", qty="0.4", positionIdx=1, reduceOnly=True)
    assert hedged.books.orders[sells.order_id].leaves == D("0.1")
    assert hedged.books.orders[buys.order_id].leaves == D("0.5")
    hedged.order(side="Sell", qty="0.1", positionIdx=1, reduceOnly=True)
    assert hedged.books.orders[sells.order_id].cancel_type is CancelType.BY_REDUCE_ONLY


def test_switching_is_refused_where_it_cannot_be(floor: Floor) -> None:
    assert switch(floor, ONE_WAY, symbol="BTCUSDT") == 110025
    assert switch(floor, HEDGE, symbol="BTCPERP") == 110029
    assert switch(floor, HEDGE, symbol="BTCUSDT-26DEC25") == 110029
    assert switch(floor, HEDGE, coin="USDC") == 110029
    floor.order(qty="0.1")
    assert switch(floor, HEDGE, symbol="BTCUSDT") == 110024
    assert switch(floor, HEDGE, coin="USDT") == 110024
    floor.order(side="Sell", qty="0.1", reduceOnly=True)
    floor.order(orderType="Limit", side="Buy", price="100000.00")
    assert switch(floor, HEDGE, symbol="BTCUSDT") == 110028
    assert switch(floor, HEDGE, symbol="ETHUSDT") == 0
    assert switch(floor, HEDGE, symbol="ETHUSDT") == 110025


def test_by_coin_every_usdt_perpetual_switches(floor: Floor) -> None:
    assert switch(floor, HEDGE, coin="USDT") == 0
    assert floor.books.mode(ALICE, "1000PEPEUSDT") is HEDGE
    assert floor.books.mode(ALICE, "BTCPERP") is ONE_WAY


def test_each_side_has_its_leverage_in_hedge_mode_alone(hedged: Floor) -> None:
    engine, now = hedged.engine, hedged.engine.now_ms
    engine.set_leverage(ALICE, Category.LINEAR, "BTCUSDT", D(20), D(5), now)
    assert (hedged.position(idx=1).leverage, hedged.position(idx=2).leverage) == (D(20), D(5))
    with pytest.raises(Refused) as refused:
        engine.set_leverage(ALICE, Category.LINEAR, "ETHUSDT", D(20), D(5), now)
    assert refused.value.code == 110013
    with pytest.raises(Refused) as refused:
        engine.set_leverage(ALICE, Category.LINEAR, "BTCUSDT", D(20), D(5), now)
    assert refused.value.code == 110043
