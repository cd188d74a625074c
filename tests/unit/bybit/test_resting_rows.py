"""Open orders, books, fee rates and spot orders as Bybit sends them, and what they become."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import ClassVar

import pytest
from positiond.bybit import translate
from positiond.bybit.fields import WireError, rows
from positiond.bybit.wire_account import read_execution, read_fee_rate, read_order
from positiond.bybit.wire_market import read_book
from positiond.daemon.domain.model import Category, OrderStatus, Side
from positiond.daemon.domain.orders import RestingOrder, SpotSell

from . import wire_rows as wire
from .test_samples import load, result

SALE = SpotSell("BTCUSDT", Decimal("0.5"), "c-1")


def resting(**changes: object) -> RestingOrder | None:
    row = {"orderType": "Limit", "orderStatus": "New", "cumExecQty": "0", **changes}
    return translate.resting_order(read_order(wire.order(**row)), Category.LINEAR)


class TestRestingOrders:
    def test_the_samples_order_is_read(self) -> None:
        (row,) = rows(result(load("rest/open-order-1.json")), "list")
        assert translate.resting_order(read_order(row), Category.LINEAR) == RestingOrder(
            category=Category.LINEAR,
            symbol="ETHUSDT",
            order_id="fd4300ae-7847-404e-b947-b46980a4d140",
            link_id="test-000005",
            side=Side.BUY,
            position_idx=1,
            left=Decimal("0.10"),
            price=Decimal("1600.00"),
            reduce_only=False,
            kind="Limit",
        )

    def test_what_filled_of_it_is_not_left(self) -> None:
        order = resting(orderStatus="PartiallyFilled", qty="0.5", cumExecQty="0.2")
        assert order is not None
        assert (order.left, order.reduce_only) == (Decimal("0.3"), True)

    def test_a_stop_is_left_whole_and_shows_its_trigger(self) -> None:
        order = resting(
            orderType="Market",
            orderStatus="Untriggered",
            stopOrderType="StopLoss",
            price="0",
            triggerPrice="95000",
            qty="0.5",
            leavesQty="0",
        )
        assert order is not None
        assert (order.left, order.price, order.kind) == (
            Decimal("0.5"),
            Decimal(95000),
            "StopLoss",
        )

    def test_an_order_that_ended_while_it_was_read_rests_no_more(self) -> None:
        assert resting(orderStatus="Filled") is None
        assert resting(orderStatus="PartiallyFilledCanceled") is None

    def test_an_unknown_status_is_never_taken_for_none_resting(self) -> None:
        with pytest.raises(WireError):
            resting(orderStatus="Dormant")


class TestSpotOrders:
    def test_a_sale_cut_short_ended_with_its_fills(self) -> None:
        row = wire.order(
            category="spot",
            orderId="1234567890123456789",
            orderStatus="PartiallyFilledCanceled",
            reduceOnly=False,
            qty="0.5",
            cumExecQty="0.2",
            rejectReason="EC_CancelForNoFullFill",
        )
        report = translate.order_report(read_order(row), Category.SPOT)
        assert report.status is OrderStatus.CANCELLED
        assert report.status.is_terminal
        assert (report.filled, report.reason) == (Decimal("0.2"), "EC_CancelForNoFullFill")
        assert not report.reduce_only

    def test_executions_of_the_whole_sale_prove_it_filled_and_reduce_nothing(self) -> None:
        row = wire.execution(
            category="spot", orderQty="0.5", execQty="0.5", closedSize="", orderLinkId="c-1"
        )
        seen = translate.report_from_executions(SALE, [read_execution(row)])
        assert seen is not None
        assert (seen.category, seen.status) == (Category.SPOT, OrderStatus.FILLED)
        assert (seen.link_id, seen.filled, seen.reduce_only) == ("c-1", Decimal("0.5"), False)

    def test_executions_of_a_part_of_a_sale_do_not_tell_its_end(self) -> None:
        row = wire.execution(category="spot", orderQty="0.5", execQty="0.2", closedSize="")
        seen = translate.report_from_executions(SALE, [read_execution(row)])
        assert seen is not None
        assert (seen.status, seen.filled) == (OrderStatus.OPEN, Decimal("0.2"))


class TestBooks:
    FRAME: ClassVar = {
        "s": "BTCUSDT",
        "b": [["65485.47", "47.081829"], ["65485.4", "0.5"]],
        "a": [["65557.7", "16.606555"]],
        "ts": 1716863719031,
        "u": 230704,
        "seq": 1432604333,
        "cts": 1716863718905,
    }

    def test_levels_are_read_best_first(self) -> None:
        book = translate.order_book(read_book(self.FRAME))
        assert book.bids[0] == (Decimal("65485.47"), Decimal("47.081829"))
        assert [price for price, _ in book.bids] == sorted(
            (price for price, _ in book.bids), reverse=True
        )
        assert book.asks == ((Decimal("65557.7"), Decimal("16.606555")),)
        assert book.at == datetime(2024, 5, 28, 2, 35, 19, 31000, tzinfo=UTC)

    def test_a_side_may_be_empty(self) -> None:
        assert read_book({**self.FRAME, "b": []}).bids == ()

    @pytest.mark.parametrize(
        "broken", [{"b": None}, {"a": [["1"]]}, {"a": [["x", "1"]]}, {"b": ["1"]}, {"ts": ""}]
    )
    def test_a_torn_book_is_no_book(self, broken: dict[str, object]) -> None:
        with pytest.raises(WireError):
            read_book({**self.FRAME, **broken})


def test_a_fee_rate_is_read_as_a_part_of_the_value() -> None:
    row = {"symbol": "ETHUSDT", "takerFeeRate": "0.0006", "makerFeeRate": "0.0001"}
    assert read_fee_rate(row).taker == Decimal("0.0006")
    with pytest.raises(WireError):
        read_fee_rate({**row, "takerFeeRate": ""})
