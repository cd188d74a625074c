"""What a close sends next in one bucket, or why nothing: pure, for the preview and the close alike.

The legs that a close works on in a bucket are planned as one. One leg sends its own share; several
net against each other, as they do on Bybit: one order of the net, split over them as it fills.
Where they cancel out nothing is sent, and they close against each other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from .allocation import closed_by
from .buckets import SymbolKey, position_idx_for
from .errors import Conflict
from .model import ZERO, BucketKey, Category, CloseId, Component, Holding, Instrument, Side
from .money import floor_to_step, plain
from .orders import OrderPart, RestingOrder
from .records import BucketClaims
from .share import Blocker, Share, bucket_share, is_netted, netted_against, sendable

_CANNOT_TRADE = frozenset({"PreLaunch", "Closed"})


@dataclass(frozen=True, slots=True)
class WantedLeg:
    """A leg as recorded now, and how much of it is still to be closed (unsigned; may be 0).

    `is_part`: a fraction was asked, and the position goes on with the rest.
    """

    component: Component
    close_id: CloseId
    quantity: Decimal
    is_part: bool = False


@dataclass(frozen=True, slots=True)
class Around:
    """What was read of a bucket's place just now, for legs of one instrument.

    `price` is the valuation price, where it is known; `resting` are the symbol's open orders;
    `is_over` that the contract is past its delivery.
    """

    place: SymbolKey
    instrument: Instrument | None
    claims: BucketClaims
    holdings: tuple[Holding, ...]
    resting: tuple[RestingOrder, ...] = ()
    price: Decimal | None = None
    fee_tolerance: Decimal = ZERO
    is_over: bool = False

    def share(self, legs: Sequence[Component]) -> Share:
        return bucket_share(
            [self.recorded(leg) for leg in legs],
            self.claims,
            self.holdings,
            fee_tolerance=self.fee_tolerance,
        )

    def recorded(self, leg: Component) -> Component:
        """The leg as it stands in the store.

        Conflict `leg-unclaimed` where it is open and not among the claims of its place: that says
        that the place is another, never that the leg is closed.
        """
        found = next((c for c in self.claims.components if c.id == leg.id), None)
        if found is None and not leg.open:
            return leg
        if found is None:
            raise Conflict(
                "leg-unclaimed",
                f"{leg.symbol}: not found among what is recorded there; asking anew",
            )
        return found


@dataclass(frozen=True, slots=True)
class Blockage:
    """Why the bucket's legs cannot be closed now: a stable code, and a sentence."""

    code: Blocker
    detail: str


@dataclass(frozen=True, slots=True)
class LegPlan:
    """One leg of a plan, unsigned: what would be closed of it in all, and what would not."""

    leg: WantedLeg
    quantity: Decimal = ZERO
    shortfall: Decimal = ZERO
    dust: Decimal = ZERO
    detail: str = ""


@dataclass(frozen=True, slots=True)
class BucketPlan:
    """The next order of a bucket: `quantity` 0 sends nothing, `blockers` refuse with reasons.

    `total` is what remains to be sent, this order included. `nettings` close legs against each
    other without an order.
    """

    bucket: BucketKey
    symbol: str
    legs: tuple[LegPlan, ...]
    actual: Decimal
    side: Side = Side.SELL
    quantity: Decimal = ZERO
    total: Decimal = ZERO
    parts: tuple[OrderPart, ...] = ()
    nettings: tuple[OrderPart, ...] = ()
    instrument: Instrument | None = None
    blockers: tuple[Blockage, ...] = ()
    resting: tuple[RestingOrder, ...] = ()

    @property
    def sends(self) -> bool:
        return bool(self.quantity) and not self.blockers

    @property
    def detail(self) -> str:
        """Why nothing is sent, or not all, in words; empty where all is."""
        reasons = [b.detail for b in self.blockers] or [p.detail for p in self.legs if p.detail]
        return "; ".join(dict.fromkeys(reasons))


