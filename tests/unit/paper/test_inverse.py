"""Inverse contracts: one dollar each; margin, fee and P&L in the coin."""

from dataclasses import replace
from decimal import Decimal as D

import pytest
from positiond.bybit.paper.valuation import unrealised, value_account
from positiond.bybit.vocab import Category, OrderStatus, Side

from .floor import ALICE, Floor

INVERSE = Category.INVERSE
BTC = {"category": "inverse", "symbol": "BTCUSD"}


@pytest.fixture
def coined(floor: Floor) -> Floor:
    floor.deposit("BTC", 5)
    return floor


def test_value_fee_and_result_are_in_coin(coined: Floor) -> None:
    opened = coined.order(**BTC, side="Sell", qty="30000")
    coined.engine.set_mark(INVERSE, "BTCUSD", D("95000"))
    closed = coined.order(**BTC, side="Buy", qty="30000", reduceOnly=True)
    assert opened.status is closed.status is OrderStatus.FILLED
    first, last = coined.books.executions[ALICE][0], coined.last_fill()
    assert first.value == (first.qty / first.price).quantize(D("1E-8"))
    assert first.fee == (first.value * D("0.00055")).quantize(D("1E-8"))
    assert last.fee_coin == "BTC"
    gained = sum((fill.pnl - fill.fee for fill in coined.books.executions[ALICE]), D(0))
    assert gained > D("0.01")
    assert coined.balance("BTC") == 5 + gained
    assert coined.balance("USDT") == 1_000_000
    (row,) = coined.books.closed[ALICE]
    assert row.pnl == gained


def test_the_average_is_harmonic(coined: Floor) -> None:
    coined.engine.set_mark(INVERSE, "BTCUSD", D("100000"))
    first = coined.order(**BTC, qty="10000")
    coined.engine.set_mark(INVERSE, "BTCUSD", D("80000"))
    second = coined.order(**BTC, qty="30000")
    held = coined.position("BTCUSD", INVERSE)
    exact = D(40000) / (D(10000) / first.avg_price + D(30000) / second.avg_price)
    assert abs(held.avg_price - exact) < D("1E-9")
    assert held.avg_price < (first.avg_price + 3 * second.avg_price) / 4


def test_the_documented_short_loses_what_the_venue_says(coined: Floor) -> None:
    held = coined.position("BTCUSD", INVERSE)
    short = replace(held, side=Side.SELL, size=D(300), avg_price=D("27464.50441675"))
    assert unrealised(short, D("28224.50")).quantize(D("1E-8")) == D("-0.00029413")


def test_an_account_without_the_coin_trades_on_its_other_coins(floor: Floor) -> None:
    order = floor.order(**BTC, qty="1000")
    assert order.status is OrderStatus.FILLED
    assert floor.balance("BTC") == -order.cum_fee


def test_margin_is_counted_in_dollars_over_all_coins(coined: Floor) -> None:
    before = value_account(coined.books, coined.market, ALICE)
    coined.order(**BTC, qty="100000")
    after = value_account(coined.books, coined.market, ALICE)
    assert abs(after.initial_margin - 10_000) < 50
    assert abs(before.available - after.available - 10_000) < 200


def test_whole_dollars_only(coined: Floor) -> None:
    assert coined.refusal(**BTC, qty="0.5").code == 10001
    assert coined.refusal(**BTC, qty="1", positionIdx=1).code == 10001


def test_a_liquidation_price_lies_on_the_losing_side(coined: Floor) -> None:
    coined.order(**BTC, side="Buy", qty="5000000")
    held = coined.position("BTCUSD", INVERSE)
    price = coined.engine.liquidation_price(held)
    assert price is not None
    assert price < coined.quote("BTCUSD", INVERSE).mark
