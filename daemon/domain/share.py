"""How much of a bucket is a component's own: the rule that keeps a close off everything else.

Every quantity that a close sends comes from `own_share`. Its invariant: the share is never above
the component's open quantity, and never above what the bucket holds beyond the unassigned part
and all other components.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from .buckets import position_idx_for, signed_size
from .model import ZERO, Component, Holding, Instrument
from .money import floor_to_step
from .records import BucketClaims


class Blocker(StrEnum):
    """Why a leg cannot be closed now; the value is the stable code."""

    SHORTFALL_UNATTRIBUTED = "shortfall-unattributed"
    NETTED = "netted"


@dataclass(frozen=True, slots=True)
class Share:
    """What of the bucket is the component's. Quantities unsigned; `blocker` forbids any order."""

    position_idx: int
    actual: Decimal
    quantity: Decimal
    shortfall: Decimal
    blocker: Blocker | None
    detail: str


def own_share(component: Component, claims: BucketClaims, holdings: Sequence[Holding]) -> Share:
    """The component's share of its bucket by the claims and rows as read just now."""
    idx = position_idx_for(component.side, holdings)
    actual = signed_size(holdings, idx)
    unassigned = claims.unassigned.get(idx, ZERO)
    rivals = _rivals(component, claims.components, idx, holdings)
    others = sum((rival.signed_open for rival in rivals), ZERO)
    sign, open_ = component.side.sign, component.open
    share = min(max(sign * (actual - unassigned - others), ZERO), open_)
    shortfall = open_ - share
    expected = unassigned + others + component.signed_open
    # Claims that net to nothing are claims all the same: the loss may be theirs.
    if expected * actual < 0 or (shortfall and (rivals or unassigned)):
        return Share(
            idx,
            actual,
            share,
            shortfall,
            Blocker.SHORTFALL_UNATTRIBUTED,
            f"{component.symbol}: Bybit holds {actual:+f} where {expected:+f} is recorded; "
            "nobody can know whose quantity is gone",
        )
    if sign * actual < share:
        return Share(
            idx,
            actual,
            share,
            shortfall,
            Blocker.NETTED,
            f"{component.symbol}: {share:f} to close, but Bybit nets it against "
            f"{_netted_against(unassigned, others)} and holds {actual:+f}",
        )
    return Share(idx, actual, share, shortfall, None, "")


def sendable(share: Decimal, instrument: Instrument) -> Decimal:
    """The quantity of one market order for the share: floored to step, capped at the maximum.

    0 where what is left is dust (below the step or the minimum).
    """
    quantity = floor_to_step(share, instrument.quantity_step)
    if quantity < instrument.min_quantity:
        return ZERO
    # Bybit splits or refuses larger ones by turns (order/create, note 2): chunk on our side.
    largest = floor_to_step(instrument.max_market_quantity, instrument.quantity_step)
    return min(quantity, largest) if largest else quantity


def _rivals(
    component: Component, components: Iterable[Component], idx: int, holdings: Sequence[Holding]
) -> list[Component]:
    """The other components that claim something of the bucket."""
    return [
        other
        for other in components
        if other.id != component.id
        and other.open > 0
        and position_idx_for(other.side, holdings) == idx
    ]


def _netted_against(unassigned: Decimal, others: Decimal) -> str:
    parts = []
    if others:
        parts.append(f"other positions' {others:+f}")
    if unassigned:
        parts.append(f"the unassigned {unassigned:+f}")
    return " and ".join(parts) or "nothing recorded"