def by_bucket(legs: Iterable[WantedLeg], holdings: Sequence[Holding]) -> dict[int, list[WantedLeg]]:
    """Legs of one place by their positionIdx, as the exchange's rows say."""
    groups: dict[int, list[WantedLeg]] = {}
    for leg in legs:
        groups.setdefault(position_idx_for(leg.component.side, holdings), []).append(leg)
    return groups


def plan_bucket(legs: Sequence[WantedLeg], around: Around) -> BucketPlan:
    """The next order of legs that sit in one bucket (all of one instrument)."""
    legs = [replace(leg, component=around.recorded(leg.component)) for leg in legs]
    legs = [replace(leg, quantity=min(leg.quantity, leg.component.open)) for leg in legs]
    share = around.share([leg.component for leg in legs])
    plan = BucketPlan(
        around.place.bucket(share.position_idx),
        legs[0].component.symbol,
        tuple(LegPlan(leg) for leg in legs),
        share.actual,
        instrument=around.instrument,
    )
    if not any(leg.quantity for leg in legs):
        return plan
    if around.claims.doubt:
        # Whoever cannot say where a leg sits cannot say what is left to the others there.
        return _blocked(plan, Blocker.COIN_UNKNOWN, around.claims.doubt)
    if around.is_over and not share.actual:
        # Delivery took everybody's: nobody has to say whose it was, nor at what price it netted.
        return _gone(plan, "nothing left on Bybit after the delivery")
    if share.blocker is not None:
        if _is_too_little(legs, around):
            return _explained(plan, [leg.quantity for leg in legs], ())
        return _blocked(plan, share.blocker, share.detail)
    if _is_alone(plan) and not share.quantity:
        return _gone(plan, "nothing left on Bybit")
    instrument = around.instrument
    if instrument is None:
        return _blocked(plan, Blocker.NOT_TRADING, f"{plan.symbol} is not listed")
    return _sized(plan, share, instrument, around)


def _is_alone(plan: BucketPlan) -> bool:
    """Whether one leg is all that is open: of several none may be short, of one the rest closes."""
    return sum(one.leg.component.open > 0 for one in plan.legs) == 1


def _is_too_little(legs: Sequence[WantedLeg], around: Around) -> bool:
    """Whether nothing could be sent for these parts whoever bears the loss: nothing to refuse."""
    instrument = around.instrument
    return instrument is not None and all(
        leg.is_part and not sendable(leg.quantity, instrument, around.price) for leg in legs
    )


def _gone(plan: BucketPlan, detail: str) -> BucketPlan:
    legs = (
        replace(p, shortfall=p.leg.quantity, detail=detail if p.leg.quantity else "")
        for p in plan.legs
    )
    return replace(plan, legs=tuple(legs))


def _sized(plan: BucketPlan, share: Share, instrument: Instrument, around: Around) -> BucketPlan:
    """The plan with its order, where nothing forbids to think of one."""
    step = instrument.quantity_step
    # Several legs are only planned while all that they claim is there: one may be short alone.
    most = share.quantity if _is_alone(plan) else None
    there = [p.leg.quantity if most is None else min(p.leg.quantity, most) for p in plan.legs]
    signed = [
        (p.leg, p.leg.component.side.sign, floor_to_step(quantity, step))
        for p, quantity in zip(plan.legs, there, strict=True)
    ]
    net = sum((sign * quantity for _, sign, quantity in signed), ZERO)
    sign = 1 if net >= 0 else -1
    parts = [
        OrderPart(leg.component.id, leg.close_id, quantity, side != sign)
        for leg, side, quantity in signed
        if quantity
    ]
    total = abs(net)
    quantity = sendable(total, instrument, around.price)
    plan = replace(plan, side=Side.SELL if sign > 0 else Side.BUY)
    if not quantity:
        nettings = tuple(_against_each_other(parts, step))
        return _explained(replace(plan, nettings=nettings), there, nettings)
    closing = closed_by(parts, total, quantity, step)
    chunk = (replace(part, quantity=closing[part.component_id]) for part in parts)
    plan = replace(
        plan, quantity=quantity, total=total, parts=tuple(part for part in chunk if part.quantity)
    )
    return _checked(_explained(plan, there, parts), share, sign, around)


