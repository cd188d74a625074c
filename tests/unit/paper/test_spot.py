"""Spot: coins change hands, the fee is in the coin received, open orders hold what they need."""

from decimal import Decimal as D

import pytest
from positiond.bybit.paper.valuation import value_account
from positiond.bybit.vocab import Category, OrderStatus

from .floor import ALICE, Floor

SPOT = {"category": "spot", "symbol": "BTCUSDT"}
RESTING = {**SPOT, "orderType": "Limit", "qty": "0.5"}


@pytest.fixture
def rich(floor: Floor) -> Floor:
    floor.deposit("BTC", 2)
    return floor


def locked(floor: Floor, coin: str) -> D:
    row = value_account(floor.books, floor.market, ALICE).coin(coin)
    return row.locked if row else D(0)


def test_a_market_buy_spends_quote_coin_and_pays_its_fee_in_base(floor: Floor) -> None:
    order = floor.order(**SPOT, qty="5000")
    assert order.status is OrderStatus.PARTIALLY_FILLED_CANCELED
    assert D(4999) < order.cum_value <= D(5000)
    assert order.fee_coin == "BTC"
    assert order.cum_fee == (order.cum_qty * D("0.001")).quantize(D("1E-8"))
    assert floor.balance() == D(1_000_000) - order.cum_value
    assert floor.balance("BTC") == order.cum_qty - order.cum_fee
    assert order.order_id.isdecimal()


def test_a_sell_pays_its_fee_in_quote_coin(rich: Floor) -> None:
    order = rich.order(**SPOT, side="Sell", qty="0.5")
    assert order.status is OrderStatus.FILLED
    assert order.fee_coin == "USDT"
    assert rich.balance("BTC") == D("1.5")
    assert rich.balance() == D(1_000_000) + order.cum_value - order.cum_fee


def test_what_was_bought_cannot_be_sold_whole_again(floor: Floor) -> None:
    bought = floor.order(**SPOT, qty="0.5", marketUnit="baseCoin")
    assert (bought.status, bought.cum_qty) == (OrderStatus.FILLED, D("0.5"))
    assert floor.balance("BTC") == D("0.4995")
    assert floor.refusal(**SPOT, side="Sell", qty="0.5").code == 170131
    assert floor.order(**SPOT, side="Sell", qty="0.4995").status is OrderStatus.FILLED


def test_a_sell_by_amount_takes_whole_steps(rich: Floor) -> None:
    order = rich.order(**SPOT, side="Sell", qty="5000", marketUnit="quoteCoin")
    assert D(4999) < order.cum_value <= D(5000)
    assert rich.balance("BTC") == 2 - order.cum_qty


def test_a_resting_order_holds_its_coin_until_it_ends(rich: Floor) -> None:
    order = rich.order(**RESTING, side="Sell", price="102000.0")
    assert (order.status, locked(rich, "BTC")) == (OrderStatus.NEW, D("0.5"))
    assert rich.refusal(**SPOT, side="Sell", qty="1.6").code == 170131
    rich.engine.cancel(order, rich.engine.now_ms)
    assert locked(rich, "BTC") == 0
    buy = rich.order(**RESTING, side="Buy", price="100500.0")
    assert locked(rich, "USDT") == D("50250")
    rich.engine.set_mark(Category.LINEAR, "BTCUSDT", D("100400"))
    assert rich.books.orders[buy.order_id].status is OrderStatus.FILLED
    assert locked(rich, "USDT") == 0
    assert rich.last_fill().is_maker


def test_what_just_touches_fills_by_what_stands_there(rich: Floor) -> None:
    order = rich.order(**SPOT, orderType="Limit", side="Sell", qty="2", price="101900.0")
    at = {"bid": D("101900.0"), "bid_size": D("0.3"), "ask": D("101900.1")}
    rich.engine.show([rich.market.show(Category.SPOT, "BTCUSDT", **at)])
    part = rich.books.orders[order.order_id]
    assert (part.status, part.cum_qty) == (OrderStatus.PARTIALLY_FILLED, D("0.3"))
    assert rich.last_fill().is_maker


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"qty": "4.9"}, 170140),
        ({"qty": "9000000"}, 170124),
        ({"qty": "1.000000001"}, 170148),
        ({"qty": "0.0000001", "side": "Sell"}, 170137),
        ({"qty": "0", "side": "Sell"}, 170136),
        ({"qty": "0.00001", "side": "Sell"}, 170140),
        ({"qty": "60", "side": "Sell"}, 170381),
        ({"qty": "3", "side": "Sell"}, 170131),
        ({"qty": "2000000"}, 170131),
        ({"qty": "0.1", "orderType": "Limit", "price": "100000.01"}, 170134),
        ({"qty": "0.1", "orderType": "Limit", "price": "130000.0"}, 170193),
        ({"qty": "0.1", "orderType": "Limit", "price": "80000.0", "side": "Sell"}, 170194),
        ({"qty": "100", "orderType": "Limit", "price": "100000.0", "side": "Sell"}, 170382),
        ({"qty": "100", "isLeverage": 1}, 170344),
        ({"qty": "1", "isLeverage": 1, "orderType": "Limit", "price": "100000.0"}, 170344),
        ({"qty": "100", "symbol": "BTCUSD"}, 10001),
    ],
)
def test_a_bad_spot_order_is_refused_with_the_venue_s_code(
    rich: Floor, changes: dict[str, object], code: int
) -> None:
    assert rich.refusal(**{**SPOT, **changes}).code == code


def test_ids_are_kept_apart_from_the_contracts(rich: Floor) -> None:
    rich.order(orderLinkId="one", qty="0.1")
    rich.order(**SPOT, qty="100", orderLinkId="one")
    assert rich.refusal(**SPOT, qty="100", orderLinkId="one").code == 170141


def test_a_part_filled_order_that_is_cancelled_says_so(rich: Floor) -> None:
    rich.engine.depth_for = lambda _: D("0.2")
    order = rich.order(**RESTING, side="Sell", price="101000.0")
    assert (order.status, order.cum_qty) == (OrderStatus.PARTIALLY_FILLED, D("0.2"))
    ended = rich.engine.cancel(order, rich.engine.now_ms)
    assert ended.status is OrderStatus.PARTIALLY_FILLED_CANCELED
    assert ended.leaves == 0


def test_no_spot_trade_makes_a_position(rich: Floor) -> None:
    rich.order(**SPOT, qty="5000")
    assert not rich.books.positions
