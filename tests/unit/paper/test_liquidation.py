"""Accounts whose margin no longer covers what they hold."""

from decimal import Decimal as D

from positiond.bybit.paper.valuation import value_account
from positiond.bybit.vocab import CancelType, Category, ExecType, OrderStatus, PositionStatus

from .floor import ALICE, Floor

LINEAR = Category.LINEAR


def poor() -> Floor:
    """Sixty thousand dollars, and a long of four coins at ten times."""
    floor = Floor(balance=60_000)
    floor.order(qty="4")
    floor.engine.paused = False
    return floor


def run(floor: Floor) -> None:
    """Long enough for a margin check."""
    floor.pass_time(1100)


def test_an_account_below_its_maintenance_is_liquidated() -> None:
    floor = poor()
    price = floor.engine.liquidation_price(floor.position())
    assert price is not None
    resting = floor.order(
        symbol="ETHUSDT", orderType="Limit", side="Buy", qty="0.1", price="3700.00"
    )
    floor.engine.set_mark(LINEAR, "BTCUSDT", price + 300)
    run(floor)
    assert floor.position().size == 4
    floor.engine.set_mark(LINEAR, "BTCUSDT", price - 300)
    run(floor)
    assert floor.position().side is None
    assert floor.last_fill().exec_type is ExecType.BUST_TRADE
    assert floor.position().status is PositionStatus.NORMAL
    ended = floor.books.orders[resting.order_id]
    assert (ended.status, ended.cancel_type) == (
        OrderStatus.CANCELLED,
        CancelType.BY_PREPARE_LIQUIDATION,
    )
    value = value_account(floor.books, floor.market, ALICE)
    assert value.maintenance == 0


def test_the_largest_position_goes_first_and_no_more_than_needed() -> None:
    floor = poor()
    floor.order(symbol="ETHUSDT", qty="1")
    price = floor.engine.liquidation_price(floor.position())
    assert price is not None
    floor.engine.set_mark(LINEAR, "BTCUSDT", price - 200)
    run(floor)
    assert floor.position().side is None
    assert floor.position("ETHUSDT").size == 1


def test_it_can_be_switched_off() -> None:
    floor = poor()
    floor.engine.auto_liquidation = False
    floor.engine.set_mark(LINEAR, "BTCUSDT", D("80000"))
    run(floor)
    assert floor.position().size == 4


def test_coins_that_are_not_at_risk_are_never_taken(floor: Floor) -> None:
    floor.engine.paused = False
    floor.order(category="spot", symbol="BTCUSDT", qty="5000")
    floor.engine.set_mark(LINEAR, "BTCUSDT", D("1000"))
    run(floor)
    assert floor.balance("BTC") > 0
