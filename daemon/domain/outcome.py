"""How each leg fared in a close: only what is proven counts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final

from . import pnl
from .allocation import closed_by
from .bucket_plan import BucketPlan
from .model import ZERO, Component, ComponentId
from .orders import (
    FOREIGN,
    KEY_REFUSED,
    NOT_REDUCING,
    REFUSED,
    CloseOrder,
    LegOutcome,
    LegResult,
    Netting,
)

# With these a leg counts as closed.
PERMITTED: Final = frozenset({LegOutcome.FLAT, LegOutcome.DUST, LegOutcome.SHORTFALL})


@dataclass(frozen=True, slots=True)
class LegWork:
    """What a close was to do with a leg, and what came of it; `is_part`: a fraction was asked.

    `orders` are those with a part of the leg, oldest first; `stopped` is why none followed.
    """

    component: Component
    target: Decimal
    is_part: bool
    orders: Sequence[CloseOrder] = ()
    nettings: Sequence[Netting] = ()
    stopped: str = ""

    @property
    def closed(self) -> Decimal:
        return closed_of(self.component.id, self.orders, self.nettings)

    @property
    def left(self) -> Decimal:
        return max(self.target - self.closed, ZERO)


def closed_of(
    leg: ComponentId, orders: Iterable[CloseOrder], nettings: Iterable[Netting] = ()
) -> Decimal:
    """How much of the leg the orders' booked fills and the nettings closed."""
    netted = sum((n.quantity for n in nettings if n.component_id == leg), ZERO)
    return sum((_closed(leg, order) for order in orders), netted)


def _closed(leg: ComponentId, order: CloseOrder) -> Decimal:
    return closed_by(order.shares, order.quantity, order.filled, order.step).get(leg, ZERO)


def average_price(work: LegWork) -> Decimal | None:
    """What the leg was closed at; a shared order's price is that of both sides."""
    leg = work.component.id
    priced = [
        (_closed(leg, o), o.average_price) for o in work.orders if o.average_price is not None
    ]
    priced += [(n.quantity, n.price) for n in work.nettings if n.component_id == leg]
    return pnl.average_price(work.component.category, priced)


def leg_result(work: LegWork, plan: BucketPlan) -> tuple[LegResult, Decimal]:
    """How the leg fared, and the dust (unsigned) of it that is left in the bucket.

    All orders are settled, and `plan` is what would be sent next by a read that is newer than the
    last fill: a leg of which nothing more could be sent is done.
    """
    closed, left = work.closed, work.left

    def result(outcome: LegOutcome, detail: str) -> LegResult:
        return LegResult(work.component.id, outcome, closed, average_price(work), detail)

    if not left:
        return result(LegOutcome.FLAT, f"{closed:f} closed"), ZERO
    foreign = next((o.detail for o in work.orders if o.status == FOREIGN), None)
    if foreign is not None:
        # Whatever the bucket holds now, nobody knows what that order did to it.
        return result(LegOutcome.REJECTED, foreign), ZERO
    if not (plan.blockers or plan.quantity or plan.nettings):
        missing = result(LegOutcome.SHORTFALL, f"{left:f} was no longer there")
        return _nothing_more(work, plan, missing)
    refusal = _refusal(work.orders)
    if refusal is not None and not closed:
        return result(LegOutcome.REJECTED, refusal), ZERO
    blocked = plan.detail if plan.blockers else None
    reasons = (blocked, refusal or _last_detail(work.orders), work.stopped)
    why = "; ".join(dict.fromkeys(filter(None, reasons))) or "not filled"
    return result(LegOutcome.RESIDUAL, f"{left:f} is still open: {why}"), ZERO


def _nothing_more(work: LegWork, plan: BucketPlan, missing: LegResult) -> tuple[LegResult, Decimal]:
    """Too little of it is left to trade, or (`missing`) nothing."""
    dust = next((p.dust for p in plan.legs if p.leg.component.id == work.component.id), ZERO)
    if not dust:
        is_there = work.component.side.sign * plan.actual > 0
        if is_there and not work.closed:
            # Zero fills never count as closed while the bucket holds anything in its direction.
            missing = replace(missing, outcome=LegOutcome.RESIDUAL)
        return missing, ZERO
    # Of a fraction that was asked nothing is left over: the position goes on with the rest.
    outcome = LegOutcome.FLAT if work.is_part and work.closed else LegOutcome.DUST
    result = replace(missing, outcome=outcome, detail=f"{dust:f} is too little to trade")
    return result, ZERO if work.is_part else dust


def unverified_result(work: LegWork, why: str) -> LegResult:
    """How a leg stands of which nothing can be read any more: by its booked fills alone."""
    outcome = LegOutcome.REJECTED if work.left else LegOutcome.FLAT
    detail = f"{work.left:f} is still open: {why}" if work.left else f"{work.closed:f} closed"
    return LegResult(work.component.id, outcome, work.closed, average_price(work), detail)


def worst(failed: Iterable[LegResult], late: Set[ComponentId] = frozenset()) -> str:
    """The code of a close that failed: the gravest of its legs' outcomes.

    `expired` where that is no more than that some leg was `late`: it ran out of time.
    """
    results = list(failed)
    outcomes = {result.outcome for result in results}
    order = (LegOutcome.UNKNOWN, LegOutcome.REJECTED, LegOutcome.RESIDUAL)
    gravest = next(outcome for outcome in order if outcome in outcomes)
    is_late = any(result.component_id in late for result in results)
    return "expired" if is_late and gravest is LegOutcome.RESIDUAL else gravest.value


def _refusal(orders: Sequence[CloseOrder]) -> str | None:
    """What Bybit last refused one of them with; the key's only if that was the last word."""
    if orders and orders[-1].status == KEY_REFUSED:
        return orders[-1].detail
    refused = (REFUSED, NOT_REDUCING)
    return next((o.detail for o in reversed(orders) if o.status in refused), None)


def _last_detail(orders: Sequence[CloseOrder]) -> str | None:
    return next((order.detail for order in reversed(orders) if order.detail), None)
