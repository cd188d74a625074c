"""Orders through the engine: fills, money, frames, ids, limits, forced trades."""

from dataclasses import replace
from decimal import Decimal as D

import pytest
from positiond.bybit.paper.admission import LinkRule
from positiond.bybit.paper.engine import Engine
from positiond.bybit.paper.events import Executed, OrderChanged, PositionChanged, WalletChanged
from positiond.bybit.paper.model import Order
from positiond.bybit.paper.orders import DELEVERAGING, LIQUIDATION
from positiond.bybit.paper.refusals import Refused
from positiond.bybit.paper.rules import read_order
from positiond.bybit.vocab import (
    CancelType,
    Category,
    ExecType,
    OrderStatus,
    PositionStatus,
    RejectReason,
    Side,
)

from .floor import ALICE, START_MS, Floor


def refusal(floor: Floor, **changes: object) -> Refused:
    with pytest.raises(Refused) as refused:
        floor.order(**changes)
    return refused.value


def test_an_order_is_acknowledged_before_it_is_matched(floor: Floor) -> None:
    order = floor.request()
    assert (order.status, floor.position().size) == (OrderStatus.NEW, D(0))
    floor.pass_time(100)
    assert floor.books.orders[order.order_id].status is OrderStatus.FILLED


def test_a_market_order_shows_the_edge_of_its_band_as_its_price(floor: Floor) -> None:
    mark = floor.market.quote(Category.LINEAR, "BTCUSDT").mark
    buy, sell = floor.request(side="Buy"), floor.request(side="Sell")
    assert D("1.0099") < buy.price / mark <= D("1.01")
    assert D("0.99") <= sell.price / mark < D("0.9901")


def test_an_order_beyond_the_top_level_fills_price_by_price(floor: Floor) -> None:
    order = floor.order(qty="40")
    fills = floor.books.executions[ALICE]
    prices = [fill.price for fill in fills]
    assert len(prices) > 3
    assert prices == sorted(prices)
    assert sum(fill.qty for fill in fills) == order.cum_qty == D(40)
    assert [fill.leaves_qty for fill in fills][-1] == 0


def test_what_the_band_cannot_fill_is_cancelled_with_its_part_fill(floor: Floor) -> None:
    floor.books.put(replace(floor.books.wallet(ALICE, "USDT"), balance=D(10) ** 9))
    order = floor.order(qty="500")
    assert order.status is OrderStatus.CANCELLED
    assert D(0) < order.cum_qty < D(500)
    assert order.reject_reason is RejectReason.NO_FULL_FILL
    assert order.leaves == 0


def test_an_empty_book_ends_the_order_without_a_fill(floor: Floor) -> None:
    floor.engine.depth_for = lambda _: D(0)
    order = floor.order()
    assert (order.status, order.cum_qty) == (OrderStatus.CANCELLED, D(0))
    assert order.reject_reason is RejectReason.NO_IMMEDIATE_QTY


def test_a_thin_book_part_fills(floor: Floor) -> None:
    floor.engine.depth_for = lambda _: D("0.2")
    order = floor.order(qty="0.5")
    assert (order.status, order.cum_qty) == (OrderStatus.CANCELLED, D("0.2"))
    assert floor.position().size == D("0.2")


def test_two_orders_in_one_tick_share_the_liquidity(floor: Floor) -> None:
    first, second = floor.order(qty="30"), floor.order(qty="30")
    assert second.cum_value > first.cum_value


def test_the_taker_pays_the_fee_and_the_wallet_adds_up(floor: Floor) -> None:
    floor.order(side="Buy", qty="0.5")
    floor.order(side="Sell", qty="0.2", reduceOnly=True)
    floor.order(side="Sell", qty="0.9")
    fills = floor.books.executions[ALICE]
    for fill in fills:
        assert fill.fee == (fill.value * D("0.00055")).quantize(D("1E-8"))
    gained = sum((fill.pnl - fill.fee for fill in fills), D(0))
    assert floor.balance() == D(1_000_000) + gained
    assert floor.position().cum_realised == gained


