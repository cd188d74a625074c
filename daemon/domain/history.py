"""P&L over time: one point a minute while a position is open, fewer as it gets older."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from .model import PositionId


@dataclass(frozen=True, slots=True)
class PnlPoint:
    """A position's P&L at one moment, in `currency`; `net` None where it could not be valued."""

    position_id: PositionId
    at: datetime
    unrealized: Decimal
    net: Decimal | None
    currency: str
