"""Recording a position: the checks of its legs, and what becomes unassigned beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

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
    Side,
)
from .money import is_on_step
from .records import BucketClaims

# A `Delivering` contract can still be held, and so be recorded (Bybit V5: enum `status`).
_NOT_TRADING: Final = frozenset({"PreLaunch", "Closed"})


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
    coins: dict[str, str] = {}
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
        instrument = _known(leg, instruments.get((leg.category, leg.symbol)), where)
        _check_numbers(leg, instrument, where)
        if leg.category is Category.SPOT:
            _check_coin(leg, coins.setdefault(instrument.base_coin, leg.symbol), where)


def _known(leg: NewComponent, instrument: Instrument | None, where: str) -> Instrument:
    if leg.category is Category.SPOT and leg.side is Side.SELL:
        raise InvalidInput(
            "spot-short",
            "A spot short cannot be closed with reduce-only, which Bybit does not know for spot: "
            "closing it could open something new. Record the short in a contract instead.",
            field=f"{where}.side",
        )
    if instrument is None:
        raise InvalidInput(
            "unknown-symbol",
            f"Bybit lists no {leg.category} instrument {leg.symbol!r}.",
            field=f"{where}.symbol",
        )
    if instrument.status in _NOT_TRADING:
        raise InvalidInput(
            "not-trading",
            f"{leg.symbol} cannot be traded: Bybit says {instrument.status}.",
            field=f"{where}.symbol",
        )
    return instrument


def _check_numbers(leg: NewComponent, instrument: Instrument, where: str) -> None:
    if leg.quantity <= 0:
        raise InvalidInput(
            "quantity-not-positive",
            "The quantity must be above zero; the side gives the direction.",
            field=f"{where}.quantity",
        )
    if not is_on_step(leg.quantity, instrument.quantity_step):
        raise InvalidInput(
            "quantity-off-step",
            f"{leg.symbol} trades in steps of {instrument.quantity_step:f}{_unit(leg)}; "
            f"{leg.quantity:f} is not a multiple of it.",
            field=f"{where}.quantity",
        )
    if leg.entry_price <= 0:
        raise InvalidInput(
            "price-not-positive",
            "The entry price must be above zero.",
            field=f"{where}.entry_price",
        )


def _unit(leg: NewComponent) -> str:
    # The most common mistake: an inverse quantity is not a number of coins.
    return " USD contracts" if leg.category is Category.INVERSE else ""


def _check_coin(leg: NewComponent, first: str, where: str) -> None:
    """Two spot legs in one coin would share one wallet balance, and nobody could tell them apart.

    `first` is the symbol of the first leg in the coin.
    """
    if first != leg.symbol:
        raise InvalidInput(
            "duplicate-component",
            f"{leg.symbol} and {first} are the same coin in the wallet; record one of them.",
            field=f"{where}.symbol",
        )


def unassigned_after(
    symbol: SymbolKey,
    leg: NewComponent,
    claims: BucketClaims,
    holdings: Sequence[Holding],
    *,
    deviates: bool,
) -> tuple[BucketKey, Decimal] | None:
    """The bucket's unassigned quantity once `leg` is recorded, signed; None for spot.

    What Bybit holds beyond all tracked legs, in their direction, is the trader's own. Where the
    bucket `deviates` already nothing is absorbed: the deviation stays for the trader to resolve.
    A wallet's surplus is the trader's without a record.
    """
    if symbol.category is Category.SPOT:
        return None
    idx = position_idx_for(leg.side, holdings)
    bucket = symbol.bucket(idx)
    if deviates:
        return bucket, claims.unassigned.get(idx, ZERO)
    before = tracked(claims.components, holdings).get(idx, ZERO)
    after = before + leg.side.sign * leg.quantity
    excess = signed_size(holdings, idx) - after
    # Unassigned is never opposite to the tracked net: a lack is a deviation, not a holding.
    return bucket, excess if excess * after >= 0 else ZERO
