"""Quotes of everything listed: seeded, moving together, and told as Decimals on the tick.

Mark follows index within a few basis points, bid and ask stand around the mark, last is one of
the two. Every tick draws from a generator of its own number, so what comes after a restart is
what would have come without it.
"""

import math
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from decimal import Decimal
from itertools import islice
from typing import Any

from ..vocab import Category
from .instruments import Instrument, Key
from .listing import Listing
from .paths import COMMON_VOLATILITY, DOLLARS, SECONDS_PER_YEAR, Path, Stretch, assets
from .quotes import Greeks, Quote
from .rounding import fraction, lots, on_tick

REQUOTE_CHANCE = 0.45
OPTION_CHANCE = 0.12  # there are many, and they move seldom
PARTS = 5  # of a round, each told at a moment of its own: nobody waits for the whole
MAX_IDLE_TICKS = 7  # a mark that stood still this long is nudged: watchers must see life
FUNDING_TICKS = 600  # a funding rate is estimated anew once a minute
NEW_EPOCH = 1_000_000  # a crash leaves a gap that no unsaved sequence can have reached
PREDICTED_MS = 30 * 60_000  # predictedDeliveryPrice shows in the last half hour
OPTION_SPREAD = 0.01
ZERO = Decimal(0)
ONE = Decimal(1)
FINE = Decimal("1E-8")


