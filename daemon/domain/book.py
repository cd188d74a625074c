"""The live book: prices in, valuations of positions out; one writer, in memory, Decimal throughout.

A tick costs work only for the legs of its symbol, and only if the valuation price moved. Totals
are summed when somebody asks, so that a position that nobody watches costs no sum.
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
    Component,
    ComponentId,
    Environment,
    Instrument,
    InstrumentKey,
    Position,
    PositionId,
    PriceBasis,
)
from .pnl import price_basis, unrealized

# Stablecoins that count as one US dollar when a position settles in more than one coin.
_DOLLARS = frozenset({"USDT", "USDC"})
_NO_PRICE = "no price of {} yet"


@dataclass(slots=True)
class _Quote:
    """The valuation price of an instrument; not fresh from a lost stream until the next frame."""

    price: Decimal | None = None
    at: datetime | None = None
    is_fresh: bool = False


@dataclass(slots=True)
class _Leg:
    component: Component
    pnl: Decimal | None = None


@dataclass(frozen=True, slots=True)
class LegValue:
    """One leg's valuation; `pnl` None when there is no price at all or it is stale."""

    price: Decimal | None
    at: datetime | None
    pnl: Decimal | None


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
        self._positions: dict[PositionId, Position] = {}
        self._legs: dict[ComponentId, _Leg] = {}
        self._holders: dict[InstrumentKey, dict[ComponentId, _Leg]] = {}
        self._quotes: dict[InstrumentKey, _Quote] = {}
        self._coins: dict[InstrumentKey, str] = {}
        self._dirty: set[PositionId] = set()

    def learn(self, instruments: Iterable[Instrument]) -> None:
        """Note in which coin each instrument settles."""
        for instrument in instruments:
            self._coins[instrument.key] = instrument.settle_coin
            for leg in self._holders.get(instrument.key, {}).values():
                self._dirty.add(leg.component.position_id)

    def put(self, position: Position) -> None:
        """Add the position, or replace it by its newer record, which keeps the prices known."""
        old = self._positions.get(position.id)
        quotes = {} if old is None else {key: self._quotes[key] for key in _keys(old)}
        self.drop(position.id)
        self._positions[position.id] = position
        for component in position.components:
            key = InstrumentKey(position.environment, component.category, component.symbol)
            leg = _Leg(component)
            self._legs[component.id] = leg
            self._holders.setdefault(key, {})[component.id] = leg
            quote = self._quotes.setdefault(key, quotes.get(key, _Quote()))
            self._revalue(leg, quote.price)
        self._dirty.add(position.id)

    def drop(self, position_id: PositionId) -> None:
        """Forget the position; unknown ids are fine. Prices stay for other holders."""
        position = self._positions.pop(position_id, None)
        if position is None:
            return
        for component in position.components:
            key = InstrumentKey(position.environment, component.category, component.symbol)
            del self._legs[component.id]
            holders = self._holders[key]
            del holders[component.id]
            if not holders:
                # Nobody watches the symbol any more; a later holder must wait for a new frame.
                del self._holders[key]
                self._quotes.pop(key, None)
        self._dirty.discard(position_id)

    def tick(self, tick: PriceTick) -> None:
        """Merge one frame; the legs of its symbol are revalued if their price moved."""
        quote = self._quotes.get(tick.key)
        if quote is None:
            return
        basis = price_basis(tick.key.category)
        price = tick.mark if basis is PriceBasis.MARK else tick.last
        if price is None and not quote.is_fresh and not tick.is_snapshot:
            # A delta without our price cannot freshen one from before the stream was lost.
            return
        moved = price is not None and price != quote.price
        freshened = not quote.is_fresh and (price is not None)
        if price is not None:
            quote.price, quote.is_fresh = price, True
        if quote.is_fresh:
            quote.at = tick.at
        if moved or freshened:
            for leg in self._holders[tick.key].values():
                self._revalue(leg, quote.price)
                self._dirty.add(leg.component.position_id)

    def lose(self, environment: Environment, category: Category) -> None:
        """The stream is gone: its prices are stale until each symbol's next frame."""
        for key, quote in self._quotes.items():
            if key.environment is environment and key.category is category and quote.is_fresh:
                quote.is_fresh = False
                for leg in self._holders[key].values():
                    self._dirty.add(leg.component.position_id)

    def take_dirty(self) -> list[PositionId]:
        """The positions whose valuation may have changed since the last call."""
        dirty, self._dirty = list(self._dirty), set()
        return dirty

    def symbols(self, environment: Environment, category: Category) -> frozenset[str]:
        """The symbols whose prices somebody needs."""
        return frozenset(
            key.symbol
            for key in self._holders
            if key.environment is environment and key.category is category
        )

    def keys(self) -> frozenset[InstrumentKey]:
        """Every instrument that a position holds."""
        return frozenset(self._holders)

    def settle_coin(self, key: InstrumentKey) -> str | None:
        return self._coins.get(key)

    def value(self, position_id: PositionId) -> Valuation:
        """The position's valuation now. KeyError for a position that is not in the book."""
        position = self._positions[position_id]
        legs: dict[ComponentId, LegValue] = {}
        total = ZERO
        # What is wrong → with which symbols: one sentence for legs that fail alike.
        faults: dict[str, list[str]] = {}
        coins: set[str] = set()
        oldest: datetime | None = None
        for component in position.components:
            key = InstrumentKey(position.environment, component.category, component.symbol)
            quote, leg = self._quotes[key], self._legs[component.id]
            fault = self._fault(key, quote)
            pnl = None if fault else leg.pnl
            legs[component.id] = LegValue(quote.price, quote.at, pnl)
            coins.add(self._coins.get(key, component.symbol))
            if pnl is None:
                faults.setdefault(fault or _NO_PRICE, []).append(key.symbol)
                continue
            total += pnl
            if quote.at is not None and (oldest is None or quote.at < oldest):
                oldest = quote.at
        currency = next(iter(coins)) if len(coins) == 1 else "USD"
        if len(coins) > 1 and not coins <= _DOLLARS:
            faults["no common valuation of {}"] = sorted(coins)
        if not position.components:
            faults["no components are recorded yet"] = []
        said = (fault.format(", ".join(names)) for fault, names in faults.items())
        incomplete = "; ".join(said) or None
        return Valuation(None if incomplete else total, currency, oldest, incomplete, legs)

    def _fault(self, key: InstrumentKey, quote: _Quote) -> str | None:
        """A sentence with a gap for the symbol; None where all is well."""
        if key not in self._coins:
            return f"Bybit lists no {key.category} instrument {{}}"
        if quote.price is None:
            return _NO_PRICE
        if not quote.is_fresh:
            return "no fresh price of {}"
        return None

    @staticmethod
    def _revalue(leg: _Leg, price: Decimal | None) -> None:
        component = leg.component
        leg.pnl = (
            None
            if price is None
            else unrealized(
                component.category,
                component.side,
                component.open,
                component.entry_price,
                price,
            )
        )


def _keys(position: Position) -> set[InstrumentKey]:
    return {InstrumentKey(position.environment, c.category, c.symbol) for c in position.components}
