"""The instruments' trading rules, asked once and again when they may have changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Final

from .domain.expiry import expiry_of
from .domain.model import Instrument, InstrumentKey
from .domain.ports import Gateway

# Bybit changes maximum sizes twice a month (V5: market/instruments-info); an hour is soon enough.
_GOOD_FOR: Final = timedelta(hours=1)
# An unknown symbol may be listed tomorrow, or have been a typo; do not ask on every look.
_ABSENT_FOR: Final = timedelta(minutes=1)


class Catalogue:
    """Instruments by key; the gateway's errors pass through when nothing cached is good enough."""

    def __init__(self, gateway: Gateway, now: Callable[[], datetime]) -> None:
        self._gateway = gateway
        self._now = now
        self._known: dict[InstrumentKey, tuple[Instrument | None, datetime]] = {}
        self._deliveries: dict[InstrumentKey, datetime] = {}

    def cached(self, key: InstrumentKey) -> Instrument | None:
        """What was last heard of it, however old."""
        return self._known.get(key, (None, None))[0]

    def missing(self, keys: Iterable[InstrumentKey]) -> list[InstrumentKey]:
        """The keys whose rules have to be asked (again)."""
        return [key for key in keys if not self._is_good(key)]

    async def instrument(
        self, key: InstrumentKey, good_for: timedelta = _GOOD_FOR, *, urgent: bool = False
    ) -> Instrument | None:
        """The rules of one instrument, no older than that; None where Bybit lists none."""
        if not self._is_good(key, good_for):
            found = await self._gateway.instruments(
                key.environment, key.category, key.symbol, urgent=urgent
            )
            match = next((i for i in found if i.key == key), None)
            self._known[key] = (match, self._now())
            if match is not None and match.delivery_at is not None:
                self._deliveries[key] = match.delivery_at
        return self._known[key][0]

    def is_delivered(self, key: InstrumentKey) -> bool:
        """Whether the contract is past its delivery: Bybit may then know nothing of it any more.

        What was once heard stays known, and a name with a date in it says the same after a restart.
        """
        at = self._deliveries.get(key) or expiry_of(key.category, key.symbol)
        return at is not None and at <= self._now()

    def _is_good(self, key: InstrumentKey, good_for: timedelta = _GOOD_FOR) -> bool:
        if key not in self._known:
            return False
        instrument, at = self._known[key]
        return self._now() - at < (good_for if instrument else _ABSENT_FOR)
