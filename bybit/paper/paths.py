"""The random walks behind the quotes, in floats: coins in dollars, and each contract's premium.

All coins share one market move, so prices are correlated; a contract follows its coin, a perp
with a premium that comes and goes, a dated future with a carry that ends at its expiry, an
option by the volatility surface. One coin has one price: everything on it hangs together.
"""

import math
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from ..vocab import ContractType
from .instruments import Instrument
from .pricing import Priced, option_value, volatility_at
from .rounding import fraction

SECONDS_PER_YEAR = 365 * 86_400
COMMON_VOLATILITY = 0.42
REVERSION = math.log(2) / (6 * 3600)  # half-life of a coin's way back to its anchor: 6 hours
MAX_DEVIATION = 0.25
BASIS_REVERSION = math.log(2) / 30
BASIS_VOLATILITY = 0.00004  # per square root of a second
# The mood of a market: a premium that lasts hours, and what funding is paid for.
MOOD_REVERSION = math.log(2) / (4 * 3600)
MOOD_DEVIATION = 0.0004
CARRY = 0.06  # yearly, of a dated future and of an option's forward
INTEREST = 0.0001  # of a perp, in eight hours
FREE_BAND = 0.0005
DOLLARS = frozenset({"USD", "USDT", "USDC"})


@dataclass(frozen=True, slots=True)
class Stretch:
    """One tick's time and the market move all coins share in it."""

    seconds: float
    common: float


class Asset:
    """A coin's walk: the logarithm of its price, away from an anchor and back to it."""

    __slots__ = ("anchor", "beta", "deviation", "index", "own", "volatility")

    def __init__(self, price: float, volatility: float, beta: float) -> None:
        self.volatility, self.beta = volatility, beta
        self.own = math.sqrt(
            max(volatility**2 - (beta * COMMON_VOLATILITY) ** 2, (0.3 * volatility) ** 2)
        )
        self.anchor = math.log(price)
        self.deviation = 0.0
        self.index = price

    def walk(self, stretch: Stretch, rng: random.Random) -> None:
        years = stretch.seconds / SECONDS_PER_YEAR
        move = self.beta * stretch.common + self.own * math.sqrt(years) * rng.gauss(0, 1)
        deviation = self.deviation * math.exp(-REVERSION * stretch.seconds) + move
        self.deviation = max(-MAX_DEVIATION, min(MAX_DEVIATION, deviation))
        self.index = math.exp(self.anchor + self.deviation)

    def pin(self, price: float) -> None:
        """Makes `price` the price of now and the anchor of what follows."""
        self.anchor, self.deviation, self.index = math.log(price), 0.0, price

    @property
    def price(self) -> Decimal:
        return fraction(self.index, 8 if self.index < 10 else 2)

    def state(self) -> list[str]:
        return [repr(self.anchor), repr(self.deviation)]

    def resume(self, state: list[str]) -> None:
        self.anchor, self.deviation = float(state[0]), float(state[1])
        self.index = math.exp(self.anchor + self.deviation)


def assets(listed: Iterable[Instrument]) -> dict[str, Asset]:
    """Every coin by name, priced by its USDT perpetual."""
    coins = {i.base: Asset(float(i.price), i.volatility, i.beta) for i in listed if i.can_hedge}
    return dict(sorted(coins.items()))


class Path:
    """What one instrument adds to its coin's walk; `driven` from outside it does not walk."""

    __slots__ = ("basis", "driven", "idle", "instrument", "mood", "perpetual", "shift")

    def __init__(self, instrument: Instrument, seed: int) -> None:
        kind = instrument.contract_type
        self.instrument = instrument
        self.perpetual = kind in (
            ContractType.LINEAR_PERPETUAL,
            ContractType.INVERSE_PERPETUAL,
        )
        rng = random.Random(f"{seed}/mood/{instrument.category}/{instrument.symbol}")
        self.mood = MOOD_DEVIATION * rng.gauss(0, 1) if self.perpetual else 0.0
        self.basis = 0.0
        self.shift = 0.0  # of an option whose price was pinned, in logarithms
        self.idle = 0
        self.driven = False

    def walk(self, stretch: Stretch, rng: random.Random) -> None:
        self.idle += 1
        seconds = stretch.seconds
        if self.instrument.contract_type is None:
            return
        noise = BASIS_VOLATILITY * math.sqrt(seconds) * rng.gauss(0, 1)
        self.basis = self.basis * math.exp(-BASIS_REVERSION * seconds) + noise
        if self.perpetual:
            spread = MOOD_DEVIATION * math.sqrt(2 * MOOD_REVERSION * seconds)
            self.mood = self.mood * math.exp(-MOOD_REVERSION * seconds) + spread * rng.gauss(0, 1)

    def follows(self, coin: str) -> bool:
        return coin in (self.instrument.base, self.instrument.quote)

    def index(self, assets: Mapping[str, Asset]) -> float:
        i = self.instrument
        over = 1.0 if i.quote in DOLLARS else assets[i.quote].index
        return assets[i.base].index / over

    def mark(self, index: float, now_ms: int) -> float:
        """Of anything but an option. A future's premium fades with the time it has left."""
        if self.instrument.contract_type is None:
            return index
        if self.perpetual:
            return index * (1 + self.mood + self.basis)
        years = self.years(now_ms)
        return index * math.exp(CARRY * years) * (1 + self.basis * min(1.0, 50 * years))

    def option(self, index: float, volatility: float, now_ms: int) -> tuple[Priced, float, float]:
        """Value, its volatility and the forward it is counted from."""
        terms = self.instrument.option
        if terms is None:
            raise AssertionError(f"{self.instrument.symbol} is not an option")
        years, strike = self.years(now_ms), float(terms.strike)
        forward = index * math.exp(CARRY * years)
        iv = volatility_at(strike, forward, years, volatility)
        return option_value(terms.kind, forward, strike, years, iv), iv, forward

    def years(self, now_ms: int) -> float:
        return max(self.instrument.delivery_ms - now_ms, 0) / 1000 / SECONDS_PER_YEAR

    def funding_rate(self) -> float:
        """P + clamp(I − P, ±0.05 %), for this contract's interval and inside its cap."""
        i = self.instrument
        rate = self.mood + max(-FREE_BAND, min(FREE_BAND, INTEREST - self.mood))
        rate *= i.funding_minutes / 480
        cap = float(i.funding_cap)
        return max(-cap, min(cap, rate))

    def calm(self) -> None:
        """Puts the mark on the fair price."""
        self.basis = self.mood = self.shift = 0.0

    def state(self) -> list[str]:
        return [repr(self.basis), repr(self.mood), repr(self.shift), str(self.idle)]

    def resume(self, state: list[str]) -> None:
        self.basis, self.mood, self.shift = (float(text) for text in state[:3])
        self.idle = int(state[3])
