"""Closing of every category on the paper exchange, and what stands in its way."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from positiond.bybit.exchange import BybitAccount
from positiond.daemon.domain.model import (
    Category,
    Environment,
    Fill,
    OrderReport,
    OrderStatus,
    Side,
)
from positiond.daemon.domain.orders import (
    Acked,
    MarketOrder,
    OutcomeUnknown,
    ReduceOnlyOrder,
    Refused,
    RestingOrder,
    SpotSell,
)

from .conftest import Venue
from .test_account_on_paper import polled


def sale(quantity: str, link_id: str = "sp-1", slippage: str | None = None) -> SpotSell:
    bound = None if slippage is None else Decimal(slippage)
    return SpotSell("BTCUSDT", Decimal(quantity), link_id, bound)


def reducing(
    category: Category,
    symbol: str,
    quantity: str,
    side: Side = Side.SELL,
    *,
    slippage: str | None = None,
) -> ReduceOnlyOrder:
    bound = None if slippage is None else Decimal(slippage)
    return ReduceOnlyOrder(category, symbol, 0, side, Decimal(quantity), "ro-1", bound)


async def sent(account: BybitAccount, order: MarketOrder) -> Acked:
    outcome = await account.send(account.sign(order))
    assert isinstance(outcome, Acked), outcome
    return outcome


async def refusal(account: BybitAccount, order: MarketOrder) -> int:
    await account.server_now()
    outcome = await account.send(account.sign(order))
    assert isinstance(outcome, Refused), outcome
    return outcome.ret_code


async def ended(account: BybitAccount, order: MarketOrder) -> OrderReport:
    async def look() -> OrderReport | None:
        report = await account.find_order(order)
        return report if report is not None and report.status.is_terminal else None

    return await polled(look)


async def fills(account: BybitAccount, order: MarketOrder, report: OrderReport) -> list[Fill]:
    async def look() -> list[Fill] | None:
        found = await account.fills_of(order, report.order_id)
        whole = sum((fill.quantity for fill in found), Decimal(0)) == report.filled
        return found if whole else None

    return await polled(look)


async def coin(account: BybitAccount, name: str = "BTC") -> Decimal:
    (held,) = await account.holdings_in(Category.SPOT, name)
    return held.signed


def deposit(venue: Venue, name: str, amount: str) -> None:
    venue.paper.control("deposit", account=venue.trader.uid, coin=name, amount=amount)


def rest(venue: Venue, quantity: str, price: Decimal, category: str = "linear", **more: Any) -> str:
    """A limit sale of the trader's by hand; its order id."""
    made = venue.paper.control(
        "order",
        account=venue.trader.uid,
        category=category,
        symbol="BTCUSDT",
        side="Sell",
        qty=quantity,
        price=f"{price:f}",
        **more,
    )
    return str(made["order"]["orderId"])


async def above(venue: Venue, category: Category = Category.LINEAR) -> Decimal:
    """A price on the tick that nobody pays now."""
    book = await venue.gateway.order_book(Environment.PAPER, category, "BTCUSDT")
    return (book.asks[0][0] * Decimal("1.015")).quantize(Decimal("0.1"))


