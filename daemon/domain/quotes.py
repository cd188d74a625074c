"""Prices by instrument, and the dollar prices of coins that come with them.

A coin's dollar price is the index price of an instrument with that base coin: a spot pair's
`usdIndexPrice` before an inverse and a linear contract's `indexPrice` (Bybit V5: tickers). Where a
coin has to be valued and no leg brings such an instrument, its spot pair against USDT is watched.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Final

from .model import (
    Category,
    Component,
    ComponentId,
    Environment,
    Instrument,
    InstrumentKey,
    PositionId,
    PriceBasis,
)
from .pnl import price_basis

# A coin in a world: prices of one world do not value another's money.
Coin = tuple[Environment, str]

_RANK: Final = {Category.SPOT: 0, Category.INVERSE: 1, Category.LINEAR: 2}


@dataclass(slots=True, eq=False)
class Leg:
    """A component with its P&L by the last price."""

    component: Component
    quote: Quote
    # The component's open quantity, which every tick needs.
    open: Decimal
    pnl: Decimal | None = None


@dataclass(slots=True, eq=False)
class Quote:
    """What was last heard of an instrument; after a lost stream nothing of it is fresh until a
    frame brings it again. `at` is when the price was last known to hold."""

    key: InstrumentKey
    by_last: bool
    price: Decimal | None = None
    at: datetime | None = None
    is_fresh: bool = False
    index: Decimal | None = None
    index_at: datetime | None = None
    index_is_fresh: bool = False
    # The coin that the index is the dollar price of.
    coin: Coin | None = None
    legs: dict[ComponentId, Leg] = field(default_factory=dict)

    def note_index(self, index: Decimal | None, at: datetime) -> bool:
        """True when the coin's price changed, came or went; None comes only from a snapshot."""
        changed = index != self.index or self.index_is_fresh is (index is None)
        self.index, self.index_at, self.index_is_fresh = index, at, index is not None
        return changed

    @property
    def rate_at(self) -> datetime | None:
        """While the price is fresh, a frame without the index means that it is the same."""
        return self.at if self.is_fresh else self.index_at


class Quotes:
    """The instruments that are needed for legs, and for the coins' dollar prices."""

    def __init__(self) -> None:
        self.by_key: dict[InstrumentKey, Quote] = {}
        self._instruments: dict[InstrumentKey, Instrument] = {}
        self._sources: dict[Coin, list[Quote]] = {}
        self._users: dict[Coin, set[PositionId]] = {}
        self._spares: set[InstrumentKey] = set()

    def instrument(self, key: InstrumentKey) -> Instrument | None:
        return self._instruments.get(key)

    def learn(self, instrument: Instrument) -> None:
        """Note what the instrument settles in and which coin its index is of."""
        self._instruments[instrument.key] = instrument
        quote = self.by_key.get(instrument.key)
        if quote is not None:
            self._offer(quote)
            self.settle(quote)

    def open(self, key: InstrumentKey) -> Quote:
        """The instrument's quote, watched from now on."""
        quote = self.by_key.get(key)
        if quote is None:
            by_last = price_basis(key.category) is PriceBasis.LAST
            quote = self.by_key[key] = Quote(key, by_last)
            self._offer(quote)
        return quote

    def settle(self, quote: Quote) -> None:
        """Legs came to the instrument or left it: to be called after either."""
        if quote.coin is not None:
            self._balance(quote.coin)
        self._release(quote.key)

    def need(self, coin: Coin, position_id: PositionId) -> None:
        self._users.setdefault(coin, set()).add(position_id)
        self._balance(coin)

    def spare(self, coin: Coin, position_id: PositionId) -> None:
        """The position needs the coin's price no more."""
        users = self._users[coin]
        users.discard(position_id)
        if not users:
            del self._users[coin]
        self._balance(coin)

    def users(self, quote: Quote) -> set[PositionId]:
        """The positions that need the price of the coin that the quote's index is of."""
        return set() if quote.coin is None else self._users.get(quote.coin, set())

    def rate(self, coin: Coin) -> Quote | None:
        """The quote whose index is the coin's dollar price now; None without a fresh one."""
        for quote in self._sources.get(coin, ()):
            if quote.index_is_fresh:
                return quote
        return None

    def of(self, environment: Environment, category: Category) -> Iterator[Quote]:
        for key, quote in self.by_key.items():
            if key.environment is environment and key.category is category:
                yield quote

    def _offer(self, quote: Quote) -> None:
        """List the quote among the sources of its coin's price, once its rules are known."""
        instrument = self._instruments.get(quote.key)
        if quote.coin is not None or instrument is None or quote.key.category not in _RANK:
            return
        quote.coin = (quote.key.environment, instrument.base_coin)
        sources = self._sources.setdefault(quote.coin, [])
        sources.append(quote)
        sources.sort(key=lambda source: (_RANK[source.key.category], source.key.symbol))

    def _balance(self, coin: Coin) -> None:
        """Watch the coin's spot pair while its price is needed and no leg brings one.

        Once watched it stays until the last user leaves: what replaces it has no price yet.
        """
        key = InstrumentKey(coin[0], Category.SPOT, f"{coin[1]}USDT")
        is_held = any(source.legs for source in self._sources.get(coin, ()))
        if coin in self._users and (key in self._spares or not is_held):
            self._spares.add(key)
            self.open(key)
        else:
            self._spares.discard(key)
            self._release(key)

    def _release(self, key: InstrumentKey) -> None:
        """Forget an instrument that nobody needs; a later holder must wait for a new frame."""
        quote = self.by_key.get(key)
        if quote is None or quote.legs or key in self._spares:
            return
        del self.by_key[key]
        if quote.coin is not None:
            self._sources[quote.coin].remove(quote)
