"""What a set of fills does to its component and position, computed before it is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from ..daemon.domain.model import ZERO, Component, Fill
from ..daemon.domain.pnl import unrealized


@dataclass(frozen=True, slots=True)
class Booking:
    """Quantities unsigned; `beyond` is filled quantity that the component had no more open.

    `fees` > 0 were paid. Money is in the component's settlement coin.
    """

    filled: Decimal
    closed: Decimal
    beyond: Decimal
    fees: Decimal
    realized_pnl: Decimal


def book(component: Component, fills: Sequence[Fill]) -> Booking:
    """Book fills in the order they happened.

    A component never closes more than it has: what a fill took beyond that is somebody else's, and
    realizes nothing here. Its fee was paid all the same.
    """
    left = component.open
    realized = ZERO
    for fill in sorted(fills, key=lambda fill: (fill.executed_at, fill.exec_id)):
        taken = min(fill.quantity, left)
        left -= taken
        realized += unrealized(
            component.category, component.side, taken, component.entry_price, fill.price
        )
    filled = sum((fill.quantity for fill in fills), ZERO)
    closed = component.open - left
    fees = sum((fill.fee for fill in fills), ZERO)
    return Booking(filled, closed, filled - closed, fees, realized)
