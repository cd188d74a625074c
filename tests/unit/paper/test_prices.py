"""Prices: seeded, alive, and in step with each other."""

from decimal import Decimal as D
from itertools import pairwise

from positiond.bybit.paper.book import book_around, sweep, within, without
from positiond.bybit.paper.instruments import default_listing
from positiond.bybit.paper.prices import Market, Quote
from positiond.bybit.vocab import Category, Side

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
        run(market, 50)
    assert one.quotes(LINEAR) == two.quotes(LINEAR)
    assert one.quotes(LINEAR) != other.quotes(LINEAR)


def test_every_mark_moves_at_least_once_a_second() -> None:
    for symbol, quotes in run(Market(default_listing(), 1), 300).items():
        marks = [quote.mark for quote in quotes]
        still = longest = 0
        for before, after in pairwise(marks):
            still = still + 1 if before == after else 0
            longest = max(longest, still)
        assert longest < 10, symbol


def test_bid_ask_last_mark_and_index_hang_together() -> None:
    for quotes in run(Market(default_listing(), 2), 200).values():
        for quote in quotes:
            i = quote.instrument
            assert quote.bid < quote.ask
            assert quote.last in (quote.bid, quote.ask)
            assert i.is_on_tick(quote.bid)
            assert i.is_on_tick(quote.ask)
            assert abs(quote.mark - quote.bid) <= (quote.ask - quote.bid) + i.tick
            assert abs(quote.index - quote.mark) / quote.mark < D("0.005")
            assert min(quote.bid_size, quote.ask_size) >= i.step


def test_a_pinned_mark_is_exact() -> None:
    market = Market(default_listing(), 1)
    quote = market.set_mark(LINEAR, "ETHUSDT", D("4321.09"))
    assert quote.mark == quote.index == D("4321.09")
    market.tick(100)
    assert abs(market.quote(LINEAR, "ETHUSDT").mark - D("4321.09")) < 10


def test_prices_go_on_near_where_they_were() -> None:
    market = Market(default_listing(), 1)
    run(market, 200)
    market.set_mark(LINEAR, "BTCUSDT", D("90000"))
    later = Market(default_listing(), 1)
    later.restore(market.save(), market.ticks, market.seq)
    for quote in market.quotes(LINEAR):
        after = later.quote(LINEAR, quote.instrument.symbol)
        assert abs(after.mark / quote.mark - 1) < D("0.002")
        assert after.seq > market.seq


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
