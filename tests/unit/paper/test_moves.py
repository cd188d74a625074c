"""A position handed over to another account."""

from decimal import Decimal

from positiond.bybit.paper.model import OrderId, Uid
from positiond.bybit.paper.rules import read_order
from positiond.bybit.vocab import CancelType, Category, PositionMode, Side

from .floor import Floor

BTC = (Category.LINEAR, "BTCUSDT")


def place(floor: Floor, uid: Uid, **body: object) -> OrderId:
    order = {"category": "linear", "symbol": "BTCUSDT", "orderType": "Market", **body}
    request = read_order(order, floor.market.listing)
    placed = floor.engine.place(uid, request, floor.engine.now_ms)
    floor.pass_time(200)
    return placed.order_id


def test_a_moved_position_comes_into_the_row_of_the_takers_own_mode(floor: Floor) -> None:
    bob = floor.add("bob")
    floor.engine.switch_mode(bob, PositionMode.HEDGE, symbol="BTCUSDT")
    floor.order(side="Sell", qty="0.5")
    floor.engine.move(floor.position(), bob, floor.engine.now_ms)
    assert floor.position().side is None
    taken = floor.books.position(bob, *BTC, 2)
    assert (taken.side, taken.size) == (Side.SELL, Decimal("0.5"))
    assert floor.books.position(bob, *BTC, 0).side is None


def test_a_move_that_shrinks_the_takers_position_trims_its_resting_orders(floor: Floor) -> None:
    bob = floor.add("bob")
    place(floor, bob, side="Sell", qty="0.5")
    order_id = place(
        floor, bob, side="Buy", qty="0.5", orderType="Limit", price="99000", reduceOnly=True
    )
    floor.order(side="Buy", qty="0.4")
    floor.engine.move(floor.position(), bob, floor.engine.now_ms, qty=Decimal("0.3"))
    left = floor.books.position(bob, *BTC, 0)
    assert (left.side, left.size) == (Side.SELL, Decimal("0.2"))
    assert floor.books.orders[order_id].qty == Decimal("0.2")
    floor.engine.move(floor.position(), bob, floor.engine.now_ms)
    assert floor.books.orders[order_id].leaves == Decimal("0.1")


def test_nothing_of_a_resting_order_is_left_when_the_position_is_gone(floor: Floor) -> None:
    bob = floor.add("bob")
    place(floor, bob, side="Sell", qty="0.2")
    order_id = place(
        floor, bob, side="Buy", qty="0.2", orderType="Limit", price="99000", reduceOnly=True
    )
    floor.order(side="Buy", qty="0.2")
    floor.engine.move(floor.position(), bob, floor.engine.now_ms)
    order = floor.books.orders[order_id]
    assert (order.is_open, order.cancel_type) == (False, CancelType.BY_REDUCE_ONLY)
