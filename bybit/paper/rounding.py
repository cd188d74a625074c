"""From the floats of the walks to Decimals on an instrument's steps."""

from decimal import ROUND_HALF_UP, Decimal

from .instruments import Instrument

ZERO = Decimal(0)


def fraction(value: float, places: int) -> Decimal:
    """Rounded to so many places; never a negative zero."""
    return Decimal(f"{value:.{places}f}") + ZERO


def lots(i: Instrument, qty: float) -> Decimal:
    """A quantity cut down to the step."""
    return int(qty / float(i.step)) * i.step


def on_tick(i: Instrument, price: Decimal) -> Decimal:
    return (price / i.tick).to_integral_value(ROUND_HALF_UP) * i.tick
