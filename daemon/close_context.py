"""What every close works with, and how it reads what is around its legs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Final

import structlog

from .bucket_locks import BucketLocks
from .catalogue import Catalogue
from .close_inbox import Inboxes
from .domain.bucket_plan import Around
from .domain.buckets import SymbolKey, place_of
from .domain.close_ports import Closes
from .domain.errors import ExchangeBusy, ExchangeRefused, ExchangeUnreachable
from .domain.fees import FEE_TOLERANCE
from .domain.model import (
    ZERO,
    Category,
    CloseId,
    CloseOrderId,
    Component,
    Holding,
    InstrumentKey,
    Position,
    Side,
)
from .domain.orders import CloseRequest, RestingOrder
from .domain.portfolio import Portfolio
from .domain.ports import AccountExchange, Positions, Switches
from .domain.verdict import contradiction
from .in_flight import InFlight
from .newest_fills import BETWEEN_LOOKS, LOOKS, NewestFills, are_shown
from .timing import Timing
from .together import together

_log = structlog.get_logger(__name__)

# How old what is known of an instrument may be when the first order goes.
_FRESH: Final = timedelta(seconds=10)
_RULES_WITHIN: Final = 1.0
# What a symbol query for a contract says that Bybit does not list any more (V5: error 10001).
_PARAMETER_ERROR: Final = 10001


def _no_price(_key: InstrumentKey) -> Decimal | None:
    return None


@dataclass(frozen=True, slots=True)
class Closing:
    """The ports and shared state of closing; one instance serves all closes.

    `shown` is told that a request moved, `ended` that it ended, with its position as it now stands
    in the store (CLOSED, or ACTIVE again). `price` is the live valuation price, None when there is
    no fresh one. `fee_tolerance` as for compares: the part of a coin that its fee may have taken.
    """

    closes: Closes
    positions: Positions
    switches: Switches
    portfolio: Portfolio
    catalogue: Catalogue
    locks: BucketLocks
    in_flight: InFlight
    inboxes: Inboxes
    timing: Timing
    new_link_id: Callable[[], str]
    new_order_id: Callable[[], CloseOrderId]
    exchange: Callable[[Position], AccountExchange]
    shown: Callable[[CloseRequest], None]
    ended: Callable[[CloseRequest, Position | None], None]
    price: Callable[[InstrumentKey], Decimal | None] = _no_price
    fee_tolerance: Decimal = FEE_TOLERANCE

    @property
    def reader(self) -> PlaceReader:
        return PlaceReader(
            self.positions,
            self.catalogue,
            self.price,
            self.fee_tolerance,
            self.timing,
            self.in_flight.fills,
        )


@dataclass(frozen=True, slots=True)
class CloseLeg:
    """A leg that a close works on, and how much of it is to be closed in all (unsigned)."""

    component: Component
    close_id: CloseId
    position: Position
    target: Decimal
    is_part: bool

    @property
    def place(self) -> SymbolKey:
        return place_of(self.position.account_id, self.component)

    @property
    def is_placed(self) -> bool:
        """Whether it is known where it sits: until then there is no lock to take for it."""
        return self.component.category is not Category.SPOT or self.component.coin is not None

    @property
    def instrument_key(self) -> InstrumentKey:
        component = self.component
        return InstrumentKey(self.position.environment, component.category, component.symbol)


_Found = tuple[list[Holding], list[RestingOrder]]


class PlaceReader:
    """Reads live sizes, recorded claims and trading rules, for the preview as for the close."""

    def __init__(
        self,
        positions: Positions,
        catalogue: Catalogue,
        price: Callable[[InstrumentKey], Decimal | None],
        fee_tolerance: Decimal,
        timing: Timing,
        fills: NewestFills,
    ) -> None:
        self._positions = positions
        self._catalogue = catalogue
        self._price = price
        self._fee_tolerance = fee_tolerance
        self._timing = timing
        self._fills = fills

    async def around(
        self,
        place: SymbolKey,
        key: InstrumentKey,
        exchange: AccountExchange,
        sides: Iterable[Side],
        *,
        with_resting: bool = False,
        may_lag: bool = False,
    ) -> Around:
        """What is around legs of the instrument at the place, on these sides, read now.

        ExchangeUnreachable where the rows cannot be true, leave out a side, or (unless they
        `may_lag`) are older than a fill that was known before: nobody sizes an order by such.
        `with_resting` is for what comes before the first order: all legs are to go, or none.
        """
        # Known first: whether the contract is over decides how a missing row is read.
        await self._catalogue.instrument(key, urgent=True)
        reads = [partial(self._sizes, place, key, exchange, frozenset(sides), may_lag)]
        if with_resting and place.category is not Category.SPOT and not self._is_over(place, key):
            reads.append(partial(self._resting, key, exchange))
        if with_resting:
            reads.append(partial(self._rules, key))
        # Each begins with its own task: one that is cancelled before that never began at all.
        found = await together(read() for read in reads)
        # After the sizes: of what is recorded meanwhile the claim is then known for certain, the
        # holding perhaps not yet, and the share too small rather than too large.
        claims = await self._positions.claims(place.account_id, place.category, place.symbol)
        return Around(
            place,
            await self._catalogue.instrument(key, urgent=True),
            claims,
            holdings=tuple(row for rows, _ in found for row in rows),
            resting=tuple(order for _, orders in found for order in orders),
            price=self._price(key),
            fee_tolerance=self._fee_tolerance,
            is_over=self._is_over(place, key),
        )

    async def _sizes(
        self,
        place: SymbolKey,
        key: InstrumentKey,
        exchange: AccountExchange,
        sides: frozenset[Side],
        may_lag: bool,
    ) -> _Found:
        """Rows without contradiction that show every fill which is known by now."""
        # Not those that come meanwhile: where somebody trades without a pause it would never end.
        fills = () if may_lag else self._fills.recent(place)
        for look in range(LOOKS):
            if look:
                await self._timing.sleep(BETWEEN_LOOKS)
            found = await self._holdings(place, key, exchange)
            rows = found[0]
            if why := contradiction(rows, sides):
                raise ExchangeUnreachable("contradictory-rows", f"{key.symbol}: {why}")
            if not rows or self._is_over(place, key) or are_shown(fills, rows):
                return found
        raise ExchangeUnreachable(
            "rows-lag", f"{key.symbol}: Bybit's row is older than the last fill there"
        )

    def _is_over(self, place: SymbolKey, key: InstrumentKey) -> bool:
        return place.category is not Category.SPOT and self._catalogue.is_delivered(key)

    async def _holdings(
        self, place: SymbolKey, key: InstrumentKey, exchange: AccountExchange
    ) -> _Found:
        if place.category is Category.SPOT and place.symbol == key.symbol:
            # Its coin is not known yet: there is no such wallet to ask for.
            return [], []
        is_over = self._is_over(place, key)
        try:
            rows = await exchange.holdings_in(place.category, place.symbol, urgent=True)
        except ExchangeRefused as error:
            if not (is_over and error.ret_code == _PARAMETER_ERROR):
                raise
            rows = []
        if rows or place.category is Category.SPOT:
            # A coin that a wallet does not list is a coin that it holds nothing of.
            return rows or [self._flat(place)], []
        if not is_over:
            raise ExchangeUnreachable("no-row", f"Bybit gave no row for {key.symbol}")
        # An expired contract leaves Bybit's lists for good: no row is then as good as flat.
        return [self._flat(place)], []

    @staticmethod
    async def _resting(key: InstrumentKey, exchange: AccountExchange) -> _Found:
        return [], await exchange.open_orders(key.category, key.symbol)

    async def _rules(self, key: InstrumentKey) -> _Found:
        """A contract may have been halted since its rules were read; the catalogue keeps them."""
        try:
            async with asyncio.timeout(_RULES_WITHIN):
                await self._catalogue.instrument(key, _FRESH, urgent=True)
        except (TimeoutError, ExchangeUnreachable, ExchangeBusy):
            # No close waits for that: what is known has to do, and Bybit refuses what is halted.
            _log.info("trading rules were not read anew", symbol=key.symbol)
        return [], []

    def _flat(self, place: SymbolKey) -> Holding:
        now = self._timing.now()
        return Holding(place.category, place.symbol, 0, None, ZERO, None, None, None, now)
