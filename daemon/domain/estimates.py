"""What a market order would cost by the book as it stands: a guess for a preview, never a rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Final, assert_never

from . import pnl
from .model import ZERO, Category, Instrument, Side
from .orders import OrderBook

# An option's fee is at most this part of its price (Bybit help centre, options trading fees).
_OPTION_FEE_CAP: Final = Decimal("0.07")
_FEE_DIGITS: Final = Decimal("0.00000001")
_PERCENT: Final = Decimal(100)


@dataclass(frozen=True, slots=True)
class Estimate:
    """The average price of the whole order, and its fee in `fee_coin`; None where not known."""

    price: Decimal | None = None
    fee: Decimal | None = None
    fee_coin: str | None = None


def estimate(
    instrument: Instrument,
    side: Side,
    quantity: Decimal,
    book: OrderBook | None,
    fee_rate: Decimal | None,
    *,
    slippage: Decimal | None = None,
    index: Decimal | None = None,
) -> Estimate:
    """What the order would fill at, and pay; `slippage` in percent, `index` that of an option."""
    coin = fee_coin(instrument)
    price = None if book is None else average_price(instrument, side, quantity, book, slippage)
    if price is None:
        return Estimate(fee_coin=coin)
    fee = None if fee_rate is None else _fee(instrument, quantity, price, fee_rate, index)
    shown = price.quantize(instrument.tick_size, rounding=ROUND_HALF_UP)
    if fee is not None:
        fee = fee.quantize(_FEE_DIGITS, rounding=ROUND_HALF_UP)
    return Estimate(shown.normalize() + ZERO, fee, coin)


def fee_coin(instrument: Instrument) -> str:
    """A sale of coin pays in what it brings in, a contract in what it settles in."""
    if instrument.key.category is Category.SPOT:
        return instrument.quote_coin
    return instrument.settle_coin


def average_price(
    instrument: Instrument,
    side: Side,
    quantity: Decimal,
    book: OrderBook,
    slippage: Decimal | None = None,
) -> Decimal | None:
    """The average price of so much from the best level on; None where the levels do not reach.

    No level beyond `slippage` percent of the best one counts.
    """
    levels = _within(book.bids if side is Side.SELL else book.asks, side, slippage)
    left, taken = quantity, list[tuple[Decimal, Decimal]]()
    for price, there in levels:
        taken.append((min(left, there), price))
        left -= taken[-1][0]
        if not left:
            return pnl.average_price(instrument.key.category, taken)
    return None


def _within(
    levels: Sequence[tuple[Decimal, Decimal]], side: Side, slippage: Decimal | None
) -> Sequence[tuple[Decimal, Decimal]]:
    if slippage is None or not levels:
        return levels
    worst = levels[0][0] * (1 + side.sign * slippage / _PERCENT)
    return [level for level in levels if side.sign * (worst - level[0]) >= 0]


def _fee(
    instrument: Instrument,
    quantity: Decimal,
    price: Decimal,
    rate: Decimal,
    index: Decimal | None,
) -> Decimal | None:
    match instrument.key.category:
        case Category.INVERSE:
            return quantity / price * rate
        case Category.OPTION:
            # Charged by the index, not by what the option is worth: unknown without one.
            return None if index is None else min(rate * index, _OPTION_FEE_CAP * price) * quantity
        case Category.LINEAR | Category.SPOT:
            return quantity * price * rate
        case _:
            assert_never(instrument.key.category)
