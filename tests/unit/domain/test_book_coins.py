"""The live book where coins meet: dollar prices, their freshness, and what cannot be valued."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import Decimal

import pytest
from positiond.daemon.domain.book import Book
from positiond.daemon.domain.events import PriceTick
from positiond.daemon.domain.model import (
    Booked,
    Category,
    Environment,
    Instrument,
    InstrumentKey,
    Position,
)

from ...builders import BTC, ETH, LONG, NOON, SHORT, after, component, instrument, key_of, position

SPOT_BTC = key_of(BTC, Category.SPOT)
COIN = "BTCUSD"
PAPER = Environment.PAPER


def inverse(symbol: str = COIN) -> Instrument:
    made = instrument(symbol, settle_coin="BTC", category=Category.INVERSE)
    return replace(made, base_coin="BTC", quote_coin="USD")


def spot(base: str, quote: str) -> Instrument:
    made = instrument(f"{base}{quote}", settle_coin=quote, category=Category.SPOT)
    return replace(made, base_coin=base, quote_coin=quote)


def priced(
    key: InstrumentKey,
    price: str | None,
    index: str | None = None,
    at: datetime = NOON,
    *,
    is_snapshot: bool = False,
) -> PriceTick:
    """A frame with the price that values a leg of this category."""
    number = None if price is None else Decimal(price)
    mark, last = (None, number) if key.category is Category.SPOT else (number, None)
    return PriceTick(key, mark, last, None if index is None else Decimal(index), at, is_snapshot)


LINEAR_KEY, INVERSE_KEY = key_of(BTC), key_of(COIN, Category.INVERSE)


@pytest.fixture
def mixed() -> Position:
    """A short of 10,000 dollars in coin against a long of 0.5 BTC in USDT."""
    return position(
        component("0.5", LONG, entry="20000"),
        component("10000", SHORT, COIN, entry="20000", category=Category.INVERSE),
    )


@pytest.fixture
def book(mixed: Position) -> Book:
    book = Book()
    book.learn([instrument(BTC), inverse()])
    book.put(mixed)
    return book


def test_a_position_in_one_coin_is_valued_in_it_without_any_dollar_price(mixed: Position) -> None:
    alone = replace(mixed, components=mixed.components[1:])
    book = Book()
    book.learn([inverse()])
    book.put(alone)
    book.tick(priced(INVERSE_KEY, "25000"))
    value = book.value(alone.id)
    assert (value.pnl, value.currency, value.incomplete) == (Decimal("-0.1"), "BTC", None)
    assert book.keys() == {INVERSE_KEY}


def test_several_coins_are_summed_in_dollars_by_the_index_price(
    book: Book, mixed: Position
) -> None:
    book.tick(priced(LINEAR_KEY, "25000", at=after(5)))
    book.tick(priced(INVERSE_KEY, "25000", "24990", after(3)))
    value = book.value(mixed.id)
    # 0.5 · 5000 USDT − 0.1 BTC · 24990.
    assert (value.pnl, value.currency, value.incomplete) == (1, "USD", None)
    assert [leg.pnl for leg in value.legs.values()] == [2500, Decimal("-0.1")]
    assert [leg.currency for leg in value.legs.values()] == ["USDT", "BTC"]
    assert value.at == after(3)
    # A leg brings the price: nothing else is watched for it.
    assert book.keys() == {LINEAR_KEY, INVERSE_KEY}


def test_a_moved_dollar_price_alone_marks_those_who_need_it(book: Book, mixed: Position) -> None:
    other = position(component(of="other"), name="other")
    book.put(other)
    book.tick(priced(LINEAR_KEY, "25000"))
    book.tick(priced(INVERSE_KEY, "25000", "24990"))
    book.take_dirty()
    book.tick(priced(INVERSE_KEY, None, "24980"))
    assert book.take_dirty() == [mixed.id]
    assert book.value(mixed.id).pnl == 2
    book.tick(priced(INVERSE_KEY, None, "24980"))
    assert book.take_dirty() == []


def test_without_a_dollar_price_the_total_is_incomplete_and_the_legs_are_not(
    book: Book, mixed: Position
) -> None:
    book.tick(priced(LINEAR_KEY, "25000"))
    book.tick(priced(INVERSE_KEY, "25000"))
    value = book.value(mixed.id)
    assert (value.pnl, value.incomplete) == (None, "no fresh dollar price of BTC")
    assert [leg.pnl for leg in value.legs.values()] == [2500, Decimal("-0.1")]


def test_a_lost_stream_takes_its_dollar_prices_with_it(book: Book, mixed: Position) -> None:
    book.tick(priced(LINEAR_KEY, "25000"))
    book.tick(priced(INVERSE_KEY, "25000", "24990"))
    book.lose(PAPER, Category.INVERSE)
    book.tick(priced(INVERSE_KEY, "25000", None, after(1)))
    assert book.value(mixed.id).incomplete == "no fresh dollar price of BTC"
    book.take_dirty()
    book.tick(priced(INVERSE_KEY, None, "24990", after(2)))
    assert book.take_dirty() == [mixed.id]
    assert book.value(mixed.id).pnl == 1


def test_a_snapshot_without_a_value_takes_it_back(book: Book, mixed: Position) -> None:
    book.tick(priced(LINEAR_KEY, "25000"))
    book.tick(priced(INVERSE_KEY, "25000", "24990"))
    book.tick(priced(INVERSE_KEY, "25000", is_snapshot=True))
    assert book.value(mixed.id).incomplete == "no fresh dollar price of BTC"
    book.tick(priced(INVERSE_KEY, None, "24990", is_snapshot=True))
    assert book.value(mixed.id).incomplete == "no fresh price of BTCUSD"


def test_the_spot_index_prices_a_coin_before_those_of_contracts(
    book: Book, mixed: Position
) -> None:
    book.tick(priced(LINEAR_KEY, "25000", "1000"))
    assert book.dollar_price(PAPER, "BTC") == 1000
    book.tick(priced(INVERSE_KEY, "25000", "2000"))
    assert book.dollar_price(PAPER, "BTC") == 2000
    book.learn([spot("BTC", "USDT")])
    book.put(position(component(of="s", category=Category.SPOT), name="s"))
    book.tick(priced(SPOT_BTC, "25000", "3000"))
    assert book.dollar_price(PAPER, "BTC") == 3000
    book.lose(PAPER, Category.SPOT)
    assert book.dollar_price(PAPER, "BTC") == 2000
    assert book.dollar_price(Environment.MAINNET, "BTC") is None


def test_a_coin_that_no_leg_prices_gets_its_spot_pair_watched_while_it_is_needed() -> None:
    book = Book()
    book.learn([instrument(ETH), spot("ETH", "BTC")])
    cross = position(
        component("1", SHORT, ETH, entry="4000"),
        component("1", LONG, "ETHBTC", entry="0.04", category=Category.SPOT),
    )
    book.put(cross)
    assert book.keys() >= {SPOT_BTC}
    assert book.symbols(PAPER, Category.SPOT) == {"ETHBTC", BTC}
    book.learn([spot("BTC", "USDT")])
    book.tick(priced(key_of(ETH), "4100", "4100"))
    # The index of a cross pair is that of its base coin.
    book.tick(priced(key_of("ETHBTC", Category.SPOT), "0.05", "4100"))
    assert book.value(cross.id).incomplete == "no fresh dollar price of BTC"
    book.tick(priced(SPOT_BTC, "99999", "90000"))
    assert book.value(cross.id).pnl == -100 + 900
    book.drop(cross.id)
    assert book.keys() == frozenset()


def test_a_spot_pair_that_a_leg_needs_too_outlives_either_need() -> None:
    cross = position(
        component("1", SHORT, ETH, of="x", entry="4000"),
        component("1", LONG, "ETHBTC", of="x", entry="0.04", category=Category.SPOT),
        name="x",
    )
    coin = position(component("1", of="c", category=Category.SPOT), name="c")
    book = Book()
    book.learn([instrument(ETH), spot("ETH", "BTC"), spot("BTC", "USDT")])
    for one in (cross, coin):
        book.put(one)
    book.tick(priced(SPOT_BTC, "110", "90000"))
    book.drop(coin.id)
    assert book.dollar_price(PAPER, "BTC") == 90000
    book.put(coin)
    book.drop(cross.id)
    assert book.keys() == {SPOT_BTC}
    assert book.value(coin.id).pnl == 10


def test_a_watched_pair_stays_when_a_leg_comes_that_has_no_price_yet() -> None:
    book = Book()
    book.learn([instrument(ETH), inverse(), spot("BTC", "USDT")])
    payer = position(component("1", symbol=ETH, of="p"), name="p")
    book.put(replace(payer, booked=(Booked("BTC", fees=Decimal(1)),)))
    book.tick(priced(SPOT_BTC, None, "90000"))
    leg = component("1", symbol=COIN, of="n", category=Category.INVERSE)
    book.put(position(leg, name="n"))
    assert book.dollar_price(PAPER, "BTC") == 90000
    book.put(payer)
    assert book.keys() == {key_of(ETH), INVERSE_KEY}


def test_a_fee_in_another_coin_asks_for_its_price(mixed: Position) -> None:
    book = Book()
    book.learn([instrument(ETH)])
    lone = position(component("1", symbol=ETH))
    book.put(replace(lone, booked=(Booked("BTC"), Booked("USDC", fees=Decimal(1)))))
    assert book.keys() == {key_of(ETH)}
    book.put(replace(lone, booked=(Booked("BTC", fees=Decimal(1)),)))
    assert book.keys() == {key_of(ETH), SPOT_BTC}
    book.put(lone)
    assert book.keys() == {key_of(ETH)}


def test_a_delivered_contract_shows_its_last_price_and_has_no_value() -> None:
    option = "BTC-26DEC25-100000-C"
    key = key_of(option, Category.OPTION)
    ends = replace(instrument(option, category=Category.OPTION), delivery_at=after(60))
    book, lone = Book(), position(component("1", symbol=option, category=Category.OPTION))
    book.learn([ends])
    book.put(lone)
    book.tick(priced(key, "110", at=after(59)))
    assert book.value(lone.id, after(59.9)).pnl == 10
    value = book.value(lone.id, after(60))
    assert (value.pnl, value.incomplete) == (None, f"{option} has been delivered")
    (leg,) = value.legs.values()
    assert (leg.price, leg.at, leg.pnl) == (110, after(59), None)


def test_a_leg_that_is_wholly_closed_needs_no_price(book: Book, mixed: Position) -> None:
    linear, coin = mixed.components
    done = replace(mixed, components=(linear, replace(coin, closed_quantity=coin.quantity)))
    book.put(done)
    book.tick(priced(LINEAR_KEY, "25000", at=after(1)))
    value = book.value(done.id)
    assert (value.pnl, value.currency, value.at, value.incomplete) == (2500, "USD", after(1), None)
    assert value.legs[coin.id].pnl == 0


def test_a_closed_leg_of_a_forgotten_contract_does_not_change_the_currency() -> None:
    old = component("1", symbol="BTCUSDH25", closed="1", category=Category.INVERSE)
    book, lone = Book(), position(component("1"), old)
    book.learn([instrument(BTC)])
    book.put(lone)
    book.tick(priced(LINEAR_KEY, "110"))
    assert (book.value(lone.id).pnl, book.value(lone.id).currency) == (10, "USDT")
