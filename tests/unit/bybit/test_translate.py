"""Wire rows become domain values, or are refused where money depends on them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

import pytest
from positiond.bybit import translate
from positiond.bybit.fields import WireError
from positiond.bybit.wire_account import (
    read_api_key,
    read_delivery,
    read_execution,
    read_order,
    read_position,
    read_wallet,
)
from positiond.bybit.wire_market import read_instrument
from positiond.bybit.wire_stream import read_ticker_frame
from positiond.daemon.domain.model import (
    Category,
    Environment,
    Fill,
    Holding,
    OrderReport,
    OrderStatus,
    Side,
)
from positiond.daemon.domain.orders import ReduceOnlyOrder

from . import wire_rows as wire

NOW = datetime(2025, 10, 9, 12, tzinfo=UTC)
OURS = ReduceOnlyOrder(
    Category.LINEAR, "BTCUSDT", 0, Side.SELL, Decimal("0.003"), "sp-7f3a-leg0-c1"
)


def holding(**changes: object) -> Holding:
    return translate.holding(read_position(wire.position(**changes)), NOW, Category.LINEAR)


def report(**changes: object) -> OrderReport:
    return translate.order_report(read_order(wire.order(**changes)))


def fill(**changes: object) -> Fill:
    return translate.fill(read_execution(wire.execution(**changes)))


class TestHoldings:
    def test_a_short_is_signed_by_its_side(self) -> None:
        assert holding(side="Sell", size="1.50").signed == Decimal("-1.50")

    def test_a_flat_row_has_neither_side_nor_entry(self) -> None:
        flat = holding(side="", size="0", avgPrice="0")
        assert (flat.side, flat.size, flat.entry_price) == (None, Decimal(0), None)

    def test_the_streams_name_for_the_entry_price_is_read_too(self) -> None:
        row = wire.position(entryPrice="99.5", category="inverse")
        del row["avgPrice"]
        seen = translate.holding(read_position(row), NOW)
        assert (seen.entry_price, seen.category) == (Decimal("99.5"), Category.INVERSE)

    @pytest.mark.parametrize("seq", [-1, "-1", "", None])
    def test_a_symbol_that_never_traded_has_no_sequence(self, seq: object) -> None:
        assert holding(seq=seq).seq is None

    def test_the_keys_that_may_be_absent_are_not_missed(self) -> None:
        row = wire.position()
        for name in ("seq", "isReduceOnly", "markPrice", "updatedTime", "positionStatus"):
            del row[name]
        seen = translate.holding(read_position(row), NOW, Category.LINEAR)
        assert (seen.seq, seen.updated_at, seen.size) == (None, None, Decimal("0.5"))

    @pytest.mark.parametrize(
        "changes",
        [
            {"size": ""},
            {"size": "1e3"},
            {"size": "NaN"},
            {"size": 0.5},
            {"size": "-1"},
            {"size": None},
            {"side": "Long"},
            {"side": None},
            {"side": "", "size": "1"},
            {"symbol": ""},
            {"positionIdx": 3},
            {"positionIdx": None},
        ],
    )
    def test_a_row_of_doubtful_size_or_direction_is_refused(
        self, changes: dict[str, object]
    ) -> None:
        with pytest.raises(WireError):
            holding(**changes)


def coin(**changes: object) -> Holding:
    (row,) = read_wallet(wire.wallet(wire.coin(**changes))).coins
    return translate.coin_holding(row, NOW)


class TestWallets:
    def test_a_coin_is_a_bucket_of_spot_with_what_rests_in_orders(self) -> None:
        held = coin()
        assert (held.category, held.symbol, held.position_idx) == (Category.SPOT, "BTC", 0)
        assert (held.signed, held.locked) == (Decimal("0.5"), Decimal("0.1"))
        assert (held.updated_at, held.seq, held.read_at) == (None, None, NOW)

    def test_what_spot_trading_borrowed_is_not_held(self) -> None:
        assert coin(walletBalance="0.5", spotBorrow="0.2").signed == Decimal("0.3")

    def test_more_borrowed_than_there_is_is_a_short(self) -> None:
        owed = coin(walletBalance="0.5", spotBorrow="0.7")
        assert (owed.side, owed.size, owed.signed) == (
            Side.SELL,
            Decimal("0.2"),
            Decimal("-0.2"),
        )

    def test_nothing_of_a_coin_has_no_side(self) -> None:
        for none in (coin(walletBalance="0"), coin(walletBalance="0.2", spotBorrow="0.2")):
            assert (none.side, none.size) == (None, Decimal(0))

    @pytest.mark.parametrize(
        "changes",
        [{"walletBalance": ""}, {"walletBalance": None}, {"spotBorrow": "much"}, {"coin": ""}],
    )
    def test_a_coin_of_doubtful_size_is_refused(self, changes: dict[str, object]) -> None:
        with pytest.raises(WireError):
            coin(**changes)


class TestDeliveries:
    def test_a_delivered_contract_is_read(self) -> None:
        row = read_delivery(wire.delivery())
        seen = translate.delivery(row, Category.OPTION)
        assert (seen.side, seen.size, seen.price) == (
            Side.SELL,
            Decimal("0.3"),
            Decimal("121000.5"),
        )
        assert seen.delivered_at == datetime(2025, 10, 10, 8, tzinfo=UTC)

    @pytest.mark.parametrize(
        "changes", [{"side": ""}, {"position": ""}, {"deliveryPrice": ""}, {"deliveryTime": None}]
    )
    def test_one_that_says_too_little_is_refused(self, changes: dict[str, object]) -> None:
        with pytest.raises(WireError):
            read_delivery(wire.delivery(**changes))


class TestMakers:
    @pytest.mark.parametrize("said", ["", "UNKNOWN", None])
    @pytest.mark.parametrize(
        ("trigger", "maker"),
        [
            ("TakeProfit", "CreateByTakeProfit"),
            ("PartialStopLoss", "CreateByPartialStopLoss"),
            ("TrailingStop", "CreateByTrailingStop"),
            ("BrandnewStop", "BrandnewStop"),
            ("UNKNOWN", ""),
            ("", ""),
        ],
    )
    def test_where_no_maker_is_named_the_trigger_names_it(
        self, said: object, trigger: str, maker: str
    ) -> None:
        assert fill(createType=said, stopOrderType=trigger).create_type == maker
        assert report(createType=said, stopOrderType=trigger).create_type == maker

    def test_a_named_maker_stands(self) -> None:
        assert fill(createType="CreateByLiq", stopOrderType="StopLoss").create_type == "CreateByLiq"


class TestFeeCoins:
    @pytest.mark.parametrize(
        ("category", "symbol", "coin"),
        [
            ("linear", "BTCUSDT", "USDT"),
            ("linear", "BTCUSDT-21FEB25", "USDT"),
            ("linear", "BTCPERP", "USDC"),
            ("linear", "BTC-24MAR23", "USDC"),
            ("linear", "WHATEVER", ""),
            ("inverse", "BTCUSD", "BTC"),
            ("inverse", "ETHUSDH23", "ETH"),
            ("option", "ETH-28FEB25-2800-C", "USDC"),
            ("option", "BTC-13FEB25-89000-P-USDT", "USDT"),
            ("spot", "BTCUSDT", ""),
        ],
    )
    def test_a_fee_without_a_coin_is_in_the_one_the_contract_settles_in(
        self, category: str, symbol: str, coin: str
    ) -> None:
        assert fill(category=category, symbol=symbol, feeCurrency="").fee_coin == coin

    def test_a_named_coin_stands(self) -> None:
        assert fill(feeCurrency="MNT").fee_coin == "MNT"


class TestOrders:
    def test_a_filled_order_is_filled(self) -> None:
        seen = report()
        assert seen.status is OrderStatus.FILLED
        assert (seen.filled, seen.average_price) == (Decimal("0.003"), Decimal("101249.9"))
        assert seen.reduce_only
        assert seen.reason == ""

    def test_a_cancelled_order_keeps_what_it_filled(self) -> None:
        seen = report(
            orderStatus="Cancelled", cumExecQty="0.001", rejectReason="EC_CancelForNoFullFill"
        )
        assert (seen.status, seen.filled) == (OrderStatus.CANCELLED, Decimal("0.001"))
        assert seen.reason == "EC_CancelForNoFullFill"

    def test_the_spot_spelling_of_a_partial_fill_is_an_ended_order(self) -> None:
        seen = report(orderStatus="PartiallyFilledCanceled", category="spot", cumExecQty="0.002")
        assert seen.status.is_terminal
        assert seen.filled == Decimal("0.002")

    def test_a_cancel_that_came_too_late_for_a_filled_order_leaves_it_filled(self) -> None:
        seen = report(cancelType="CancelByUser", rejectReason="EC_OrigClOrdIDDoesNotExist")
        assert (seen.status, seen.filled) == (OrderStatus.FILLED, Decimal("0.003"))
        assert seen.reason == "EC_OrigClOrdIDDoesNotExist, CancelByUser"

    def test_an_order_cut_by_self_match_prevention_ended_with_its_fills_and_says_why(self) -> None:
        seen = report(
            orderStatus="Cancelled",
            cumExecQty="0.001",
            cancelType="CancelBySmp",
            rejectReason="EC_BySelfMatch",
        )
        assert (seen.status, seen.filled) == (OrderStatus.CANCELLED, Decimal("0.001"))
        assert seen.reason == "EC_BySelfMatch, CancelBySmp"

    def test_a_rejected_order_may_have_filled(self) -> None:
        seen = report(orderStatus="Rejected", cumExecQty="0.001", cancelType="CancelByReduceOnly")
        assert (seen.status, seen.filled) == (OrderStatus.REJECTED, Decimal("0.001"))
        assert seen.reason == "CancelByReduceOnly"

    @pytest.mark.parametrize("status", ["Created", "New", "Untriggered", "Triggered"])
    def test_an_order_that_may_still_fill_is_open(self, status: str) -> None:
        assert report(orderStatus=status, cumExecQty="", avgPrice="").status is OrderStatus.OPEN

    def test_an_unknown_status_is_no_status(self) -> None:
        with pytest.raises(WireError, match="status"):
            report(orderStatus="Vanished")


class TestFills:
    @pytest.mark.parametrize(
        "kind",
        ["Trade", "AdlTrade", "BustTrade", "Delivery", "Settle", "MovePosition", "BlockTrade"],
    )
    def test_a_fill_like_type_changes_the_size(self, kind: str) -> None:
        assert fill(execType=kind).changes_size

    @pytest.mark.parametrize(
        "kind", ["Funding", "SessionSettlePnL", "CorporateAction", "UNKNOWN", "Brandnew"]
    )
    def test_no_other_type_does(self, kind: str) -> None:
        assert not fill(execType=kind).changes_size

    def test_funding_keeps_the_sign_of_its_fee(self) -> None:
        received = translate.fill(read_execution(wire.funding()))
        assert received.fee == Decimal("-5.0624365")
        assert not received.changes_size

    def test_a_new_type_is_told_from_the_known_ones(self) -> None:
        assert translate.is_known_exec_type("Funding")
        assert not translate.is_known_exec_type("Brandnew")
        assert not translate.is_known_exec_type("UNKNOWN")

    def test_fills_come_oldest_first_and_once(self) -> None:
        rows = [
            read_execution(wire.execution(execId=name, execTime=at))
            for name, at in (("b", "1760000000002"), ("a", "1760000000001"), ("b", "1760000000002"))
        ]
        assert [one.exec_id for one in translate.fills_in_order(rows, Category.LINEAR)] == [
            "a",
            "b",
        ]


class TestReportsFromExecutions:
    def test_fills_of_the_whole_quantity_prove_a_filled_order(self) -> None:
        rows = [
            read_execution(wire.execution(execId=str(n), execQty=q, execPrice=p, closedSize=q))
            for n, (q, p) in enumerate((("0.001", "100"), ("0.002", "103")))
        ]
        seen = translate.report_from_executions(OURS, rows)
        assert seen is not None
        assert (seen.status, seen.filled) == (OrderStatus.FILLED, Decimal("0.003"))
        assert seen.average_price == Decimal("102")
        assert seen.reduce_only

    def test_the_average_of_an_inverse_order_is_over_the_coins_that_were_paid(self) -> None:
        inverse = replace(OURS, category=Category.INVERSE, symbol="BTCUSD", quantity=Decimal(200))
        rows = [
            read_execution(wire.execution(execId=p, execPrice=p, execQty="100", orderQty="200"))
            for p in ("50000", "60000")
        ]
        seen = translate.report_from_executions(inverse, rows)
        assert seen is not None
        assert seen.average_price is not None
        assert round(seen.average_price, 2) == Decimal("54545.45")

    def test_part_of_it_proves_only_that_the_order_exists(self) -> None:
        row = read_execution(wire.execution(execQty="0.001", closedSize="0.001"))
        seen = translate.report_from_executions(OURS, [row])
        assert seen is not None
        assert (seen.status, seen.filled) == (OrderStatus.OPEN, Decimal("0.001"))

    def test_the_same_execution_twice_counts_once(self) -> None:
        row = read_execution(wire.execution())
        seen = translate.report_from_executions(OURS, [row, row])
        assert seen is not None
        assert seen.filled == Decimal("0.003")

    def test_an_execution_that_opened_something_is_not_called_reducing(self) -> None:
        row = read_execution(wire.execution(closedSize="0.001"))
        seen = translate.report_from_executions(OURS, [row])
        assert seen is not None
        assert not seen.reduce_only

    @pytest.mark.parametrize(
        "other",
        [{"orderId": "another"}, {"side": "Buy"}, {"orderQty": "7"}, {"symbol": "ETHUSDT"}],
    )
    def test_two_stories_under_one_id_prove_nothing(self, other: dict[str, object]) -> None:
        rows = [
            read_execution(wire.execution(execId="1", execQty="0.001")),
            read_execution(wire.execution(execId="2", execQty="0.001", **other)),
        ]
        assert translate.report_from_executions(OURS, rows) is None

    def test_nothing_proves_nothing(self) -> None:
        assert translate.report_from_executions(OURS, []) is None
        funding = read_execution(wire.funding())
        assert translate.report_from_executions(OURS, [funding]) is None


class TestInstruments:
    def read(self, category: Category = Category.LINEAR, **changes: object) -> object:
        row = read_instrument(wire.instrument(**changes))
        return translate.instrument(row, Environment.PAPER, category)

    def test_the_rules_of_a_perpetual_are_read(self) -> None:
        seen = translate.instrument(
            read_instrument(wire.instrument()), Environment.PAPER, Category.LINEAR
        )
        assert (seen.quantity_step, seen.tick_size) == (Decimal("0.001"), Decimal("0.10"))
        assert (seen.max_market_quantity, seen.min_notional) == (Decimal("500.000"), Decimal(5))
        assert seen.is_trading

    def test_spot_steps_by_its_base_precision_and_settles_in_its_quote_coin(self) -> None:
        row = wire.instrument(
            lotSizeFilter={
                "basePrecision": "0.000001",
                "minOrderQty": "0.000011",
                "minOrderAmt": "5",
                "maxMarketOrderQty": "41.5",
            }
        )
        del row["settleCoin"]
        seen = translate.instrument(read_instrument(row), Environment.PAPER, Category.SPOT)
        assert (seen.quantity_step, seen.settle_coin) == (Decimal("0.000001"), "USDT")
        assert (seen.max_market_quantity, seen.min_notional) == (Decimal("41.5"), Decimal(5))

    def test_a_contract_that_ends_says_when_and_one_that_lives_on_does_not(self) -> None:
        ends, lives = (
            translate.instrument(
                read_instrument(wire.instrument(deliveryTime=at)),
                Environment.PAPER,
                Category.LINEAR,
            ).delivery_at
            for at in ("1760083200000", "0")
        )
        assert ends == datetime(2025, 10, 10, 8, tzinfo=UTC)
        assert lives is None

    @pytest.mark.parametrize("step", ["", "0", "-1"])
    def test_one_without_a_step_is_refused(self, step: str) -> None:
        with pytest.raises(WireError):
            self.read(lotSizeFilter={"qtyStep": step, "maxMktOrderQty": "1"})


class TestTickers:
    def test_what_a_delta_does_not_carry_is_unchanged(self) -> None:
        frame = read_ticker_frame(
            {
                "topic": "tickers.BTCUSDT",
                "type": "delta",
                "data": {"symbol": "BTCUSDT", "markPrice": "101249.02"},
                "ts": 1760000000100,
            }
        )
        tick = translate.price_tick(frame, Environment.PAPER, Category.LINEAR)
        assert (tick.mark, tick.last, tick.index) == (Decimal("101249.02"), None, None)
        assert not tick.is_snapshot
        assert tick.at == datetime(2025, 10, 9, 8, 53, 20, 100_000, tzinfo=UTC)

    @pytest.mark.parametrize(
        ("category", "data", "prices"),
        [
            (
                Category.OPTION,
                {"markPrice": "7128.44", "lastPrice": "7120", "indexPrice": "101290.44"},
                ("7128.44", "7120", "101290.44"),
            ),
            (
                Category.SPOT,
                {"lastPrice": "101262.31", "usdIndexPrice": "101284.9"},
                (None, "101262.31", "101284.9"),
            ),
            (
                Category.INVERSE,
                {"markPrice": "101248.73", "indexPrice": "101290.44", "deliveryTime": ""},
                ("101248.73", None, "101290.44"),
            ),
            (Category.SPOT, {"lastPrice": "1", "usdIndexPrice": ""}, (None, "1", None)),
        ],
    )
    def test_each_category_has_its_own_name_for_the_index(
        self,
        category: Category,
        data: dict[str, object],
        prices: tuple[str | None, str | None, str | None],
    ) -> None:
        frame = read_ticker_frame(
            {"topic": "t", "type": "snapshot", "data": {"symbol": "S", **data}, "ts": 1}
        )
        tick = translate.price_tick(frame, Environment.PAPER, category)
        wanted = tuple(None if price is None else Decimal(price) for price in prices)
        assert (tick.mark, tick.last, tick.index) == wanted

    @pytest.mark.parametrize(
        "changes",
        [
            {"type": "surprise"},
            {"ts": None},
            {"data": {"symbol": "BTCUSDT", "markPrice": "cheap"}},
            {"data": {"markPrice": "1"}},
            {"data": []},
        ],
    )
    def test_a_frame_that_could_mislead_is_refused(self, changes: dict[str, object]) -> None:
        frame = {
            "topic": "tickers.BTCUSDT",
            "type": "delta",
            "data": {"symbol": "BTCUSDT", "markPrice": "1"},
            "ts": 1760000000100,
        }
        with pytest.raises(WireError):
            read_ticker_frame({**frame, **changes})


class TestKeys:
    BOUND: Final[dict[str, object]] = {
        "userID": 1448939,
        "readOnly": 0,
        "permissions": {"ContractTrade": ["Order", "Position"], "Wallet": []},
        "ips": ["18.181.170.164"],
        "expiredAt": "1970-01-01T00:00:00Z",
        "deadlineDay": -2,
        "uta": 1,
    }

    def test_a_key_bound_to_addresses_does_not_expire(self) -> None:
        seen = translate.key_info(read_api_key(self.BOUND))
        assert (seen.uid, seen.read_only, seen.expires_at) == ("1448939", False, None)
        assert seen.ips == ("18.181.170.164",)
        assert seen.permissions["ContractTrade"] == ("Order", "Position")

    def test_an_unbound_key_expires(self) -> None:
        row = {**self.BOUND, "ips": ["*"], "expiredAt": "2026-01-07T09:00:00Z"}
        seen = translate.key_info(read_api_key(row))
        assert seen.ips == ()
        assert seen.expires_at == datetime(2026, 1, 7, 9, tzinfo=UTC)

    @pytest.mark.parametrize("said", [1, None, "yes", True])
    def test_whatever_is_not_a_plain_no_is_read_only(self, said: object) -> None:
        assert translate.key_info(read_api_key({**self.BOUND, "readOnly": said})).read_only
