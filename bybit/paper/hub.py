"""Events to frames to connections: encoded once per topic, sent to whoever subscribed."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import orjson

from ..vocab import BEST_QUOTE_PREFIX, TICKERS_PREFIX, Category, PrivateTopic
from .encode import Row
from .encode_market import ticker_frame_data
from .events import PrivateEvent, QuotesChanged, Told
from .faults import FRAME_KINDS, FaultKind
from .frames import SNAPSHOT_ONLY, book_frame, ticker_frame
from .model import Uid
from .private_rows import rows_of
from .quotes import Quote
from .venue import Venue

REPEAT_MS = 3000  # orderbook.1 repeats itself after this long without a change

PublicKey = tuple[Category, str]


class Connection(Protocol):
    """What the hub needs of a connected client."""

    def send(self, text: str) -> None: ...
    def cut(self) -> None: ...
    def wants(self, topic: str) -> bool: ...


class Hub:
    """All connections of one venue, public by (category, topic), private by account."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        # Dicts for their order: which of several connections a fault hits is then no chance.
        self._public: dict[PublicKey, dict[Connection, None]] = defaultdict(dict)
        self._private: dict[Uid, dict[Connection, None]] = defaultdict(dict)
        self._everyone: dict[Connection, None] = {}
        self._tickers: dict[PublicKey, Row] = {}
        self._books: dict[PublicKey, tuple[list[Any], int, int]] = {}
        self._held: dict[Uid, list[Callable[[], None]]] = defaultdict(list)
        self._frames = 0

    # Coming and going

    def arrive(self, connection: Connection) -> None:
        """Knows a connection before it asked for anything, so that a cut reaches it too."""
        self._everyone[connection] = None

    def subscribe(self, connection: Connection, category: Category, topic: str) -> None:
        """Sends the snapshot, then keeps the connection posted."""
        listed = self._quote_of(category, topic)
        self._public[category, topic][connection] = None
        if listed is None:
            return
        now = self._venue.engine.now_ms
        if topic.startswith(TICKERS_PREFIX):
            data = self._tickers.setdefault((category, topic), ticker_frame_data(listed, now))
            connection.send(ticker_frame(topic, "snapshot", data, listed, now))
        else:
            connection.send(self._book_of(category, topic, listed, now))

    def unsubscribe(self, connection: Connection, category: Category, topic: str) -> None:
        subscribers = self._public.get((category, topic), {})
        subscribers.pop(connection, None)
        if not subscribers:
            self._public.pop((category, topic), None)
            self._tickers.pop((category, topic), None)
            self._books.pop((category, topic), None)

    def join(self, connection: Connection, uid: Uid) -> None:
        self._private[uid][connection] = None

    def leave(self, connection: Connection) -> None:
        """Forgets a connection that ended."""
        self._everyone.pop(connection, None)
        for category, topic in [key for key, who in self._public.items() if connection in who]:
            self.unsubscribe(connection, category, topic)
        for connections in self._private.values():
            connections.pop(connection, None)

    def cut_all(self) -> int:
        """Cuts every connection at once; returns how many there were."""
        return _cut(self._everyone)

    def cut_public(self) -> int:
        """Cuts the connections that never signed in."""
        signed_in = {c for connections in self._private.values() for c in connections}
        return _cut(c for c in self._everyone if c not in signed_in)

    def cut_private(self, uid: Uid | None = None) -> int:
        """Cuts the private connections of one account, or of all."""
        chosen = self._private.values() if uid is None else [self._private[uid]]
        return _cut({c: None for connections in chosen for c in connections})

    def counted(self) -> Mapping[str, int]:
        """How many connections there are: all, and those that signed in."""
        return {
            "connections": len(self._everyone),
            "private": sum(map(len, self._private.values())),
        }

    # Telling

    def tell(self, told: Told) -> None:
        """Takes one event of the engine."""
        match told.event:
            case QuotesChanged(quotes):
                for quote in quotes:
                    self._tell_quote(quote, told.at_ms)
                self._repeat_books(told.at_ms)
            case _ as event:
                self._tell_private(event, told.at_ms)

    def _tell_quote(self, quote: Quote, at_ms: int) -> None:
        category, symbol = quote.instrument.category, quote.instrument.symbol
        topic = f"{TICKERS_PREFIX}{symbol}"
        last = self._tickers.get((category, topic))
        if last is not None:
            data = ticker_frame_data(quote, at_ms)
            delta = {name: value for name, value in data.items() if last.get(name) != value}
            self._tickers[category, topic] = data
            if delta:
                whole = category in SNAPSHOT_ONLY
                kind, shown = (
                    ("snapshot", data) if whole else ("delta", {"symbol": symbol, **delta})
                )
                frame = ticker_frame(topic, kind, shown, quote, at_ms)
                self._broadcast(category, topic, frame)
        topic = f"{BEST_QUOTE_PREFIX}{symbol}"
        if (category, topic) in self._books:
            before = self._books[category, topic][:2]
            frame = self._book_of(category, topic, quote, at_ms)
            if self._books[category, topic][:2] != before:
                self._broadcast(category, topic, frame)

    def _book_of(self, category: Category, topic: str, quote: Quote, at_ms: int) -> str:
        """The frame of the best quote; its update number rises only when the quote changed."""
        best = [quote.bid, quote.bid_size, quote.ask, quote.ask_size]
        shown, update, sent_ms = self._books.get((category, topic), ([], 0, at_ms))
        if best != shown:
            update, sent_ms = update + 1, at_ms
        self._books[category, topic] = (best, update, sent_ms)
        return book_frame(topic, quote, update, at_ms)

    def _repeat_books(self, at_ms: int) -> None:
        for (category, topic), (best, update, sent_ms) in list(self._books.items()):
            quote = self._quote_of(category, topic)
            if quote is None or at_ms - sent_ms < REPEAT_MS:
                continue
            self._books[category, topic] = (best, update, at_ms)
            self._broadcast(category, topic, book_frame(topic, quote, update, at_ms))

    def _broadcast(self, category: Category, topic: str, frame: str) -> None:
        symbol = topic.rpartition(".")[2]
        for connection in list(self._public.get((category, topic), ())):
            self._deliver("", topic, symbol, connection, frame)

    def _tell_private(self, event: PrivateEvent, at_ms: int) -> None:
        connections = self._private.get(event.uid)
        if not connections:
            return
        for topic, category, rows in rows_of(self._venue, event):
            if not rows:
                continue
            symbol = str(rows[0].get("symbol", ""))
            for name in (topic, f"{topic}.{category}"):
                takers = [c for c in connections if c.wants(name)]
                if takers:
                    told = self._venue.faults.thinned(rows, name, event.uid, symbol)
                    frame = self._private_frame(event.uid, name, told, at_ms)
                    for connection in takers:
                        self._deliver(event.uid, name, symbol, connection, frame)

    def _private_frame(self, uid: Uid, topic: str, rows: list[Row], at_ms: int) -> str:
        self._frames += 1
        frame = {"topic": topic, "creationTime": at_ms, "data": rows}
        if not topic.startswith(PrivateTopic.FAST_EXECUTION):
            frame = {"id": f"{uid}_{topic}_{self._frames}", **frame}
        return orjson.dumps(frame).decode()

    def reply(self, connection: Connection, uid: str, op: str, frame: str) -> None:
        """An ack or a pong: nothing is late or lost of it unless a fault names it."""
        self._deliver(uid, f"op/{op}", "", connection, frame)

    def _deliver(
        self, uid: str, topic: str, symbol: str, connection: Connection, frame: str
    ) -> None:
        fault = self._venue.faults.take(FRAME_KINDS, topic, uid, symbol=symbol)
        if fault is None:
            connection.send(frame)
            self._release(Uid(uid))
            return
        match fault.kind:
            case FaultKind.FRAME_DELAY:
                self._venue.engine.later(fault.ms, lambda: connection.send(frame))
            case FaultKind.FRAME_DUPLICATE:
                connection.send(frame)
                connection.send(frame)
            case FaultKind.FRAME_CORRUPT:
                connection.send(frame[: len(frame) // 2])
            case FaultKind.FRAME_REORDER:
                self._held[Uid(uid)].append(lambda: connection.send(frame))
            case FaultKind.CUT:
                connection.cut()
            case _:
                pass  # dropped, or muted

    def _release(self, uid: Uid) -> None:
        """Sends what was held back to arrive out of order."""
        for send in self._held.pop(uid, ()):
            send()

    def _quote_of(self, category: Category, topic: str) -> Quote | None:
        symbol = topic.rpartition(".")[2]
        market = self._venue.market
        return market.quote(category, symbol) if market.listing.has(category, symbol) else None


def _cut(connections: Iterable[Connection]) -> int:
    chosen = list(connections)
    for connection in chosen:
        connection.cut()
    return len(chosen)