class Market:
    """All quotes; `tick` moves them, `pin` sets one, `next_seq` numbers what happens."""

    def __init__(self, listing: Listing, seed: int, speed: float = 1.0) -> None:
        self.listing = listing
        self.seq = NEW_EPOCH
        self.ticks = 0
        self.now_ms = listing.made_ms
        self._seed = seed
        self._speed = speed
        self._assets = assets(listing.all())
        self._usd = {coin: asset.price for coin, asset in self._assets.items()}
        self._paths: dict[Key, Path] = {}
        self._quotes: dict[Key, Quote] = {}
        self._add(listing.all())

    def quote(self, category: Category, symbol: str) -> Quote:
        """Refuses an unknown symbol with 10001."""
        self.listing.get(category, symbol)
        return self._quotes[category, symbol]

    def quotes(self, category: Category) -> list[Quote]:
        return [quote for key, quote in self._quotes.items() if key[0] is category]

    def usd(self, coin: str) -> Decimal:
        """A coin in dollars; USDT and USDC count as one."""
        return self._usd.get(coin, ONE)

    def next_seq(self) -> int:
        self.seq += 1
        return self.seq

    def tick(
        self, milliseconds: int, now_ms: int | None = None, part: int | None = None
    ) -> list[Quote]:
        """Walks every path, or one of the PARTS of them, and returns the quotes that changed.
        The coins walk with the first part."""
        self.ticks += not part
        self.now_ms = self.now_ms + milliseconds if now_ms is None else now_ms
        rng = random.Random(f"{self._seed}/tick/{self.ticks}/{part}")
        seconds = milliseconds / 1000 * self._speed
        scale = COMMON_VOLATILITY * math.sqrt(seconds / SECONDS_PER_YEAR)
        stretch = Stretch(seconds, scale * rng.gauss(0, 1))
        for coin, asset in self._assets.items() if not part else ():
            asset.walk(stretch, rng)
            self._usd[coin] = asset.price
        changed = []
        for path in islice(self._paths.values(), part or 0, None, 1 if part is None else PARTS):
            if path.driven or not path.instrument.is_trading:
                continue
            path.walk(stretch, rng)
            option = path.instrument.option is not None
            if rng.random() < (OPTION_CHANCE if option else REQUOTE_CHANCE) or (
                path.idle >= MAX_IDLE_TICKS and not option
            ):
                changed.append(self._requote(path, rng))
        return changed

    def pin(self, category: Category, symbol: str, mark: Decimal) -> list[Quote]:
        """Makes `mark` the price of now and the anchor of what follows; everything else on the
        same coin comes along. The pinned quote is first.

        An option's price is pinned against its coin, which stays where it is.
        """
        i = self.listing.get(category, symbol)
        path = self._paths[i.key]
        rng = random.Random(f"{self._seed}/pin/{self.next_seq()}")
        path.calm()
        if i.option is not None:
            fair = path.option(path.index(self._assets), self._level(i), self.now_ms)[0].price
            path.shift = math.log(float(mark) / max(fair, float(FINE)))
            return [self._requote(path, rng)]
        over = path.mark(1.0, self.now_ms)
        dollars = 1.0 if i.quote in DOLLARS else self._assets[i.quote].index
        self._assets[i.base].pin(float(mark) / over * dollars)
        self._usd[i.base] = self._assets[i.base].price
        index = mark if over == 1.0 else fraction(float(mark) / over, i.price_scale)
        first = self._put(path, mark, index, rng)
        kin = [p for p in self._paths.values() if p is not path and p.follows(i.base)]
        kin = [p for p in kin if p.instrument.is_trading and not p.driven]
        return [first, *(self._requote(other, rng) for other in kin)]

    def show(self, category: Category, symbol: str, **changes: Any) -> Quote:
        """Takes over what another source says of an instrument, which no longer walks."""
        i = self.listing.get(category, symbol)
        self._paths[i.key].driven = True
        quote = replace(self._quotes[i.key], **changes, seq=self.next_seq())
        self._quotes[i.key] = quote
        return quote

    def traded(self, category: Category, symbol: str, price: Decimal, qty: Decimal) -> Quote:
        """A trade of ours sets the last price and counts in the volume."""
        key = category, symbol
        quote = self._quotes[key]
        self._quotes[key] = replace(quote, last=price, volume=quote.volume + qty)
        return self._quotes[key]

    def roll(self, now_ms: int) -> list[Quote]:
        """Lists the dated contracts that are new by now."""
        self.now_ms = now_ms
        new = self.listing.roll(now_ms)
        self._add(new)
        return [self._quotes[i.key] for i in new]

    def end(self, key: Key, price: Decimal) -> Quote:
        """Closes a contract at its delivery price; an option is worth its payoff there."""
        i = self.listing.end(key)
        self._paths[key].instrument = i
        worth = price if i.option is None else i.option.payoff(price)
        quote = replace(self._quotes[key], instrument=i, mark=worth, last=worth, index=price)
        self._quotes[key] = replace(quote, seq=self.next_seq())
        return self._quotes[key]

    def recall(self, category: Category, symbol: str) -> bool:
        """Knows a contract of earlier days again; False where there never was such a one."""
        known = self.listing.has(category, symbol)
        i = self.listing.revive(category, symbol)
        if i is not None and not known:
            self._add([i])
        return i is not None

    def save(self, *, clean: bool = False) -> dict[str, list[str]]:
        """What a restart needs to go on from here. After a clean one nothing is told beyond it,
        so the sequence needs no gap."""
        return {
            "market": [str(self.seq), str(self.now_ms), "clean" if clean else ""],
            **{f"coin:{coin}": asset.state() for coin, asset in self._assets.items()},
            **{
                f"{category}:{symbol}": [
                    *path.state(),
                    *_texts(self._quotes[category, symbol]),
                ]
                for (category, symbol), path in self._paths.items()
            },
        }

    def restore(self, saved: Mapping[str, Iterable[str]], ticks: int, seq: int) -> None:
        """Goes on from `save`; instruments not in it start at their listed price."""
        states = {name: list(state) for name, state in saved.items()}
        known_seq, now_ms, clean = states.pop("market")
        self.ticks, self.now_ms = ticks, int(now_ms)
        self.seq = int(known_seq) if clean else max(seq, int(known_seq)) + NEW_EPOCH
        for name, state in states.items():
            kind, _, symbol = name.partition(":")
            if kind == "coin":
                if symbol in self._assets:
                    self._assets[symbol].resume(state)
                    self._usd[symbol] = self._assets[symbol].price
            elif self.recall(Category(kind), symbol):
                key = Category(kind), symbol
                self._paths[key].resume(state[:4])
                self._quotes[key] = _quoted(self._paths[key].instrument, state[4:])

    # Inside

    def _add(self, instruments: Iterable[Instrument]) -> None:
        for i in instruments:
            self._paths[i.key] = path = Path(i, self._seed)
            self._quotes[i.key] = self._first_quote(path)
        # Drawn in one order whenever an instrument came, before a restart or after.
        self._paths = dict(sorted(self._paths.items()))

    def _level(self, i: Instrument) -> float:
        return self._assets[i.base].volatility

    def _requote(self, path: Path, rng: random.Random) -> Quote:
        i, old = path.instrument, self._quotes[path.instrument.key]
        index = path.index(self._assets)
        if i.option is not None:
            return self._put_option(path, index, rng)
        unit = ONE.scaleb(-i.price_scale)
        mark = fraction(path.mark(index, self.now_ms), i.price_scale)
        if mark != old.mark:
            path.idle = 0
        elif path.idle >= MAX_IDLE_TICKS:
            mark += unit if rng.random() < 0.5 else -unit
            path.idle = 0
        return self._put(path, max(mark, unit), fraction(index, i.price_scale), rng)

    def _put(self, path: Path, mark: Decimal, index: Decimal, rng: random.Random) -> Quote:
        i = path.instrument
        ticks = float(mark / i.tick)
        spread = max(1, round(ticks * 0.000003))
        bid = max(round(ticks) + rng.randint(-1, 0) - spread // 2, 1)
        return self._publish(path, mark, index, (bid, bid + spread), rng)

    def _put_option(self, path: Path, index: float, rng: random.Random) -> Quote:
        i = path.instrument
        value, iv, forward = path.option(index, self._level(i), self.now_ms)
        price = value.price * math.exp(path.shift)
        mark = max(fraction(price, 8), FINE)
        tick = float(i.tick)
        bid = math.floor(price * (1 - OPTION_SPREAD) / tick)
        ask = max(math.ceil(price * (1 + OPTION_SPREAD) / tick), bid + 1)
        width = 100 * max(value.vega, 1e-9)
        greeks = Greeks(
            mark_iv=fraction(iv, 4),
            bid_iv=fraction(max(iv - (price - bid * tick) / width, 0.0), 4) if bid else ZERO,
            ask_iv=fraction(min(iv + (ask * tick - price) / width, 5.0), 4),
            underlying=fraction(forward, 2),
            delta=fraction(value.delta, 8),
            gamma=fraction(value.gamma, 8),
            vega=fraction(value.vega, 8),
            theta=fraction(value.theta, 8),
        )
        return self._publish(path, mark, fraction(index, 2), (bid, ask), rng, greeks)

    def _publish(
        self,
        path: Path,
        mark: Decimal,
        index: Decimal,
        ticks: tuple[int, int],
        rng: random.Random,
        greeks: Greeks | None = None,
    ) -> Quote:
        i = path.instrument
        old = self._quotes[i.key]
        bid, ask = ticks[0] * i.tick, ticks[1] * i.tick
        last = ask if rng.random() < 0.5 or not bid else bid
        top = i.depth_at(mark) / 400
        funding, volume = old.funding_rate, old.volume
        if path.perpetual and (self.ticks % FUNDING_TICKS < MAX_IDLE_TICKS):
            funding = fraction(path.funding_rate(), 8)
        if self.ticks % 10 == 0:
            volume += lots(i, top * rng.random())
        left = i.delivery_ms - self.now_ms
        quote = Quote(
            instrument=i,
            mark=mark,
            index=index,
            last=last,
            bid=bid,
            ask=ask,
            bid_size=max(lots(i, top * rng.uniform(0.4, 2.5)), i.step) if bid else ZERO,
            ask_size=max(lots(i, top * rng.uniform(0.4, 2.5)), i.step),
            tick_direction=_direction(old, last),
            funding_rate=funding,
            prev_24h=old.prev_24h,
            prev_1h=old.prev_1h,
            high_24h=max(old.high_24h, last),
            low_24h=min(old.low_24h, last),
            volume=volume,
            open_interest=old.open_interest,
            seq=self.next_seq(),
            usd_index=self._usd[i.base],
            predicted=index if i.delivery_ms and left <= PREDICTED_MS else ZERO,
            greeks=greeks,
        )
        self._quotes[i.key] = quote
        return quote

    def _first_quote(self, path: Path) -> Quote:
        """A quote at the listed price, an option's or a future's by what it is worth now."""
        i = path.instrument
        rng = random.Random(f"{self._seed}/listing/{i.category}/{i.symbol}")
        price = i.price
        if i.delivery_ms:
            index = path.index(self._assets)
            fair = (
                path.mark(index, self.now_ms)
                if i.option is None
                else path.option(index, self._level(i), self.now_ms)[0].price
            )
            price = max(on_tick(i, Decimal(fair)), i.tick)
        day = max(on_tick(i, price * fraction(rng.uniform(0.95, 1.04), 4)), i.tick)
        hour = max(on_tick(i, price * fraction(rng.uniform(0.995, 1.004), 4)), i.tick)
        self._quotes[i.key] = first = Quote(
            instrument=i,
            mark=price,
            index=price,
            last=price,
            bid=max(price - i.tick, i.tick),
            ask=max(price, 2 * i.tick),
            bid_size=i.step,
            ask_size=i.step,
            tick_direction="ZeroPlusTick",
            funding_rate=fraction(path.funding_rate(), 8) if path.perpetual else ZERO,
            prev_24h=day,
            prev_1h=hour,
            high_24h=max(day, hour, price),
            low_24h=min(day, hour, price),
            volume=lots(i, i.depth_at(price) * rng.uniform(20, 60)),
            open_interest=lots(i, i.depth_at(price) * rng.uniform(8, 30)),
            seq=self.next_seq(),
        )
        if i.option is not None or i.contract_type is None or i.delivery_ms:
            return self._requote(path, rng)
        mood, path.mood = path.mood, 0.0
        first = self._put(path, price, price, rng)
        path.mood = mood
        return first


def _direction(old: Quote, last: Decimal) -> str:
    if last != old.last:
        return "PlusTick" if last > old.last else "MinusTick"
    return "ZeroPlusTick" if old.tick_direction.endswith("PlusTick") else "ZeroMinusTick"


_PLAIN = [f.name for f in fields(Quote) if f.name not in ("instrument", "greeks", "seq")]
_GREEKS = [f.name for f in fields(Greeks)]


def _texts(quote: Quote) -> list[str]:
    """A quote as texts, its seq first and an option's greeks last."""
    row = [str(quote.seq), *(str(getattr(quote, name)) for name in _PLAIN)]
    if quote.greeks is not None:
        row += [str(getattr(quote.greeks, name)) for name in _GREEKS]
    return row


def _quoted(i: Instrument, texts: Sequence[str]) -> Quote:
    values: dict[str, Any] = dict(zip(_PLAIN, texts[1 : len(_PLAIN) + 1], strict=True))
    direction = values.pop("tick_direction")
    greeks = texts[len(_PLAIN) + 1 :]
    return Quote(
        instrument=i,
        seq=int(texts[0]),
        tick_direction=direction,
        greeks=Greeks(*(Decimal(text) for text in greeks)) if greeks else None,
        **{name: Decimal(text) for name, text in values.items()},
    )
