"""Seeded price paths: one common market move, each contract's own noise, and quotes that agree.

Floats live here alone, as the source of randomness; what leaves is a `Quote` of Decimals on
the contract's tick. Mark follows index within a few basis points, bid and ask stand around
the mark, last is one of the two.
"""

import math
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_UP, Decimal

from ..vocab import Category
from .instruments import Instrument, Key, Listing

SECONDS_PER_YEAR = 365 * 86_400
COMMON_VOLATILITY = 0.42
REVERSION = math.log(2) / (6 * 3600)  # half-life of a path's way back to its anchor: 6 hours
BASIS_REVERSION = math.log(2) / 30
BASIS_VOLATILITY = 0.00004  # per square root of a second
MAX_DEVIATION = 0.25
REQUOTE_CHANCE = 0.6
MAX_IDLE_TICKS = 7  # a mark that stood still this long is nudged: watchers must see life
NEW_EPOCH = 1_000_000  # a restart leaves a gap that no unsaved sequence can have reached


@dataclass(frozen=True, slots=True)
class Quote:
    """The public state of one contract; `seq` is its cross sequence."""

    instrument: Instrument
    mark: Decimal
    index: Decimal
    last: Decimal
    bid: Decimal
    ask: Decimal
    bid_size: Decimal
    ask_size: Decimal
    tick_direction: str
    funding_rate: Decimal
    prev_24h: Decimal
    prev_1h: Decimal
    high_24h: Decimal
    low_24h: Decimal
    volume: Decimal
    open_interest: Decimal
    seq: int


class Path:
    """One contract's walk: the logarithm of the index, away from an anchor and back to it."""

    __slots__ = ("anchor", "basis", "deviation", "idle", "instrument", "quote")

    def __init__(self, instrument: Instrument, quote: Quote) -> None:
        self.instrument = instrument
        self.anchor = math.log(float(instrument.price))
        self.deviation = 0.0
        self.basis = 0.0
        self.idle = 0
        self.quote = quote

    def walk(self, seconds: float, common: float, rng: random.Random) -> None:
        i = self.instrument
        own = max(i.volatility**2 - (i.beta * COMMON_VOLATILITY) ** 2, (0.3 * i.volatility) ** 2)
        years = seconds / SECONDS_PER_YEAR
        move = i.beta * common + math.sqrt(own * years) * rng.gauss(0, 1)
        deviation = self.deviation * math.exp(-REVERSION * seconds) + move
        self.deviation = max(-MAX_DEVIATION, min(MAX_DEVIATION, deviation))
        noise = BASIS_VOLATILITY * math.sqrt(seconds) * rng.gauss(0, 1)
        self.basis = self.basis * math.exp(-BASIS_REVERSION * seconds) + noise

    @property
    def index(self) -> float:
        return math.exp(self.anchor + self.deviation)


