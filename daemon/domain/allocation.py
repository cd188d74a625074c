"""What a fill closes of each leg, where one order closes several that Bybit nets together.

The legs on the heavy side close what the order fills and what the light side closes with it:

    heavy closed - light closed = filled, for every fill

A pure function of the order's cumulative fill, so that fills may be booked in any portions, again
after a crash, and by whoever reads the same row: the sum that counts is always the same one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Context, Decimal
from typing import Final

from .model import ZERO, ComponentId
from .orders import OrderPart

# Wide enough for the exact product of any two quantities: only the division is ever rounded.
_EXACT: Final = Context(prec=160)


def closed_by(
    shares: Sequence[OrderPart], quantity: Decimal, filled: Decimal, step: Decimal | None
) -> Mapping[ComponentId, Decimal]:
    """How much of each leg is closed once the order of `quantity` has filled `filled` in all.

    Light legs close in proportion, floored to `step`; heavy ones share the rest in proportion,
    whole steps at a time. A full fill closes every part exactly; no leg's part ever falls when
    `filled` rises. An order of one leg needs no step.
    """
    if filled >= quantity:
        return {part.component_id: part.quantity for part in shares}
    if len(shares) == 1:
        return {shares[0].component_id: filled}
    light = [part for part in shares if part.is_light]
    closed = {p.component_id: _proportion(p.quantity, filled, quantity, step) for p in light}
    heavy = [part for part in shares if not part.is_light]
    return closed | _spread(heavy, filled + sum(closed.values(), ZERO), step)


def _proportion(of: Decimal, filled: Decimal, quantity: Decimal, step: Decimal | None) -> Decimal:
    if step is None:
        # Unfloored it could not be traded; nothing is closed of it before the order is full.
        return ZERO
    # In this order the floor of an exact quotient is exact: a rounded one could gain a step.
    steps = _EXACT.divide_int(_EXACT.multiply(of, filled), _EXACT.multiply(quantity, step))
    return _EXACT.multiply(steps, step)


def _spread(
    parts: Sequence[OrderPart], total: Decimal, step: Decimal | None
) -> dict[ComponentId, Decimal]:
    """`total` over the parts in proportion, each in whole steps but for what no step divides.

    By Jefferson's method (the next step goes to whoever has least of his part with it), which,
    unlike the largest remainder, takes nothing back when the total rises.
    """
    whole = sum((part.quantity for part in parts), ZERO)
    given = {p.component_id: _proportion(p.quantity, total, whole, step) for p in parts}
    while left := total - sum(given.values(), ZERO):
        wanting = [part for part in parts if given[part.component_id] < part.quantity]
        if not wanting:
            break
        first = min(wanting, key=lambda part: _next(part, given[part.component_id], step))
        room = first.quantity - given[first.component_id]
        given[first.component_id] += min(left, room, step or left)
    return given


def _next(part: OrderPart, given: Decimal, step: Decimal | None) -> Decimal:
    return (given + (step or ZERO)) / part.quantity


def is_whole(shares: Sequence[OrderPart], quantity: Decimal) -> bool:
    """Whether the parts explain the order: heavy less light is what it sends."""
    net = sum((-p.quantity if p.is_light else p.quantity for p in shares), ZERO)
    return net == quantity
