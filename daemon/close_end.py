"""The end of a close: every leg's outcome from what is proven, stored for all requests at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from decimal import Decimal
from typing import Final

import structlog

from .backoff import Backoff
from .bucket_run import BucketRun
from .close_job import CloseJob
from .close_orders import has_news, note_newest
from .domain.absence import SILENT_FOR
from .domain.bucket_plan import Around
from .domain.closing import RequestEvent, next_request_state
from .domain.errors import CredentialsRefused, ExchangeUnreachable
from .domain.model import ZERO, BucketKey, ComponentId, Fill
from .domain.orders import (
    CloseEnding,
    CloseOrder,
    CloseRequest,
    LegOutcome,
    LegResult,
    RequestState,
)
from .domain.outcome import PERMITTED, leg_result, unverified_result, worst
from .domain.plan import is_as_new_as
from .domain.verdict import Reading
from .together import together

_log = structlog.get_logger(__name__)

_UNVERIFIED_PART: Final = "all that was asked for was filled, but no size could be read after it"
_UNVERIFIED: Final = (
    f"{_UNVERIFIED_PART}: ask for the close again once there is a key that Bybit takes; "
    "it sends no order and ends CLOSED"
)
_Results = Mapping[ComponentId, LegResult]


class CloseEnd:
    """Ends the requests of a job: refused, expired, or verified."""

    def __init__(self, job: CloseJob) -> None:
        self._job = job

    # --- before anything was sent -----------------------------------------------------------

    async def expired(self, why: str = "") -> None:
        detail = "; ".join(filter(None, ("nothing was sent in time", why)))
        await self._finish(RequestEvent.EXPIRED, "expired", detail, {})

    async def refused(self, code: str, detail: str, results: _Results) -> None:
        await self._finish(RequestEvent.REFUSED, code, detail, results)

    # --- verified ---------------------------------------------------------------------------

    async def verify(self, buckets: Sequence[BucketRun]) -> None:
        """Judge the legs from reads newer than their last fills; a late fill goes back a step."""
        try:
            await self._recall_fills()
            arounds = await together(self._read_after(bucket) for bucket in buckets)
        except CredentialsRefused as error:
            await self._refused_while_verifying(buckets, error)
            return
        self._job.key_works()
        if self._has_late_fill():
            await self._job.move(RequestEvent.LATE_FILL)
            return
        results: dict[ComponentId, LegResult] = {}
        dust: dict[ComponentId, tuple[BucketKey, Decimal]] = {}
        for bucket, around in zip(buckets, arounds, strict=True):
            self._judge(bucket, around, results, dust)
        for around in arounds:
            # By our own clock, as all readings are: that of the rows is the server's.
            reading = Reading(around.holdings, self._job.c.timing.now())
            self._job.c.portfolio.readings[around.place] = reading
        late = {leg.component.id for bucket in buckets if bucket.is_late for leg in bucket.legs}
        await self._conclude(results, dust, late)

    def _judge(
        self,
        bucket: BucketRun,
        around: Around,
        results: dict[ComponentId, LegResult],
        dust: dict[ComponentId, tuple[BucketKey, Decimal]],
    ) -> None:
        plans = {one.leg.component.id: plan for plan in bucket.plans(around) for one in plan.legs}
        for leg in bucket.legs:
            plan = plans[leg.component.id]
            result, left = leg_result(self._job.work(leg, bucket.stopped), plan)
            results[leg.component.id] = result
            if left:
                dust[leg.component.id] = plan.bucket, leg.component.side.sign * left

    async def _read_after(self, bucket: BucketRun) -> Around:
        """Read until the row is as new as the bucket's last fill, however long that takes."""
        backoff = Backoff(first=0.1, most=5.0)
        buckets = {order.bucket for order in bucket.orders}
        fills = {key: f for key, f in self._job.last_fills.items() if key in buckets}
        while True:
            around = await bucket.around(may_lag=True)
            if all(is_as_new_as(around.holdings, k.position_idx, f) for k, f in fills.items()):
                return around
            bucket.note(f"waiting for a position read as new as the fills in {bucket.symbol}")
            await self._job.waits.pause(backoff)

    async def _recall_fills(self) -> None:
        """After a restart the last fills are asked for again: the read must be newer than them."""
        known = set(self._job.last_fills)
        for order in self._job.orders:
            if order.filled and order.bucket not in known:
                fills = await self._fills_of(order)
                if fills:
                    note_newest(self._job.last_fills, order.bucket, fills)

    async def _fills_of(self, order: CloseOrder) -> list[Fill]:
        """All that are booked: a list that lags would let a row pass that is older than the last.

        Not after a minute: rows have caught up by then, and lists may have forgotten.
        """
        exchange = self._job.exchange
        fills = [f for f in await exchange.fills_of(order.draft, order.order_id) if f.changes_size]
        if sum((fill.quantity for fill in fills), ZERO) < order.filled:
            age = await exchange.server_now() - (order.signed_at or order.created_at)
            if age < SILENT_FOR:
                why = f"{order.instrument_symbol}: waiting for the executions of the order"
                raise ExchangeUnreachable("executions-lag", why)
        return fills

    def _has_late_fill(self) -> bool:
        inboxes = self._job.c.inboxes
        return any(has_news(o, inboxes[o.link_id].fills.values()) for o in self._job.orders)

    async def _refused_while_verifying(
        self, buckets: Sequence[BucketRun], error: CredentialsRefused
    ) -> None:
        """A key that was revoked half-way: what was filled is known, and that is all there is."""
        if not self._job.is_revoked():
            raise error
        why = f"Bybit refuses the API key: {error.detail}"
        legs = [leg for bucket in buckets for leg in bucket.legs]
        works = [self._job.work(leg) for leg in legs]
        results = {work.component.id: unverified_result(work, why) for work in works}
        if not any(work.left for work in works):
            why = f"{why}; {_UNVERIFIED_PART if legs[0].is_part else _UNVERIFIED}"
        await self._finish(RequestEvent.NOT_CLOSED, "key-refused", why, results)

    # --- storing it -------------------------------------------------------------------------

    async def _conclude(
        self,
        results: _Results,
        dust: Mapping[ComponentId, tuple[BucketKey, Decimal]],
        late: Set[ComponentId],
    ) -> None:
        endings = []
        for request in self._job.requests:
            legs = [results.get(c) or _was_closed(c) for c in request.open_at_acceptance]
            failed = [result for result in legs if result.outcome not in PERMITTED]
            event = RequestEvent.NOT_CLOSED if failed else RequestEvent.VERIFIED
            code = detail = None
            if failed:
                code = worst(failed, late)
                detail = self._told(failed)
            sums: dict[BucketKey, Decimal] = {}
            for leg, (bucket, left) in dust.items():
                if leg in request.open_at_acceptance and not failed:
                    sums[bucket] = sums.get(bucket, ZERO) + left
            new = next_request_state(request.state, event)
            endings.append(CloseEnding(request.id, new, code, detail, tuple(legs), sums))
        await self._store(endings)

    def _told(self, failed: Sequence[LegResult]) -> str:
        """What became of the legs that failed; those that failed alike are named together."""
        symbols = {leg.component.id: leg.component.symbol for leg in self._job.legs}
        names: dict[str, list[str]] = {}
        for result in failed:
            symbol = symbols.get(result.component_id, "")
            names.setdefault(result.detail.removeprefix(f"{symbol}: "), []).append(symbol)
        return "; ".join(f"{', '.join(legs)}: {text}" for text, legs in names.items())

    async def _finish(self, event: RequestEvent, code: str, detail: str, results: _Results) -> None:
        new = next_request_state(self._job.state, event)
        await self._store(
            [
                CloseEnding(
                    request.id,
                    new,
                    code,
                    detail,
                    tuple(results[c] for c in request.open_at_acceptance if c in results),
                )
                for request in self._job.requests
            ]
        )

    async def _store(self, endings: Sequence[CloseEnding]) -> None:
        """All of them in one transaction; what was netted together ends together."""
        c, now = self._job.c, self._job.c.timing.now()
        await c.closes.finish(endings, self._job.state, now)
        ended = []
        for request, ending in zip(self._job.requests, endings, strict=True):
            ended.append(
                replace(
                    request,
                    state=ending.new,
                    code=ending.code,
                    detail=ending.detail,
                    legs=ending.legs,
                    ended_at=now,
                )
            )
        await self.tell(ended)

    async def tell(self, ended: Sequence[CloseRequest]) -> None:
        # Read first: while this fails the job counts as open here, and is looked at again.
        c = self._job.c
        positions = [await c.positions.load(r.position_id) for r in ended]
        unassigned = await c.positions.unassigned()
        self._job.requests = list(ended)
        if any(request.state is RequestState.DONE for request in ended):
            # In one step with the positions: in between, dust would count twice or look like more
            # than is recorded.
            c.portfolio.note_unassigned(unassigned, {leg.place for leg in self._job.legs})
        for request, position in zip(ended, positions, strict=True):
            _log.info("close ended", close=str(request.id), state=request.state, code=request.code)
            c.ended(request, position)


def _was_closed(leg: ComponentId) -> LegResult:
    return LegResult(leg, LegOutcome.FLAT, ZERO, None, "nothing was open of it")
