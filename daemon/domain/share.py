"""How much of a bucket is a leg's own: the rule that keeps a close off everything else.

Every quantity that a close sends comes from `bucket_share`. Its invariant: the share is never
above what the legs have open, and never above what the bucket holds beyond the unassigned part
and all other components.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Final

from .buckets import position_idx_for, signed_size
from .fees import permitted_fee
from .model import ZERO, Category, Component, Holding, Instrument
from .money import floor_to_step
from .records import BucketClaims

# A shortage that all claims of a coin together explain as fees is still no fee where it would take
# much of one leg: closed first, that leg would pay for all the others.
_FEE_OF_OWN: Final = Decimal("0.05")


class Blocker(StrEnum):
    """Why a leg cannot be closed now; the value is the stable code."""

    SHORTFALL_UNATTRIBUTED = "shortfall-unattributed"
    NETTED = "netted"
    NOT_TRADING = "instrument-not-trading"
    COIN_LOCKED = "coin-locked"
    COIN_UNKNOWN = "coin-unknown"
    RESTING_ORDERS = "resting-orders"
    KEY_LACKS_RIGHT = "key-lacks-right"


@dataclass(frozen=True, slots=True)
class Share:
    """What of the bucket is the legs', as a net: `sign` +1 long, -1 short, 0 where they cancel out.

    Quantities unsigned but `actual`, `others` and `unassigned`; `blocker` forbids any order.
    """

    position_idx: int
    actual: Decimal
    sign: int
    quantity: Decimal
    shortfall: Decimal
    others: Decimal
    unassigned: Decimal
    blocker: Blocker | None
    detail: str


def bucket_share(
    legs: Sequence[Component],
    claims: BucketClaims,
    holdings: Sequence[Holding],
    *,
    fee_tolerance: Decimal = ZERO,
) -> Share:
    """The share of legs in one bucket, which close together as one holding of their net.

    `fee_tolerance` is the part of what the claims of a coin were recorded with that a shortage may
    be and still pass for the fee that buying it cost (spot; Bybit takes it in the coin).
    """
    idx = position_idx_for(legs[0].side, holdings)
    actual = signed_size(holdings, idx)
    unassigned = claims.unassigned.get(idx, ZERO)
    rivals = _rivals(legs, claims.components, idx, holdings)
    others = sum((rival.signed_open for rival in rivals), ZERO)
    net = sum((leg.signed_open for leg in legs), ZERO)
    sign = (net > 0) - (net < 0)
    own = actual - unassigned - others
    quantity = min(max(sign * own, ZERO), abs(net))
    shortfall = abs(net) - quantity
    expected = unassigned + others + net
    # Claims that net to nothing are claims all the same, and so are the legs' own on two sides:
    # the loss may be anybody's of them.
    several = len([leg for leg in legs if leg.open > 0]) > 1
    is_short = bool(shortfall) and (bool(rivals) or bool(unassigned) or several)
    if is_short and legs[0].category is Category.SPOT:
        # By what was recorded, so that the same shortage is judged alike once the legs are sold.
        bought = sum((leg.quantity for leg in legs), ZERO)
        is_fee = expected - actual <= permitted_fee([*legs, *rivals], fee_tolerance)
        is_short = not is_fee or shortfall > _FEE_OF_OWN * bought
    blocker = None
    if expected * actual < 0 or is_short or (several and not net and own):
        blocker = Blocker.SHORTFALL_UNATTRIBUTED
    detail = (
        f"{legs[0].symbol}: Bybit holds {actual:+f} where {expected:+f} is recorded; "
        "nobody can know whose quantity is gone"
    )
    return Share(
        idx,
        actual,
        sign,
        quantity,
        shortfall,
        others,
        unassigned,
        blocker,
        detail if blocker else "",
    )


def is_netted(share: Share, sign: int, quantity: Decimal) -> bool:
    """Whether Bybit's net holds less than is to be closed in this direction (rule 4)."""
    return sign * share.actual < quantity


def netted_against(share: Share) -> str:
    """What the trader would have to close with it, in words."""
    parts = []
    if share.others:
        parts.append(f"other positions' {share.others:+f}")
    if share.unassigned:
        parts.append(f"the unassigned {share.unassigned:+f}")
    return " and ".join(parts) or "nothing recorded"


def sendable(share: Decimal, instrument: Instrument, price: Decimal | None = None) -> Decimal:
    """The quantity of one market order for the share: floored to step, capped at the maximum.

    0 where what is left is dust: below the step or the minimum, for spot also below the minimum
    value at `price` (orders that close a contract are exempt; Bybit help centre, trading rules).
    """
    quantity = floor_to_step(share, instrument.quantity_step)
    if quantity < instrument.min_quantity:
        return ZERO
    is_spot = instrument.key.category is Category.SPOT
    if is_spot and price is not None and quantity * price < instrument.min_notional:
        return ZERO
    # Bybit splits or refuses larger ones by turns (order/create, note 2): chunk on our side.
    largest = floor_to_step(instrument.max_market_quantity, instrument.quantity_step)
    if not largest or quantity <= largest:
        return quantity
    rest = quantity - largest
    if rest < instrument.min_quantity and largest > instrument.min_quantity:
        # A last piece below the minimum could never be sent.
        return largest - floor_to_step(instrument.min_quantity, instrument.quantity_step)
    return largest


def _rivals(
    legs: Sequence[Component],
    components: Iterable[Component],
    idx: int,
    holdings: Sequence[Holding],
) -> list[Component]:
    """The other components that claim something of the bucket."""
    mine = {leg.id for leg in legs}
    return [
        other
        for other in components
        if other.id not in mine and other.open > 0 and position_idx_for(other.side, holdings) == idx
    ]
