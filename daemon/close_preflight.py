"""The check of all legs before the first order of a close leaves: all of them go, or none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

from .bucket_run import BucketRun
from .close_buckets import link
from .close_context import CloseLeg
from .close_end import CloseEnd
from .close_job import CloseJob
from .domain.bucket_plan import BucketPlan, plan_hash
from .domain.closing import RequestEvent
from .domain.errors import (
    Conflict,
    CredentialsRefused,
    ExchangeBusy,
    ExchangeRefused,
    ExchangeUnreachable,
)
from .domain.model import ZERO, ComponentId
from .domain.orders import LegOutcome, LegResult
from .domain.portfolio import AccountState
from .domain.share import Blocker
from .key_rights import within_rights
from .together import together

# How often resting orders are looked at again after they were asked to go; seconds between looks.
_LOOKS: Final = 20
_BETWEEN_LOOKS: Final = 0.3
# The tracker stores a coin as soon as Bybit tells the instrument; it looks every two seconds.
_BETWEEN_COINS: Final = 1.0


class Preflight:
    """Plans the first orders of a job and writes them ahead, or ends it with the reasons."""

    def __init__(self, job: CloseJob, end: CloseEnd) -> None:
        self._job = job
        self._end = end
        self._doubt = ""
        self._agreed: Mapping[ComponentId, Decimal] | None = None

    async def check(self, places: Sequence[BucketRun]) -> list[BucketRun]:
        """The buckets to be driven; ends the job where something is in the way.

        Conflict where it waits from the start: `trading-paused` if it was meanwhile,
        `coin-unknown` while it is not known what other legs claim of a coin.
        """
        if self._job.expired():
            await self._end.expired(self._doubt)
            return []
        if self._job.legs and self._is_read_only():
            await self._refuse_all("read-only-key", "the API key may not trade")
            return []
        try:
            buckets, plans = await self._plan(places)
        except CredentialsRefused as error:
            await self._refuse_all("key-refused", f"Bybit refuses the API key: {error.detail}")
            return []
        is_agreed = self._is_agreed(plans)
        if is_agreed and self._may_clear(plans):
            self._agreed = _quantities(plans)
            buckets, plans = await self._cleared(places, plans)
            is_agreed = self._is_agreed(plans) or any(plan.blockers for plan in plans)
        if not is_agreed:
            await self._refuse_all("plan-changed", "what would be sent is not what was agreed to")
            return []
        if any(plan.blockers for plan in plans):
            await self._refuse(plans)
            return []
        return await self._go(buckets, plans)

    def _is_agreed(self, plans: Sequence[BucketPlan]) -> bool:
        """Whether the plan is the one that was agreed to, where one was.

        Once what rests in its way is being cancelled, by its quantities: one that fills instead
        changes them.
        """
        expected = self._job.requests[0].terms.expected_plan
        if expected is None:
            return True
        if self._agreed is not None:
            return _quantities(plans) == self._agreed
        return plan_hash(plans) == expected

    def _is_read_only(self) -> bool:
        state = self._account
        return state is not None and state.is_read_only

    @property
    def _account(self) -> AccountState | None:
        return self._job.c.portfolio.accounts.get(self._job.positions[0].account_id)

    # --- where the legs sit -----------------------------------------------------------------

    async def place_legs(self) -> None:
        """Wait until the coin of every spot leg is known, which is what its lock is for.

        Ends the job when it expires before that, or when Bybit lists no such pair.
        """
        while astray := await self._astray():
            names = ", ".join(dict.fromkeys(leg.component.symbol for leg in astray))
            why = f"the coin of {names} is not known yet"
            if self._job.expired():
                await self._end.expired(why)
                return
            if unlisted := [leg for leg in astray if await self._is_unlisted(leg)]:
                await self._refuse_unlisted(unlisted)
                return
            self._job.note(why)
            await self._job.waits.sleep(_BETWEEN_COINS)

    async def _astray(self) -> list[CloseLeg]:
        """The legs whose coin is not known, by their rows as they are now."""
        if all(leg.is_placed for leg in self._job.legs):
            return []
        await self._job.reload_legs()
        return [leg for leg in self._job.legs if not leg.is_placed]

    async def _is_unlisted(self, leg: CloseLeg) -> bool:
        """Whether Bybit answered that there is no such instrument; no answer is none."""
        try:
            found = await self._job.c.catalogue.instrument(leg.instrument_key, urgent=True)
        except (ExchangeUnreachable, ExchangeBusy, ExchangeRefused):
            return False
        return found is None

    async def _refuse_unlisted(self, unlisted: Sequence[CloseLeg]) -> None:
        told = {leg.component.id: f"{leg.component.symbol} is not listed" for leg in unlisted}
        results = {
            leg.component.id: LegResult(
                leg.component.id,
                LegOutcome.REJECTED if leg.component.id in told else LegOutcome.RESIDUAL,
                ZERO,
                None,
                told.get(leg.component.id, "nothing was sent"),
            )
            for leg in self._job.legs
        }
        detail = "; ".join(dict.fromkeys(told.values()))
        await self._end.refused(Blocker.NOT_TRADING.value, detail, results)

    # --- planning ---------------------------------------------------------------------------

    async def _plan(self, places: Sequence[BucketRun]) -> tuple[list[BucketRun], list[BucketPlan]]:
        """A plan per bucket, and the buckets as the account's position mode splits the places."""
        arounds = await together(place.around(with_resting=True) for place in places)
        buckets: list[BucketRun] = []
        plans: list[BucketPlan] = []
        key = self._account.key_info if self._account is not None else None
        for place, around in zip(places, arounds, strict=True):
            for plan in place.plans(around):
                mine = {one.leg.component.id for one in plan.legs}
                legs = [leg for leg in place.legs if leg.component.id in mine]
                buckets.append(BucketRun(self._job, legs))
                plans.append(within_rights(plan, key))
        in_the_way = [blockage for plan in plans for blockage in plan.blockers]
        if {blockage.code for blockage in in_the_way} == {Blocker.COIN_UNKNOWN}:
            # That passes, once the instrument is known; until then it waits from the start.
            self._doubt = in_the_way[0].detail
            raise Conflict(Blocker.COIN_UNKNOWN.value, self._doubt)
        self._doubt = ""
        return buckets, plans

    async def _go(self, buckets: list[BucketRun], plans: Sequence[BucketPlan]) -> list[BucketRun]:
        """Write the first wave ahead: whoever waits for another bucket is planned after it."""
        # Reading may have taken a while, and longer where resting orders had to go.
        if self._job.expired():
            await self._end.expired()
            return []
        if await self._job.c.switches.trading_paused():
            raise Conflict("trading-paused", "trading is paused by the operator")
        link(buckets)
        sending = {id(b) for b, plan in zip(buckets, plans, strict=True) if plan.sends}
        wave = [
            plan
            for bucket, plan in zip(buckets, plans, strict=True)
            if plan.sends and not any(id(other) in sending for other in bucket.first)
        ]
        if wave or any(plan.nettings for plan in plans):
            await self._job.write_ahead(wave, RequestEvent.PLANNED)
        else:
            await self._job.move(RequestEvent.NOTHING_TO_SEND)
        return buckets

    # --- orders in the way ------------------------------------------------------------------

    def _may_clear(self, plans: Sequence[BucketPlan]) -> bool:
        """Whether nothing but resting orders is in the way, and the request says to cancel them."""
        codes = {blockage.code for plan in plans for blockage in plan.blockers}
        return self._job.requests[0].terms.cancel_resting and codes == {Blocker.RESTING_ORDERS}

    async def _cleared(
        self, places: Sequence[BucketRun], plans: Sequence[BucketPlan]
    ) -> tuple[list[BucketRun], list[BucketPlan]]:
        """Cancel them and plan anew once they are gone: one may have filled instead."""
        exchange = self._job.exchange
        asked: set[str] = set()
        for _ in range(_LOOKS):
            in_the_way = {o.order_id: o for plan in plans for o in plan.resting}
            for order in in_the_way.values():
                if order.order_id not in asked:
                    await exchange.cancel_order(order.category, order.symbol, order.order_id)
                    asked.add(order.order_id)
            self._job.note("waiting for resting reduce-only orders to be cancelled")
            await self._job.waits.sleep(_BETWEEN_LOOKS)
            buckets, plans = await self._plan(places)
            if not self._may_clear(plans):
                break
        return buckets, list(plans)

    # --- refusals ---------------------------------------------------------------------------

    async def _refuse(self, plans: Sequence[BucketPlan]) -> None:
        """End with every leg's own reason, in the order of the legs; nothing was sent for any."""
        by_leg = {one.leg.component.id: plan for plan in plans for one in plan.legs}
        blocked = [by_leg[leg.component.id] for leg in self._job.legs]
        first = next(plan for plan in blocked if plan.blockers)
        detail = "; ".join(dict.fromkeys(plan.detail for plan in blocked if plan.blockers))
        results = {
            leg: LegResult(
                leg,
                LegOutcome.REJECTED if plan.blockers else LegOutcome.RESIDUAL,
                ZERO,
                None,
                plan.detail or "nothing was sent",
            )
            for leg, plan in by_leg.items()
        }
        await self._end.refused(first.blockers[0].code.value, detail, results)

    async def _refuse_all(self, code: str, detail: str) -> None:
        results = {
            leg.component.id: LegResult(leg.component.id, LegOutcome.REJECTED, ZERO, None, detail)
            for leg in self._job.legs
        }
        await self._end.refused(code, detail, results)


def _quantities(plans: Sequence[BucketPlan]) -> dict[ComponentId, Decimal]:
    return {one.leg.component.id: one.quantity for plan in plans for one in plan.legs}
