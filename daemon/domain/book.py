"""The live book: prices in, valuations of positions out; one writer, in memory, Decimal throughout.

A tick costs work only for the legs of its symbol, and only if the valuation price moved. Totals
are summed when somebody asks, so that a position that nobody watches costs no sum.

A position whose legs settle in one coin is valued in it, any other in US dollars by the coins'
index prices, leg by leg in the order of its components: Σ P&L · dollar price.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from .events import PriceTick
from .model import (
    ZERO,
    Category,
    ComponentId,
    Environment,
    Instrument,
    InstrumentKey,
    Position,
    PositionId,
)
from .pnl import unrealized
from .quotes import Coin, Leg, Quote, Quotes
from .rates import DOLLARS, USD, booked_coins, coins_to_value, currency_of

_NO_PRICE = "no price of {} yet"
_NO_RATE = "no fresh dollar price of {}"


@dataclass(slots=True)
class _Held:
    """A position with what its valuation hangs on."""

    position: Position
    legs: tuple[Leg, ...]
    currency: str = USD
    needs: frozenset[Coin] = frozenset()


@dataclass(frozen=True, slots=True)
class LegValue:
    """One leg's valuation in `currency`; `pnl` None when there is no fresh price."""

    price: Decimal | None
    at: datetime | None
    pnl: Decimal | None
    currency: str | None = None


@dataclass(frozen=True, slots=True)
class Valuation:
    """A position's valuation in `currency`; `pnl` None exactly when `incomplete` has a reason."""

    pnl: Decimal | None
    currency: str
    at: datetime | None
    incomplete: str | None
    legs: Mapping[ComponentId, LegValue]


