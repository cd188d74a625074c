"""Asks for the trading rules of whole sets of instruments, and tells the book."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from .board import Board
from .catalogue import Catalogue
from .domain.book import Book
from .domain.errors import PositiondError
from .domain.model import Environment, InstrumentKey
from .timing import Timing
from .together import together

# So many at once; whoever trades or reads sizes stands in the same line.
_AT_ONCE: Final = 8
_NOBODY_ANSWERS: Final = frozenset({"exchange-unreachable", "exchange-busy", "no-hosts"})


class RulesReader:
    """A few symbols at a time, so that a round is short and no line to Bybit is long."""

    def __init__(self, book: Book, board: Board, catalogue: Catalogue, timing: Timing) -> None:
        self._book = book
        self._board = board
        self._catalogue = catalogue
        self._timing = timing

    async def read(self, keys: Iterable[InstrumentKey], loop: str) -> None:
        """Ask for the rules that are not known (any more); a failure is for the next round.

        `loop` names who asks: its heartbeat goes on with every few answers.
        Where nobody answers the others are not asked either; what is wrong with one symbol alone
        is no reason to leave out the others.
        """
        silent: set[Environment] = set()
        wanted = self._catalogue.missing(keys)
        while wanted := [key for key in wanted if key.environment not in silent]:
            self._timing.beat(loop)
            batch, wanted = wanted[:_AT_ONCE], wanted[_AT_ONCE:]
            await together(self._ask(key, silent) for key in batch)

    async def _ask(self, key: InstrumentKey, silent: set[Environment]) -> None:
        try:
            instrument = await self._catalogue.instrument(key)
        except PositiondError as error:
            self._board.market_trouble(key.environment, error.detail)
            if error.code in _NOBODY_ANSWERS:
                silent.add(key.environment)
            return
        if instrument is not None:
            self._book.learn((instrument,))
