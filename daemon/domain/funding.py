"""Funding: a payment of a whole bucket, split among the positions that shared it at that time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from .buckets import SymbolKey
from .model import ComponentId, PositionId


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
