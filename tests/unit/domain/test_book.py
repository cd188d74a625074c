"""The live book: snapshots, deltas, staleness, and valuations to the last digit."""

from __future__ import annotations

import random
from dataclasses import replace
from decimal import Decimal

import pytest
from positiond.daemon.domain.book import Book
from positiond.daemon.domain.events import PriceTick
from positiond.daemon.domain.model import Category, Environment, Position, PositionId

from ...builders import (
    BTC,
    ETH,
    LONG,
    SHORT,
    after,
    component,
    instrument,
    key_of,
    position,
    uuid_of,
)


def tick(
    symbol: str,
    mark: str | None,
    second: float = 0,
    *,
    last: str | None = None,
    is_snapshot: bool = False,
) -> PriceTick:
    return PriceTick(
        key_of(symbol),
        None if mark is None else Decimal(mark),
        None if last is None else Decimal(last),
        None,
        after(second),
        is_snapshot,
    )


@pytest.fixture
def pair() -> Position:
    return position(component("2", LONG, entry="100"), component("3", SHORT, ETH, entry="50"))


@pytest.fixture
def book(pair: Position) -> Book:
    book = Book()
    book.learn([instrument(BTC), instrument(ETH)])
    book.put(pair)
    return book


def test_a_position_is_worth_the_sum_of_its_legs(book: Book, pair: Position) -> None:
    book.tick(tick(BTC, "110", 2))
    book.tick(tick(ETH, "49", 1))
    value = book.value(pair.id)
    assert (value.pnl, value.currency, value.incomplete) == (23, "USDT", None)
    # As old as its oldest price.
    assert value.at == after(1)
    assert [leg.pnl for leg in value.legs.values()] == [20, 3]


def test_a_position_without_a_price_is_incomplete_and_not_zero(book: Book, pair: Position) -> None:
    book.tick(tick(BTC, "110"))
    value = book.value(pair.id)
    assert (value.pnl, value.incomplete) == (None, "no price of ETHUSDT yet")
    assert [leg.pnl for leg in value.legs.values()] == [20, None]


def test_a_delta_without_a_price_keeps_the_last_one_and_its_freshness(
    book: Book, pair: Position
) -> None:
    book.tick(tick(BTC, "110", 1))
    book.tick(tick(ETH, "49", 1))
    book.take_dirty()
    book.tick(tick(BTC, None, 5, last="777"))
    value = book.value(pair.id)
    assert value.pnl == 23
    assert value.legs[pair.components[0].id].at == after(5)
    assert book.take_dirty() == []


def test_only_a_price_that_moved_marks_a_position(book: Book, pair: Position) -> None:
    book.take_dirty()
    book.tick(tick(BTC, "110"))
    assert book.take_dirty() == [pair.id]
    book.tick(tick(BTC, "110", 1))
    assert book.take_dirty() == []
    book.tick(tick("DOGEUSDT", "1"))
    assert book.take_dirty() == []


def test_a_lost_stream_makes_its_prices_stale_until_the_next_frame_that_has_one(
    book: Book, pair: Position
) -> None:
    book.tick(tick(BTC, "110", 1))
    book.tick(tick(ETH, "49", 1))
    book.take_dirty()
    book.lose(Environment.PAPER, Category.LINEAR)
    assert book.take_dirty() == [pair.id]
    value = book.value(pair.id)
    assert value.pnl is None
    assert value.incomplete == "no fresh price of BTCUSDT, ETHUSDT"

    book.tick(tick(BTC, None, 2, last="1"))
    assert book.value(pair.id).legs[pair.components[0].id].pnl is None
    # The same price as before, but known to be so again.
    book.tick(tick(BTC, "110", 3, is_snapshot=True))
    book.tick(tick(ETH, "49", 3, is_snapshot=True))
    assert book.take_dirty() == [pair.id]
    assert book.value(pair.id).pnl == 23


def test_losing_another_stream_changes_nothing(book: Book, pair: Position) -> None:
    book.tick(tick(BTC, "110"))
    book.tick(tick(ETH, "49"))
    book.lose(Environment.TESTNET, Category.LINEAR)
    book.lose(Environment.PAPER, Category.INVERSE)
    assert book.value(pair.id).pnl == 23


def test_a_newer_record_of_a_position_keeps_the_prices(book: Book, pair: Position) -> None:
    book.tick(tick(BTC, "110"))
    book.tick(tick(ETH, "49"))
    half, short = pair.components
    book.put(replace(pair, components=(replace(half, closed_quantity=Decimal(1)), short)))
    assert book.value(pair.id).pnl == 13


def test_a_newer_record_does_not_make_a_stale_price_fresh(book: Book, pair: Position) -> None:
    book.tick(tick(BTC, "110"))
    book.tick(tick(ETH, "49"))
    book.lose(Environment.PAPER, Category.LINEAR)
    book.put(pair)
    assert book.value(pair.id).pnl is None


