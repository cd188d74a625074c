"""One close per bucket at a time: locks by symbol, taken in one order, seen by the reconciler."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Set
from contextlib import AsyncExitStack, asynccontextmanager

from .domain.buckets import SymbolKey


class BucketLocks:
    """A lock covers all positionIdx of a symbol: the mode may not be known before the read.

    Waiters are served in the order they came, and locks are taken in sorted order, so that two
    closes can never wait for one another.
    """

    def __init__(self) -> None:
        self._locks: dict[SymbolKey, asyncio.Lock] = {}
        self._releases: dict[SymbolKey, int] = {}
        self._busy: set[SymbolKey] = set()

    @property
    def busy(self) -> Set[SymbolKey]:
        """The symbols a close is working in now."""
        return self._busy

    def stamp(self, symbol: SymbolKey) -> int | None:
        """None while a close works there; else a number that every close changes.

        A read belongs to our own records only if the stamp is the same before and after it.
        """
        return None if symbol in self._busy else self._releases.get(symbol, 0)

    @asynccontextmanager
    async def held(self, symbols: Iterable[SymbolKey]) -> AsyncIterator[None]:
        """Hold all the symbols' locks; entered once nobody else has any of them."""
        async with AsyncExitStack() as stack:
            for symbol in sorted(frozenset(symbols)):
                lock = self._locks.setdefault(symbol, asyncio.Lock())
                await stack.enter_async_context(lock)
                self._busy.add(symbol)
                stack.callback(self._released, symbol)
            yield

    def _released(self, symbol: SymbolKey) -> None:
        # Runs before the lock itself is let go, so that the next holder sets it again.
        self._busy.discard(symbol)
        self._releases[symbol] = self._releases.get(symbol, 0) + 1