def _against_each_other(parts: Sequence[OrderPart], step: Decimal) -> list[OrderPart]:
    """What both sides close with each other where their net is too little to be sent."""
    light = [part for part in parts if part.is_light]
    heavy = [part for part in parts if not part.is_light]
    if not light:
        return []
    whole = sum((part.quantity for part in heavy), ZERO)
    closing = closed_by(heavy, whole, sum((part.quantity for part in light), ZERO), step)
    netted = (replace(part, quantity=closing[part.component_id]) for part in heavy)
    return [part for part in (*netted, *light) if part.quantity]


def _explained(
    plan: BucketPlan, there: Sequence[Decimal], closing: Sequence[OrderPart]
) -> BucketPlan:
    """The plan with what becomes of each leg: closed, not there any more, too little to trade."""
    quantities = {part.component_id: part.quantity for part in closing}
    legs = []
    for one, held in zip(plan.legs, there, strict=True):
        quantity = quantities.get(one.leg.component.id, ZERO)
        dust = held - quantity
        detail = f"{dust:f} is below what can be traded" if dust else ""
        legs.append(LegPlan(one.leg, quantity, one.leg.quantity - held, dust, detail))
    return replace(plan, legs=tuple(legs))


def _checked(plan: BucketPlan, share: Share, sign: int, around: Around) -> BucketPlan:
    """The plan with whatever stands in the way of its order."""
    status = around.instrument.status if around.instrument else ""
    if status in _CANNOT_TRADE:
        plan = _blocked(plan, Blocker.NOT_TRADING, f"{plan.symbol} is {status}")
    if is_netted(share, sign, plan.total):
        against = f"nets it against {netted_against(share)} and holds {share.actual:+f}"
        detail = f"{plan.symbol}: {plan.total:f} to close, but Bybit {against}"
        plan = _blocked(plan, Blocker.NETTED, detail)
    if plan.bucket.category is Category.SPOT:
        return _checked_coin(plan, around)
    in_the_way = tuple(order for order in around.resting if _rests(order, plan))
    resting = sum((order.left for order in in_the_way), ZERO)
    if resting and resting + plan.total > abs(share.actual):
        detail = f"{plan.symbol}: open reduce-only orders over {resting:f} are in the way"
        plan = _blocked(replace(plan, resting=in_the_way), Blocker.RESTING_ORDERS, detail)
    return plan


def _checked_coin(plan: BucketPlan, around: Around) -> BucketPlan:
    """Coin that rests in the trader's own orders is his to free: no shortfall, and not ours."""
    locked = sum((row.locked for row in around.holdings), ZERO)
    if plan.total > plan.actual - locked:
        detail = f"{plan.bucket.symbol}: {locked:f} is locked in open spot orders"
        plan = _blocked(replace(plan, resting=around.resting), Blocker.COIN_LOCKED, detail)
    return plan


def _rests(order: RestingOrder, plan: BucketPlan) -> bool:
    """Whether it takes from what our order may reduce: live, reduce-only, on our closing side."""
    return (
        order.reduce_only
        and order.kind == "Limit"
        and order.side is plan.side
        and order.position_idx == plan.bucket.position_idx
        and order.left > 0
    )


def _blocked(plan: BucketPlan, code: Blocker, detail: str) -> BucketPlan:
    return replace(plan, blockers=(*plan.blockers, Blockage(code, detail)))


def plan_hash(plans: Iterable[BucketPlan]) -> str:
    """What decides of a close, as one word: it changes when any of that does."""
    lines = sorted(
        " ".join(
            (
                str(one.leg.component.id),
                _digits(one.quantity),
                ",".join(sorted(blockage.code.value for blockage in plan.blockers)) or "-",
                _digits(plan.actual),
                _digits(one.leg.quantity),
            )
        )
        for plan in plans
        for one in plan.legs
        if one.leg.quantity
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:32]


def _digits(number: Decimal) -> str:
    """The same text for the same number, however it was written down."""
    text = plain(number)
    return text.rstrip("0").rstrip(".") if "." in text else text