def test_closed_pnl_is_gross_less_both_fees(floor: Floor) -> None:
    floor.order(side="Buy", qty="0.5")
    floor.order(side="Sell", qty="0.5", reduceOnly=True)
    (closed,) = floor.books.closed[ALICE]
    opened, reduced = floor.books.executions[ALICE]
    assert closed.pnl == reduced.pnl - opened.fee - reduced.fee
    assert closed.side is Side.SELL
    assert floor.balance() == D(1_000_000) + closed.pnl


def test_all_fills_of_a_match_share_the_position_s_seq(floor: Floor) -> None:
    floor.order(qty="40")
    seqs = {fill.seq for fill in floor.books.executions[ALICE]}
    assert seqs == {floor.position().seq}
    before = floor.position().seq
    floor.order(qty="1")
    assert floor.position().seq > before


def test_frames_come_after_the_match_in_changing_order(floor: Floor) -> None:
    orders = set()
    for _ in range(12):
        floor.request(qty="0.1")
        kinds = [
            type(told.event)
            for told in floor.pass_time(100)
            if isinstance(told.event, OrderChanged | Executed | PositionChanged | WalletChanged)
        ]
        assert len(kinds) == 4
        orders.add(tuple(kinds))
    assert len(orders) > 3


def test_a_frame_shows_its_own_moment_although_told_later(floor: Floor) -> None:
    floor.request(qty="0.1")
    told = floor.pass_time(100)
    (position,) = (t.event for t in told if isinstance(t.event, PositionChanged))
    floor.order(qty="0.4")
    assert position.position.size == D("0.1")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"qty": "0.0005"}, 10001),
        ({"qty": "0.0015"}, 10001),
        ({"qty": "500.001"}, 10001),
        ({"qty": "0"}, 10001),
        ({"qty": 0.5}, 10001),
        ({"qty": "-1"}, 10001),
        ({"qty": "NaN"}, 10001),
        ({"symbol": "btcusdt"}, 10001),
        ({"symbol": "NOPEUSDT"}, 10001),
        ({"category": "futures"}, 10001),
        ({"side": "buy"}, 10001),
        ({"positionIdx": 1}, 10001),
        ({"orderLinkId": "x" * 37}, 10001),
        ({"orderLinkId": "a b"}, 10001),
        ({"symbol": "XRPUSDT", "qty": "1"}, 110094),
        ({"orderType": "Limit", "price": "130000.00"}, 110003),
        ({"orderType": "Limit", "price": "100000.05"}, 10001),
        ({"slippageToleranceType": "TickSize", "slippageTolerance": "0"}, 110108),
        ({"slippageToleranceType": "Percent", "slippageTolerance": "10.5"}, 110109),
        ({"qty": "400"}, 110007),
    ],
)
def test_a_bad_order_is_refused_with_the_venue_s_code(
    floor: Floor, changes: dict[str, object], code: int
) -> None:
    assert refusal(floor, **changes).code == code
    assert not floor.books.orders


def test_the_least_value_does_not_bind_a_closing_order(floor: Floor) -> None:
    floor.order(symbol="XRPUSDT", qty="10")
    order = floor.order(symbol="XRPUSDT", side="Sell", qty="0.1", reduceOnly=True)
    assert order.status is OrderStatus.FILLED


def test_a_used_order_link_id_stays_reserved_for_a_day(floor: Floor) -> None:
    floor.order(orderLinkId="once")
    assert refusal(floor, orderLinkId="once").code == 110072
    floor.engine.exact = False  # a day at once, without its ticks
    floor.pass_time(86_400_000)
    assert floor.order(orderLinkId="once").status is OrderStatus.FILLED


def test_under_the_open_rule_an_id_is_free_once_its_order_ended() -> None:
    floor = Floor(LinkRule.OPEN)
    floor.request(orderLinkId="once")
    assert refusal(floor, orderLinkId="once").code == 110072
    floor.pass_time(100)
    assert floor.order(orderLinkId="once").status is OrderStatus.FILLED


def test_a_refused_order_does_not_use_up_its_id(floor: Floor) -> None:
    refusal(floor, orderLinkId="again", reduceOnly=True)
    assert floor.order(orderLinkId="again").status is OrderStatus.FILLED


def test_slippage_tolerance_narrows_the_band(floor: Floor) -> None:
    quote = floor.market.quote(Category.LINEAR, "BTCUSDT")
    order = floor.request(slippageToleranceType="TickSize", slippageTolerance="5")
    assert order.price == quote.ask + 5 * D("0.10")


