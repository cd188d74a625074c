"""Records the corpus anew: an hour of the paper exchange's public tickers, by its manual clock.

    python -m tests.captures.record

takes a few minutes and writes `hour.jsonl.gz` and `instruments.json` beside this file. The same
code and seed give the same bytes. Commit both files together with what made them differ.

A line is what `positiond paper --replay` reads: {"ts", "topic", "category", "frame": {…as sent…}}.
An hour whole would be some forty megabytes, so that frames are conflated: per topic at most one in
EVERY_MS, a delta then holding everything that changed since the one before. Every quarter of an
hour all topics are subscribed anew, which brings a snapshot of each.
"""

from __future__ import annotations

import gzip
import sys
from pathlib import Path
from typing import Any, Final

import orjson
from positiond.bybit.paper.encode_market import instrument_row
from positiond.bybit.paper.hub import Hub
from positiond.bybit.paper.ledger import MemoryLedger
from positiond.bybit.paper.venue import ClockKind, Venue
from positiond.bybit.vocab import Category

SEED: Final = 7
HOUR_MS: Final = 3_600_000
QUARTER_MS: Final = HOUR_MS // 4
EVERY_MS: Final = 2_500
SYMBOLS: Final = {
    Category.LINEAR: ("BTCUSDT", "ETHUSDT", "SOLUSDT", "BTCPERP"),
    Category.INVERSE: ("BTCUSD", "ETHUSD", "BTCUSDZ25"),
    Category.SPOT: ("BTCUSDT", "ETHBTC"),
    Category.OPTION: ("BTC-26DEC25-100000-C", "BTC-26DEC25-104000-P", "ETH-26DEC25-4000-P-USDT"),
}
FOLDER: Final = Path(__file__).parent


class Listener:
    """A connection of one category that keeps what it is sent, conflated per topic."""

    def __init__(self, category: Category, lines: list[bytes]) -> None:
        self._category = category
        self._lines = lines
        self._pending: dict[str, dict[str, Any]] = {}
        self._kept_ms: dict[str, int] = {}

    def send(self, text: str) -> None:
        frame = orjson.loads(text)
        topic, at_ms = frame["topic"], frame["ts"]
        is_asked = topic not in self._kept_ms
        data = {} if frame["type"] == "snapshot" else self._pending.get(topic, {})
        self._pending[topic] = frame["data"] = {**data, **frame["data"]}
        if not is_asked and at_ms - self._kept_ms[topic] < EVERY_MS:
            return
        self._kept_ms[topic] = at_ms
        del self._pending[topic]
        line = {"ts": at_ms, "topic": topic, "category": self._category, "frame": frame}
        self._lines.append(orjson.dumps(line))

    def subscribe(self, hub: Hub) -> None:
        """All topics anew; each answers with a snapshot."""
        self._pending.clear()
        self._kept_ms.clear()
        for symbol in SYMBOLS[self._category]:
            hub.unsubscribe(self, self._category, f"tickers.{symbol}")
            hub.subscribe(self, self._category, f"tickers.{symbol}")

    def cut(self) -> None:
        raise AssertionError("nobody cuts it")

    def wants(self, topic: str) -> bool:
        raise AssertionError(f"{topic} is private")


def record() -> tuple[list[bytes], list[dict[str, Any]]]:
    """The lines of the hour, and the instruments' rows with their category."""
    venue = Venue(MemoryLedger(), seed=SEED, clock=ClockKind.MANUAL)
    hub = Hub(venue)
    venue.listener = hub.tell
    lines: list[bytes] = []
    listeners = [Listener(category, lines) for category in SYMBOLS]
    start = venue.now_ms()
    for quarter in range(4):
        for listener in listeners:
            listener.subscribe(hub)
        for second in range(1, QUARTER_MS // 1000 + 1):
            venue.advance(start + quarter * QUARTER_MS + second * 1000)
    rows = [
        {"category": category, **instrument_row(venue.market.listing.get(category, symbol))}
        for category, symbols in SYMBOLS.items()
        for symbol in symbols
    ]
    return lines, rows


def main() -> None:
    lines, rows = record()
    whole = b"\n".join(lines) + b"\n"
    # No time in the header: the same hour is the same file.
    (FOLDER / "hour.jsonl.gz").write_bytes(gzip.compress(whole, 9, mtime=0))
    pretty = orjson.dumps(rows, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    (FOLDER / "instruments.json").write_bytes(pretty)
    sys.stdout.write(f"{len(lines)} frames, {len(whole)} bytes before compression\n")


if __name__ == "__main__":
    main()