class Market:
    """All quotes; `tick` moves them, `set_mark` pins one, `next_seq` numbers what happens."""

    def __init__(self, listing: Listing, seed: int, speed: float = 1.0) -> None:
        self.listing = listing
        self.seq = NEW_EPOCH
        self.ticks = 0
        self._seed = seed
        self._speed = speed
        self._rng = random.Random(f"{seed}/prices/0")
        self._paths = {(i.category, i.symbol): Path(i, self._first_quote(i)) for i in listing.all()}

    def quote(self, category: Category, symbol: str) -> Quote:
        """Refuses an unknown symbol with 10001."""
        self.listing.get(category, symbol)
        return self._paths[category, symbol].quote

    def quotes(self, category: Category) -> list[Quote]:
        return [path.quote for key, path in self._paths.items() if key[0] is category]

    def next_seq(self) -> int:
        self.seq += 1
        return self.seq

    def tick(self, milliseconds: int) -> list[Quote]:
        """Walks every path and returns the quotes that changed."""
        self.ticks += 1
        seconds = milliseconds / 1000 * self._speed
        scale = COMMON_VOLATILITY * math.sqrt(seconds / SECONDS_PER_YEAR)
        common = scale * self._rng.gauss(0, 1)
        changed = []
        for path in self._paths.values():
            path.walk(seconds, common, self._rng)
            path.idle += 1
            if self._rng.random() < REQUOTE_CHANCE or path.idle >= MAX_IDLE_TICKS:
                changed.append(self._requote(path))
        return changed

    def set_mark(self, category: Category, symbol: str, mark: Decimal) -> Quote:
        """Makes `mark` the price of now and the anchor of what follows."""
        self.listing.get(category, symbol)
        path = self._paths[category, symbol]
        path.anchor = math.log(float(mark))
        path.deviation = path.basis = 0.0
        path.quote = self._quoted(path, mark, mark)
        return path.quote

    def traded(self, category: Category, symbol: str, price: Decimal, qty: Decimal) -> Quote:
        """A trade of ours sets the last price and counts in the volume."""
        path = self._paths[category, symbol]
        path.quote = replace(path.quote, last=price, volume=path.quote.volume + qty)
        return path.quote

    def save(self) -> dict[str, list[str]]:
        """What a restart needs to go on near here: anchor and index of every path."""
        return {
            f"{category}:{symbol}": [repr(math.exp(p.anchor)), repr(p.index)]
            for (category, symbol), p in self._paths.items()
        }

    def restore(self, saved: Mapping[str, Iterable[str]], ticks: int, seq: int) -> None:
        """Goes on from `save`; contracts not in it start at their listed price."""
        self.ticks, self.seq = ticks, seq + NEW_EPOCH
        self._rng = random.Random(f"{self._seed}/prices/{ticks}")
        for name, (anchor, index) in saved.items():
            path = self._paths.get(_key(name))
            if path is None:
                continue
            path.anchor = math.log(float(anchor))
            path.deviation = math.log(float(index)) - path.anchor
            path.quote = self._first_quote(path.instrument)
            self._requote(path)

    def _requote(self, path: Path) -> Quote:
        i = path.instrument
        unit = Decimal(1).scaleb(-i.price_scale)
        mark = _decimal(path.index * (1 + path.basis), unit)
        if mark != path.quote.mark:
            path.idle = 0
        elif path.idle >= MAX_IDLE_TICKS:
            mark += unit if self._rng.random() < 0.5 else -unit
            path.idle = 0
        path.quote = self._quoted(path, mark, _decimal(path.index, unit))
        return path.quote

    def _quoted(self, path: Path, mark: Decimal, index: Decimal) -> Quote:
        i, old, rng = path.instrument, path.quote, self._rng
        spread = max(1, round(float(mark / i.tick) * 0.000003))
        bid = (mark / i.tick + rng.randint(-1, 0)).to_integral_value(ROUND_HALF_UP) * i.tick
        bid -= (spread // 2) * i.tick
        ask = bid + spread * i.tick
        last = bid if rng.random() < 0.5 else ask
        traded = i.floor_qty(_top_size(i, mark) * Decimal(str(round(rng.random(), 3))))
        return replace(
            old,
            mark=mark,
            index=index,
            last=last,
            bid=bid,
            ask=ask,
            bid_size=_size(i, mark, rng),
            ask_size=_size(i, mark, rng),
            tick_direction=_direction(old, last),
            high_24h=max(old.high_24h, last),
            low_24h=min(old.low_24h, last),
            volume=old.volume + (traded if self.ticks % 10 == 0 else 0),
            seq=self.next_seq(),
        )

    def _first_quote(self, i: Instrument) -> Quote:
        rng = random.Random(f"{self._seed}/listing/{i.category}/{i.symbol}")
        day = _on_tick(i, i.price * Decimal(str(round(rng.uniform(0.95, 1.04), 4))))
        hour = _on_tick(i, i.price * Decimal(str(round(rng.uniform(0.995, 1.004), 4))))
        price = i.price
        return Quote(
            instrument=i,
            mark=price,
            index=price,
            last=price,
            bid=price - i.tick,
            ask=price,
            bid_size=_size(i, price, rng),
            ask_size=_size(i, price, rng),
            tick_direction="ZeroPlusTick",
            funding_rate=Decimal(rng.randint(-200, 1000)).scaleb(-7),
            prev_24h=day,
            prev_1h=hour,
            high_24h=max(day, hour, price),
            low_24h=min(day, hour, price),
            volume=i.floor_qty(Decimal(i.depth * rng.uniform(20, 60)) / price),
            open_interest=i.floor_qty(Decimal(i.depth * rng.uniform(8, 30)) / price),
            seq=self.next_seq(),
        )


def _key(name: str) -> Key:
    category, _, symbol = name.partition(":")
    return Category(category), symbol


def _decimal(value: float, unit: Decimal) -> Decimal:
    return Decimal(value).quantize(unit, ROUND_HALF_UP)


def _on_tick(i: Instrument, price: Decimal) -> Decimal:
    return (price / i.tick).to_integral_value(ROUND_HALF_UP) * i.tick


def _top_size(i: Instrument, price: Decimal) -> Decimal:
    return Decimal(i.depth) / 400 / price


def _size(i: Instrument, price: Decimal, rng: random.Random) -> Decimal:
    drawn = _top_size(i, price) * Decimal(str(round(rng.uniform(0.4, 2.5), 3)))
    return max(i.floor_qty(drawn), i.step)


def _direction(old: Quote, last: Decimal) -> str:
    if last > old.last:
        return "PlusTick"
    if last < old.last:
        return "MinusTick"
    return "ZeroPlusTick" if old.tick_direction.endswith("PlusTick") else "ZeroMinusTick"