def test_who_comes_to_a_symbol_that_nobody_held_waits_for_a_new_frame(
    book: Book, pair: Position
) -> None:
    book.tick(tick(BTC, "110"))
    book.drop(pair.id)
    book.tick(tick(BTC, "120"))
    book.put(pair)
    assert book.value(pair.id).legs[pair.components[0].id].price is None


def test_dropping_one_holder_leaves_the_other_its_price(book: Book, pair: Position) -> None:
    other = position(component("1", of="other", entry="105"), name="other")
    book.put(other)
    book.tick(tick(BTC, "110"))
    book.drop(pair.id)
    assert book.value(other.id).pnl == 5
    assert book.symbols(Environment.PAPER, Category.LINEAR) == {BTC}
    assert book.keys() == {key_of(BTC)}
    book.drop(pair.id)
    with pytest.raises(KeyError):
        book.value(pair.id)


def test_a_dropped_position_is_no_longer_dirty(book: Book, pair: Position) -> None:
    book.tick(tick(BTC, "110"))
    book.drop(pair.id)
    assert book.take_dirty() == []


def test_a_symbol_that_is_not_listed_is_named() -> None:
    book, lone = Book(), position()
    book.put(lone)
    book.tick(tick(BTC, "110"))
    reason = book.value(lone.id).incomplete
    assert reason is not None
    assert "lists no" in reason
    book.take_dirty()
    book.learn([instrument(BTC)])
    assert book.take_dirty() == [lone.id]
    assert book.value(lone.id).pnl == 10


def test_dollars_of_two_kinds_are_summed_one_to_one(pair: Position) -> None:
    book = Book()
    book.learn([instrument(BTC), instrument(ETH, settle_coin="USDC")])
    book.put(pair)
    book.tick(tick(BTC, "110"))
    book.tick(tick(ETH, "49"))
    assert (book.value(pair.id).pnl, book.value(pair.id).currency) == (23, "USD")
    # And a coin is never worth a dollar because nobody knows its price.
    book.learn([instrument(ETH, settle_coin="XYZ")])
    value = book.value(pair.id)
    assert (value.pnl, value.incomplete) == (None, "no fresh dollar price of XYZ")


def test_spot_is_valued_by_last_and_linear_by_mark() -> None:
    coin = position(component("2", entry="100", category=Category.SPOT))
    book = Book()
    book.learn([instrument(BTC, category=Category.SPOT)])
    book.put(coin)
    book.tick(replace(tick(BTC, "110"), key=key_of(BTC, Category.SPOT)))
    assert book.value(coin.id).pnl is None
    book.tick(replace(tick(BTC, "110", last="103"), key=key_of(BTC, Category.SPOT)))
    assert book.value(coin.id).pnl == 6


def test_prices_of_one_world_do_not_value_another(book: Book, pair: Position) -> None:
    foreign = replace(tick(BTC, "1"), key=replace(key_of(BTC), environment=Environment.MAINNET))
    book.tick(foreign)
    assert book.value(pair.id).legs[pair.components[0].id].price is None


def test_every_valuation_of_a_random_day_is_right_to_the_last_digit() -> None:
    dice = random.Random(7)
    symbols = [f"S{n}USDT" for n in range(8)]
    book = Book()
    book.learn(instrument(symbol) for symbol in symbols)
    recorded: dict[PositionId, Position] = {}
    for n in range(20):
        name = f"p{n}"
        legs = tuple(
            component(
                Decimal(dice.randrange(1, 10**6)) / 1000,
                dice.choice((LONG, SHORT)),
                symbol,
                of=name,
                closed=Decimal(dice.randrange(0, 900)) / 10**6,
                entry=Decimal(dice.randrange(1, 10**7)) / 100,
            )
            for symbol in dice.sample(symbols, dice.randrange(1, 5))
        )
        one = position(*legs, name=name)
        recorded[one.id] = one
        book.put(one)

    prices: dict[str, Decimal] = {}
    for step in range(2000):
        symbol = dice.choice(symbols)
        mark = None if dice.random() < 0.3 else Decimal(dice.randrange(1, 10**7)) / 100
        book.tick(PriceTick(key_of(symbol), mark, Decimal(1), None, after(step)))
        if mark is not None:
            prices[symbol] = mark
        one = recorded[PositionId(uuid_of(f"p{dice.randrange(20)}"))]
        if all(leg.symbol in prices for leg in one.components):
            # Value now less value then, leg by leg: a formula of its own.
            expected = Decimal(0)
            for leg in one.components:
                gain = leg.open * prices[leg.symbol] - leg.open * leg.entry_price
                expected += gain if leg.side is LONG else -gain
            assert book.value(one.id).pnl == expected
    assert len(prices) == len(symbols)