class TestSpot:
    async def test_a_coin_is_sold_and_found_with_its_fills(self, venue: Venue) -> None:
        deposit(venue, "BTC", "1")
        account, order = venue.account, sale("0.4", slippage="5")
        acked = await sent(account, order)
        assert acked.order_id.isdecimal()
        report = await ended(account, order)
        assert (report.status, report.filled) == (OrderStatus.FILLED, Decimal("0.4"))
        assert (report.category, report.side, report.reduce_only) == (
            Category.SPOT,
            Side.SELL,
            False,
        )
        found = await fills(account, order, report)
        assert {fill.fee_coin for fill in found} == {"USDT"}
        assert all(fill.fee > 0 and fill.link_id == "sp-1" for fill in found)
        assert await coin(account) == Decimal("0.6")

    async def test_a_thin_book_ends_a_sale_with_a_part(self, venue: Venue) -> None:
        deposit(venue, "BTC", "1")
        venue.fault("thin_book", where="BTCUSDT", depth="0.15", count=1)
        account, order = venue.account, sale("0.4")
        await sent(account, order)
        report = await ended(account, order)
        assert (report.status, report.status_text) == (
            OrderStatus.CANCELLED,
            "PartiallyFilledCanceled",
        )
        assert report.filled == Decimal("0.15")
        await fills(account, order, report)
        assert await coin(account) == Decimal("0.85")

    async def test_more_than_the_wallet_holds_is_refused_and_nothing_is_borrowed(
        self, venue: Venue
    ) -> None:
        deposit(venue, "BTC", "0.3")
        assert await refusal(venue.account, sale("0.4")) == 170131
        assert await coin(venue.account) == Decimal("0.3")
        assert await venue.account.find_order(sale("0.4")) is None

    async def test_a_coin_in_an_open_order_is_locked_until_that_is_cancelled(
        self, venue: Venue
    ) -> None:
        deposit(venue, "BTC", "1")
        account = venue.account
        order_id = rest(venue, "0.8", await above(venue, Category.SPOT), "spot")
        (held,) = await account.holdings_in(Category.SPOT, "BTC")
        assert (held.size, held.locked) == (Decimal(1), Decimal("0.8"))
        assert await refusal(account, sale("0.4")) == 170131
        (resting,) = await account.open_orders(Category.SPOT, "BTCUSDT")
        assert (resting.order_id, resting.left, resting.side) == (
            order_id,
            Decimal("0.8"),
            Side.SELL,
        )
        await account.cancel_order(Category.SPOT, "BTCUSDT", order_id)
        (held,) = await account.holdings_in(Category.SPOT, "BTC")
        assert held.locked == 0
        await sent(account, sale("0.4", "sp-2"))

    @pytest.mark.parametrize(
        ("quantity", "code"),
        [("0.00001", 170140), ("0.0000001", 170137), ("60", 170381)],
    )
    async def test_what_breaks_a_rule_of_the_pair_is_refused_by_its_code(
        self, venue: Venue, quantity: str, code: int
    ) -> None:
        deposit(venue, "BTC", "100")
        assert await refusal(venue.account, sale(quantity)) == code

    async def test_the_same_id_again_is_not_taken_for_a_refusal(self, venue: Venue) -> None:
        deposit(venue, "BTC", "1")
        account, order = venue.account, sale("0.1")
        await sent(account, order)
        assert isinstance(await account.send(account.sign(order)), OutcomeUnknown)
        await ended(account, order)
        assert await coin(account) == Decimal("0.9")

    async def test_a_sale_whose_reply_was_lost_is_found(self, venue: Venue) -> None:
        deposit(venue, "BTC", "1")
        account, order = venue.account, sale("0.1")
        await account.server_now()
        venue.fault("reset", where="/v5/order/create", when="after", count=1)
        assert isinstance(await account.send(account.sign(order)), OutcomeUnknown)
        assert (await ended(account, order)).filled == Decimal("0.1")


class TestContracts:
    async def test_an_inverse_position_is_closed_in_its_coin(self, venue: Venue) -> None:
        deposit(venue, "BTC", "2")
        venue.buy("100", "BTCUSD", "inverse")
        account, order = venue.account, reducing(Category.INVERSE, "BTCUSD", "100")
        await sent(account, order)
        report = await ended(account, order)
        assert (report.filled, report.reduce_only) == (Decimal(100), True)
        assert {fill.fee_coin for fill in await fills(account, order, report)} == {"BTC"}
        (flat,) = await account.holdings_in(Category.INVERSE, "BTCUSD")
        assert flat.side is None

    async def test_an_option_is_closed(self, venue: Venue) -> None:
        symbol = (await venue.options("ETH"))[0]
        venue.buy("1", symbol, "option")
        account, order = venue.account, reducing(Category.OPTION, symbol, "1")
        await sent(account, order)
        report = await ended(account, order)
        assert (report.category, report.reduce_only) == (Category.OPTION, True)
        await fills(account, order, report)
        assert report.filled > 0

    async def test_more_than_is_held_closes_and_never_flips(self, venue: Venue) -> None:
        deposit(venue, "BTC", "2")
        venue.buy("100", "BTCUSD", "inverse")
        account, order = venue.account, reducing(Category.INVERSE, "BTCUSD", "250")
        await sent(account, order)
        assert (await ended(account, order)).filled == Decimal(100)
        (flat,) = await account.holdings_in(Category.INVERSE, "BTCUSD")
        assert flat.side is None