class Book:
    """Positions, the prices they hang on, and which positions moved since last asked."""

    def __init__(self) -> None:
        self._positions: dict[PositionId, _Held] = {}
        self._quotes = Quotes()
        self._dirty: set[PositionId] = set()

    def learn(self, instruments: Iterable[Instrument]) -> None:
        """Note what each instrument settles in, and which coin its index prices."""
        for instrument in instruments:
            self._quotes.learn(instrument)
            quote = self._quotes.by_key.get(instrument.key)
            if quote is None:
                continue
            for holder in {leg.component.position_id for leg in quote.legs.values()}:
                self._denominate(self._positions[holder])
            self._dirty |= self._quotes.users(quote)

    def put(self, position: Position) -> None:
        """Add the position, or replace it by its newer record, which keeps the prices known."""
        old = self._positions.get(position.id)
        legs = tuple(
            Leg(c, self._quotes.open(_key(position, c.category, c.symbol)), c.open)
            for c in position.components
        )
        for leg in legs:
            leg.quote.legs[leg.component.id] = leg
            _revalue(leg)
        held = self._positions[position.id] = _Held(position, legs)
        if old is not None:
            held.needs = old.needs
            self._leave(old)
        for leg in legs:
            self._quotes.settle(leg.quote)
        self._denominate(held)

    def drop(self, position_id: PositionId) -> None:
        """Forget the position; unknown ids are fine. Prices stay for other holders."""
        held = self._positions.pop(position_id, None)
        if held is None:
            return
        self._leave(held)
        for coin in held.needs:
            self._quotes.spare(coin, position_id)
        self._dirty.discard(position_id)

    def tick(self, tick: PriceTick) -> None:
        """Merge one frame; the legs of its symbol are revalued if their price moved."""
        quote = self._quotes.by_key.get(tick.key)
        if quote is None:
            return
        # A snapshot is all there is: what it leaves out is gone. In a delta it is unchanged.
        if (tick.index is not None or tick.is_snapshot) and quote.note_index(tick.index, tick.at):
            self._dirty |= self._quotes.users(quote)
        price = tick.last if quote.by_last else tick.mark
        if price is None:
            if tick.is_snapshot:
                self._stale(quote)
            elif quote.is_fresh:
                quote.at = tick.at
            return
        quote.at = tick.at
        if quote.is_fresh and price == quote.price:
            return
        quote.price, quote.is_fresh = price, True
        for leg in quote.legs.values():
            _revalue(leg)
            self._dirty.add(leg.component.position_id)

    def lose(self, environment: Environment, category: Category) -> None:
        """The stream is gone: its prices are stale until each symbol's next frame."""
        for quote in self._quotes.of(environment, category):
            if quote.index_is_fresh:
                quote.index_is_fresh = False
                self._dirty |= self._quotes.users(quote)
            self._stale(quote)

    def take_dirty(self) -> list[PositionId]:
        """The positions whose valuation may have changed since the last call."""
        dirty, self._dirty = list(self._dirty), set()
        return dirty

    def symbols(self, environment: Environment, category: Category) -> frozenset[str]:
        """The symbols whose prices somebody needs."""
        return frozenset(quote.key.symbol for quote in self._quotes.of(environment, category))

    def keys(self) -> frozenset[InstrumentKey]:
        """Every instrument that a position holds, or that prices a coin for one."""
        return frozenset(self._quotes.by_key)

    def settle_coin(self, key: InstrumentKey) -> str | None:
        instrument = self._quotes.instrument(key)
        return None if instrument is None else instrument.settle_coin

    def price(self, key: InstrumentKey) -> Decimal | None:
        """The instrument's valuation price; None where no fresh one is at hand."""
        quote = self._quotes.by_key.get(key)
        return quote.price if quote is not None and quote.is_fresh else None

    def index(self, key: InstrumentKey) -> Decimal | None:
        """The index price that came with the instrument's own frames; None where not fresh."""
        quote = self._quotes.by_key.get(key)
        return quote.index if quote is not None and quote.index_is_fresh else None

    def dollar_price(self, environment: Environment, coin: str) -> Decimal | None:
        """The coin's index price in US dollars; None where no fresh one is at hand."""
        source = self._quotes.rate((environment, coin))
        return None if source is None else source.index

    def value(self, position_id: PositionId, now: datetime | None = None) -> Valuation:
        """The position's valuation. KeyError for a position that is not in the book.

        With `now`, a contract past its delivery has no price any more: its last one may look fresh
        for ever, since silence of a symbol proves nothing.
        """
        held = self._positions[position_id]
        legs: dict[ComponentId, LegValue] = {}
        total = ZERO
        # What is wrong → with which symbols: one sentence for legs that fail alike.
        faults: dict[str, dict[str, None]] = {}
        times: list[datetime] = []
        for leg in held.legs:
            quote = leg.quote
            coin = self.settle_coin(quote.key)
            fault = self._fault(leg, now)
            legs[leg.component.id] = LegValue(
                quote.price, quote.at, None if fault else leg.pnl, coin
            )
            if fault is not None or leg.pnl is None or coin is None:
                # Nothing is wrong with a leg that is wholly closed: it floats no more.
                if fault is not None:
                    faults.setdefault(fault, {})[quote.key.symbol] = None
                continue
            worth = self._worth(leg.pnl, coin, held, times)
            if worth is None:
                faults.setdefault(_NO_RATE, {})[coin] = None
                continue
            total += worth
            if leg.open and quote.at is not None:
                times.append(quote.at)
        if not held.legs:
            faults["no components are recorded yet"] = {}
        said = (fault.format(", ".join(names)) for fault, names in faults.items())
        incomplete = "; ".join(said) or None
        at = min(times, default=None)
        return Valuation(None if incomplete else total, held.currency, at, incomplete, legs)

    def _worth(self, pnl: Decimal, coin: str, held: _Held, times: list[datetime]) -> Decimal | None:
        """The P&L in the position's currency; notes how old the coin's dollar price is."""
        if coin == held.currency or coin in DOLLARS or not pnl:
            return pnl
        source = self._quotes.rate((held.position.environment, coin))
        if source is None or source.index is None:
            return None
        if source.rate_at is not None:
            times.append(source.rate_at)
        return pnl * source.index

    def _fault(self, leg: Leg, now: datetime | None) -> str | None:
        """A sentence with a gap for the symbol; None where all is well."""
        if leg.open == 0:
            return None
        key = leg.quote.key
        instrument = self._quotes.instrument(key)
        if instrument is None:
            return f"Bybit lists no {key.category} instrument {{}}"
        ends = instrument.delivery_at
        if now is not None and ends is not None and now >= ends:
            return "{} has been delivered"
        if leg.quote.price is None:
            return _NO_PRICE
        return None if leg.quote.is_fresh else "no fresh price of {}"

    def _denominate(self, held: _Held) -> None:
        """Settle what the position is valued in, and which coins' dollar prices that takes."""
        position = held.position
        coins = set(booked_coins(position.booked))
        settled: set[str | None] = set()
        for leg in held.legs:
            coin = self.settle_coin(leg.quote.key)
            # What was delivered long ago is not listed any more; closed, it has nothing to value.
            if coin is not None or leg.open:
                settled.add(coin)
            if coin is not None and leg.open:
                coins.add(coin)
        held.currency = currency_of(settled)
        needs = frozenset(
            (position.environment, coin) for coin in coins_to_value(coins, held.currency)
        )
        gone, held.needs, new = held.needs - needs, needs, needs - held.needs
        for needed in new:
            self._quotes.need(needed, position.id)
        for spared in gone:
            self._quotes.spare(spared, position.id)
        self._dirty.add(position.id)

    def _leave(self, held: _Held) -> None:
        """Take the legs off their instruments, but for those that a newer record replaced."""
        for leg in held.legs:
            legs = leg.quote.legs
            if legs.get(leg.component.id) is leg:
                del legs[leg.component.id]
        for leg in held.legs:
            self._quotes.settle(leg.quote)

    def _stale(self, quote: Quote) -> None:
        if quote.is_fresh:
            quote.is_fresh = False
            self._dirty.update(leg.component.position_id for leg in quote.legs.values())


def _key(position: Position, category: Category, symbol: str) -> InstrumentKey:
    return InstrumentKey(position.environment, category, symbol)


def _revalue(leg: Leg) -> None:
    component, price = leg.component, leg.quote.price
    if not leg.open:
        leg.pnl = ZERO
    elif price is not None:
        leg.pnl = unrealized(
            component.category, component.side, leg.open, component.entry_price, price
        )
