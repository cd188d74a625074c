"""A close's orders and outcomes, decided from what was read: pure, so that every rule is tested."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from .model import ZERO, Component, Fill, Holding, Instrument, OrderReport
from .orders import FOREIGN, NOT_REDUCING, REFUSED, CloseOrder, LegOutcome, LegResult, OrderState
from .records import BucketClaims
from .share import Share, own_share, sendable

# Attempts in a row that fill nothing before a leg is left for the trader to see.
IDLE_ATTEMPTS: Final = 5
# Clocks of the venue and of our measured offset differ by a little.
_CLOCK_SLACK: Final = timedelta(seconds=2)
_CANNOT_TRADE: Final = frozenset({"PreLaunch", "Closed"})


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What was read of a leg's bucket just now."""

    component: Component
    instrument: Instrument | None
    claims: BucketClaims
    holdings: tuple[Holding, ...]

    @property
    def share(self) -> Share:
        return own_share(self.component, self.claims, self.holdings)


@dataclass(frozen=True, slots=True)
class LegPlan:
    """One leg's next order: `quantity` 0 sends nothing, `code` refuses with a reason."""

    component: Component
    position_idx: int
    quantity: Decimal
    code: str | None
    detail: str


def plan_leg(around: Surroundings) -> LegPlan:
    """The next order of a leg, or why there is none."""
    component, share = around.component, around.share
    idx = share.position_idx
    if share.blocker is not None:
        return LegPlan(component, idx, ZERO, share.blocker.value, share.detail)
    if share.quantity == 0:
        return LegPlan(component, idx, ZERO, None, "nothing left on Bybit")
    instrument = around.instrument
    if instrument is None or instrument.status in _CANNOT_TRADE:
        status = instrument.status if instrument else "not listed"
        return LegPlan(
            component, idx, ZERO, "instrument-not-trading", f"{component.symbol} is {status}"
        )
    quantity = sendable(share.quantity, instrument)
    detail = "" if quantity else f"{share.quantity:f} is below what can be traded"
    return LegPlan(component, idx, quantity, None, detail)


def may_try_again(orders: Sequence[CloseOrder]) -> bool:
    """Whether a leg with these attempts (oldest first) may have another one.

    Not after a refusal that would only repeat itself, and not after too many idle attempts.
    """
    if not orders:
        return True
    if any(not order.state.is_settled for order in orders):
        return False
    last = orders[-1]
    if last.state is OrderState.TERMINAL and last.status in (REFUSED, FOREIGN):
        return False
    return idle_attempts(orders) < IDLE_ATTEMPTS


def idle_attempts(orders: Sequence[CloseOrder]) -> int:
    """How many of the newest attempts in a row filled nothing."""
    count = 0
    for order in reversed(orders):
        if order.filled:
            break
        count += 1
    return count


def is_ours(report: OrderReport, order: CloseOrder) -> bool:
    """Whether a found order can be the one we wrote down (rule 8).

    Bybit may cut a reduce-only order down to the position, so its quantity may be lower.
    """
    planned_at = order.signed_at or order.created_at
    return (
        report.link_id == order.link_id
        and report.symbol == order.bucket.symbol
        and report.category is order.bucket.category
        and report.side is order.side
        and report.quantity <= order.quantity
        and report.reduce_only
        and report.created_at >= min(planned_at, order.created_at) - _CLOCK_SLACK
    )


def is_as_new_as(holdings: Iterable[Holding], position_idx: int, fill: Fill | None) -> bool:
    """Whether the bucket's row was written no earlier than the fill.

    `seq` decides where both have it (Bybit V5: position and execution share it per symbol), else
    the row's own update time, else that it was read well after the fill.
    """
    if fill is None:
        return True
    rows = [h for h in holdings if h.position_idx == position_idx]
    for row in rows:
        if row.seq is not None and row.seq > 0 and fill.seq is not None:
            return row.seq >= fill.seq
        if row.updated_at is not None:
            return row.updated_at >= fill.executed_at
    return all(row.read_at >= fill.executed_at + _CLOCK_SLACK for row in rows) and bool(rows)


def leg_result(
    around: Surroundings, open_at_acceptance: Decimal, orders: Sequence[CloseOrder]
) -> tuple[LegResult, Decimal]:
    """How the leg fared, and the dust (unsigned) that is left of it in the bucket.

    Only what is proven counts: all orders are settled, and `around` is newer than the last fill.
    """
    filled = sum((order.filled for order in orders), ZERO)
    left = open_at_acceptance - filled
    component, share = around.component, around.share

    def result(outcome: LegOutcome, detail: str) -> LegResult:
        return LegResult(component.id, outcome, filled, _average(orders), detail)

    if left <= 0:
        return result(LegOutcome.FLAT, f"{filled:f} closed"), ZERO
    foreign = next((o.detail for o in orders if o.status == FOREIGN), None)
    if foreign is not None:
        # Whatever the bucket holds now, nobody knows what that order did to it.
        return result(LegOutcome.REJECTED, foreign), ZERO
    refused = (REFUSED, NOT_REDUCING)
    refusal = next((o.detail for o in reversed(orders) if o.status in refused), None)
    towards = component.side.sign * share.actual
    alone = share.blocker is None
    if alone and towards <= 0:
        return result(LegOutcome.SHORTFALL, f"{left:f} was no longer there"), ZERO
    if alone and around.instrument is not None and not sendable(share.quantity, around.instrument):
        if share.quantity:
            return result(LegOutcome.DUST, f"{share.quantity:f} is too little to trade"), (
                share.quantity
            )
        return result(LegOutcome.SHORTFALL, f"{left:f} was no longer there"), ZERO
    if refusal is not None and not filled:
        return result(LegOutcome.REJECTED, refusal), ZERO
    why = share.detail or refusal or _last_detail(orders) or "not filled"
    return result(LegOutcome.RESIDUAL, f"{left:f} is still open: {why}"), ZERO


def _average(orders: Sequence[CloseOrder]) -> Decimal | None:
    filled = sum((o.filled for o in orders if o.average_price is not None), ZERO)
    if not filled:
        return None
    value = sum((o.filled * o.average_price for o in orders if o.average_price is not None), ZERO)
    return value / filled


def _last_detail(orders: Sequence[CloseOrder]) -> str | None:
    return next((order.detail for order in reversed(orders) if order.detail), None)


def is_expired(expires_at: datetime, now: datetime) -> bool:
    return now >= expires_at
