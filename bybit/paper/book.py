"""The resting orders of everybody else: a seeded, shallow book around a quote."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from ..vocab import Side
from .instruments import Instrument
from .quotes import Quote

LEVELS = 40
REACH = 1.3  # how far the book goes, as a multiple of the price band of a market order


@dataclass(frozen=True, slots=True)
class Level:
    price: Decimal
    qty: Decimal


@dataclass(frozen=True, slots=True)
class Book:
    """Best level first on both sides."""

    bids: tuple[Level, ...]
    asks: tuple[Level, ...]

    def against(self, side: Side) -> tuple[Level, ...]:
        """The side that an order of `side` fills from."""
        return self.asks if side is Side.BUY else self.bids


def book_around(quote: Quote, seed: int) -> Book:
    """The same quote and seed give the same book; its top is the quote's bid and ask."""
    rng = random.Random(f"{seed}/book/{quote.instrument.symbol}/{quote.seq}")
    return Book(
        bids=_levels(quote, Side.BUY, rng),
        asks=_levels(quote, Side.SELL, rng),
    )


def _levels(quote: Quote, side: Side, rng: random.Random) -> tuple[Level, ...]:
    i = quote.instrument
    best, size = (quote.bid, quote.bid_size) if side is Side.BUY else (quote.ask, quote.ask_size)
    away = -i.tick if side is Side.BUY else i.tick
    span = int(best * i.band_x / i.tick * Decimal(str(REACH)))
    if best <= 0:
        return ()
    total = Decimal(i.depth_at(best))
    levels = [Level(best, size)]
    offset = 0
    for n in range(1, LEVELS):
        offset = max(offset + 1, round(span * (n / (LEVELS - 1)) ** 2))
        share = Decimal(str(round((n + 1) * rng.uniform(0.5, 1.5), 4))) / 820
        qty = max(i.floor_qty(total * share), i.step)
        if best + offset * away <= 0:
            break
        levels.append(Level(best + offset * away, qty))
    return tuple(levels)


def without(levels: Sequence[Level], taken: Decimal) -> list[Level]:
    """The levels after `taken` was eaten from the top."""
    left = []
    for level in levels:
        eaten = min(level.qty, taken)
        taken -= eaten
        if level.qty > eaten:
            left.append(Level(level.price, level.qty - eaten))
    return left


def within(levels: Sequence[Level], depth: Decimal) -> list[Level]:
    """The top of the levels, `depth` in all: a book made thin on purpose."""
    kept = []
    for level in levels:
        qty = min(level.qty, depth)
        if qty <= 0:
            break
        depth -= qty
        kept.append(Level(level.price, qty))
    return kept


def sweep(levels: Sequence[Level], side: Side, qty: Decimal, limit: Decimal) -> list[Level]:
    """What an order takes from the levels: price by price, never beyond its limit."""
    fills = []
    for level in levels:
        beyond = level.price > limit if side is Side.BUY else level.price < limit
        if qty <= 0 or beyond:
            break
        take = min(level.qty, qty)
        qty -= take
        fills.append(Level(level.price, take))
    return fills


def sweep_value(
    levels: Sequence[Level], side: Side, value: Decimal, limit: Decimal, i: Instrument
) -> list[Level]:
    """As `sweep`, for an amount of quote coin; what does not buy a whole step stays."""
    fills = []
    for level in levels:
        beyond = level.price > limit if side is Side.BUY else level.price < limit
        take = min(level.qty, i.floor_qty(value / level.price))
        if beyond or take <= 0:
            break
        value -= take * level.price
        fills.append(Level(level.price, take))
    return fills
