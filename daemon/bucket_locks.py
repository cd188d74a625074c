"""One close per bucket at a time: who may work in which symbol, in what order, for all to see."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Set
from contextlib import AsyncExitStack, asynccontextmanager
from types import TracebackType

from .domain.buckets import SymbolKey
from .domain.errors import Conflict


class BucketLocks:
    """A lock covers all positionIdx of a symbol: the mode may not be known before the read.

    Everybody stands in one line and gets all of his symbols at once, when nobody before him has or
    waits for any of them: so that no two ever wait for one another, and nobody waits for ever.
    """

    def __init__(self, *, is_shut: bool = False) -> None:
        self._line: list[Turn] = []
        self._releases: dict[SymbolKey, int] = {}
        self._is_shut = is_shut

    @property
    def busy(self) -> Set[SymbolKey]:
        """The symbols a close is working in now."""
        return {symbol for turn in self._line if turn.has_come for symbol in turn.symbols}

    @property
    def wanted(self) -> Set[SymbolKey]:
        """The symbols that somebody works in, or waits for."""
        return {symbol for turn in self._line for symbol in turn.symbols}

    def stamp(self, symbol: SymbolKey) -> int | None:
        """None while a close works there; else a number that every close changes.

        A read belongs to our own records only if the stamp is the same before and after it.
        """
        is_busy = any(turn.has_come and symbol in turn.symbols for turn in self._line)
        return None if is_busy else self._releases.get(symbol, 0)

    def held(self, symbols: Iterable[SymbolKey]) -> Turn:
        """Hold all the symbols' locks; entered once it is one's turn."""
        return self.line_up(symbols)

    @asynccontextmanager
    async def held_within(
        self, seconds: float, symbols: Iterable[SymbolKey], otherwise: Conflict
    ) -> AsyncIterator[None]:
        """As `held`, for a person who waits: a close keeps its locks for as long as Bybit takes."""
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(seconds):
                    await stack.enter_async_context(self.held(symbols))
            except TimeoutError:
                raise otherwise from None
            yield

    def line_up(self, symbols: Iterable[SymbolKey], *, goes_first: bool = False) -> Turn:
        """Take a place in the line now; whoever `goes_first` stands before all who do not."""
        turn = Turn(self, frozenset(symbols), goes_first=goes_first)
        self._line.append(turn)
        self._line.sort(key=lambda one: not (one.has_come or one.goes_first))
        self._call()
        return turn

    # --- what a dead process left goes first ------------------------------------------------

    def shut(self) -> None:
        """Let nobody in any more but those who go first, until `open`."""
        self._is_shut = True

    def open(self) -> None:
        self._is_shut = False
        self._call()

    # --- the line ---------------------------------------------------------------------------

    def leave(self, turn: Turn) -> None:
        """Once more does no harm."""
        if turn not in self._line:
            return
        self._line.remove(turn)
        if turn.has_come:
            for symbol in turn.symbols:
                self._releases[symbol] = self._releases.get(symbol, 0) + 1
        self._call()

    def _call(self) -> None:
        """Whose turn it is now; whoever still waits keeps his symbols from all behind him."""
        before: set[SymbolKey] = set()
        for turn in self._line:
            is_allowed = turn.goes_first or not self._is_shut
            if is_allowed and not turn.symbols & before:
                turn.come()
            before |= turn.symbols


class Turn:
    """One place in the line: entered when it is its turn, and given back with its symbols."""

    def __init__(
        self, locks: BucketLocks, symbols: frozenset[SymbolKey], *, goes_first: bool
    ) -> None:
        self._locks = locks
        self._came = asyncio.Event()
        self.symbols = symbols
        self.goes_first = goes_first

    @property
    def has_come(self) -> bool:
        return self._came.is_set()

    def come(self) -> None:
        self._came.set()

    def leave(self) -> None:
        self._locks.leave(self)

    async def __aenter__(self) -> None:
        try:
            await self._came.wait()
        except BaseException:
            # Whoever gives up waiting stands in nobody's way.
            self.leave()
            raise

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.leave()
