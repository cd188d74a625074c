"""What is quoted of an instrument at one moment, and of an option besides."""

from dataclasses import dataclass
from decimal import Decimal

from .instruments import Instrument

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Greeks:
    """An option's volatilities and sensitivities; `underlying` is the forward."""

    mark_iv: Decimal
    bid_iv: Decimal
    ask_iv: Decimal
    underlying: Decimal
    delta: Decimal
    gamma: Decimal
    vega: Decimal
    theta: Decimal


@dataclass(frozen=True, slots=True)
class Quote:
    """The public state of one instrument; `seq` is its cross sequence.

    `usd_index` is the base coin in dollars, `predicted` the delivery price in the last half
    hour, `greeks` an option's. A spot pair's mark is its index. An option may have no bid: 0.
    """

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
    usd_index: Decimal = ZERO
    predicted: Decimal = ZERO
    greeks: Greeks | None = None
