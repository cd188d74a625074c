"""One bucket of a close: send, settle, plan what is left, until nothing more may or need be sent.

Each bucket has a task of its own: an order that is slow, or whose outcome is unknown, holds up
neither the booking nor the remainders of another bucket.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from .backoff import Backoff
from .close_context import CloseLeg
from .close_job import CloseJob
from .close_orders import OrderSettler
from .domain.bucket_plan import Around, BucketPlan, WantedLeg, by_bucket, plan_bucket
from .domain.buckets import SymbolKey
from .domain.closing import RequestEvent
from .domain.errors import (
    CredentialsRefused,
    ExchangeBusy,
    ExchangeRefused,
    ExchangeUnreachable,
)
from .domain.model import ZERO, Category
from .domain.orders import CloseOrder, OrderPart, OrderState
from .domain.plan import idle_attempts, may_try_again, refused_for_key
from .together import together

_PAUSED: Final = "trading is paused by the operator"
_EXPIRED: Final = "the request expired before it was closed"


class BucketRun:
    """The legs of a job that sit in one place and net there; `done` once nothing more follows.

    `first` are the buckets that go before: coin that they settle in is sold after they are done.
    `stopped` is why nothing more follows, `is_late` that it would have if there were time.
    """

    def __init__(self, job: CloseJob, legs: Sequence[CloseLeg]) -> None:
        self._job = job
        self.legs = list(legs)
        self.first: list[BucketRun] = []
        self.done = asyncio.Event()
        self.stopped = ""
        self.is_late = False

    @property
    def place(self) -> SymbolKey:
        return self.legs[0].place

    @property
    def symbol(self) -> str:
        return self.legs[0].component.symbol

    @property
    def is_spot(self) -> bool:
        return self.place.category is Category.SPOT

    @property
    def settle_coin(self) -> str | None:
        """As its instrument says; to a process that just started, as its orders' rows say."""
        instrument = self._job.c.catalogue.cached(self.legs[0].instrument_key)
        if instrument is not None:
            return instrument.settle_coin
        return next((order.settle_coin for order in self.orders), None)

    @property
    def orders(self) -> list[CloseOrder]:
        return self._job.orders_of(self.legs)

    async def run(self) -> None:
        """Raises only what every bucket of the job has to wait for: the store's own errors."""
        self.done.clear()
        await self._finish_orders()
        for other in self.first:
            await other.done.wait()
        while await self._plan_next():
            await self._finish_orders()
        self._job.note("", self._name)
        self.done.set()

    # --- what is written down ---------------------------------------------------------------

    async def _finish_orders(self) -> None:
        """Send what is planned and wait until nothing more can come of any order."""
        settler = self._settler()
        signed = self._job.signed
        planned = [order for order in self.orders if order.state is OrderState.PLANNED]
        if planned:
            sending = (settler.send(o, signed.pop(o.link_id, None)) for o in planned)
            await self._job.away(await together(sending))
        self._job.took(await together(settler.settle(order) for order in self.orders))
        self._job.saw(settler.last_fills)

    def _settler(self) -> OrderSettler:
        c = self._job.c
        return OrderSettler(
            c.closes,
            lambda: self._job.exchange,
            c.inboxes,
            c.in_flight,
            c.timing,
            self._job.waits,
            self._fits,
            self._job.expired,
            self.note,
        )

    async def _fits(self, order: CloseOrder) -> bool:
        """Whether the order may be sent again: its frozen quantity is still there for its legs."""
        if await self._job.c.switches.trading_paused():
            return False
        around = await self._read()
        if around is None:
            return False
        frozen = {part.component_id: part.quantity for part in order.shares}
        again = [
            WantedLeg(leg.component, leg.close_id, frozen.get(leg.component.id, ZERO))
            for leg in self.legs
        ]
        return any(
            plan.sends
            and (plan.bucket, plan.side, plan.quantity)
            == (order.bucket, order.side, order.quantity)
            and {part.component_id: part.quantity for part in plan.parts} == frozen
            for plan in self._plans(again, around)
        )

    # --- what follows -----------------------------------------------------------------------

    async def _plan_next(self) -> bool:
        """Write the next attempt ahead; False when no leg may or need have one."""
        if not any(self._job.work(leg).left for leg in self.legs):
            return False
        if not may_try_again(self.orders) or not await self._may_go_on():
            return False
        if not await self._may_wait_for_key():
            return False
        if idle := idle_attempts(self.orders):
            await self._job.waits.pause(Backoff(first=0.2 * 2**idle, most=5.0))
        around = await self._read()
        if around is None or not await self._may_go_on():
            return False
        plans = self._plans(self.wanted(), around)
        self.stopped = "; ".join(plan.detail for plan in plans if plan.detail)
        for plan in plans:
            if plan.nettings and not await self._net(plan.nettings, around):
                return False
        wanted = [plan for plan in plans if plan.sends]
        if wanted:
            await self._job.write_ahead(wanted, RequestEvent.REMAINDER_PLANNED)
        return bool(wanted)

    async def _may_wait_for_key(self) -> bool:
        """Whether the key may be refused for a moment only; pauses where it just was."""
        refused = refused_for_key(self.orders)
        if not refused:
            return True
        self.stopped = refused[0].detail or ""
        if self._job.is_revoked(refused):
            return False
        self.note(f"{self.symbol}: Bybit refuses the API key: {self.stopped}")
        await self._job.waits.pause(Backoff(first=2.0 ** len(refused), most=10.0))
        return True

    async def _may_go_on(self) -> bool:
        if self._job.expired():
            self.is_late = True
            self.stopped = _EXPIRED
        elif await self._job.c.switches.trading_paused():
            self.stopped = _PAUSED
        else:
            return True
        return False

    async def _net(self, parts: Sequence[OrderPart], around: Around) -> bool:
        """Close the legs against each other at the price of now, once there is one."""
        instrument = around.instrument
        if instrument is None:
            return False
        backoff = Backoff(first=0.2, most=5.0)
        while (price := self._job.c.price(instrument.key)) is None:
            self.note(f"{self.symbol}: waiting for a price to net the legs at")
            await self._job.waits.pause(backoff)
            if not await self._may_go_on():
                return False
        await self._job.net(parts, price, instrument.settle_coin)
        return True

    # --- reading ----------------------------------------------------------------------------

    def wanted(self) -> list[WantedLeg]:
        """The legs with what is still to be closed of each."""
        return [
            WantedLeg(leg.component, leg.close_id, self._job.work(leg).left, leg.is_part)
            for leg in self.legs
        ]

    def plans(self, around: Around) -> list[BucketPlan]:
        """What would be sent next, by what was read."""
        return self._plans(self.wanted(), around)

    @staticmethod
    def _plans(wanted: Sequence[WantedLeg], around: Around) -> list[BucketPlan]:
        groups = by_bucket(wanted, around.holdings)
        return [plan_bucket(group, around) for group in groups.values()]

    async def around(self, *, with_resting: bool = False, may_lag: bool = False) -> Around:
        return await self._job.c.reader.around(
            self.place,
            self.legs[0].instrument_key,
            self._job.exchange,
            {leg.component.side for leg in self.legs},
            with_resting=with_resting,
            may_lag=may_lag,
        )

    async def _read(self) -> Around | None:
        """Read until Bybit answers; None once it is too late, or the key has been revoked.

        An answer that does not come is this bucket's trouble alone, and so is a leg that may or
        may not claim its coin.
        """
        backoff = Backoff(first=0.3, most=5.0)
        while True:
            try:
                around = await self.around()
            except CredentialsRefused as error:
                self.stopped = f"Bybit refuses the API key: {error.detail}"
                if self._job.is_revoked():
                    return None
                self.note(self.stopped)
            except (ExchangeUnreachable, ExchangeBusy, ExchangeRefused) as error:
                self.stopped = f"{self.symbol}: {error.detail}"
                self.note(self.stopped)
            else:
                self._job.key_works()
                if not around.claims.doubt:
                    return around
                self.stopped = f"{self.symbol}: {around.claims.doubt}"
                self.note(self.stopped)
            await self._job.waits.pause(backoff)
            if self._job.expired():
                self.is_late = True
                return None

    def note(self, detail: str) -> None:
        self._job.note(detail, self._name)

    @property
    def _name(self) -> str:
        return f"{self.place.category} {self.symbol} {self.legs[0].component.side}"