def limit(**changes: str) -> dict[str, str]:
    return {"orderType": "Limit", **changes}


def test_a_resting_order_fills_as_maker_when_the_price_comes_to_it(floor: Floor) -> None:
    order = floor.order(**limit(side="Buy", price="100500.00"))
    assert order.status is OrderStatus.NEW
    floor.engine.set_mark(Category.LINEAR, "BTCUSDT", D("100400"))
    order = floor.books.orders[order.order_id]
    (fill,) = floor.books.executions[ALICE]
    assert (order.status, fill.is_maker, fill.price) == (OrderStatus.FILLED, True, D("100500.00"))
    assert fill.fee_rate == D("0.0002")


def test_a_post_only_order_that_would_take_is_cancelled(floor: Floor) -> None:
    order = floor.order(**limit(side="Buy", price="101500.00", timeInForce="PostOnly"))
    assert order.status is OrderStatus.CANCELLED
    assert order.reject_reason is RejectReason.POST_ONLY_WOULD_TAKE


def test_a_fill_or_kill_order_does_not_part_fill(floor: Floor) -> None:
    floor.engine.depth_for = lambda _: D("0.2")
    order = floor.order(**limit(side="Buy", price="101500.00", timeInForce="FOK"))
    assert (order.status, order.cum_qty) == (OrderStatus.CANCELLED, D(0))


def test_cancelling_an_order_that_ended_is_too_late(floor: Floor) -> None:
    order = floor.order(**limit(side="Buy", price="100500.00"))
    cancelled = floor.engine.cancel(order, floor.engine.now_ms)
    assert cancelled.cancel_type is CancelType.BY_USER
    with pytest.raises(Refused) as refused:
        floor.engine.cancel(cancelled, floor.engine.now_ms)
    assert refused.value.code == 110001


def test_a_liquidation_cancels_orders_and_takes_the_position_over(floor: Floor) -> None:
    floor.order(qty="0.5")
    resting = floor.order(**limit(side="Buy", price="100500.00"))
    order = floor.engine.force(floor.position(), LIQUIDATION, None, floor.engine.now_ms)
    told = floor.pass_time(100)
    assert floor.position().side is None
    assert floor.books.orders[resting.order_id].cancel_type is CancelType.ALL_BEFORE_LIQUIDATION
    assert floor.books.executions[ALICE][-1].exec_type is ExecType.BUST_TRADE
    assert order.create_type == "CreateByTakeOver_PassThrough"
    states = [t.event.position.status for t in told if isinstance(t.event, PositionChanged)]
    assert PositionStatus.LIQUIDATING in states
    assert floor.position().status is PositionStatus.NORMAL


def test_a_deleveraging_takes_a_part_without_fee_or_id(floor: Floor) -> None:
    floor.order(qty="0.5")
    floor.engine.force(floor.position(), DELEVERAGING, D("0.4"), floor.engine.now_ms)
    fill = floor.books.executions[ALICE][-1]
    assert floor.position().size == D("0.1")
    assert (fill.exec_type, fill.fee, fill.link_id) == (ExecType.ADL_TRADE, D(0), "")
    assert fill.order_price == 0


def test_an_accepted_order_is_matched_by_the_next_engine(floor: Floor) -> None:
    order = floor.request(qty="0.3")
    revived = Engine(floor.books, floor.market, seed=1, now_ms=START_MS + 5000)
    revived.advance(START_MS + 6000)
    assert floor.books.orders[order.order_id].status is OrderStatus.FILLED
    assert floor.position().size == D("0.3")


def test_a_hand_trade_is_filled_before_it_returns(floor: Floor) -> None:
    body = {"category": "linear", "symbol": "ETHUSDT", "side": "Sell", "orderType": "Market"}
    request = read_order({**body, "qty": "2"}, floor.market.listing)
    order: Order = floor.engine.trade(ALICE, request, START_MS)
    assert (order.status, order.link_id) == (OrderStatus.FILLED, "")
    assert floor.position("ETHUSDT").signed == D(-2)


def test_a_clock_that_jumped_does_not_make_up_for_lost_ticks(floor: Floor) -> None:
    floor.engine.exact = floor.engine.paused = False
    floor.pass_time(3_600_000)
    assert floor.market.ticks <= 12
