"""The one place where flags change: judge, ask why, store, then show, in that order."""

from __future__ import annotations

import asyncio
from collections import ChainMap
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Protocol

import structlog

from .bucket_locks import BucketLocks
from .domain.buckets import SymbolKey
from .domain.deviations import Cause
from .domain.errors import PositiondError, StoreUnavailable
from .domain.model import AccountId, BucketKey, Position, PositionId, Verdict
from .domain.portfolio import NOT_COMPARED, Portfolio
from .domain.ports import Positions
from .domain.records import DeviationRecord, VerdictWrite
from .domain.verdict import Deviation, Judgement, PositionSync, Reading, judge
from .in_flight import InFlight
from .reads import Read, Reads
from .timing import Timing

_log = structlog.get_logger(__name__)

Changed = Callable[[frozenset[PositionId]], None]


class Explains(Protocol):
    """Says why buckets deviate, in words; never raises, and is done within seconds."""

    async def explain(
        self, account_id: AccountId, deviations: Sequence[Deviation]
    ) -> Mapping[BucketKey, Cause]:
        """The causes that were found; a bucket without one is asked about again."""
        ...

    def note_in_order(self, buckets: Iterable[BucketKey], at: datetime) -> None:
        """These held what was expected at `at`: what made them deviate came later."""
        ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a compare left to do: symbols to ask anew, and whether the store has the verdicts."""

    again: frozenset[SymbolKey]
    is_stored: bool


class Settlement:
    """Turns readings into verdicts, one account at a time: they do not wait for one another."""

    def __init__(
        self,
        portfolio: Portfolio,
        positions: Positions,
        causes: Explains,
        locks: BucketLocks,
        in_flight: InFlight,
        timing: Timing,
        changed: Changed,
        turned: Changed,
        fee_tolerance: Decimal,
    ) -> None:
        self._portfolio = portfolio
        self._positions = positions
        self._causes = causes
        self._locks = locks
        self._in_flight = in_flight
        self._timing = timing
        self._changed = changed
        self._turned = turned
        self._fee_tolerance = fee_tolerance
        self._at_work: dict[AccountId, asyncio.Lock] = {}
        self.reads = Reads(portfolio, locks, in_flight)

    async def settle(
        self,
        account_id: AccountId,
        fresh: Mapping[SymbolKey, Reading],
        begun: Read,
        focus: frozenset[SymbolKey] | None = None,
    ) -> Outcome:
        """Judge by what of the fresh readings belongs to our records.

        Asking why takes a while: what our own closes moved meanwhile is left out afterwards.
        """
        async with self._lock(account_id):
            usable, again = self.reads.split(fresh, begun)
            judgement = self._judge(account_id, usable, focus, self._locks.busy | again)
            causes: Mapping[BucketKey, Cause] = {}
            if deviations := [d for d in judgement.deviations if SymbolKey.of(d.bucket) in usable]:
                causes = await self._causes.explain(account_id, deviations)
                usable, late = self.reads.split(usable, begun)
                again |= late
                judgement = self._judge(account_id, usable, focus, self._locks.busy | again)
            is_stored = await self._conclude(judgement, usable, causes, begun.at)
        return Outcome(frozenset(again), is_stored)

    async def settle_at_once(
        self, account_id: AccountId, readings: Mapping[SymbolKey, Reading]
    ) -> bool:
        """Judge by readings that the caller took himself, with the symbols locked by him.

        Tells whether the store has the verdicts.
        """
        begun = self.reads.begin(readings, self._timing.now())
        async with self._lock(account_id):
            usable = dict(readings)
            self.reads.accept(begun)
            busy = self._locks.busy - usable.keys()
            judgement = self._judge(account_id, usable, frozenset(usable), busy)
            read_at = min((r.read_at for r in usable.values()), default=begun.at)
            return await self._conclude(judgement, usable, {}, read_at)

    def _lock(self, account_id: AccountId) -> asyncio.Lock:
        return self._at_work.setdefault(account_id, asyncio.Lock())

    def _judge(
        self,
        account_id: AccountId,
        usable: Mapping[SymbolKey, Reading],
        focus: frozenset[SymbolKey] | None,
        busy: Set[SymbolKey],
    ) -> Judgement:
        """The verdicts; `busy` are the symbols of which nothing can be said just now."""
        # Where a close is at work only a reading of just now says anything: an older one is from
        # before its fills.
        changes = {s: c for s, c in self._in_flight.changes().items() if s in usable}
        return judge(
            self._portfolio.of_account(account_id),
            self._portfolio.unassigned,
            ChainMap(dict(usable), self._portfolio.readings),
            busy,
            focus,
            in_flight=changes,
            fee_tolerance=self._fee_tolerance,
        )

    async def _conclude(
        self,
        judgement: Judgement,
        usable: Mapping[SymbolKey, Reading],
        causes: Mapping[BucketKey, Cause],
        at: datetime,
    ) -> bool:
        self._portfolio.readings.update(
            {s: reading for s, reading in usable.items() if self._portfolio.holders((s,))}
        )
        in_order = [b for b in judgement.in_order if SymbolKey.of(b) in usable]
        self._causes.note_in_order(in_order, at)
        try:
            await self._store(judgement, usable, in_order, causes)
        except PositiondError as error:
            _log.warning("verdicts were not stored", code=error.code, error=error.detail)
            self._show(_doubted(judgement, error))
            return False
        self._show(judgement)
        return True

    async def _store(
        self,
        judgement: Judgement,
        usable: Mapping[SymbolKey, Reading],
        in_order: Sequence[BucketKey],
        causes: Mapping[BucketKey, Cause],
    ) -> None:
        deviating = [
            DeviationRecord(d.bucket, d.kind, d.expected, d.actual, causes.get(d.bucket))
            for d in judgement.deviations
            if SymbolKey.of(d.bucket) in usable
        ]
        verdicts = [
            VerdictWrite(position_id, _deviates(sync), at)
            for position_id, sync in judgement.positions.items()
            if (at := sync.verified_at) is not None
        ]
        ended = [*in_order, *self._ownerless(usable)]
        if not (verdicts or deviating or ended):
            return
        rows = await self._positions.write_verdicts(verdicts, deviating, ended, self._timing.now())
        for bucket in ended:
            self._portfolio.deviations.pop(bucket, None)
        for row in rows:
            if self._portfolio.holders((SymbolKey.of(row.bucket),)):
                self._portfolio.deviations[row.bucket] = row

    def _ownerless(self, usable: Mapping[SymbolKey, Reading]) -> list[BucketKey]:
        """Open deviations of buckets in which nothing is open any more.

        The last leg there was closed, or a switch of the position mode moved it to another row:
        nothing is compared there from then on, and nobody would ever end these.
        """
        return [
            bucket
            for bucket in self._portfolio.deviations
            if (reading := usable.get(SymbolKey.of(bucket))) is not None
            and reading.failure is None
            and reading.holdings
            and not self._portfolio.has_leg(bucket, reading.holdings)
        ]

    def _show(self, judgement: Judgement) -> None:
        turned: set[PositionId] = set()
        for position_id, sync in judgement.positions.items():
            position = self._portfolio.positions.get(position_id)
            if position is None:
                continue
            before = self._portfolio.syncs.get(position_id, NOT_COMPARED)
            if before is not NOT_COMPARED and before.verdict is not sync.verdict:
                turned.add(position_id)
            self._portfolio.syncs[position_id] = sync
            self._portfolio.positions[position_id] = _flagged(position, sync)
        self._changed(frozenset(judgement.positions))
        if turned:
            self._turned(frozenset(turned))


def _deviates(sync: PositionSync) -> bool:
    return any(leg.deviates for leg in sync.legs.values())


def _flagged(position: Position, sync: PositionSync) -> Position:
    if sync.verified_at is None:
        # Doubt changes no flag.
        return position
    return replace(position, is_altered=_deviates(sync), verified_at=sync.verified_at)


def _doubted(judgement: Judgement, error: PositiondError) -> Judgement:
    """What could not be stored must not be shown, and what was shown before is out of date."""
    is_away = isinstance(error, StoreUnavailable)
    why = "the database does not answer" if is_away else f"not stored: {error.detail}"
    doubted = {
        position_id: replace(sync, verdict=Verdict.UNVERIFIED, reason=why, verified_at=None)
        for position_id, sync in judgement.positions.items()
    }
    return replace(judgement, positions=doubted)
