"""Holdings, orders and fills of an account on the paper exchange."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TypeVar

import pytest
from positiond.bybit.exchange import BybitAccount
from positiond.bybit.opening import Opener
from positiond.bybit.wire_market import read_ticker
from positiond.daemon.domain.errors import CredentialsRefused, ExchangeUnreachable
from positiond.daemon.domain.model import (
    Category,
    Credentials,
    Delivery,
    Environment,
    OrderReport,
    OrderStatus,
    Side,
)
from positiond.daemon.domain.orders import (
    Acked,
    NotExecuted,
    OutcomeUnknown,
    ReduceOnlyOrder,
    Refused,
)
from positiond.daemon.domain.ports import AccountExchange, Gateway

from . import stubs
from .conftest import Venue
from .stubs import reducing

Found = TypeVar("Found")


async def polled(look: Callable[[], Awaitable[Found | None]], seconds: float = 10.0) -> Found:
    """The first thing that `look` finds."""
    async with asyncio.timeout(seconds):
        while (found := await look()) is None:  # noqa: ASYNC110  # REST can only be polled
            await asyncio.sleep(0.02)
        return found


async def ended(account: BybitAccount, order: ReduceOnlyOrder) -> OrderReport:
    async def look() -> OrderReport | None:
        report = await account.find_order(order)
        return report if report is not None and report.status.is_terminal else None

    return await polled(look)


class TestHoldings:
    async def test_what_was_bought_is_held(self, venue: Venue) -> None:
        venue.buy("0.5")
        (held,) = await venue.account.holdings(Category.LINEAR, settle_coin="USDT")
        assert (held.symbol, held.side, held.size) == ("BTCUSDT", Side.BUY, Decimal("0.5"))
        assert held.position_idx == 0
        assert held.seq is not None
        assert abs(held.read_at - datetime.now(UTC)) < timedelta(seconds=2)

    async def test_a_symbol_is_told_even_when_flat(self, venue: Venue) -> None:
        (flat,) = await venue.account.holdings_in(Category.LINEAR, "ETHUSDT")
        assert (flat.symbol, flat.side, flat.size) == ("ETHUSDT", None, Decimal(0))
        assert await venue.account.holdings(Category.LINEAR, settle_coin="USDT") == []

    async def test_all_of_twenty_one_positions_are_found(self, venue: Venue) -> None:
        instruments = await venue.gateway.instruments(Environment.PAPER, Category.LINEAR)
        client = venue.gateway.client(Environment.PAPER)
        raw = await client.pages("/v5/market/tickers", [("category", "linear")])
        prices = {(ticker := read_ticker(row)).symbol: ticker.last for row in raw}
        bought = [one.key.symbol for one in instruments if one.is_trading][:21]
        for instrument in instruments[:21]:
            price = prices[instrument.key.symbol]
            assert price is not None
            step = instrument.quantity_step
            venue.buy(str((Decimal(50) / price // step + 1) * step), instrument.key.symbol)
        held = await venue.account.holdings(Category.LINEAR, settle_coin="USDT")
        assert sorted(one.symbol for one in held) == sorted(bought)
        assert len(bought) == 21

    async def test_pages_are_followed_to_the_last(
        self, venue: Venue, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("positiond.bybit.exchange._POSITIONS_PAGE", "2")
        symbols = ["BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "DOGEUSDT"]
        for symbol in symbols:
            venue.buy("100", symbol) if symbol != "BTCUSDT" else venue.buy("1")
        held = await venue.account.holdings(Category.LINEAR, settle_coin="USDT")
        assert sorted(one.symbol for one in held) == sorted(symbols)

    async def test_what_is_settled_in_another_coin_is_not_listed(self, venue: Venue) -> None:
        venue.buy()
        assert await venue.account.holdings(Category.LINEAR, settle_coin="USDC") == []

    async def test_options_of_every_coin_are_found(self, venue: Venue) -> None:
        bought = [(await venue.options(coin))[0] for coin in ("BTC", "ETH")]
        for symbol in bought:
            venue.buy("1", symbol, "option")
        held = await venue.account.holdings(Category.OPTION, settle_coin="")
        assert sorted(one.symbol for one in held) == sorted(bought)
        assert {one.category for one in held} == {Category.OPTION}
        (one,) = await venue.account.holdings_in(Category.OPTION, bought[1])
        assert one.signed == Decimal(1)

    async def test_inverse_contracts_are_found_without_a_settle_coin(self, venue: Venue) -> None:
        venue.paper.control("deposit", account=venue.trader.uid, coin="BTC", amount="2")
        venue.buy("100", "BTCUSD", "inverse")
        (held,) = await venue.account.holdings(Category.INVERSE, settle_coin="")
        assert (held.symbol, held.signed) == ("BTCUSD", Decimal(100))


class TestWallet:
    async def test_every_coin_that_is_there_is_held(self, venue: Venue) -> None:
        venue.buy("0.5", "BTCUSDT", "spot")
        held = {
            one.symbol: one for one in await venue.account.holdings(Category.SPOT, settle_coin="")
        }
        assert set(held) == {"BTC", "USDT"}
        assert all(one.side is Side.BUY and one.position_idx == 0 for one in held.values())
        # Bybit keeps the fee of a purchase in the coin that was bought.
        assert Decimal("0.499") < held["BTC"].size < Decimal("0.5")
        assert held["BTC"].locked == 0

    async def test_a_coin_that_a_readable_wallet_does_not_show_is_held_at_zero(
        self, venue: Venue
    ) -> None:
        (none,) = await venue.account.holdings_in(Category.SPOT, "ETH", urgent=False)
        assert (none.symbol, none.side, none.size) == ("ETH", None, Decimal(0))

    async def test_one_coin_is_read_alone(self, venue: Venue) -> None:
        venue.buy("0.5", "BTCUSDT", "spot")
        (held,) = await venue.account.holdings_in(Category.SPOT, "BTC")
        assert (held.category, held.symbol) == (Category.SPOT, "BTC")
        assert held.signed > 0


class TestPast:
    async def test_fills_of_one_symbol_are_only_its_own(self, venue: Venue) -> None:
        venue.buy("0.5")
        venue.buy("2", "ETHUSDT")
        venue.buy("0.1", "BTCUSDT", "spot")
        since = datetime.now(UTC) - timedelta(minutes=1)

        async def look() -> set[str] | None:
            fills = await venue.account.fills_since(Category.LINEAR, since, symbol="ETHUSDT")
            return {fill.symbol for fill in fills} or None

        assert await polled(look) == {"ETHUSDT"}
        spot = await venue.account.fills_since(Category.SPOT, since, symbol="BTCUSDT")
        assert {fill.category for fill in spot} == {Category.SPOT}
        assert {fill.fee_coin for fill in spot} == {"BTC"}

    async def test_fills_of_options_come_by_coin_and_by_symbol(self, venue: Venue) -> None:
        symbol = (await venue.options("ETH"))[0]
        venue.buy("1", symbol, "option")
        since = datetime.now(UTC) - timedelta(minutes=1)

        async def look(symbol: str | None = None, base_coin: str | None = None) -> list[str] | None:
            found = await venue.account.fills_since(
                Category.OPTION, since, symbol=symbol, base_coin=base_coin
            )
            return [fill.symbol for fill in found] or None

        assert set(await polled(lambda: look(symbol=symbol))) == {symbol}
        assert set(await polled(lambda: look(base_coin="ETH"))) == {symbol}
        assert await look(base_coin="BTC") is None

    async def test_an_expired_option_is_told_with_its_price_and_is_held_no_more(
        self, venue: Venue
    ) -> None:
        symbol, other = (await venue.options("ETH"))[:2]
        venue.buy("2", symbol, "option")
        venue.buy("2", other, "option")
        since = datetime.now(UTC) - timedelta(minutes=1)
        venue.paper.control("deliver", category="option", symbol=symbol)
        account = venue.account
        held = await account.holdings(Category.OPTION, settle_coin="")
        assert [one.symbol for one in held] == [other]
        assert all(one.side is None for one in await account.holdings_in(Category.OPTION, symbol))

        async def look() -> list[Delivery] | None:
            return await account.deliveries_since(Category.OPTION, symbol, since) or None

        (told,) = await polled(look)
        assert (told.symbol, told.side, told.size) == (symbol, Side.BUY, Decimal(2))
        assert told.price >= 0
        assert told.delivered_at >= since
        later = datetime.now(UTC) + timedelta(minutes=1)
        assert await account.deliveries_since(Category.OPTION, symbol, later) == []


class TestClosing:
    async def test_a_reduce_only_order_closes_and_is_found_with_its_fills(
        self, venue: Venue
    ) -> None:
        venue.buy("0.5")
        account, order = venue.account, reducing("0.5")
        outcome = await account.send(account.sign(order))
        assert isinstance(outcome, Acked)
        report = await ended(account, order)
        assert (report.status, report.filled) == (OrderStatus.FILLED, Decimal("0.5"))
        assert (report.reduce_only, report.side) == (True, Side.SELL)
        assert report.order_id == outcome.order_id

        async def all_fills() -> Decimal | None:
            fills = await account.fills_of(order, outcome.order_id)
            total = sum((fill.quantity for fill in fills), Decimal(0))
            assert all(fill.changes_size and fill.link_id == "sp-1" for fill in fills)
            return total if total == Decimal("0.5") else None

        await polled(all_fills)
        (flat,) = await account.holdings_in(Category.LINEAR, "BTCUSDT")
        assert flat.side is None

    async def test_nothing_to_reduce_is_refused(self, venue: Venue) -> None:
        account = venue.account
        await account.server_now()
        outcome = await account.send(account.sign(reducing()))
        assert isinstance(outcome, Refused)
        assert outcome.ret_code == 110017
        assert await account.find_order(reducing()) is None

    async def test_the_same_id_again_is_not_taken_for_a_refusal(self, venue: Venue) -> None:
        venue.buy("0.5")
        account, order = venue.account, reducing("0.1")
        assert isinstance(await account.send(account.sign(order)), Acked)
        assert isinstance(await account.send(account.sign(order)), OutcomeUnknown)
        assert (await ended(account, order)).filled == Decimal("0.1")

    @pytest.mark.parametrize(
        "fault", [{"kind": "hang", "ms": 5000}, {"kind": "reset"}, {"kind": "http", "status": 502}]
    )
    async def test_a_reply_lost_after_acceptance_is_unknown_and_then_found(
        self, venue: Venue, fault: dict[str, object]
    ) -> None:
        venue.buy("0.5")
        account, order = venue.account, reducing("0.2")
        await account.server_now()
        venue.fault(**{"where": "/v5/order/create", "when": "after", "count": 1, **fault})  # type: ignore[arg-type]  # a literal spec
        assert isinstance(await account.send(account.sign(order)), OutcomeUnknown)
        assert (await ended(account, order)).filled == Decimal("0.2")

    async def test_a_reply_lost_before_acceptance_is_unknown_and_never_found(
        self, venue: Venue
    ) -> None:
        venue.buy("0.5")
        account, order = venue.account, reducing("0.2")
        await account.server_now()
        venue.fault("reset", where="/v5/order/create", when="before", count=1)
        assert isinstance(await account.send(account.sign(order)), OutcomeUnknown)
        assert await account.find_order(order) is None

    async def test_a_jump_of_the_venues_clock_is_measured_and_executes_nothing(
        self, venue: Venue
    ) -> None:
        venue.buy("0.5")
        account, order = venue.account, reducing("0.2")
        await account.server_now()
        venue.fault("clock_skew", ms=60_000)
        outcome = await account.send(account.sign(order))
        assert isinstance(outcome, NotExecuted)
        assert outcome.ret_code == 10002
        assert isinstance(await account.send(account.sign(order)), Acked)

    async def test_fills_since_a_moment_are_those_of_all_orders(self, venue: Venue) -> None:
        venue.buy("0.5")
        venue.buy("2", "ETHUSDT")
        since = datetime.now(UTC) - timedelta(minutes=1)

        async def both() -> set[str] | None:
            fills = await venue.account.fills_since(Category.LINEAR, since)
            symbols = {fill.symbol for fill in fills}
            return symbols if symbols == {"BTCUSDT", "ETHUSDT"} else None

        await polled(both)


class TestKeys:
    async def test_a_key_says_what_it_may_do(self, venue: Venue) -> None:
        info = await venue.account.key_info()
        assert info.uid == str(venue.trader.uid)
        assert not info.read_only

    async def test_a_wrong_secret_is_refused(self, venue: Venue) -> None:
        wrong = Credentials(venue.trader.key, "wrong")
        account = venue.gateway.account(stubs.account(), wrong)
        with pytest.raises(CredentialsRefused) as refused:
            await account.holdings(Category.LINEAR, settle_coin="USDT")
        assert refused.value.ret_code == 10004
        assert "wrong" not in str(refused.value)

    async def test_an_unknown_key_is_refused(self, venue: Venue) -> None:
        account = venue.gateway.account(stubs.account(), Credentials("NOBODY", "x"))
        with pytest.raises(CredentialsRefused):
            await account.key_info()


class TestInstruments:
    async def test_the_rules_of_all_and_of_one_agree(self, venue: Venue) -> None:
        everything = await venue.gateway.instruments(Environment.PAPER, Category.LINEAR)
        (one,) = await venue.gateway.instruments(Environment.PAPER, Category.LINEAR, "BTCUSDT")
        assert one in everything
        assert len(everything) >= 30
        assert (one.quantity_step, one.settle_coin) == (Decimal("0.001"), "USDT")

    async def test_all_categories_are_listed_and_options_of_several_coins(
        self, venue: Venue
    ) -> None:
        for category in Category:
            listed = await venue.gateway.instruments(Environment.PAPER, category)
            symbols = [one.key.symbol for one in listed]
            assert symbols
            assert len(symbols) == len(set(symbols))
            assert {one.key.category for one in listed} == {category}
            if category is Category.OPTION:
                assert {"BTC", "ETH"} <= {one.base_coin for one in listed}
                assert all(one.delivery_at is not None for one in listed)

    async def test_a_contract_that_ended_is_still_listed_and_says_so(self, venue: Venue) -> None:
        venue.paper.control("deliver", category="linear", symbol="SOLUSDT")
        listed = await venue.gateway.instruments(Environment.PAPER, Category.LINEAR)
        (ended,) = [one for one in listed if one.key.symbol == "SOLUSDT"]
        assert not ended.is_trading
        (alone,) = await venue.gateway.instruments(Environment.PAPER, Category.LINEAR, "SOLUSDT")
        assert alone == ended

    async def test_a_perpetual_lives_on(self, venue: Venue) -> None:
        (one,) = await venue.gateway.instruments(Environment.PAPER, Category.LINEAR, "BTCUSDT")
        assert one.delivery_at is None

    async def test_an_unknown_symbol_has_none(self, venue: Venue) -> None:
        assert await venue.gateway.instruments(Environment.PAPER, Category.LINEAR, "NOPE") == []


class TestOpening:
    async def test_a_position_can_be_opened_for_the_smoke_test(self, venue: Venue) -> None:
        opener = Opener(venue.gateway, stubs.account(), venue.credentials)
        await opener.open_at_market(
            Category.LINEAR, "BTCUSDT", Side.SELL, Decimal("0.01"), "smoke-1"
        )

        async def held() -> Decimal | None:
            (row,) = await venue.account.holdings_in(Category.LINEAR, "BTCUSDT")
            return row.signed or None

        assert await polled(held) == Decimal("-0.01")

    async def test_nothing_is_opened_on_mainnet(self, venue: Venue) -> None:
        mainnet = stubs.account(environment=Environment.MAINNET)
        with pytest.raises(ValueError, match="mainnet"):
            Opener(venue.gateway, mainnet, venue.credentials)


async def test_the_gateway_is_what_the_loops_expect(venue: Venue) -> None:
    gateway: Gateway = venue.gateway
    account: AccountExchange = gateway.account(stubs.account(), venue.credentials)
    assert abs(await account.server_now() - datetime.now(UTC)) < timedelta(seconds=1)


async def test_an_exchange_that_is_gone_is_unreachable() -> None:
    async with stubs.scripted() as (_, gateway):
        gateway.client(Environment.PAPER)._base_url = "http://127.0.0.1:1"
        with pytest.raises(ExchangeUnreachable):
            await gateway.account(stubs.account(), stubs.CREDENTIALS).server_now()
