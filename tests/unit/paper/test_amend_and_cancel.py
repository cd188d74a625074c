"""Changes of open orders, one or all."""

from decimal import Decimal as D

import pytest
from positiond.bybit.paper.amendment import Amendment
from positiond.bybit.paper.model import Order
from positiond.bybit.paper.refusals import Refused
from positiond.bybit.vocab import CancelType, OrderStatus

from .floor import ALICE, Floor

LIMIT = {"orderType": "Limit", "side": "Buy", "price": "100500.00"}


def amend(floor: Floor, order: Order, **changes: str) -> Order:
    wanted = Amendment(**{name: D(text) for name, text in changes.items()})
    return floor.engine.amend(order, wanted, floor.engine.now_ms)


def code(floor: Floor, order: Order, **changes: str) -> int:
    with pytest.raises(Refused) as refused:
        amend(floor, order, **changes)
    return refused.value.code


def test_a_new_price_moves_the_order_under_its_own_id(floor: Floor) -> None:
    order = floor.order(**LIMIT)
    moved = amend(floor, order, price="100400.00", qty="0.3")
    assert moved.order_id == order.order_id
    assert (moved.price, moved.qty, moved.status) == (D("100400.00"), D("0.3"), OrderStatus.NEW)


def test_a_price_that_crosses_takes_at_once(floor: Floor) -> None:
    order = floor.order(**LIMIT)
    done = amend(floor, order, price="101500.00")
    assert done.status is OrderStatus.FILLED
    assert not floor.last_fill().is_maker


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"price": "100500.00"}, 10001),
        ({"price": "100500.05"}, 10001),
        ({"price": "140000.00"}, 110003),
        ({"qty": "0.0005"}, 10001),
        ({"qty": "400"}, 110007),
    ],
)
def test_a_bad_change_leaves_the_order_as_it_was(
    floor: Floor, changes: dict[str, str], expected: int
) -> None:
    order = floor.order(**LIMIT)
    assert code(floor, order, **changes) == expected
    assert floor.books.orders[order.order_id] == order


def test_less_than_what_filled_is_refused(floor: Floor) -> None:
    floor.engine.depth_for = lambda _: D("0.2")
    order = floor.order(**{**LIMIT, "price": "101500.00"})
    assert order.cum_qty == D("0.2")
    assert code(floor, order, qty="0.2") == 10001


def test_an_ended_order_is_too_late_to_change(floor: Floor) -> None:
    assert code(floor, floor.order(), qty="0.1") == 110001


def test_an_order_can_be_cancelled_the_moment_it_was_acknowledged(floor: Floor) -> None:
    order = floor.request(**LIMIT)
    ended = floor.engine.cancel(order, floor.engine.now_ms)
    assert ended.cancel_type is CancelType.BY_USER
    filled = floor.request(qty="0.1")
    with pytest.raises(Refused):
        floor.engine.cancel(filled, floor.engine.now_ms)
    assert floor.position().size == D("0.1")


def test_all_wanted_orders_are_cancelled_and_no_other(floor: Floor) -> None:
    first = floor.order(**LIMIT)
    other = floor.order(**{**LIMIT, "symbol": "ETHUSDT", "price": "3800.00"})
    fresh = floor.request(**LIMIT)
    now = floor.engine.now_ms
    ended = floor.engine.cancel_all(ALICE, lambda order: order.symbol == "BTCUSDT", now)
    assert [order.order_id for order in ended] == [first.order_id, fresh.order_id]
    assert floor.books.orders[other.order_id].is_open
    assert list(floor.engine.open_orders_of(ALICE)) == [floor.books.orders[other.order_id]]


def test_a_spot_order_grows_only_by_what_the_wallet_has(floor: Floor) -> None:
    order = floor.order(**LIMIT, category="spot", qty="5")
    assert code(floor, order, qty="11") == 170131
    assert amend(floor, order, qty="9").qty == 9
