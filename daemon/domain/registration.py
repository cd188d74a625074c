"""Recording a position: the checks of its legs, and what becomes unassigned beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

from .buckets import SymbolKey, position_idx_for, signed_size, tracked
from .errors import InvalidInput
from .model import (
    ZERO,
    BucketKey,
    Category,
    Holding,
    Instrument,
    NewComponent,
    NewPosition,
)
from .money import is_on_step
from .records import BucketClaims


def check_legs(
    position: NewPosition, instruments: Mapping[tuple[Category, str], Instrument]
) -> None:
    """Refuse legs that could not be traded as recorded; InvalidInput names the first one.

    `instruments` holds every leg's instrument that Bybit knows.
    """
    if not position.components:
        raise InvalidInput(
            "no-components", "A position needs at least one leg.", field="components"
        )
    seen: set[tuple[Category, str]] = set()
    for number, leg in enumerate(position.components):
        where = f"components[{number}]"
        if (leg.category, leg.symbol) in seen:
            raise InvalidInput(
                "duplicate-component",
                f"{leg.symbol} ({leg.category}) stands twice in this position; "
                "record one leg with the net quantity.",
                field=f"{where}.symbol",
            )
        seen.add((leg.category, leg.symbol))
        _check_leg(leg, instruments.get((leg.category, leg.symbol)), where)


def _check_leg(leg: NewComponent, instrument: Instrument | None, where: str) -> None:
    if leg.category is not Category.LINEAR:
        raise InvalidInput(
            "wrong-category",
            f"This version tracks linear contracts; {leg.category} legs are not supported.",
            field=f"{where}.category",
        )
    if instrument is None:
        raise InvalidInput(
            "unknown-symbol",
            f"Bybit lists no {leg.category} instrument {leg.symbol!r}.",
            field=f"{where}.symbol",
        )
    if leg.quantity <= 0:
        raise InvalidInput(
            "quantity-not-positive",
            "The quantity must be above zero; the side gives the direction.",
            field=f"{where}.quantity",
        )
    if not is_on_step(leg.quantity, instrument.quantity_step):
        raise InvalidInput(
            "quantity-off-step",
            f"{leg.symbol} trades in steps of {instrument.quantity_step:f}; "
            f"{leg.quantity:f} is not a multiple of it.",
            field=f"{where}.quantity",
        )
    if leg.entry_price <= 0:
        raise InvalidInput(
            "price-not-positive",
            "The entry price must be above zero.",
            field=f"{where}.entry_price",
        )


def unassigned_after(
    symbol: SymbolKey,
    leg: NewComponent,
    claims: BucketClaims,
    holdings: Sequence[Holding],
    *,
    deviates: bool,
) -> tuple[BucketKey, Decimal]:
    """The bucket's unassigned quantity once `leg` is recorded, signed.

    What Bybit holds beyond all tracked legs, in their direction, is the trader's own. Where the
    bucket `deviates` already nothing is absorbed: the deviation stays for the trader to resolve.
    """
    idx = position_idx_for(leg.side, holdings)
    bucket = symbol.bucket(idx)
    if deviates:
        return bucket, claims.unassigned.get(idx, ZERO)
    before = tracked(claims.components, holdings).get(idx, ZERO)
    after = before + leg.side.sign * leg.quantity
    excess = signed_size(holdings, idx) - after
    # Unassigned is never opposite to the tracked net: a lack is a deviation, not a holding.
    return bucket, excess if excess * after >= 0 else ZERO
