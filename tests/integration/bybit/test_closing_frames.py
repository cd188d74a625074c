"""What closing says to Bybit and how it takes the answers, frame by frame."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import ClassVar
from urllib.parse import parse_qs

import orjson
import pytest
from aiohttp import web
from positiond.bybit.exchange import BybitAccount
from positiond.bybit.gateway import BybitGateway
from positiond.bybit.limits import READS_STOP_AT
from positiond.bybit.signing import hmac_hex
from positiond.daemon.domain.errors import (
    CredentialsRefused,
    ExchangeBusy,
    ExchangeRefused,
    ExchangeUnreachable,
)
from positiond.daemon.domain.model import Category, Environment, OrderStatus, Side
from positiond.daemon.domain.orders import (
    Acked,
    NotExecuted,
    OutcomeUnknown,
    Refused,
    SendOutcome,
    SpotSell,
)

from . import stubs
from .stubs import Answer, cut, envelope, plain, scripted

SALE = SpotSell("BTCUSDT", Decimal("0.25"), "sp-1", Decimal("0.5"))
SPOT_ACK = envelope({"orderId": "1523347543495541248", "orderLinkId": "sp-1"})
EMPTY = envelope({"list": [], "nextPageCursor": ""})
CANCELLED = envelope({"orderId": "o-1", "orderLinkId": ""})
GONE = envelope(code=110001, message="order not exists or too late to cancel")
SPOT_GONE = envelope(code=170213, message="Order does not exist.")


def bybit(gateway: BybitGateway) -> BybitAccount:
    return gateway.account(stubs.account(), stubs.CREDENTIALS)


async def sell(answer: Answer) -> SendOutcome:
    async with scripted(order__create=[answer]) as (venue, gateway):
        account = bybit(gateway)
        await account.server_now()
        outcome = await account.send(account.sign(SALE))
        assert len(venue.asked("/v5/order/create")) == 1
        return outcome


class TestSelling:
    async def test_a_sale_on_the_wire_never_borrows(self) -> None:
        async with scripted(order__create=[SPOT_ACK]) as (venue, gateway):
            account = bybit(gateway)
            outcome = await account.send(account.sign(SALE))
            ((_, body),) = venue.asked("/v5/order/create")
        assert outcome == Acked("1523347543495541248")
        assert orjson.loads(body) == {
            "category": "spot",
            "symbol": "BTCUSDT",
            "side": "Sell",
            "orderType": "Market",
            "qty": "0.25",
            "marketUnit": "baseCoin",
            "isLeverage": 0,
            "orderLinkId": "sp-1",
            "slippageToleranceType": "Percent",
            "slippageTolerance": "0.5",
        }

    @pytest.mark.parametrize(
        ("code", "message"),
        [
            (170131, "Insufficient balance."),
            (170136, "Order quantity exceeded lower limit."),
            (170137, "Order quantity has too many decimals."),
            (170140, "Order value exceeded lower limit."),
            (170381, "Market order quantity cannot exceed 41.5."),
            (110108, "slippageTolerance TickSize is out of range [1, 10000]"),
            (110109, "slippageTolerance Percent is out of range [0.01, 10]"),
        ],
    )
    async def test_a_refused_sale_keeps_its_code(self, code: int, message: str) -> None:
        assert await sell(envelope(code=code, message=message)) == Refused(code, message)

    @pytest.mark.parametrize(
        ("code", "of_key"),
        [(10003, True), (10004, True), (10010, True), (33004, True), (10005, False)],
    )
    async def test_a_sale_refused_for_its_key_says_whether_that_may_pass(
        self, code: int, *, of_key: bool
    ) -> None:
        assert await sell(envelope(code=code, message="no")) == Refused(code, "no", of_key=of_key)

    async def test_a_sale_that_is_unauthorized_without_a_code_is_refused_for_its_key(self) -> None:
        outcome = await sell(plain(401))
        assert isinstance(outcome, Refused)
        assert outcome.of_key

    @pytest.mark.parametrize(
        "answer",
        [
            envelope(code=170141, message="Duplicate clientOrderId"),
            envelope(code=170007, message="Timeout waiting for response"),
            envelope(code=170147, message="Order sent, result unknown"),
            plain(504),
            cut,
        ],
        ids=["duplicate id", "170007", "170147", "504", "cut"],
    )
    async def test_what_proves_nothing_leaves_a_sale_unknown(self, answer: Answer) -> None:
        assert isinstance(await sell(answer), OutcomeUnknown)

    @pytest.mark.parametrize("code", [170005, 170222, 110118])
    async def test_too_many_orders_or_a_thin_book_pass(self, code: int) -> None:
        outcome = await sell(envelope(code=code, message="later"))
        assert isinstance(outcome, NotExecuted)
        assert outcome.ret_code == code


class TestLookingUpSpot:
    ROW: ClassVar = {
        "symbol": "BTCUSDT",
        "orderId": "1523347543495541248",
        "orderLinkId": "sp-1",
        "side": "Sell",
        "orderType": "Market",
        "orderStatus": "PartiallyFilledCanceled",
        "rejectReason": "EC_CancelForNoFullFill",
        "qty": "0.25",
        "cumExecQty": "0.1",
        "avgPrice": "100",
        "isLeverage": "0",
        "createdTime": "1760000000349",
        "updatedTime": "1760000000354",
    }

    async def test_a_sale_is_looked_up_without_a_settle_coin(self) -> None:
        found = envelope({"list": [self.ROW], "nextPageCursor": ""})
        async with scripted(
            order__realtime=[EMPTY, EMPTY], order__history=[found], execution__list=[EMPTY]
        ) as (venue, gateway):
            report = await bybit(gateway).find_order(SALE)
            asked = [parse_qs(query) for query, _ in venue.asked("/v5/order/realtime")]
        assert report is not None
        assert (report.status, report.filled) == (OrderStatus.CANCELLED, Decimal("0.1"))
        assert (report.order_id, report.reduce_only) == ("1523347543495541248", False)
        assert [set(query) for query in asked] == [
            {"category", "symbol", "limit", "orderLinkId"},
            {"category", "symbol", "limit", "openOnly"},
        ]
        assert all(query["category"] == ["spot"] for query in asked)

    async def test_the_fills_of_a_sale_carry_their_fee_in_quote_coin(self) -> None:
        row = {
            "symbol": "BTCUSDT",
            "orderId": "1523347543495541248",
            "orderLinkId": "sp-1",
            "side": "Sell",
            "execId": "2100000000123456789",
            "execType": "Trade",
            "execPrice": "100000",
            "execQty": "0.1",
            "orderQty": "0.25",
            "execFee": "10",
            "feeCurrency": "USDT",
            "closedSize": "",
            "execTime": "1760000000353",
        }
        found = envelope({"list": [row], "nextPageCursor": ""})
        async with scripted(execution__list=[found]) as (_, gateway):
            (fill,) = await bybit(gateway).fills_of(SALE, "1523347543495541248")
        assert (fill.quantity, fill.fee, fill.fee_coin) == (Decimal("0.1"), Decimal(10), "USDT")
        assert fill.closed_size is None


class TestRestingOrders:
    ROW: ClassVar = {
        "symbol": "BTCUSDT",
        "orderId": "o-1",
        "orderLinkId": "",
        "side": "Sell",
        "positionIdx": 1,
        "orderType": "Limit",
        "orderStatus": "New",
        "price": "120000",
        "qty": "0.5",
        "leavesQty": "0.5",
        "cumExecQty": "0",
        "reduceOnly": True,
        "createdTime": "1760000000349",
        "updatedTime": "1760000000349",
    }

    async def test_every_page_is_read_and_each_order_told_once(self) -> None:
        first = envelope({"list": [self.ROW], "nextPageCursor": "p%3D2"})
        other = {**self.ROW, "orderId": "o-2", "orderStatus": "Untriggered"}
        stray = {**self.ROW, "orderId": "o-3", "symbol": "ETHUSDT"}
        second = envelope({"list": [self.ROW, other, stray], "nextPageCursor": ""})
        async with scripted(order__realtime=[first, second]) as (venue, gateway):
            found = await bybit(gateway).open_orders(Category.LINEAR, "BTCUSDT")
            queries = [query for query, _ in venue.asked("/v5/order/realtime")]
        assert [order.order_id for order in found] == ["o-1", "o-2"]
        assert (found[0].side, found[0].position_idx, found[0].left) == (
            Side.SELL,
            1,
            Decimal("0.5"),
        )
        assert queries == [
            "category=linear&symbol=BTCUSDT&limit=50",
            "category=linear&symbol=BTCUSDT&limit=50&cursor=p%3D2",
        ]

    async def test_a_page_that_cannot_be_had_fails_the_list(self) -> None:
        first = envelope({"list": [self.ROW], "nextPageCursor": "p%3D2"})
        async with scripted(order__realtime=[first, plain(502)]) as (_, gateway):
            with pytest.raises(ExchangeUnreachable):
                await bybit(gateway).open_orders(Category.LINEAR, "BTCUSDT")

    async def test_a_row_that_cannot_be_read_fails_the_list(self) -> None:
        odd = envelope({"list": [{**self.ROW, "side": "Long"}], "nextPageCursor": ""})
        async with scripted(order__realtime=[odd]) as (_, gateway):
            with pytest.raises(ExchangeUnreachable):
                await bybit(gateway).open_orders(Category.LINEAR, "BTCUSDT")

    async def test_it_may_use_what_is_kept_for_closing(self) -> None:
        async with scripted(order__realtime=[EMPTY]) as (venue, gateway):
            account = bybit(gateway)
            await account.server_now()
            client = gateway.client(Environment.PAPER)
            budget = client._budgets.of("KEY", "/v5/order/realtime", "linear")
            budget._reads_blocked_until = float("inf")
            async with asyncio.timeout(5):
                assert await account.open_orders(Category.LINEAR, "BTCUSDT") == []
            assert len(venue.asked("/v5/order/realtime")) == 1


class TestCancelling:
    async def cancel(self, category: Category, *answers: Answer) -> list[dict[str, str]]:
        async with scripted(order__cancel=list(answers)) as (venue, gateway):
            await bybit(gateway).cancel_order(category, "BTCUSDT", "o-1")
            return [orjson.loads(body) for _, body in venue.asked("/v5/order/cancel")]

    async def test_a_cancel_names_the_order_alone(self) -> None:
        asked = await self.cancel(Category.LINEAR, CANCELLED)
        assert asked == [{"category": "linear", "symbol": "BTCUSDT", "orderId": "o-1"}]

    async def test_it_is_signed_over_the_very_bytes(self) -> None:
        headers: list[Mapping[str, str]] = []

        def answer(request: web.Request) -> web.StreamResponse | None:
            headers.append(request.headers)
            return CANCELLED(request)

        async with scripted(order__cancel=[answer]) as (venue, gateway):
            await bybit(gateway).cancel_order(Category.LINEAR, "BTCUSDT", "o-1")
            ((_, body),) = venue.asked("/v5/order/cancel")
        (sent,) = headers
        signed = f"{sent['X-BAPI-TIMESTAMP']}KEY5000".encode() + body
        assert sent["X-BAPI-SIGN"] == hmac_hex(stubs.CREDENTIALS.secret, signed)
        assert sent["Content-Type"] == "application/json"

    async def test_an_order_that_is_gone_is_as_good_as_cancelled(self) -> None:
        assert len(await self.cancel(Category.LINEAR, GONE)) == 1

    @pytest.mark.parametrize("fault", [plain(502), cut, envelope(code=10006), plain(429)])
    async def test_a_passing_fault_is_tried_again(self, fault: Answer) -> None:
        assert len(await self.cancel(Category.INVERSE, fault, GONE)) == 2

    async def test_a_spot_order_is_looked_for_among_all_its_kinds(self) -> None:
        asked = await self.cancel(Category.SPOT, SPOT_GONE, CANCELLED)
        assert [one["orderFilter"] for one in asked] == ["Order", "tpslOrder"]
        asked = await self.cancel(Category.SPOT, SPOT_GONE)
        assert [one["orderFilter"] for one in asked] == ["Order", "tpslOrder", "StopOrder"]

    async def test_a_refusal_is_told(self) -> None:
        with pytest.raises(ExchangeRefused) as refused:
            await self.cancel(Category.LINEAR, envelope(code=10001, message="params error"))
        assert refused.value.ret_code == 10001
        with pytest.raises(CredentialsRefused):
            await self.cancel(Category.LINEAR, envelope(code=10005, message="Permission denied"))

    async def test_a_lasting_fault_is_unreachable_and_a_ban_is_busy(self) -> None:
        with pytest.raises(ExchangeUnreachable):
            await self.cancel(Category.LINEAR, plain(502))
        with pytest.raises(ExchangeBusy):
            await self.cancel(Category.LINEAR, plain(403))


class TestPreview:
    async def test_a_fee_rate_is_that_of_the_symbol(self) -> None:
        rates = [
            {"symbol": "ETHUSDT", "takerFeeRate": "0.9", "makerFeeRate": "0"},
            {"symbol": "BTCUSDT", "takerFeeRate": "0.00055", "makerFeeRate": "0.0002"},
        ]
        async with scripted(account__fee_rate=[envelope({"list": rates})]) as (venue, gateway):
            rate = await bybit(gateway).taker_fee_rate(Category.LINEAR, "BTCUSDT")
            ((query, _),) = venue.asked("/v5/account/fee-rate")
        assert (rate, query) == (Decimal("0.00055"), "category=linear&symbol=BTCUSDT")

    async def test_options_have_the_rate_of_their_coin(self) -> None:
        rates = [
            {"symbol": "", "baseCoin": "BTC", "takerFeeRate": "0.9", "makerFeeRate": "0"},
            {"symbol": "", "baseCoin": "ETH", "takerFeeRate": "0.0003", "makerFeeRate": "0"},
        ]
        async with scripted(account__fee_rate=[envelope({"list": rates})]) as (venue, gateway):
            symbol = "ETH-28FEB25-2800-C"
            rate = await bybit(gateway).taker_fee_rate(Category.OPTION, symbol)
            ((query, _),) = venue.asked("/v5/account/fee-rate")
        assert (rate, query) == (Decimal("0.0003"), "category=option&baseCoin=ETH")

    async def test_no_rate_is_never_zero(self) -> None:
        async with scripted(account__fee_rate=[EMPTY]) as (_, gateway):
            with pytest.raises(ExchangeUnreachable):
                await bybit(gateway).taker_fee_rate(Category.SPOT, "BTCUSDT")

    @pytest.mark.parametrize(
        ("category", "limit"), [(Category.LINEAR, "200"), (Category.OPTION, "25")]
    )
    async def test_a_book_is_asked_for_as_deep_as_it_goes(
        self, category: Category, limit: str
    ) -> None:
        book = envelope({"s": "X", "b": [["99", "2"]], "a": [], "ts": 1760000000353})
        async with scripted(market__orderbook=[book]) as (venue, gateway):
            found = await gateway.order_book(Environment.PAPER, category, "X")
            ((query, _),) = venue.asked("/v5/market/orderbook")
        assert (found.bids, found.asks) == (((Decimal(99), Decimal(2)),), ())
        assert query == f"category={category.value}&symbol=X&limit={limit}"

    async def test_the_book_of_something_else_is_no_answer(self) -> None:
        book = envelope({"s": "Y", "b": [], "a": [], "ts": 1760000000353})
        async with scripted(market__orderbook=[book]) as (_, gateway):
            with pytest.raises(ExchangeUnreachable):
                await gateway.order_book(Environment.PAPER, Category.LINEAR, "X")


async def test_what_a_close_asks_passes_where_reads_have_to_stop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("positiond.bybit.turns._LONGEST_WAIT", 0.05)
    async with scripted(execution__list=[EMPTY], market__instruments_info=[EMPTY]) as (_, gateway):
        account, now = bybit(gateway), datetime.now(UTC)
        ask_rules = partial(gateway.instruments, Environment.PAPER, Category.LINEAR, "BTCUSDT")
        await account.server_now()
        for _ in range(READS_STOP_AT):
            gateway.client(Environment.PAPER)._turns._gate.stamp(urgent=True)
        ask_fills = partial(account.fills_since, Category.LINEAR, now, symbol="BTCUSDT")
        with pytest.raises(ExchangeBusy):
            await ask_fills()
        with pytest.raises(ExchangeBusy):
            await ask_rules()
        assert await ask_fills(urgent=True) == []
        assert await ask_rules(urgent=True) == []
