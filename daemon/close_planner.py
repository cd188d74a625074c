"""The preview of a close: what it would send, cost and stumble over, by the rules of the close."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Context, Decimal
from typing import Final
from uuid import uuid4

from .bucket_run import BucketRun
from .close_buckets import buckets_of
from .close_context import Closing
from .close_job import CloseJob
from .close_quotes import CloseQuotes, Quote
from .domain import resolving
from .domain.bucket_plan import Around, BucketPlan, LegPlan, plan_hash
from .domain.errors import Conflict, ExchangeUnreachable, NotFound
from .domain.estimates import Estimate, estimate
from .domain.model import (
    ZERO,
    CloseId,
    ComponentId,
    InstrumentKey,
    KeyInfo,
    Position,
    PositionId,
    PositionStatus,
    UserId,
)
from .domain.orders import CloseRequest, CloseTerms, RequestState
from .domain.resolving import ResolveAction
from .domain.services import ClosePlan, PlanBlocker, PlannedLeg
from .domain.share import Blocker
from .domain.verdict import Reading
from .key_rights import within_rights
from .together import together

Offers = Mapping[ComponentId, tuple[ResolveAction, ...]]

_GOOD_FOR: Final = timedelta(seconds=60)
# Whoever asks again within this time gets the same answer: each one costs reads that closes need.
_READ_AGAIN: Final = timedelta(seconds=1)
_PATIENCE: Final = 8.0
_MOST_PLANS: Final = 4096
_WHOLE: Final = Decimal(1)
# As the store multiplies: exactly, whatever the number of digits.
_EXACT: Final = Context(prec=160)


@dataclass(frozen=True, slots=True)
class _Bucket:
    """What was read of a bucket's place, what a close would do there, and the prices for it."""

    around: Around
    plans: Sequence[BucketPlan]
    quote: Quote


@dataclass(slots=True)
class _Look:
    """One position's part: whoever reads holds `reading`, and the others take the answer."""

    reading: asyncio.Lock = field(default_factory=asyncio.Lock)
    asked: tuple[Position, Decimal | None] | None = None
    plan: ClosePlan | None = None


