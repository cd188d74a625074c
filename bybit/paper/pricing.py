"""Option values by Black's formula on the forward, and a volatility surface with a smile.

Floats, as everything before a price becomes a quote. Volatility and time are yearly.
"""

import math
from dataclasses import dataclass

from ..vocab import OptionsType

LEAST_IV, MOST_IV = 0.05, 4.0
SKEW, SMILE = -0.04, 0.11
SHORT_END = 0.15  # how much nearer expiries are worth in volatility than far ones


@dataclass(frozen=True, slots=True)
class Priced:
    """Price and greeks of one unit; vega per point of volatility (1 %), theta per day."""

    price: float
    delta: float
    gamma: float
    vega: float
    theta: float


def volatility_at(strike: float, forward: float, years: float, level: float) -> float:
    """The surface: `level` at the money in a year, more for near dates and far strikes."""
    width = math.log(strike / forward) / math.sqrt(years + 0.05)
    shape = 1 + SHORT_END * math.exp(-8 * years) + SKEW * width + SMILE * width * width
    return min(max(level * shape, LEAST_IV), MOST_IV)


def option_value(
    kind: OptionsType, forward: float, strike: float, years: float, volatility: float
) -> Priced:
    """Black's formula without interest; at expiry the payoff."""
    call = kind is OptionsType.CALL
    deviation = volatility * math.sqrt(max(years, 0.0))
    if deviation <= 0:
        gain = forward - strike if call else strike - forward
        return Priced(max(gain, 0.0), (1.0 if call else -1.0) if gain > 0 else 0.0, 0.0, 0.0, 0.0)
    d1 = math.log(forward / strike) / deviation + deviation / 2
    d2 = d1 - deviation
    if call:
        price = forward * _normal(d1) - strike * _normal(d2)
        delta = _normal(d1)
    else:
        price = strike * _normal(-d2) - forward * _normal(-d1)
        delta = -_normal(-d1)
    density = math.exp(-d1 * d1 / 2) / math.sqrt(2 * math.pi)
    return Priced(
        price=max(price, 0.0),
        delta=delta,
        gamma=density / (forward * deviation),
        vega=forward * density * math.sqrt(years) / 100,
        theta=-forward * density * volatility / (2 * math.sqrt(years)) / 365,
    )


def _normal(x: float) -> float:
    """The cumulative normal distribution."""
    return (1 + math.erf(x / math.sqrt(2))) / 2
