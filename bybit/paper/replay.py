"""Recorded public frames as the source of prices: `positiond paper --replay FILE`.

The file holds one JSON object a line, in the order of their times:

    {"ts": 1760000000000, "topic": "tickers.BTCUSDT", "frame": {…as received…}}

with `"category"` where it is not linear. Prices are taken from `tickers.…` and `orderbook.1.…`;
frames of other topics and of contracts that are not listed here are passed over. Times are
kept relative to the first line and divided by `--speed`. Contracts that the file shows stand
still after its last line; the others go on by themselves from the price of their coin in it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import orjson

from ..vocab import BEST_QUOTE_PREFIX, TICKERS_PREFIX, Category
from .instruments import Key
from .listing import Listing
from .prices import Market
from .quotes import Quote

# How the streams spell what a quote holds; option and spot have spellings of their own.
SPELLINGS: Mapping[str, str] = {
    "markPrice": "mark",
    "indexPrice": "index",
    "usdIndexPrice": "index",
    "lastPrice": "last",
    "bid1Price": "bid",
    "bidPrice": "bid",
    "bid1Size": "bid_size",
    "bidSize": "bid_size",
    "ask1Price": "ask",
    "askPrice": "ask",
    "ask1Size": "ask_size",
    "askSize": "ask_size",
    "fundingRate": "funding_rate",
    "openInterest": "open_interest",
    "volume24h": "volume",
    "prevPrice24h": "prev_24h",
    "prevPrice1h": "prev_1h",
    "highPrice24h": "high_24h",
    "lowPrice24h": "low_24h",
}
COIN_PRICES = (Category.LINEAR, Category.INVERSE)
MUST_BE_ABOVE_0 = frozenset({"mark", "index", "last"})


class ReplayError(ValueError):
    """A recording that cannot be played, in one line for the user."""


@dataclass(frozen=True, slots=True)
class Moment:
    """What one frame shows of one contract; `values` by the names of a quote."""

    at_ms: int
    category: Category
    symbol: str
    values: Mapping[str, Decimal]


class Recording:
    """A file that was read through once, so that a bad line is found before anything starts."""

    def __init__(self, path: Path, listing: Listing) -> None:
        self._path, self._listing = path, listing
        first = next(self.moments(), None)
        if first is None:
            raise ReplayError(f"{path} shows no price of a contract that is listed here")
        self.start_ms = first.at_ms
        for _ in self.moments():
            pass

    def moments(self) -> Iterator[Moment]:
        """Frame by frame; raises ReplayError with the number of a line that is none."""
        try:
            with self._path.open("rb") as lines:
                for number, line in enumerate(lines, 1):
                    if not line.strip():
                        continue
                    try:
                        moment = read_line(line, self._listing)
                    except ReplayError as error:
                        raise ReplayError(f"{self._path} line {number}: {error}") from error
                    if moment is not None:
                        yield moment
        except OSError as error:
            raise ReplayError(f"{self._path}: {error.strerror}") from error


class Player:
    """Hands out a recording's moments as their time comes."""

    def __init__(self, recording: Recording, speed: float) -> None:
        self._moments = recording.moments()
        self._start_ms, self._speed = recording.start_ms, speed
        self._played_ms = 0.0
        self._next = next(self._moments, None)

    def play(self, milliseconds: int) -> list[Moment]:
        """What comes within this much more of the exchange's time."""
        self._played_ms += milliseconds * self._speed
        due = []
        while self._next is not None and self._next.at_ms - self._start_ms <= self._played_ms:
            due.append(self._next)
            self._next = next(self._moments, None)
        return due


class Show:
    """Plays a recording into a market, once at every call."""

    def __init__(self, market: Market, player: Player) -> None:
        self._market, self._player = market, player
        self._coins: set[str] = set()

    def play(self, milliseconds: int) -> list[Quote]:
        """The quotes that the frames of this much more time changed, each once."""
        shown: dict[Key, Quote] = {}
        for moment in self._player.play(milliseconds):
            for quote in self._shown(moment):
                shown[quote.instrument.key] = quote
        return list(shown.values())

    def _shown(self, moment: Moment) -> list[Quote]:
        values = dict(moment.values)
        kin: list[Quote] = []
        coin = self._market.listing.get(moment.category, moment.symbol).base
        mark = values.get("mark")
        if mark is not None and moment.category in COIN_PRICES and coin not in self._coins:
            # What the file does not show goes on from the price of its coin in the file.
            self._coins.add(coin)
            kin = self._market.pin(moment.category, moment.symbol, mark)
        if moment.category is Category.SPOT and "last" in values:
            values["mark"] = values["last"]
        return [*kin, self._market.show(moment.category, moment.symbol, **values)]


def read_line(line: bytes, listing: Listing) -> Moment | None:
    """None where the line shows no price of a listed contract; raises ReplayError."""
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError:
        raise ReplayError("not JSON") from None
    if not isinstance(row, dict):
        raise ReplayError("not an object")
    at_ms, topic, frame = row.get("ts"), row.get("topic"), row.get("frame")
    if not isinstance(at_ms, int) or isinstance(at_ms, bool):
        raise ReplayError("ts is not a time in milliseconds")
    if not isinstance(topic, str):
        raise ReplayError("topic is not a text")
    if not isinstance(frame, dict) or not isinstance(frame.get("data"), dict):
        raise ReplayError("frame is not a frame with data")
    try:
        category = Category(row.get("category", Category.LINEAR))
    except ValueError:
        raise ReplayError("category is unknown") from None
    symbol = topic.rpartition(".")[2]
    values = _values(topic, frame["data"])
    if not values or not listing.has(category, symbol):
        return None
    return Moment(at_ms, category, symbol, values)


def _values(topic: str, data: Mapping[str, Any]) -> dict[str, Decimal]:
    if topic.startswith(TICKERS_PREFIX):
        shown = {SPELLINGS[name]: value for name, value in data.items() if name in SPELLINGS}
    elif topic.startswith(BEST_QUOTE_PREFIX):
        shown = {**_best("bid", data.get("b")), **_best("ask", data.get("a"))}
    else:
        return {}
    return {name: _number(name, value) for name, value in shown.items() if value != ""}


def _best(name: str, levels: object) -> dict[str, object]:
    """The first of a side's levels; an empty side shows nothing."""
    if not isinstance(levels, list):
        raise ReplayError("frame holds no levels")
    if not levels:
        return {}
    best = levels[0]
    if not isinstance(best, list) or len(best) != 2:
        raise ReplayError("frame holds no levels")
    return {name: best[0], f"{name}_size": best[1]}


def _number(name: str, value: object) -> Decimal:
    try:
        number = Decimal(value) if isinstance(value, str) else None
    except InvalidOperation:
        number = None
    if number is None or not number.is_finite():
        raise ReplayError(f"{name} is not a number")
    if name in MUST_BE_ABOVE_0 and number <= 0:
        raise ReplayError(f"{name} is not above 0")
    return number
