"""Why buckets deviate: gathers the executions since each was last in order, and asks the domain.

What the private stream told comes first and costs nothing; where it was down, or does not add up,
Bybit's lists are asked, within one short deadline. A cause that cannot be found now is left out
and looked for again with the next compare: no verdict waits for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

import structlog

from .catalogue import Catalogue
from .domain.cause_words import Mark
from .domain.causes import Gathered, explain
from .domain.deviations import Cause, CauseKind, DeviationRow
from .domain.errors import PositiondError
from .domain.events import AccountEvent
from .domain.model import (
    AccountId,
    BucketKey,
    Category,
    Component,
    Fill,
    Instrument,
    InstrumentKey,
    Position,
)
from .domain.origins import OUR_MARK
from .domain.portfolio import Portfolio
from .domain.ports import AccountExchange, Evidence
from .domain.verdict import Deviation, symbol_of
from .fill_memory import FillMemory
from .timing import Timing

_log = structlog.get_logger(__name__)

# For all deviations of one compare together: a flag must be up 5 s after the last size change.
_DEADLINE: Final = 1.5
_AT_ONCE: Final = 4
# A size is read a moment after it held: what filled in between may be in it or not.
_SLACK: Final = timedelta(seconds=5)
# Bybit V5: execution/list tells seven days at a time.
_FURTHEST: Final = timedelta(days=7)
# Lists lag behind what happened; what they do not tell by then they never will.
_ASK_AGAIN_FOR: Final = timedelta(minutes=10)
# Spot: the fee that a leg lacks was paid by the purchase, and that came before the record.
_BEFORE_RECORDED: Final = timedelta(hours=1)
_MOST_BUCKETS: Final = 50_000


@dataclass(frozen=True, slots=True)
class _Start:
    """From when on executions matter, and what that moment was."""

    at: datetime
    mark: Mark


class CauseFinder:
    """Names the causes of deviations; raises no PositiondError."""

    def __init__(
        self,
        portfolio: Portfolio,
        exchanges: Mapping[AccountId, AccountExchange],
        evidence: Evidence,
        catalogue: Catalogue,
        timing: Timing,
        deadline: float = _DEADLINE,
    ) -> None:
        self._portfolio = portfolio
        self._exchanges = exchanges
        self._evidence = evidence
        self._catalogue = catalogue
        self._timing = timing
        self._deadline = deadline
        self._memory = FillMemory(portfolio, timing.now)
        self._in_order: dict[BucketKey, datetime] = {}
        self._doubts: dict[BucketKey, tuple[Decimal, datetime]] = {}

    def on_account(self, event: AccountEvent) -> None:
        """Note executions, and when the stream could not tell them; never blocks."""
        self._memory.on_account(event)

    def note_in_order(self, buckets: Iterable[BucketKey], at: datetime) -> None:
        """These buckets held what was expected at `at` (the time of the read)."""
        for bucket in buckets:
            self._in_order.pop(bucket, None)
            self._in_order[bucket] = at
            self._doubts.pop(bucket, None)
            self._memory.forget(bucket.account_id, bucket.category, bucket.symbol, at - _SLACK)
        while len(self._in_order) > _MOST_BUCKETS:
            del self._in_order[next(iter(self._in_order))]

    async def explain(
        self, account_id: AccountId, deviations: Sequence[Deviation]
    ) -> Mapping[BucketKey, Cause]:
        """The causes of those that are new, have changed, or could not be explained so far.

        Whatever is left out keeps the cause on record.
        """
        wanted = [deviation for deviation in deviations if self._is_wanted(deviation)]
        found: dict[BucketKey, Cause] = {}
        gate = asyncio.Semaphore(_AT_ONCE)

        async def one(deviation: Deviation) -> None:
            async with gate:
                await self._find(deviation, found)

        try:
            async with asyncio.timeout(self._deadline), asyncio.TaskGroup() as group:
                for deviation in wanted:
                    group.create_task(one(deviation), name=f"cause {deviation.bucket.symbol}")
        except TimeoutError:
            late = len(wanted) - len(found)
            _log.info("causes were not found in time", account=str(account_id), late=late)
        return found

    def _is_wanted(self, deviation: Deviation) -> bool:
        row = self._portfolio.deviations.get(deviation.bucket)
        difference = deviation.actual - deviation.expected
        if row is None or row.cause is None or row.difference != difference:
            return True
        if row.cause.kind is not CauseKind.UNKNOWN:
            return False
        doubt = self._doubts.get(deviation.bucket)
        return (
            doubt is None
            or doubt[0] != difference
            or self._timing.now() - doubt[1] < _ASK_AGAIN_FOR
        )

    async def _find(self, deviation: Deviation, found: dict[BucketKey, Cause]) -> None:
        bucket = deviation.bucket
        try:
            cause = await self._cause(deviation)
        except PositiondError as error:
            _log.info("a cause was not found", symbol=bucket.symbol, code=error.code)
            return
        if cause is None:
            return
        found[bucket] = cause
        difference = deviation.actual - deviation.expected
        if cause.kind is not CauseKind.UNKNOWN:
            self._doubts.pop(bucket, None)
        elif self._doubts.get(bucket, (None,))[0] != difference:
            self._doubts[bucket] = difference, self._timing.now()

    async def _cause(self, deviation: Deviation) -> Cause | None:
        """None where Bybit would have to be asked and cannot be."""
        bucket = deviation.bucket
        row = self._portfolio.deviations.get(bucket)
        symbols = self._symbols(bucket)
        start = self._start(bucket, row)
        since = start.at - _SLACK
        heard = self._memory.fills(bucket.account_id, bucket.category, symbols, since)
        picture = await self._picture(bucket, start, heard)
        unit = self._unit(bucket)
        place = bucket.account_id, bucket.category, symbols
        # Since we saw it in order ourselves the symbol was held, and so listened to.
        if bucket in self._in_order and self._memory.is_whole(*place, start.at):
            cause = explain(deviation, picture, unit, row)
            if cause.kind is not CauseKind.UNKNOWN:
                return cause
        exchange = self._exchanges.get(bucket.account_id)
        if exchange is None:
            return None
        listed: list[Fill] = []
        for symbol in symbols:
            listed += await exchange.fills_since(bucket.category, since, symbol=symbol)
        picture = await self._picture(bucket, start, _merged(heard, listed))
        cause = explain(deviation, picture, unit, row)
        if cause.kind is CauseKind.UNKNOWN and self._may_be_delivered(deviation):
            deliveries = await exchange.deliveries_since(bucket.category, bucket.symbol, since)
            cause = explain(deviation, replace(picture, deliveries=deliveries), unit, row)
        if cause.kind is CauseKind.UNKNOWN and bucket.category is Category.SPOT:
            listed += await self._by_other_pairs(exchange, bucket, symbols, since)
            picture = await self._picture(bucket, start, _merged(heard, listed))
            cause = explain(deviation, picture, unit, row)
        return cause

    async def _by_other_pairs(
        self,
        exchange: AccountExchange,
        bucket: BucketKey,
        symbols: Collection[str],
        since: datetime,
    ) -> list[Fill]:
        """The coin's executions in pairs that no leg names: its sale for another quote coin."""
        environment = self._portfolio.accounts[bucket.account_id].account.environment
        found = [
            fill
            for fill in await exchange.fills_since(Category.SPOT, since)
            if fill.symbol not in symbols and fill.symbol.startswith(bucket.symbol)
        ]
        pairs = set()
        for symbol in sorted({fill.symbol for fill in found}):
            key = InstrumentKey(environment, Category.SPOT, symbol)
            instrument = await self._catalogue.instrument(key)
            if instrument is not None and instrument.base_coin == bucket.symbol:
                pairs.add(symbol)
        return [fill for fill in found if fill.symbol in pairs]

    async def _picture(self, bucket: BucketKey, start: _Start, fills: Sequence[Fill]) -> Gathered:
        heard = {
            fill.exec_id
            for fill in self._memory.fills(
                bucket.account_id, bucket.category, self._symbols(bucket), start.at - _SLACK
            )
        }
        ours = sorted({fill.link_id for fill in fills if fill.link_id.startswith(OUR_MARK)})
        owners = await self._evidence.owners_of(ours) if ours else {}
        now = self._timing.now()
        delivery_at = self._delivery_at(bucket)
        return Gathered(
            fills=fills,
            deliveries=(),
            owners={link_id: name for link_id, (_, name) in owners.items()},
            since=start.at,
            now=now,
            is_away=lambda exec_id, at: (
                exec_id not in heard and self._memory.is_away(bucket.account_id, at)
            ),
            mark=start.mark,
            expired_at=delivery_at if delivery_at is not None and delivery_at <= now else None,
        )

    def _start(self, bucket: BucketKey, row: DeviationRow | None) -> _Start:
        """When the bucket was last known to be in order, or the best there is for it."""
        start = self._in_order_at(bucket, row)
        limit = self._timing.now() - _FURTHEST
        return start if start.at > limit else _Start(limit, Mark.LIMIT)

    def _in_order_at(self, bucket: BucketKey, row: DeviationRow | None) -> _Start:
        known = self._in_order.get(bucket)
        if known is not None:
            return _Start(known, Mark.IN_ORDER)
        if row is not None and row.cause is not None and row.cause.kind is not CauseKind.UNKNOWN:
            return _Start(row.last_verified, Mark.COMPARED)
        holders = [position for position, _ in self._holders(bucket)]
        # A position that is not altered had all its buckets in order when it was last compared.
        verified = [p.verified_at for p in holders if p.verified_at and not p.is_altered]
        if verified:
            return _Start(max(verified), Mark.IN_ORDER)
        recorded = min((p.opened_at for p in holders), default=self._timing.now())
        if bucket.category is Category.SPOT:
            return _Start(recorded - _BEFORE_RECORDED, Mark.BEFORE_RECORDED)
        return _Start(recorded, Mark.RECORDED)

    # --- what the bucket is ------------------------------------------------------------------

    def _holders(self, bucket: BucketKey) -> list[tuple[Position, Component]]:
        """The account's positions with a leg in the bucket's symbol (spot: in its coin)."""
        return [
            (position, component)
            for position in self._portfolio.of_account(bucket.account_id)
            for component in position.components
            if component.category is bucket.category
            and symbol_of(position, component).symbol == bucket.symbol
        ]

    def _symbols(self, bucket: BucketKey) -> list[str]:
        """Whose executions change the bucket; for spot, the pairs that the legs name."""
        if bucket.category is not Category.SPOT:
            return [bucket.symbol]
        return sorted({component.symbol for _, component in self._holders(bucket)})

    def _instrument(self, bucket: BucketKey) -> Instrument | None:
        state = self._portfolio.accounts.get(bucket.account_id)
        if state is None or bucket.category is Category.SPOT:
            return None
        environment = state.account.environment
        return self._catalogue.cached(InstrumentKey(environment, bucket.category, bucket.symbol))

    def _unit(self, bucket: BucketKey) -> str:
        """What the bucket's quantities count; empty while the instrument is not known."""
        if bucket.category is Category.INVERSE:
            return "USD"
        if bucket.category is Category.SPOT:
            return bucket.symbol
        instrument = self._instrument(bucket)
        return instrument.base_coin if instrument is not None else ""

    def _delivery_at(self, bucket: BucketKey) -> datetime | None:
        instrument = self._instrument(bucket)
        return instrument.delivery_at if instrument is not None else None

    def _may_be_delivered(self, deviation: Deviation) -> bool:
        bucket = deviation.bucket
        if bucket.category is Category.SPOT or deviation.actual:
            return False
        delivery_at = self._delivery_at(bucket)
        is_over = delivery_at is not None and delivery_at <= self._timing.now() + _SLACK
        return is_over or (bucket.category is Category.OPTION and delivery_at is None)


def _merged(heard: Iterable[Fill], listed: Iterable[Fill]) -> list[Fill]:
    """Each execution once; the list's row counts where both tell it."""
    by_id = {fill.exec_id: fill for fill in heard} | {fill.exec_id: fill for fill in listed}
    return sorted(by_id.values(), key=lambda one: (one.executed_at, one.seq or 0, one.exec_id))
