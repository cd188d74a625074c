"""One close request, driven from where its rows say it stands to its end.

Crash-only: a restart of the process and an error half-way resume by the same path, from the rows.
Each step stores the new state before it acts on it. The bucket locks are held from before the
size is read until the outcome is verified, across every retry in between.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from decimal import Decimal
from typing import Final

import structlog

from .backoff import Backoff
from .close_context import Closing, LegReader, may_send
from .close_orders import OrderSettler, has_news, note_newest
from .domain.buckets import SymbolKey
from .domain.closing import OrderEvent, RequestEvent, next_order_state, next_request_state
from .domain.errors import PositiondError
from .domain.model import ZERO, BucketKey, Component, ComponentId, Fill, Position
from .domain.orders import (
    CloseOrder,
    CloseRequest,
    LegOutcome,
    LegResult,
    OrderState,
    ReduceOnlyOrder,
    RequestState,
    SignedOrder,
)
from .domain.plan import (
    LegPlan,
    idle_attempts,
    is_expired,
    leg_result,
    may_try_again,
    plan_leg,
)
from .domain.ports import AccountExchange
from .domain.verdict import symbol_of
from .together import together

_log = structlog.get_logger(__name__)

_PERMITTED: Final = frozenset({LegOutcome.FLAT, LegOutcome.DUST, LegOutcome.SHORTFALL})
_NOTHING_SENT: Final = frozenset(
    {RequestState.ACCEPTED, RequestState.WAITING, RequestState.PREFLIGHT}
)
_PAUSED_NAP: Final = 1.0


class CloseRun:
    """Drives one request; `drive` returns when it has ended."""

    def __init__(self, closing: Closing, request: CloseRequest, position: Position) -> None:
        self._c = closing
        self._request = request
        self._position = position
        self._legs = [c for c in position.components if c.id in request.open_at_acceptance]
        self._orders: list[CloseOrder] = []
        self._signed: dict[str, SignedOrder] = {}
        self._last_fills: dict[ComponentId, Fill] = {}
        self._link_ids: set[str] = set()
        self._reader = LegReader(closing, position, self._note)
        # A request that is not fresh was left by a process that died: its rows decide.
        self._is_stale = request.state is not RequestState.ACCEPTED

    async def drive(self) -> None:
        """Take the request to its end; nothing but that, or being cancelled, ends it."""
        with self._c.inboxes.closing(self._link_ids):
            while self._request.state.is_open:
                # One that may have orders out takes its locks at once, before any new close does.
                if self._request.state in _NOTHING_SENT:
                    await self._retrying(self._claim)
                if self._request.state.is_open:
                    async with self._c.locks.held(self._symbols()):
                        with self._in_flight():
                            await self._retrying(self._close)

    async def _retrying(self, step: Callable[[], Awaitable[None]]) -> None:
        backoff = Backoff(first=0.3, most=5.0)
        while self._request.state.is_open:
            try:
                if self._is_stale:
                    await self._resume()
                if self._request.state.is_open:
                    await step()
                return
            except PositiondError as error:
                self._is_stale = True
                self._note(error.detail)
                _log.warning("close held up", close=str(self._request.id), code=error.code)
            await self._c.timing.sleep(backoff.next())

    async def _resume(self) -> None:
        """Start again from the rows: what was in flight when they were written is UNKNOWN."""
        request = await self._c.closes.request(self._request.id)
        if request is None or not request.state.is_open:
            # Cancelled meanwhile, or it ended and the reply to our own commit was lost.
            await self._tell_end(request or replace(self._request, state=RequestState.CANCELLED))
            return
        self._request = request
        self._signed.clear()
        self._last_fills.clear()
        self._orders = await self._c.closes.orders(request.id)
        self._link_ids.update(order.link_id for order in self._orders)
        for index, order in enumerate(self._orders):
            moved = replace(order, state=next_order_state(order.state, OrderEvent.RESTARTED))
            if moved != order:
                await self._c.closes.save_order(moved)
                self._orders[index] = moved
            _ = self._c.inboxes[order.link_id]
            self._c.in_flight.note(self._orders[index])
        self._c.in_flight.know(leg.id for leg in self._legs)
        await self._move(RequestEvent.RESTARTED)
        self._is_stale = False

    # --- before the locks -------------------------------------------------------------------

    async def _claim(self) -> None:
        while not self._expired() and await self._c.switches.trading_paused():
            self._note("trading is paused by the operator")
            await self._c.timing.sleep(_PAUSED_NAP)
        if self._expired():
            await self._finish(RequestEvent.EXPIRED, "expired", "nothing was sent in time", ())
            return
        if self._request.state is RequestState.ACCEPTED:
            await self._move(RequestEvent.CLAIMED)
        if busy := self._symbols() & self._c.locks.busy:
            names = ", ".join(sorted(symbol.symbol for symbol in busy))
            self._note(f"waiting for another close in {names}")

    def _symbols(self) -> frozenset[SymbolKey]:
        return frozenset(place for _, place in self._places())

    def _places(self) -> list[tuple[Component, SymbolKey]]:
        return [(leg, symbol_of(self._position, leg)) for leg in self._legs]

    def _in_flight(self) -> AbstractContextManager[None]:
        """Compares may go on meanwhile: they are told what our orders may still move."""
        return self._c.in_flight.closing(
            self._places(), self._request.open_at_acceptance, is_known=not self._is_stale
        )

    # --- under the locks --------------------------------------------------------------------

    async def _close(self) -> None:
        if self._request.state is RequestState.ACCEPTED:
            await self._move(RequestEvent.CLAIMED)
        if self._request.state is RequestState.WAITING:
            if await self._c.switches.trading_paused():
                # Paused while it waited its turn: the locks go back until trading resumes.
                return
            await self._move(RequestEvent.BUCKETS_LOCKED)
            await self._preflight()
        while self._request.state.is_open:
            if self._request.state is RequestState.SENDING:
                await self._send_planned()
                await self._move(RequestEvent.ORDERS_AWAY)
            elif self._request.state is RequestState.SETTLING:
                await self._settle()
                if not await self._plan_remainder():
                    await self._move(RequestEvent.ALL_SETTLED)
            else:
                await self._verify()

    async def _preflight(self) -> None:
        """Check all legs before the first order leaves."""
        if self._expired():
            await self._finish(RequestEvent.EXPIRED, "expired", "nothing was sent in time", ())
            return
        plans = [may_send(plan_leg(around)) for around in await self._reader.read(self._legs)]
        state = self._c.portfolio.accounts.get(self._position.account_id)
        if state is not None and state.key_info is not None and state.key_info.read_only:
            await self._refuse("read-only-key", "the API key may not trade", plans)
            return
        blocked = [plan for plan in plans if plan.code is not None]
        if blocked:
            detail = "; ".join(plan.detail for plan in blocked)
            await self._refuse(blocked[0].code or "refused", detail, plans)
            return
        if wanted := [plan for plan in plans if plan.quantity]:
            await self._write_ahead(wanted, RequestEvent.PLANNED)
        else:
            await self._move(RequestEvent.NOTHING_TO_SEND)

    async def _refuse(self, code: str, detail: str, plans: Sequence[LegPlan]) -> None:
        legs = tuple(
            LegResult(
                plan.component.id,
                LegOutcome.REJECTED if plan.code else LegOutcome.RESIDUAL,
                ZERO,
                None,
                plan.detail or "nothing was sent",
            )
            for plan in plans
        )
        await self._finish(RequestEvent.REFUSED, code, detail, legs)

    # --- orders out -------------------------------------------------------------------------

    async def _write_ahead(self, plans: Sequence[LegPlan], event: RequestEvent) -> None:
        """Sign, then commit the rows, in that order: a late send by a stalled process has died."""
        exchange = self._c.exchange(self._position)
        rows = [self._new_order(plan, exchange) for plan in plans]
        for row in rows:
            self._c.in_flight.note(row)
        new = next_request_state(self._request.state, event)
        await self._c.closes.write_ahead(self._request.id, self._request.state, rows)
        self._orders.extend(rows)
        self._show(new)

    def _new_order(self, plan: LegPlan, exchange: AccountExchange) -> CloseOrder:
        component = plan.component
        draft = ReduceOnlyOrder(
            component.category,
            component.symbol,
            plan.position_idx,
            component.side.reverse,
            plan.quantity,
            self._c.new_link_id(),
        )
        signed = exchange.sign(draft)
        self._signed[draft.link_id] = signed
        self._link_ids.add(draft.link_id)
        attempt = 1 + len(self._of(component.id))
        return self._c.new_row(self._request.id, self._position, component, attempt, signed)

    async def _send_planned(self) -> None:
        """Send everything planned, all buckets at once, until each outcome is stored."""
        settler = self._settler()
        planned = [o for o in self._orders if o.state is OrderState.PLANNED]
        self._replace(
            await together(settler.send(o, self._signed.pop(o.link_id, None)) for o in planned)
        )

    async def _settle(self) -> None:
        """Wait until nothing more can come of any order, however long that takes."""
        settler = self._settler()
        self._replace(await together(settler.settle(order) for order in self._orders))
        for component_id, fill in settler.last_fills.items():
            note_newest(self._last_fills, component_id, [fill])

    def _settler(self) -> OrderSettler:
        return OrderSettler(
            self._c.closes,
            self._c.exchange(self._position),
            self._c.inboxes,
            self._c.in_flight,
            self._c.timing,
            self._fits,
            self._expired,
            self._note,
        )

    async def _fits(self, order: CloseOrder) -> bool:
        """Whether the order may be sent again: its frozen quantity is still there for this leg."""
        if await self._c.switches.trading_paused():
            return False
        leg = next(c for c in self._legs if c.id == order.component_id)
        (around,) = await self._reader.read([leg])
        plan = plan_leg(around)
        return (
            plan.code is None
            and plan.position_idx == order.bucket.position_idx
            and around.share.quantity >= order.quantity
        )

    async def _plan_remainder(self) -> bool:
        """Write the next attempts ahead; False when no leg may or need have one."""
        if self._expired() or await self._c.switches.trading_paused():
            return False
        legs = [c for c in self._legs if self._left(c.id) > 0 and may_try_again(self._of(c.id))]
        if not legs:
            return False
        idle = max(idle_attempts(self._of(c.id)) for c in legs)
        if idle:
            await self._c.timing.sleep(Backoff(first=0.2 * 2**idle, most=5.0).next())
        plans = [plan_leg(around) for around in await self._reader.read(legs)]
        wanted = [plan for plan in plans if plan.quantity and plan.code is None]
        if wanted:
            await self._write_ahead(wanted, RequestEvent.REMAINDER_PLANNED)
        return bool(wanted)

    # --- the end ----------------------------------------------------------------------------

    async def _verify(self) -> None:
        """Judge the legs from a read newer than the last fill; a late fill goes back a step."""
        await self._recall_fills()
        arounds = await self._reader.read_after(self._legs, self._last_fills)
        if any(has_news(o, self._c.inboxes[o.link_id].fills.values()) for o in self._orders):
            await self._move(RequestEvent.LATE_FILL)
            return
        results: list[LegResult] = []
        dust: dict[BucketKey, Decimal] = {}
        for leg, around in zip(self._legs, arounds, strict=True):
            accepted = self._request.open_at_acceptance[leg.id]
            result, left = leg_result(around, accepted, self._of(leg.id))
            results.append(result)
            if left:
                bucket = symbol_of(self._position, leg).bucket(around.share.position_idx)
                dust[bucket] = leg.side.sign * left
        self._reader.remember(arounds)
        failed = [result for result in results if result.outcome not in _PERMITTED]
        if not failed:
            await self._finish(RequestEvent.VERIFIED, None, None, tuple(results), dust)
            return
        code = "expired" if self._expired() else _worst(failed)
        detail = "; ".join(result.detail for result in failed)
        await self._finish(RequestEvent.NOT_CLOSED, code, detail, tuple(results))

    async def _recall_fills(self) -> None:
        """After a restart the last fills are asked for again: the read must be newer than them."""
        exchange = self._c.exchange(self._position)
        known = set(self._last_fills)
        for order in self._orders:
            if order.filled and order.component_id not in known:
                fills = await exchange.fills_of(order.draft, order.order_id)
                if fills:
                    note_newest(self._last_fills, order.component_id, fills)

    async def _finish(
        self,
        event: RequestEvent,
        code: str | None,
        detail: str | None,
        legs: tuple[LegResult, ...],
        dust: Mapping[BucketKey, Decimal] | None = None,
    ) -> None:
        new = next_request_state(self._request.state, event)
        now = self._c.timing.now()
        await self._c.closes.finish(
            self._request.id,
            self._request.state,
            new,
            code=code,
            detail=detail,
            legs=legs,
            dust=dust or {},
            now=now,
        )
        _log.info("close ended", close=str(self._request.id), state=new.value, code=code)
        await self._tell_end(
            replace(self._request, state=new, code=code, detail=detail, legs=legs, ended_at=now)
        )

    async def _tell_end(self, ended: CloseRequest) -> None:
        # Read first: while this fails the request counts as open here, and is looked at again.
        position = await self._c.positions.load(self._position.id)
        unassigned = await self._c.positions.unassigned()
        self._request = ended
        if ended.state is RequestState.DONE:
            # In one step with the position: in between, dust would count twice or look like more
            # than is recorded.
            self._c.portfolio.note_unassigned(unassigned, self._symbols())
        self._c.ended(ended, position)

    # --- small change -----------------------------------------------------------------------

    def _of(self, component_id: ComponentId) -> list[CloseOrder]:
        mine = [o for o in self._orders if o.component_id == component_id]
        return sorted(mine, key=lambda order: order.attempt)

    def _left(self, component_id: ComponentId) -> Decimal:
        filled = sum((o.filled for o in self._of(component_id)), ZERO)
        return self._request.open_at_acceptance[component_id] - filled

    def _replace(self, orders: Sequence[CloseOrder]) -> None:
        newer = {order.id: order for order in orders}
        self._orders = [newer.get(order.id, order) for order in self._orders]

    def _expired(self) -> bool:
        return is_expired(self._request.expires_at, self._c.timing.now())

    async def _move(self, event: RequestEvent) -> None:
        new = next_request_state(self._request.state, event)
        await self._c.closes.move_request(self._request.id, self._request.state, new)
        self._show(new)

    def _show(self, state: RequestState) -> None:
        self._request = replace(self._request, state=state, detail=None)
        self._c.shown(self._request)

    def _note(self, detail: str) -> None:
        """Say on screen what the close waits for."""
        if detail != self._request.detail:
            self._request = replace(self._request, detail=detail)
            self._c.shown(self._request)


def _worst(failed: Sequence[LegResult]) -> str:
    """The code of a close that failed: the gravest of its legs' outcomes."""
    outcomes = {result.outcome for result in failed}
    order = (LegOutcome.UNKNOWN, LegOutcome.REJECTED, LegOutcome.RESIDUAL)
    return next(outcome for outcome in order if outcome in outcomes).value
