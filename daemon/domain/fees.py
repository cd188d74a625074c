"""What a wallet may lack because Bybit took the fee of a purchase in the coin that was bought."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from .model import ZERO, Category, Component

FEE_TOLERANCE: Final = Decimal("0.002")


def permitted_fee(legs: Iterable[Component], part: Decimal) -> Decimal:
    """The shortage that passes for the fee of having bought these legs; none for contracts.

    A part of what was recorded, not of what is still open: the fee was taken once, and what is
    sold afterwards takes nothing of the shortage with it.
    """
    bought = (leg.quantity for leg in legs if leg.category is Category.SPOT)
    return part * sum(bought, ZERO)