class ClosePlanner:
    """Makes previews and remembers for a minute which it gave, so that a close may name one."""

    def __init__(
        self,
        closing: Closing,
        quotes: CloseQuotes,
        index: Callable[[InstrumentKey], Decimal | None],
        slippage: Decimal | None = None,
    ) -> None:
        self._c = closing
        self._quotes = quotes
        self._index = index
        self._slippage = slippage
        self._looks: dict[PositionId, _Look] = {}
        self._given: dict[str, tuple[PositionId, ClosePlan]] = {}

    async def plan(
        self, user_id: UserId, position_id: PositionId, fraction: Decimal | None
    ) -> ClosePlan:
        """Read now. NotFound; Conflict `already-closed`; ExchangeUnreachable and its like."""
        self._forget_aged()
        position = await self._owned(user_id, position_id)
        look = self._looks.setdefault(position_id, _Look())
        async with look.reading:
            if not self._is_new(look, position, fraction):
                look.plan = await self._read(position, fraction)
                look.asked = (position, fraction)
            plan = look.plan
        if plan is None:
            raise AssertionError("it was just read")
        self._given.pop(plan.plan_id, None)
        self._given[plan.plan_id] = (position_id, plan)
        return plan

    def holds(self, position_id: PositionId, terms: CloseTerms) -> bool:
        """Whether the plan that the terms name was given for this, and not too long ago.

        Whether it is still what would be sent is found out when it is.
        """
        found_for, plan = self._given.get(terms.expected_plan or "", (None, None))
        return (
            plan is not None
            and found_for == position_id
            and (plan.fraction or _WHOLE) == (terms.fraction or _WHOLE)
            and self._c.timing.now() < plan.expires_at
        )

    # --- what is remembered -----------------------------------------------------------------

    def _is_new(self, look: _Look, position: Position, fraction: Decimal | None) -> bool:
        if look.plan is None or look.asked != (position, fraction):
            return False
        read_at = look.plan.expires_at - _GOOD_FOR
        return self._c.timing.now() - read_at < _READ_AGAIN

    def _forget_aged(self) -> None:
        now = self._c.timing.now()
        aged = [key for key, (_, plan) in self._given.items() if plan.expires_at <= now]
        # The oldest stand first: asked for again, a plan is put in anew.
        surplus = list(self._given)[: max(len(self._given) - _MOST_PLANS + 1, 0)]
        for plan_id in {*aged, *surplus}:
            del self._given[plan_id]
        idle = [
            key
            for key, look in self._looks.items()
            if not look.reading.locked() and look.plan is not None and look.plan.expires_at <= now
        ]
        for position_id in idle:
            del self._looks[position_id]

    async def _owned(self, user_id: UserId, position_id: PositionId) -> Position:
        # From the store, as the close itself: rows written into the tables may be newer.
        position = await self._c.positions.load(position_id)
        if position is None or position.user_id != user_id:
            raise NotFound("unknown-position", "There is no such position.")
        if position.status is PositionStatus.CLOSED:
            raise Conflict("already-closed", "The position is closed: nothing of it is open.")
        return position

    # --- planning ---------------------------------------------------------------------------

    async def _read(self, position: Position, fraction: Decimal | None) -> ClosePlan:
        job = CloseJob(self._c, [self._rehearsal(position, fraction)], [position])
        try:
            async with asyncio.timeout(_PATIENCE):
                buckets = await together(self._bucket(run) for run in buckets_of(job))
        except TimeoutError:
            raise ExchangeUnreachable(
                "exchange-unreachable", "Bybit did not answer in time."
            ) from None
        offers = self._offers(position, buckets)
        legs = {leg.component.id: leg for bucket in buckets for leg in self._legs(bucket, offers)}
        key = self._key_of(position)
        if key is not None and key.read_only:
            refused = PlanBlocker("read-only-key", "the API key may not trade")
            legs = {
                key: replace(leg, blockers=(refused, *leg.blockers)) for key, leg in legs.items()
            }
        return ClosePlan(
            plan_hash(plan for bucket in buckets for plan in bucket.plans),
            self._c.timing.now() + _GOOD_FOR,
            fraction,
            tuple(legs[c.id] for c in position.components if c.open),
        )

    def _key_of(self, position: Position) -> KeyInfo | None:
        state = self._c.portfolio.accounts.get(position.account_id)
        return state.key_info if state is not None else None

    def _rehearsal(self, position: Position, fraction: Decimal | None) -> CloseRequest:
        """A request as it would be accepted, so that the same code plans both; it goes nowhere."""
        now = self._c.timing.now()
        part = _WHOLE if fraction is None else fraction
        return CloseRequest(
            id=CloseId(uuid4()),
            position_id=position.id,
            account_id=position.account_id,
            requested_by=position.user_id,
            state=RequestState.ACCEPTED,
            code=None,
            detail=None,
            open_at_acceptance={c.id: c.open for c in position.components},
            legs=(),
            created_at=now,
            expires_at=now + _GOOD_FOR,
            ended_at=None,
            terms=CloseTerms(fraction=fraction),
            targets={c.id: _EXACT.multiply(c.open, part) for c in position.components},
        )

    async def _bucket(self, run: BucketRun) -> _Bucket:
        leg = run.legs[0]
        async with asyncio.TaskGroup() as group:
            quote = group.create_task(self._quotes.quote(leg.position, leg.instrument_key))
            around = await run.around(with_resting=True)
        if run.is_spot:
            around = replace(around, resting=quote.result().resting)
        key = self._key_of(leg.position)
        plans = [within_rights(plan, key) for plan in run.plans(around)]
        return _Bucket(around, plans, quote.result())

    def _offers(self, position: Position, buckets: Sequence[_Bucket]) -> Offers:
        """What could be decided of each leg now; nothing while a close is at work on it."""
        if position.status is PositionStatus.CLOSING:
            return {}
        now = self._c.timing.now()
        return resolving.offers(
            position,
            self._c.portfolio.of_account(position.account_id),
            self._c.portfolio.unassigned,
            {b.around.place: Reading(b.around.holdings, now) for b in buckets},
            fee_tolerance=self._c.fee_tolerance,
        )

    def _legs(self, bucket: _Bucket, offers: Offers) -> Iterator[PlannedLeg]:
        for plan in bucket.plans:
            guess = self._guess(plan, bucket)
            for one in plan.legs:
                yield PlannedLeg(
                    component=one.leg.component,
                    quantity=one.quantity,
                    shortfall=one.shortfall,
                    dust=one.dust,
                    estimated_price=guess.price if one.quantity else None,
                    estimated_fee=_fee_of(one, plan, guess) if one.quantity else None,
                    fee_coin=guess.fee_coin,
                    blockers=tuple(_blockers(plan, offers.get(one.leg.component.id, ()))),
                    resting=plan.resting,
                )

    def _guess(self, plan: BucketPlan, bucket: _Bucket) -> Estimate:
        """Of the bucket's whole order; legs that net to nothing close at the valuation price."""
        if plan.instrument is None:
            return Estimate()
        if not plan.total:
            return Estimate(bucket.around.price, ZERO, plan.instrument.settle_coin)
        return estimate(
            plan.instrument,
            plan.side,
            plan.total,
            bucket.quote.book,
            bucket.quote.fee_rate,
            slippage=self._slippage,
            index=self._index(plan.instrument.key),
        )


def _fee_of(one: LegPlan, plan: BucketPlan, guess: Estimate) -> Decimal | None:
    """The leg's part of the order's fee: the heavy legs pay it, by what is closed of each."""
    if guess.fee is None:
        return None
    if one.leg.component.side is plan.side:
        return ZERO
    heavy = sum(
        (other.quantity for other in plan.legs if other.leg.component.side is not plan.side), ZERO
    )
    return guess.fee if one.quantity == heavy else guess.fee * one.quantity / heavy


def _blockers(plan: BucketPlan, offers: tuple[ResolveAction, ...]) -> Iterator[PlanBlocker]:
    for blockage in plan.blockers:
        # What is recorded is the reason for this one alone; the others lie with the exchange.
        is_ours = blockage.code is Blocker.SHORTFALL_UNATTRIBUTED
        yield PlanBlocker(blockage.code.value, blockage.detail, offers if is_ours else ())
