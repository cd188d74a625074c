"""P&L by prices alone, fees and funding stand beside it; and the average of several prices.

With s = +1 for long and -1 for short, q the open quantity, and the valuation price p:

    linear, option   s * q * (p - entry)          in the settle coin, p = mark
    inverse          s * q * (1/entry - 1/p)      in the base coin,   p = mark
    spot             s * q * (p - entry)          in the quote coin,  p = last

The average is the one price that gives the same P&L: Σ(q·p)/Σq, of inverse contracts Σq/Σ(q/p).

Source: Bybit help centre "P&L calculations"; field semantics of V5 position/list.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal, localcontext
from typing import Final, assert_never

from .model import ZERO, Category, PriceBasis, Side

# Digits of the steps towards an average, more than it has itself: their rounding must not show.
_STEPS: Final = 40


def unrealized(
    category: Category, side: Side, open_quantity: Decimal, entry: Decimal, price: Decimal
) -> Decimal:
    """Unrounded P&L of one leg in its own settlement coin."""
    match category:
        case Category.LINEAR | Category.OPTION | Category.SPOT:
            return side.sign * open_quantity * (price - entry)
        case Category.INVERSE:
            return side.sign * open_quantity * (1 / entry - 1 / price)
        case _:
            assert_never(category)


def average_price(category: Category, trades: Iterable[tuple[Decimal, Decimal]]) -> Decimal | None:
    """The average of (quantity, price); None where nothing was traded, or not at a price."""
    traded = [(quantity, price) for quantity, price in trades if quantity > 0]
    prices = {price for _, price in traded}
    if len(prices) < 2:
        return next(iter(prices), None)
    with localcontext(prec=_STEPS):
        total = sum((quantity for quantity, _ in traded), ZERO)
        if category is not Category.INVERSE:
            mean = sum((quantity * price for quantity, price in traded), ZERO) / total
        elif min(prices) > 0:
            # Contracts of one dollar: what was paid is coins.
            mean = total / sum((quantity / price for quantity, price in traded), ZERO)
        else:
            return None
    return mean.normalize() + ZERO


def price_basis(category: Category) -> PriceBasis:
    """Which price values a leg of this category."""
    return PriceBasis.LAST if category is Category.SPOT else PriceBasis.MARK
