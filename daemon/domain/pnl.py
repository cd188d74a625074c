"""Unrealized P&L, the one function of it: price P&L only, fees and funding stand beside it.

With s = +1 for long and -1 for short, q the open quantity, and the valuation price p:

    linear, option   s * q * (p - entry)          in the settle coin, p = mark
    inverse          s * q * (1/entry - 1/p)      in the base coin,   p = mark
    spot             s * q * (p - entry)          in the quote coin,  p = last

Source: Bybit help centre "P&L calculations"; field semantics of V5 position/list.
"""

from __future__ import annotations

from decimal import Decimal
from typing import assert_never

from .model import Category, PriceBasis, Side


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


def price_basis(category: Category) -> PriceBasis:
    """Which price values a leg of this category."""
    return PriceBasis.LAST if category is Category.SPOT else PriceBasis.MARK
