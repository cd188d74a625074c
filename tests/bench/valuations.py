"""The ways from a ticker frame to the P&L of positions: ours, and what a user would write.

Each takes a frame as text and, when asked, tells the P&L of every position.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Protocol
from unittest.mock import patch

import orjson
from positiond.bybit import translate
from positiond.bybit.oddities import Oddities
from positiond.bybit.session import StreamSession
from positiond.bybit.wire_stream import Push, read_ticker_frame
from positiond.daemon.domain.book import Book
from positiond.daemon.domain.model import Category, Environment, PositionId
from pybit.unified_trading import WebSocket

from tests.bench.corpus import Corpus

Totals = Mapping[PositionId, Decimal | None]
# Symbol, signed quantity, entry price: prepared once, so that the peers lose no time on it.
_Leg = tuple[str, Decimal, Decimal]


class Valuing(Protocol):
    def take(self, frame: str) -> None: ...
    def totals(self) -> Totals: ...


class Ours:
    """Session, translation and live book as the market feed strings them together.

    The book revalues legs on a tick and sums positions when somebody reads: `flush_every` frames
    (0: never) the sums of all positions that changed are read, as the tracker does for watchers.
    """

    def __init__(self, corpus: Corpus, flush_every: int = 0) -> None:
        self._book = Book()
        for position in corpus.positions:
            self._book.put(position)
        self._book.learn(corpus.instruments)
        self._positions = [position.id for position in corpus.positions]
        topics = frozenset(f"tickers.{symbol}" for symbol in corpus.symbols)
        self._session = StreamSession(topics=topics, oddities=Oddities())
        self._flush_every = flush_every
        self._frames = 0

    def take(self, frame: str) -> None:
        for event in self._session.receive(frame, 0.0):
            assert isinstance(event, Push), event
            ticker = read_ticker_frame(event.message)
            self._book.tick(translate.price_tick(ticker, Environment.PAPER, Category.LINEAR))
        self._frames += 1
        if self._flush_every and self._frames % self._flush_every == 0:
            for position_id in self._book.take_dirty():
                self._book.value(position_id)

    def totals(self) -> Totals:
        return {position_id: self._book.value(position_id).pnl for position_id in self._positions}


class Naive:
    """The obvious revaluation: on a new mark, sum every position that holds the symbol."""

    def __init__(self, corpus: Corpus) -> None:
        self._marks: dict[str, Decimal] = {}
        self._texts: dict[str, str] = {}
        self._pnl: dict[PositionId, Decimal | None] = dict.fromkeys(
            position.id for position in corpus.positions
        )
        self._holders: dict[str, list[tuple[PositionId, Sequence[_Leg]]]] = {}
        for position in corpus.positions:
            legs = [(leg.symbol, leg.signed_open, leg.entry_price) for leg in position.components]
            for symbol, _, _ in legs:
                self._holders.setdefault(symbol, []).append((position.id, legs))

    def mark(self, symbol: str, text: str) -> None:
        if self._texts.get(symbol) == text:
            return
        self._texts[symbol] = text
        self._marks[symbol] = Decimal(text)
        for position_id, legs in self._holders.get(symbol, ()):
            self._pnl[position_id] = self._sum(legs)

    def totals(self) -> Totals:
        return self._pnl

    def _sum(self, legs: Sequence[_Leg]) -> Decimal | None:
        total, marks = Decimal(0), self._marks
        for symbol, signed, entry in legs:
            mark = marks.get(symbol)
            if mark is None:
                return None
            total += signed * (mark - entry)
        return total


class OrjsonNaive:
    """orjson, a dictionary lookup, and the obvious revaluation."""

    def __init__(self, corpus: Corpus) -> None:
        self._naive = Naive(corpus)

    def take(self, frame: str) -> None:
        data = orjson.loads(frame)["data"]
        mark = data.get("markPrice")
        if mark is not None:
            self._naive.mark(data["symbol"], mark)

    def totals(self) -> Totals:
        return self._naive.totals()


class PybitNaive:
    """The official SDK's message handler with a callback that does the obvious revaluation."""

    def __init__(self, corpus: Corpus) -> None:
        self._naive = Naive(corpus)
        # The SDK connects as it is made; here it gets its messages by hand.
        with patch.object(WebSocket, "_connect"):
            self._socket = WebSocket("linear", testnet=False)
        for symbol in corpus.symbols:
            self._socket._set_callback(f"tickers.{symbol}", self._on_ticker)

    def take(self, frame: str) -> None:
        self._socket._on_message(frame)

    def totals(self) -> Totals:
        return self._naive.totals()

    def _on_ticker(self, message: Mapping[str, Any]) -> None:
        data = message["data"]
        mark = data.get("markPrice")
        if mark is not None:
            self._naive.mark(data["symbol"], mark)


class OrjsonAlone:
    """The floor: the frame is decoded and forgotten."""

    def take(self, frame: str) -> None:
        orjson.loads(frame)

    def totals(self) -> Totals:
        return {}
