"""The streams against the paper exchange: up, cut, up again, and nothing broken on the way."""

from __future__ import annotations

from decimal import Decimal

import pytest
from aiohttp import ClientSession
from positiond.bybit.gateway import open_gateway
from positiond.bybit.vocab import Hosts
from positiond.daemon.domain.events import (
    AccountFeedDown,
    AccountFeedUp,
    FillSeen,
    HoldingSeen,
    MarketFeedDown,
    MarketFeedUp,
    OrderSeen,
    PriceTick,
    WalletSeen,
)
from positiond.daemon.domain.model import Category, Credentials, Environment, Holding, Side
from positiond.daemon.domain.ports import AccountFeed, MarketFeed

from . import stubs
from .conftest import Venue
from .stubs import Ear, running


def symbols_of(ear: Ear) -> set[str]:
    return {tick.key.symbol for tick in ear.heard if isinstance(tick, PriceTick)}


def positions_of(ear: Ear) -> list[Holding]:
    """What was told of contracts; coins come by the wallet as well."""
    told = [event.holding for event in ear.heard if isinstance(event, HoldingSeen)]
    return [one for one in told if one.category is not Category.SPOT]


class TestMarketFeed:
    async def test_watched_symbols_tick_and_others_do_not(self, venue: Venue) -> None:
        feed: MarketFeed = venue.market_feed
        feed.watch(frozenset({"BTCUSDT"}))
        ear = Ear()
        async with running(feed, ear):
            await ear.until(lambda: symbols_of(ear) == {"BTCUSDT"})
            assert len(ear.of(MarketFeedUp)) == 1
            first = next(tick for tick in ear.heard if isinstance(tick, PriceTick))
            assert first.is_snapshot
            assert first.mark is not None
            feed.watch(frozenset({"ETHUSDT"}))
            ear.heard.clear()
            await ear.until(lambda: symbols_of(ear) == {"ETHUSDT"})
            assert symbols_of(ear) == {"ETHUSDT"}, "BTCUSDT was given up"

    async def test_a_bad_symbol_does_not_silence_the_good_one(self, venue: Venue) -> None:
        feed = venue.market_feed
        feed.watch(frozenset({"BTCUSDT", "NOSUCH"}))
        ear = Ear()
        async with running(feed, ear):
            await ear.until(lambda: bool(ear.of(MarketFeedUp)) and bool(symbols_of(ear)))
            assert venue.gateway.oddities.counts["topic refused tickers.NOSUCH"] == 1

    async def test_after_a_cut_it_is_subscribed_again(self, venue: Venue) -> None:
        feed = venue.market_feed
        feed.watch(frozenset({"BTCUSDT"}))
        ear = Ear()
        async with running(feed, ear):
            await ear.until(lambda: bool(symbols_of(ear)))
            await cut(venue)
            await ear.until(lambda: bool(ear.of(MarketFeedDown)))
            ear.heard.clear()
            await ear.until(lambda: bool(ear.of(MarketFeedUp)) and bool(symbols_of(ear)))

    async def test_a_broken_frame_is_counted_and_ends_nothing(self, venue: Venue) -> None:
        feed = venue.market_feed
        feed.watch(frozenset({"BTCUSDT"}))
        ear = Ear()
        async with running(feed, ear):
            await ear.until(lambda: bool(symbols_of(ear)))
            venue.fault("frame_corrupt", where="tickers.*", count=3)
            before = len(ear.heard)
            await ear.until(
                lambda: sum(venue.gateway.oddities.counts.values()) >= 3 and len(ear.heard) > before
            )
            assert ear.of(MarketFeedDown) == []

    async def test_an_error_of_the_sink_is_not_hidden(self, venue: Venue) -> None:
        def sink(_: object) -> None:
            raise RuntimeError("the tracker fell over")

        feed = venue.market_feed
        feed.watch(frozenset({"BTCUSDT"}))
        with pytest.RaisesGroup(
            pytest.RaisesExc(RuntimeError, match="fell over"), flatten_subgroups=True
        ):
            await feed.run(sink)

    @pytest.mark.parametrize("category", list(Category))
    async def test_every_category_ticks_with_its_index(
        self, venue: Venue, category: Category
    ) -> None:
        symbols = {Category.INVERSE: "BTCUSD"}
        if category is Category.OPTION:
            symbols[category] = (await venue.options("ETH"))[0]
        symbol = symbols.get(category, "BTCUSDT")
        feed = venue.gateway.market_feed(Environment.PAPER, category)
        feed.watch(frozenset({symbol, "NOSUCH"}))
        ear = Ear()
        async with running(feed, ear):
            await ear.until(lambda: symbols_of(ear) == {symbol} and bool(ear.of(MarketFeedUp)))
        tick = next(tick for tick in ear.heard if isinstance(tick, PriceTick))
        assert tick.key.category is category
        assert tick.index is not None
        assert (tick.mark is None) == (category is Category.SPOT)
        assert venue.gateway.oddities.counts["topic refused tickers.NOSUCH"] == 1

    async def test_spot_symbols_beyond_ten_all_tick(self, venue: Venue) -> None:
        listed = await venue.gateway.instruments(Environment.PAPER, Category.SPOT)
        wanted = frozenset(sorted(one.key.symbol for one in listed)[:13])
        assert len(wanted) > 10
        feed = venue.gateway.market_feed(Environment.PAPER, Category.SPOT)
        feed.watch(wanted)
        ear = Ear()
        async with running(feed, ear):
            await ear.until(lambda: symbols_of(ear) == wanted)

    async def test_more_options_than_a_connection_takes_tick_all_the_same(
        self, venue: Venue, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("positiond.bybit.topic_plan._MOST_OPTIONS", 3)
        symbols = await venue.options("BTC")
        feed = venue.gateway.market_feed(Environment.PAPER, Category.OPTION)
        feed.watch(frozenset(symbols[:5]))
        ear = Ear()
        async with running(feed, ear):
            await ear.until(lambda: symbols_of(ear) == set(symbols[:5]))
            assert venue.paper.control("state", "GET")["streams"]["connections"] == 2
            feed.watch(frozenset(symbols[:8]))
            await ear.until(lambda: symbols_of(ear) == set(symbols[:8]))
            assert len(ear.of(MarketFeedUp)) == 1
            await cut(venue)
            await ear.until(lambda: bool(ear.of(MarketFeedDown)))
            ear.heard.clear()
            await ear.until(
                lambda: bool(ear.of(MarketFeedUp)) and symbols_of(ear) == set(symbols[:8])
            )


class TestAccountFeed:
    async def test_a_trade_is_seen_as_fill_order_and_holding(self, venue: Venue) -> None:
        feed: AccountFeed = venue.account_feed
        ear = Ear()
        async with running(feed, ear):
            await ear.until(lambda: bool(ear.of(AccountFeedUp)))
            venue.buy("0.5")
            await ear.until(
                lambda: bool(ear.of(FillSeen) and ear.of(OrderSeen) and positions_of(ear))
            )
        fills = [event.fill for event in ear.heard if isinstance(event, FillSeen)]
        assert sum(fill.quantity for fill in fills) == Decimal("0.5")
        assert all(fill.changes_size and fill.side is Side.BUY for fill in fills)
        seen = positions_of(ear)[-1]
        assert (seen.category, seen.signed) == (Category.LINEAR, Decimal("0.5"))

    async def test_a_purchase_of_a_coin_is_seen_in_the_wallet(self, venue: Venue) -> None:
        ear = Ear()
        async with running(venue.account_feed, ear):
            await ear.until(lambda: bool(ear.of(AccountFeedUp)))
            venue.buy("0.5", "BTCUSDT", "spot")

            def coins() -> dict[str, Decimal]:
                held = [event.holding for event in ear.heard if isinstance(event, HoldingSeen)]
                return {one.symbol: one.signed for one in held if one.category is Category.SPOT}

            await ear.until(lambda: coins().get("BTC", Decimal(0)) > 0)
            (rest,) = await venue.account.holdings_in(Category.SPOT, "BTC")
            await ear.until(lambda: coins()["BTC"] == rest.signed)
            named = [event.coins for event in ear.heard if isinstance(event, WalletSeen)]
            assert "BTC" in named[-1]

    async def test_an_option_trade_is_seen_as_fill_order_and_holding(self, venue: Venue) -> None:
        symbol = (await venue.options("ETH"))[0]
        ear = Ear()
        async with running(venue.account_feed, ear):
            await ear.until(lambda: bool(ear.of(AccountFeedUp)))
            venue.buy("1", symbol, "option")
            await ear.until(
                lambda: bool(ear.of(FillSeen) and ear.of(OrderSeen) and positions_of(ear))
            )
        (fill, *_) = [event.fill for event in ear.heard if isinstance(event, FillSeen)]
        assert (fill.category, fill.symbol) == (Category.OPTION, symbol)

    async def test_after_a_cut_it_comes_up_again_and_still_hears(self, venue: Venue) -> None:
        ear = Ear()
        async with running(venue.account_feed, ear):
            await ear.until(lambda: bool(ear.of(AccountFeedUp)))
            await cut(venue)
            await ear.until(lambda: len(ear.of(AccountFeedUp)) == 2)
            down = ear.of(AccountFeedDown)
            assert len(down) == 1
            venue.buy("0.5")
            await ear.until(lambda: bool(ear.of(FillSeen)))

    async def test_a_broken_frame_asks_for_a_resync_and_ends_nothing(self, venue: Venue) -> None:
        ear = Ear()
        async with running(venue.account_feed, ear):
            await ear.until(lambda: bool(ear.of(AccountFeedUp)))
            venue.fault("frame_corrupt", where="execution*", count=1)
            venue.buy("0.5")
            await ear.until(lambda: bool(ear.of(HoldingSeen)))
            venue.buy("0.5")
            await ear.until(lambda: bool(ear.of(FillSeen)))
            assert ear.of(AccountFeedDown) == []
            assert sum(venue.gateway.oddities.counts.values()) == 1
            assert len(ear.of(AccountFeedUp)) == 2

    async def test_a_refused_key_is_said_so(self, venue: Venue) -> None:
        wrong = Credentials(venue.trader.key, "wrong")
        feed = venue.gateway.account_feed(stubs.account(), wrong)
        ear = Ear()
        async with running(feed, ear):
            await ear.until(lambda: bool(ear.of(AccountFeedDown)))
        down = ear.heard[0]
        assert isinstance(down, AccountFeedDown)
        assert "refused the API key" in down.reason
        assert ear.of(AccountFeedUp) == []


async def test_a_venue_that_is_gone_is_a_feed_that_is_down() -> None:
    nowhere = {
        Environment.PAPER: Hosts("http://127.0.0.1:1", "ws://127.0.0.1:1", "ws://127.0.0.1:1")
    }
    async with open_gateway(nowhere, patience=stubs.QUICK, persistence=stubs.PROMPT) as gateway:
        for feed in (
            gateway.market_feed(Environment.PAPER, Category.LINEAR),
            gateway.account_feed(stubs.account(), stubs.CREDENTIALS),
        ):
            ear = Ear()
            async with running(feed, ear):
                await ear.until(lambda ear=ear: len(ear.heard) >= 3)  # type: ignore[misc]  # bound now
            assert not ear.of(MarketFeedUp)
            assert not ear.of(AccountFeedUp)


async def cut(venue: Venue) -> None:
    async with ClientSession() as http, http.post(f"{venue.paper.url}/_paper/cut") as reply:
        assert (await reply.json())["cut"] > 0
