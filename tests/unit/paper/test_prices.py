"""Prices: seeded, alive, and in step with each other."""

from decimal import Decimal as D
from itertools import pairwise

import pytest
from positiond.bybit.paper.book import book_around, sweep, within, without
from positiond.bybit.paper.listing import default_listing
from positiond.bybit.paper.prices import Market
from positiond.bybit.paper.quotes import Quote
from positiond.bybit.vocab import Category, OptionsType, Side

LINEAR = Category.LINEAR


def run(market: Market, ticks: int) -> dict[str, list[Quote]]:
    seen: dict[str, list[Quote]] = {i.symbol: [] for i in market.listing.all()}
    for _ in range(ticks):
        market.tick(100)
        for quote in market.quotes(LINEAR):
            seen[quote.instrument.symbol].append(quote)
    return seen


def test_the_same_seed_gives_the_same_prices() -> None:
    one, two, other = (Market(default_listing(), seed) for seed in (4, 4, 5))
    for market in (one, two, other):
        run(market, 20)
    assert one.quotes(LINEAR) == two.quotes(LINEAR)
    assert one.quotes(LINEAR) != other.quotes(LINEAR)


@pytest.mark.parametrize("ticks", [80, pytest.param(300, marks=pytest.mark.thorough)])
def test_every_mark_moves_at_least_once_a_second(ticks: int) -> None:
    for symbol, quotes in run(Market(default_listing(), 1), ticks).items():
        marks = [quote.mark for quote in quotes]
        still = longest = 0
        for before, after in pairwise(marks):
            still = still + 1 if before == after else 0
            longest = max(longest, still)
        assert longest < 10, symbol


def every_quote(market: Market) -> list[Quote]:
    return [quote for category in Category for quote in market.quotes(category)]


@pytest.mark.parametrize("ticks", [50, pytest.param(200, marks=pytest.mark.thorough)])
def test_bid_ask_last_mark_and_index_hang_together(ticks: int) -> None:
    market = Market(default_listing(), 2)
    for _ in range(ticks):
        market.tick(100)
        for quote in every_quote(market):
            i = quote.instrument
            assert quote.bid < quote.ask
            assert quote.last in (quote.bid, quote.ask)
            assert quote.last > 0
            assert i.is_on_tick(quote.bid)
            assert i.is_on_tick(quote.ask)
            assert quote.ask_size >= i.step
            assert quote.bid_size >= i.step or quote.bid == 0
            if i.option is None:
                assert abs(quote.mark - quote.bid) <= (quote.ask - quote.bid) + i.tick
                away = 0.04 if i.delivery_ms else 0.005
                assert abs(quote.index - quote.mark) / quote.mark < D(str(away))
            else:
                assert quote.bid <= quote.mark <= quote.ask


def test_one_coin_has_one_price_everywhere() -> None:
    market = Market(default_listing(), 2)
    for _ in range(100):
        market.tick(100)
    market.pin(LINEAR, "BTCUSDT", D("88000"))
    for quote in every_quote(market):
        if quote.instrument.base == "BTC":
            assert abs(quote.index - 88000) < 1
            assert quote.usd_index == 88000
    cross = market.quote(Category.SPOT, "ETHBTC")
    ether = market.usd("ETH")
    assert abs(cross.index * 88000 / ether - 1) < D("0.0001")


def test_an_option_is_worth_at_least_what_it_would_pay_now() -> None:
    market = Market(default_listing(), 3)
    options = market.quotes(Category.OPTION)
    assert len(options) > 200
    for quote in options:
        terms, greeks = quote.instrument.option, quote.greeks
        assert terms is not None
        assert greeks is not None
        assert quote.mark >= terms.payoff(greeks.underlying) - 1
        assert greeks.bid_iv <= greeks.mark_iv <= greeks.ask_iv
        call = terms.kind is OptionsType.CALL
        assert (0 <= greeks.delta <= 1) if call else (-1 <= greeks.delta <= 0)


def test_call_less_put_is_the_forward_less_the_strike() -> None:
    market = Market(default_listing(), 3)
    by_symbol = {quote.instrument.symbol: quote for quote in market.quotes(Category.OPTION)}
    for symbol, call in by_symbol.items():
        terms, greeks = call.instrument.option, call.greeks
        if terms is None or greeks is None or terms.kind is not OptionsType.CALL:
            continue
        put = by_symbol[symbol.replace("-C", "-P")]
        assert abs(call.mark - put.mark - (greeks.underlying - terms.strike)) < D("0.02")


def test_a_future_s_premium_ends_with_its_time() -> None:
    market = Market(default_listing(), 3)
    future = next(
        q.instrument for q in market.quotes(LINEAR) if q.instrument.symbol == "BTCUSDT-26DEC25"
    )
    early = market.quote(LINEAR, future.symbol)
    market.tick(100, future.delivery_ms - 1000)
    for _ in range(8):
        market.tick(100)
    late = market.quote(LINEAR, future.symbol)
    assert early.mark / early.index > D("1.01")
    assert abs(late.mark / late.index - 1) < D("0.0001")
    assert late.predicted == late.index


def test_a_pinned_option_stays_near_its_price() -> None:
    market = Market(default_listing(), 1)
    symbol = next(i.symbol for i in market.listing.of(Category.OPTION) if "100000-C" in i.symbol)
    assert abs(market.pin(Category.OPTION, symbol, D("2500"))[0].mark - 2500) < D("0.001")


def test_a_pinned_mark_is_exact() -> None:
    market = Market(default_listing(), 1)
    quote = market.pin(LINEAR, "ETHUSDT", D("4321.09"))[0]
    assert quote.mark == quote.index == D("4321.09")
    market.tick(100)
    assert abs(market.quote(LINEAR, "ETHUSDT").mark - D("4321.09")) < 10


def test_prices_go_on_after_a_restart_as_they_would_have_without_it() -> None:
    market = Market(default_listing(), 1)
    run(market, 20)
    market.pin(LINEAR, "BTCUSDT", D("90000"))
    later = Market(default_listing(), 1)
    later.restore(market.save(clean=True), market.ticks, market.seq)
    for _ in range(3):
        assert later.tick(100) == market.tick(100)


def test_after_a_crash_no_sequence_is_told_twice() -> None:
    market = Market(default_listing(), 1)
    saved = market.save()
    run(market, 20)
    later = Market(default_listing(), 1)
    later.restore(saved, 0, 0)
    assert min(quote.seq for quote in later.tick(100)) > market.seq


def test_the_book_starts_at_the_quote_and_widens() -> None:
    quote = Market(default_listing(), 1).quote(LINEAR, "BTCUSDT")
    book = book_around(quote, 1)
    assert (book.bids[0].price, book.asks[0].price) == (quote.bid, quote.ask)
    assert [level.price for level in book.asks] == sorted({level.price for level in book.asks})
    assert book.asks[-1].price > quote.instrument.band(quote.mark)[1]
    assert book == book_around(quote, 1)


def test_sweeping_respects_quantity_and_limit() -> None:
    quote = Market(default_listing(), 1).quote(LINEAR, "BTCUSDT")
    asks = book_around(quote, 1).asks
    assert sum(level.qty for level in sweep(asks, Side.BUY, D(9), D(10**9))) == D(9)
    assert sweep(asks, Side.BUY, D(9), asks[0].price - 1) == []
    rest = without(asks, asks[0].qty + D("0.001"))
    assert (rest[0].price, rest[0].qty) == (asks[1].price, asks[1].qty - D("0.001"))
    assert sum(level.qty for level in within(asks, D(3))) == D(3)