class TestSlippage:
    async def test_nothing_fills_beyond_the_bound_and_the_rest_is_cancelled(
        self, venue: Venue
    ) -> None:
        venue.buy("20")
        venue.paper.control("pause")
        account = venue.account
        before = await venue.gateway.order_book(Environment.PAPER, Category.LINEAR, "BTCUSDT")
        bound = before.bids[0][0] * (1 - Decimal("0.0001"))
        inside = sum((q for p, q in before.bids if p >= bound.quantize(Decimal("0.1"))), Decimal(0))
        assert inside < 20, "the book within the bound must be thinner than the order"
        order = reducing(Category.LINEAR, "BTCUSDT", "20", slippage="0.01")
        await sent(account, order)
        report = await ended(account, order)
        assert (report.status, report.filled) == (OrderStatus.CANCELLED, inside)
        found = await fills(account, order, report)
        assert min(fill.price for fill in found) >= bound.quantize(Decimal("0.1"))

    @pytest.mark.parametrize("slippage", ["0.005", "10.5", "0.555"])
    async def test_a_bound_out_of_range_is_refused(self, venue: Venue, slippage: str) -> None:
        venue.buy("0.5")
        deposit(venue, "BTC", "1")
        order = reducing(Category.LINEAR, "BTCUSDT", "0.5", slippage=slippage)
        assert await refusal(venue.account, order) == 110109
        assert await refusal(venue.account, sale("0.4", slippage=slippage)) == 110109


class TestResting:
    async def test_a_reduce_only_order_is_listed_and_cancelled(self, venue: Venue) -> None:
        venue.buy("0.5")
        account, price = venue.account, await above(venue)
        order_id = rest(venue, "0.3", price, reduce_only=True)
        assert await account.open_orders(Category.LINEAR, "BTCUSDT") == [
            RestingOrder(
                category=Category.LINEAR,
                symbol="BTCUSDT",
                order_id=order_id,
                link_id="",
                side=Side.SELL,
                position_idx=0,
                left=Decimal("0.3"),
                price=price,
                reduce_only=True,
                kind="Limit",
            )
        ]
        assert await account.open_orders(Category.LINEAR, "ETHUSDT") == []
        await account.cancel_order(Category.LINEAR, "BTCUSDT", order_id)
        assert await account.open_orders(Category.LINEAR, "BTCUSDT") == []
        await account.cancel_order(Category.LINEAR, "BTCUSDT", order_id)

    async def test_a_cancel_whose_reply_was_lost_is_repeated_without_harm(
        self, venue: Venue
    ) -> None:
        venue.buy("0.5")
        order_id = rest(venue, "0.3", await above(venue), reduce_only=True)
        account = venue.account
        await account.server_now()
        venue.fault("reset", where="/v5/order/cancel", when="after", count=1)
        await account.cancel_order(Category.LINEAR, "BTCUSDT", order_id)
        assert await account.open_orders(Category.LINEAR, "BTCUSDT") == []

    async def test_orders_of_more_than_a_page_are_all_listed(self, venue: Venue) -> None:
        venue.buy("0.5")
        price = await above(venue)
        placed = {rest(venue, "0.001", price, reduce_only=True) for _ in range(53)}
        found = await venue.account.open_orders(Category.LINEAR, "BTCUSDT")
        assert {order.order_id for order in found} == placed


class TestPreview:
    async def test_every_category_has_a_book_and_a_fee(self, venue: Venue) -> None:
        option = (await venue.options("ETH"))[0]
        symbols = {
            Category.LINEAR: "BTCUSDT",
            Category.INVERSE: "BTCUSD",
            Category.SPOT: "BTCUSDT",
            Category.OPTION: option,
        }
        rates = {}
        for category, symbol in symbols.items():
            book = await venue.gateway.order_book(Environment.PAPER, category, symbol)
            assert book.bids[0][0] < book.asks[0][0]
            assert all(quantity > 0 for _, quantity in (*book.bids, *book.asks))
            rates[category] = await venue.account.taker_fee_rate(category, symbol)
        assert rates == {
            Category.LINEAR: Decimal("0.00055"),
            Category.INVERSE: Decimal("0.00055"),
            Category.SPOT: Decimal("0.001"),
            Category.OPTION: Decimal("0.0003"),
        }
