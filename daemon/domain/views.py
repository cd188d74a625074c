"""What a user is shown of a position, assembled at one instant so that its numbers agree."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from .model import Component, Position, PriceBasis, Verdict
from .orders import CloseRequest


@dataclass(frozen=True, slots=True)
class LegView:
    """A component with its valuation and what Bybit holds of it.

    `actual` is the bucket's size less everybody else's claims in it, in the leg's own direction;
    `difference` is actual less open. Both are None while unverified for want of a reading.
    """

    component: Component
    price: Decimal | None
    price_basis: PriceBasis
    price_at: datetime | None
    unrealized_pnl: Decimal | None
    actual: Decimal | None
    difference: Decimal | None


@dataclass(frozen=True, slots=True)
class PositionView:
    """`unrealized_pnl` is None when `pnl_incomplete` gives a reason; money in `pnl_currency`."""

    position: Position
    legs: tuple[LegView, ...]
    verdict: Verdict
    verdict_reason: str | None
    unrealized_pnl: Decimal | None
    pnl_currency: str
    pnl_at: datetime | None
    pnl_incomplete: str | None
    verified_at: datetime | None
    last_close: CloseRequest | None

    @property
    def net_pnl(self) -> Decimal | None:
        """Unrealized + realized + funding received − fees paid; None while incomplete."""
        if self.unrealized_pnl is None:
            return None
        position = self.position
        return self.unrealized_pnl + position.realized_pnl + position.funding - position.fees


@dataclass(frozen=True, slots=True)
class FeedState:
    """How fresh the daemon's picture is: `live`, `stale` or `down` per kind of stream."""

    public: str
    private: str
    last_sweep_at: datetime | None
    trading_paused: bool
