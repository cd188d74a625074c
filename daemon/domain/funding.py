"""Funding: a payment of a whole bucket, split among the positions that shared it at that time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_DOWN, Context, Decimal, localcontext
from typing import Final

from .buckets import SymbolKey
from .model import ZERO, ComponentId, PositionId

# Finer than any coin that Bybit books, and a share is as short as a number of the database.
_QUANTUM: Final = Decimal("1e-18")
_WIDE: Final = Context(prec=80, rounding=ROUND_DOWN)


@dataclass(frozen=True, slots=True)
class FundingPayment:
    """One execution of type Funding. `amount` > 0 was received, < 0 paid, in `coin`.

    `size` is the signed size of the bucket it was paid on (Bybit V5: execution/list, a Funding row
    carries the whole position as `execQty` and its side as `side`).
    """

    exec_id: str
    symbol: SymbolKey
    size: Decimal
    amount: Decimal
    coin: str
    paid_at: datetime


@dataclass(frozen=True, slots=True)
class FundingClaim:
    """A component of the bucket as it stood at the funding time; `signed_open` as of then."""

    component_id: ComponentId
    position_id: PositionId
    signed_open: Decimal


@dataclass(frozen=True, slots=True)
class FundingShare:
    """What of a payment belongs to one position."""

    position_id: PositionId
    amount: Decimal


def split(
    payment: FundingPayment, claims: Iterable[FundingClaim], unassigned: Decimal
) -> list[FundingShare]:
    """Each position's share of the payment, ordered by position; shares of nothing are left out.

    `claims` and `unassigned` are those of the payment's bucket: in hedge mode of its side alone.
    Funding is paid per unit held, so a claim's share is the payment times its signed part of the
    bucket: legs that net each other out each pay and receive on their own notional. A bucket that
    lost quantity pays less than its claims are for: they share what was paid. Nobody knows whose a
    flipped bucket is: nobody gets a share. The trader's own part and what rounding leaves beside
    it are never distributed.
    """
    with localcontext(_WIDE):
        held: dict[PositionId, Decimal] = {}
        for claim in claims:
            held[claim.position_id] = held.get(claim.position_id, ZERO) + claim.signed_open
        claimed = sum(held.values(), ZERO)
        expected = claimed + unassigned
        if payment.size == 0 or expected * payment.size < 0:
            return []
        whole = expected if abs(expected) > abs(payment.size) else payment.size
        shares = {
            position_id: _floor(payment.amount * open_ / whole)
            for position_id, open_ in sorted(held.items())
            if open_
        }
        if claimed == whole:
            # All of it is theirs: the shares add up to the payment, to its last digit.
            largest = max(shares, key=lambda position_id: abs(shares[position_id]))
            shares[largest] += payment.amount - sum(shares.values(), ZERO)
    return [FundingShare(position_id, amount) for position_id, amount in shares.items() if amount]


def _floor(amount: Decimal) -> Decimal:
    """Towards zero to the quantum; a number that is exact already keeps its digits."""
    cut = amount.quantize(_QUANTUM)
    return amount if cut == amount else cut
