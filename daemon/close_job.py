"""What one close knows and has written down: requests, legs, and the orders sent for them.

Several requests that were asked for together are one job and move in lock-step: as long as one of
them is open, all are in the same state.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from .close_context import CloseLeg, Closing
from .close_orders import note_newest
from .close_waits import Waits
from .domain.bucket_plan import BucketPlan
from .domain.closing import RequestEvent, next_request_state
from .domain.model import ZERO, BucketKey, Category, CloseId, Fill, Position, PositionStatus
from .domain.money import floor_to_step
from .domain.orders import (
    CloseOrder,
    CloseRequest,
    Netting,
    OrderPart,
    OrderState,
    ReduceOnlyOrder,
    RequestState,
    SignedOrder,
    SpotSell,
)
from .domain.outcome import LegWork
from .domain.plan import is_expired
from .domain.ports import AccountExchange

# What is left of a ban is told anew all the time, each time a little otherwise.
_WORTH_IT: Final = timedelta(seconds=2)
# A key that Bybit refuses for so long has been revoked: nothing can be read with it any more.
_REVOKED_AFTER: Final = timedelta(seconds=30)


class CloseJob:
    """The rows of one job as they stand in the store, and the only one who writes them."""

    def __init__(
        self, closing: Closing, requests: Sequence[CloseRequest], positions: Sequence[Position]
    ) -> None:
        self.c = closing
        self.requests = list(requests)
        by_id = {position.id: position for position in positions}
        self.positions = [by_id[request.position_id] for request in requests]
        self.legs = _legs(self.requests, self.positions)
        self.orders: list[CloseOrder] = []
        self.nettings: list[Netting] = []
        self.signed: dict[str, SignedOrder] = {}
        self.link_ids: set[str] = set()
        self.last_fills: dict[BucketKey, Fill] = {}
        self.waits = Waits(closing.timing)
        self._notes: dict[str, str] = {}
        self._banned_until: datetime | None = None
        self._refused_since: datetime | None = None
        self._moving = asyncio.Lock()

    # --- what it is -------------------------------------------------------------------------

    @property
    def state(self) -> RequestState:
        return self.requests[0].state

    @property
    def close_ids(self) -> list[CloseId]:
        return [request.id for request in self.requests]

    @property
    def exchange(self) -> AccountExchange:
        return self.c.exchange(self.positions[0])

    def expired(self) -> bool:
        return is_expired(min(r.expires_at for r in self.requests), self.c.timing.now())

    @property
    def seconds_left(self) -> float:
        left = min(r.expires_at for r in self.requests) - self.c.timing.now()
        return max(left.total_seconds(), 0.0)

    async def postpone(self, banned_until: datetime) -> None:
        """Nothing can be sent until then: that time does not count, whatever the job waits for."""
        now = self.c.timing.now()
        longer = banned_until - max(self._banned_until or now, now)
        if longer < _WORTH_IT or not self.state.is_open:
            return
        expires_at = min(r.expires_at for r in self.requests) + longer
        await self.c.closes.extend(self.close_ids, expires_at)
        self._banned_until = banned_until
        self.requests = [replace(r, expires_at=expires_at) for r in self.requests]

    def is_revoked(self, refused: Sequence[CloseOrder] = ()) -> bool:
        """Bybit refused the key just now; whether it has done so for longer than a mishap lasts.

        With the attempts that were `refused` for it in a row: a key that may still read answers
        for no order.
        """
        now = self.c.timing.now()
        if refused:
            return now - min(order.created_at for order in refused) >= _REVOKED_AFTER
        self._refused_since = self._refused_since or now
        return now - self._refused_since >= _REVOKED_AFTER

    def key_works(self) -> None:
        self._refused_since = None

    def orders_of(self, legs: Iterable[CloseLeg]) -> list[CloseOrder]:
        """Those with a part of one of the legs, oldest first."""
        ids = {leg.component.id for leg in legs}
        mine = [o for o in self.orders if ids & {part.component_id for part in o.shares}]
        return sorted(mine, key=lambda order: order.attempt)

    def work(self, leg: CloseLeg, stopped: str = "") -> LegWork:
        nettings = [n for n in self.nettings if n.component_id == leg.component.id]
        orders = self.orders_of([leg])
        target = self._target(leg, orders)
        return LegWork(leg.component, target, leg.is_part, orders, nettings, stopped)

    def _target(self, leg: CloseLeg, orders: Sequence[CloseOrder]) -> Decimal:
        """Of a part only whole steps are wanted; one of less than a step stays, to be told of."""
        instrument = self.c.catalogue.cached(leg.instrument_key)
        step = instrument.quantity_step if instrument is not None else None
        # As it was when the orders were planned: a process that just started knows no other.
        step = next((order.step for order in orders if order.step is not None), step)
        if not leg.is_part or step is None:
            return leg.target
        return floor_to_step(leg.target, step) or leg.target

    # --- the rows ---------------------------------------------------------------------------

    async def reload_legs(self) -> None:
        """The legs as they are recorded now: one may have come to stand in its coin."""
        found = [await self.c.positions.load(position.id) for position in self.positions]
        self.positions = [new or old for new, old in zip(found, self.positions, strict=True)]
        self.legs = _legs(self.requests, self.positions)

    async def reload(self) -> list[CloseRequest]:
        """Take everything from the store; the requests, if they are not open any more."""
        found = [await self.c.closes.request(close_id) for close_id in self.close_ids]
        known = [request for request in found if request is not None]
        if len(known) < len(self.requests) or not all(r.state.is_open for r in known):
            ended = {request.id: request for request in known}
            cancelled = RequestState.CANCELLED
            return [ended.get(r.id, replace(r, state=cancelled)) for r in self.requests]
        self.requests = known
        await self.reload_legs()
        self.signed.clear()
        self.last_fills.clear()
        self._notes.clear()
        self.orders = await self.c.closes.orders(self.close_ids)
        self.nettings = await self.c.closes.nettings(self.close_ids)
        self.link_ids.update(order.link_id for order in self.orders)
        return []

    def took(self, orders: Iterable[CloseOrder]) -> None:
        """The orders as they now stand."""
        newer = {order.id: order for order in orders}
        self.orders = [newer.get(order.id, order) for order in self.orders]

    def saw(self, fills: Mapping[BucketKey, Fill]) -> None:
        for bucket, fill in fills.items():
            note_newest(self.last_fills, bucket, [fill])

    async def move(self, event: RequestEvent) -> None:
        async with self._moving:
            await self._move(event)

    async def away(self, sent: Iterable[CloseOrder]) -> None:
        """So many of the first orders have left; the job moves on with the last of them."""
        self.took(sent)
        async with self._moving:
            is_sending = any(o.state is OrderState.PLANNED for o in self.orders)
            if self.state is RequestState.SENDING and not is_sending:
                await self._move(RequestEvent.ORDERS_AWAY)

    async def _move(self, event: RequestEvent) -> None:
        new = next_request_state(self.state, event)
        await self.c.closes.move_requests(self.close_ids, self.state, new)
        self._show(new)

    async def write_ahead(self, plans: Sequence[BucketPlan], event: RequestEvent) -> None:
        """Sign, then commit the rows, in that order: a late send by a stalled process has died."""
        async with self._moving:
            rows = [self._new_order(plan) for plan in plans]
            for row in rows:
                self.c.in_flight.note(row)
            new = next_request_state(self.state, event)
            if rows:
                await self.c.closes.write_ahead(self.close_ids, self.state, new, rows)
            else:
                await self.c.closes.move_requests(self.close_ids, self.state, new)
            self.orders.extend(rows)
            self._show(new)

    def _new_order(self, plan: BucketPlan) -> CloseOrder:
        first = next(part for part in plan.parts if not part.is_light)
        mine = {part.component_id for part in plan.parts}
        earlier = [o for o in self.orders if mine & {part.component_id for part in o.shares}]
        signed = self.exchange.sign(self._draft(plan))
        link_id = signed.order.link_id
        self.signed[link_id] = signed
        self.link_ids.add(link_id)
        instrument = plan.instrument
        is_spot = plan.bucket.category is Category.SPOT
        return CloseOrder(
            id=self.c.new_order_id(),
            close_id=first.close_id,
            component_id=first.component_id,
            bucket=plan.bucket,
            attempt=1 + max((order.attempt for order in earlier), default=0),
            link_id=link_id,
            side=plan.side,
            quantity=plan.quantity,
            state=OrderState.PLANNED,
            order_id=None,
            signed_at=signed.signed_at,
            dies_at=signed.dies_at,
            filled=ZERO,
            average_price=None,
            status=None,
            detail=None,
            created_at=self.c.timing.now(),
            settle_coin=instrument.settle_coin if instrument is not None else None,
            symbol=plan.symbol if is_spot else None,
            slippage=signed.order.slippage,
            parts=plan.parts if len(plan.parts) > 1 else (),
            step=instrument.quantity_step if instrument is not None else None,
        )

    def _draft(self, plan: BucketPlan) -> ReduceOnlyOrder | SpotSell:
        link_id, slippage = self.c.new_link_id(), self.requests[0].terms.slippage
        if plan.bucket.category is Category.SPOT:
            return SpotSell(plan.symbol, plan.quantity, link_id, slippage)
        return ReduceOnlyOrder(
            plan.bucket.category,
            plan.symbol,
            plan.bucket.position_idx,
            plan.side,
            plan.quantity,
            link_id,
            slippage,
        )

    async def net(self, parts: Sequence[OrderPart], price: Decimal, settle_coin: str) -> None:
        """Close legs against each other at the price; nothing is sent for that."""
        nettings = [
            Netting(part.close_id, part.component_id, part.quantity, price, settle_coin)
            for part in parts
        ]
        self.c.in_flight.silence(part.component_id for part in parts)
        await self.c.closes.book_nettings(nettings)
        self.nettings.extend(nettings)

    # --- what is told -----------------------------------------------------------------------

    def _show(self, state: RequestState) -> None:
        self._notes.clear()
        self.requests = [replace(r, state=state, detail=None) for r in self.requests]
        for request in self.requests:
            self.c.shown(request)

    def note(self, detail: str, of: str = "") -> None:
        """Say on screen what the close waits for; `of` tells the buckets' words apart, and
        an empty one takes them back."""
        if self._notes.get(of, "") == detail:
            return
        self._notes[of] = detail
        text = "; ".join(dict.fromkeys(filter(None, self._notes.values()))) or None
        self.requests = [replace(request, detail=text) for request in self.requests]
        for request in self.requests:
            self.c.shown(request)


def _legs(requests: Sequence[CloseRequest], positions: Sequence[Position]) -> list[CloseLeg]:
    """Those of which something was open: of others Bybit may have forgotten the contract.

    A position that somebody ended by hand meanwhile claims nothing, and has nothing open any more.
    """
    return [
        CloseLeg(
            replace(component, closed_quantity=component.quantity)
            if position.status is PositionStatus.CLOSED
            else component,
            request.id,
            position,
            request.target(component.id),
            request.target(component.id) < request.open_at_acceptance[component.id],
        )
        for request, position in zip(requests, positions, strict=True)
        for component in position.components
        if request.open_at_acceptance.get(component.id)
    ]
