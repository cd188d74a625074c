"""What a user is shown of a position, assembled at one instant so that its numbers agree."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from .deviations import DeviationRow
from .model import ZERO, BucketKey, Component, Position, PriceBasis, Verdict
from .orders import CloseRequest
from .records import JournalEvent


@dataclass(frozen=True, slots=True)
class LegView:
    """A component with its valuation and what Bybit holds of it.

    `actual` is the bucket's size less everybody else's claims in it, in the leg's own direction;
    `difference` is actual less open. Both are None while unverified for want of a reading. `note`
    says what a permitted difference is. Prices and P&L are in `pnl_currency`, the coin that the leg
    settles in (None: not known yet).
    """

    component: Component
    price: Decimal | None
    price_basis: PriceBasis
    price_at: datetime | None
    unrealized_pnl: Decimal | None
    actual: Decimal | None
    difference: Decimal | None
    pnl_currency: str | None = None
    note: str | None = None
    deviates: bool = False


@dataclass(frozen=True, slots=True)
class PositionView:
    """`unrealized_pnl` is None when `pnl_incomplete` gives a reason; money in `pnl_currency`.

    `fees`, `funding` and `realized_pnl` are the sums of `position.booked` in that currency, None
    where a coin of them cannot be valued (`booked_incomplete` says which). `deviations` are the
    open ones of its legs' buckets.
    """

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
    fees: Decimal | None = ZERO
    funding: Decimal | None = ZERO
    realized_pnl: Decimal | None = ZERO
    booked_incomplete: str | None = None
    deviations: tuple[DeviationRow, ...] = ()

    @property
    def net_pnl(self) -> Decimal | None:
        """Unrealized + realized + funding received − fees paid; None while incomplete."""
        parts = (self.unrealized_pnl, self.realized_pnl, self.funding, self.fees)
        if any(part is None for part in parts):
            return None
        unrealized, realized, funding, fees = (part or ZERO for part in parts)
        return unrealized + realized + funding - fees


@dataclass(frozen=True, slots=True)
class PositionDetail:
    """One position with its past: deviations, close requests and events, each newest first."""

    view: PositionView
    deviations: tuple[DeviationRow, ...]
    closes: tuple[CloseRequest, ...]
    events: tuple[JournalEvent, ...]


@dataclass(frozen=True, slots=True)
class HoldingView:
    """What Bybit holds in a bucket and whose it is; signed, `free` is what nobody claims.

    `symbol` is the coin for spot, which has no unassigned part.
    """

    bucket: BucketKey
    total: Decimal
    tracked: Decimal
    unassigned: Decimal
    entry_price: Decimal | None
    price: Decimal | None

    @property
    def free(self) -> Decimal:
        return self.total - self.tracked - self.unassigned


@dataclass(frozen=True, slots=True)
class Holdings:
    """All that an account holds, read just now; `incomplete` names what could not be read."""

    holdings: tuple[HoldingView, ...]
    read_at: datetime
    incomplete: str | None


@dataclass(frozen=True, slots=True)
class FeedState:
    """How fresh the daemon's picture is: `live`, `stale` or `down` per kind of stream."""

    public: str
    private: str
    last_sweep_at: datetime | None
    trading_paused: bool
