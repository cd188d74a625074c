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
from .ports import BucketClaims


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
    compared: bool,
) -> tuple[BucketKey, Decimal]:
    """The bucket's unassigned quantity once `leg` is recorded, signed.

    What Bybit holds beyond all tracked legs, in their direction, is the trader's own. Where other
    legs were there and the bucket already deviated, the deviation is kept and not absorbed.
    `compared` says that the bucket has been recorded in before (so that there can be one).
    """
    idx = position_idx_for(leg.side, holdings)
    actual = signed_size(holdings, idx)
    before = tracked(claims.components, holdings).get(idx, ZERO)
    after = before + leg.side.sign * leg.quantity
    deviation = actual - before - claims.unassigned.get(idx, ZERO) if compared else ZERO
    excess = actual - after
    if compared and deviation and not _explains(deviation, leg):
        excess -= deviation
    # Unassigned is never opposite to the tracked net: a lack is a deviation, not a holding.
    if excess * after < 0:
        return symbol.bucket(idx), ZERO
    return symbol.bucket(idx), excess


def _explains(deviation: Decimal, leg: NewComponent) -> bool:
    """The bucket grew by at least this leg's quantity just before it was recorded: its own trade."""
    return deviation * leg.side.sign >= leg.quantity
