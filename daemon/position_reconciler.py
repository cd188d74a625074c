"""Reconciliation: fetch what Bybit holds, judge it against what is recorded, write it down.

Two ways lead to a compare. The sweep reads everything, at start, every five minutes on the clock
and when a private stream (re)connects. The event path re-queries the symbols whose size changed,
once they have been quiet. Both end in `_settle`, the one place where flags change.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, NoReturn

import structlog

from .bucket_locks import BucketLocks
from .catalogue import Catalogue
from .domain.buckets import SymbolKey
from .domain.errors import PositiondError
from .domain.events import AccountEvent, AccountFeedDown, AccountFeedUp, FillSeen, HoldingSeen
from .domain.model import (
    AccountId,
    Holding,
    Position,
    PositionId,
    Verdict,
)
from .domain.portfolio import NOT_COMPARED, Portfolio
from .domain.ports import AccountExchange, Positions
from .domain.quiet import QuietWindow
from .domain.records import DeviationRecord, PnlWrite, VerdictWrite
from .domain.schedule import next_sweep
from .domain.verdict import Judgement, PositionSync, Reading, judge
from .retries import Retries
from .size_reader import SizeReader
from .timing import Timing

_log = structlog.get_logger(__name__)

# How long a loop may sleep without looking up; also the pace of its heartbeat.
_NAP: Final = 1.0
_LOOK_EVERY: Final = 0.05
_FIRST_WAIT: Final = timedelta(seconds=10)
_AT_ONCE: Final = 8


@dataclass(frozen=True, slots=True)
class _Read:
    """A read about to begin: its turn among all reads, and the locks' stamps of its symbols."""

    turn: int
    stamps: Mapping[SymbolKey, int | None]


Changed = Callable[[frozenset[PositionId]], None]
PriceWrites = Callable[[], list[PnlWrite]]


class PositionReconciler:
    """Keeps `portfolio.syncs` true; `changed` hears of compares, `turned` of new verdicts."""

    def __init__(
        self,
        portfolio: Portfolio,
        positions: Positions,
        exchanges: Mapping[AccountId, AccountExchange],
        catalogue: Catalogue,
        locks: BucketLocks,
        timing: Timing,
        changed: Changed,
        turned: Changed,
        price_writes: PriceWrites,
        sweep_minutes: int,
    ) -> None:
        self._portfolio = portfolio
        self._positions = positions
        self._exchanges = exchanges
        self._locks = locks
        self._timing = timing
        self._changed = changed
        self._turned = turned
        self._price_writes = price_writes
        self._sweep_minutes = sweep_minutes
        self._reader = SizeReader(portfolio, exchanges, catalogue, timing)
        self._quiet = QuietWindow()
        self._wake = asyncio.Event()
        self._settling = asyncio.Lock()
        self._unread: set[AccountId] = set()
        self._retries = Retries()
        self._turns = 0
        self._newest: dict[SymbolKey, int] = {}
        self.last_sweep_at: datetime | None = None
        self.sweeps = 0
        self.overlaps = 0

    # --- what the streams and the others tell -----------------------------------------------

    def on_account(self, event: AccountEvent) -> None:
        """Note what may have changed; never blocks. Called for every private event."""
        match event:
            case AccountFeedUp(account_id):
                self._unread.add(account_id)
                self._wake.set()
            case AccountFeedDown(account_id, reason):
                self._doubt(account_id, f"the private stream is down: {reason}")
            case HoldingSeen(account_id, holding):
                symbol = SymbolKey(account_id, holding.category, holding.symbol)
                if self._is_news(symbol, holding):
                    self.recheck(symbol)
            case FillSeen(account_id, fill) if fill.changes_size or not fill.exec_type:
                self.recheck(SymbolKey(account_id, fill.category, fill.symbol))
            case _:
                pass

    def _doubt(self, account_id: AccountId, why: str) -> None:
        """What was read before proves nothing any more; the flags wait for the next compare."""
        positions = self._portfolio.of_account(account_id)
        self._portfolio.readings.update(
            self._reader.failed(self._portfolio.symbols(account_id), why)
        )
        for position in positions:
            known = self._portfolio.syncs.get(position.id, NOT_COMPARED)
            self._portfolio.syncs[position.id] = replace(
                known, verdict=Verdict.UNVERIFIED, reason=why, verified_at=None
            )
        self._changed(frozenset(position.id for position in positions))

    def recheck(self, symbol: SymbolKey) -> None:
        """Ask for a compare of the symbol once it has been quiet; ignored where nobody holds it."""
        if self._portfolio.holders((symbol,)):
            self._quiet.note(symbol, self._timing.now())
            self._wake.set()

    def resync(self, account_id: AccountId) -> None:
        """Ask for a full compare of the account now."""
        self._unread.add(account_id)
        self._wake.set()

    def keep(self, symbol: SymbolKey, holdings: Sequence[Holding]) -> None:
        """What somebody else has read just now, with the symbol locked, for the next compare."""
        self._portfolio.readings[symbol] = Reading(tuple(holdings), self._timing.now())

    def _is_news(self, symbol: SymbolKey, holding: Holding) -> bool:
        """A push without a change of size is none (Bybit V5: one comes with every order)."""
        reading = self._portfolio.readings.get(symbol)
        if reading is None or reading.failure:
            return True
        known = [h.signed for h in reading.holdings if h.position_idx == holding.position_idx]
        return known != [holding.signed]

    # --- the loops --------------------------------------------------------------------------

    async def run_sweeps(self, are_settled: Callable[[], bool]) -> NoReturn:
        """Sweep at once and on the clock for ever; an overlapping one is skipped and counted.

        The first waits a little for the accounts to connect: a compare without them says nothing.
        """
        patience = self._timing.now() + _FIRST_WAIT
        while not are_settled() and self._timing.now() < patience:
            await self._timing.sleep(_LOOK_EVERY)
        await self.reconcile_all_positions()
        due = next_sweep(self._timing.now(), self._sweep_minutes)
        while True:
            self._timing.beat("sweeps")
            await self._timing.sleep_until(due, _NAP)
            if self._timing.now() < due:
                continue
            await self.reconcile_all_positions()
            due = next_sweep(due, self._sweep_minutes)
            while due <= self._timing.now():
                self.overlaps += 1
                due = next_sweep(due, self._sweep_minutes)

    async def run_rechecks(self) -> NoReturn:
        """Serve the event path and the resyncs that streams asked for, for ever."""
        while True:
            self._timing.beat("rechecks")
            await self._wait_for_work()
            self._unread |= self._retries.take_due(self._timing.now())
            if self._unread:
                accounts, self._unread = self._unread, set()
                await self._reconcile_accounts(accounts, "rechecks")
            due = self._quiet.take_due(self._timing.now())
            if due:
                await self._recheck(due)

    async def _wait_for_work(self) -> None:
        if self._unread:
            return
        self._wake.clear()
        due = self._quiet.due_at()
        nap = _NAP
        if due is not None:
            nap = min(max((due - self._timing.now()).total_seconds(), 0.0), _NAP)
        await self._timing.wait_for(self._wake, nap)

    # --- the sweep --------------------------------------------------------------------------

    async def reconcile_all_positions(self) -> None:
        """Compare every recorded leg with Bybit and write the P&L of all active positions."""
        accounts = {p.account_id for p in self._portfolio.positions.values()}
        await self._reconcile_accounts(accounts, "sweeps")
        try:
            await self._positions.write_pnl(self._price_writes())
        except PositiondError as error:
            _log.warning("P&L was not written", code=error.code, error=error.detail)
            return
        self.sweeps += 1
        self.last_sweep_at = self._timing.now()
        self._changed(frozenset(self._portfolio.positions))

    async def _reconcile_accounts(self, accounts: set[AccountId], loop: str) -> None:
        gate = asyncio.Semaphore(_AT_ONCE)

        async def one(account_id: AccountId) -> None:
            async with gate:
                await self._reconcile_account(account_id, loop)

        async with asyncio.TaskGroup() as group:
            for account_id in accounts:
                group.create_task(one(account_id), name=f"reconcile {account_id}")

    async def _reconcile_account(self, account_id: AccountId, loop: str) -> None:
        symbols = self._portfolio.symbols(account_id)
        begun = self._begin(symbols)
        readings = await self._reader.account(account_id, symbols, loop)
        await self._settle(account_id, readings, begun)

    # --- the event path ---------------------------------------------------------------------

    async def _recheck(self, symbols: frozenset[SymbolKey]) -> None:
        by_account: dict[AccountId, set[SymbolKey]] = {}
        for symbol in symbols:
            if symbol in self._locks.busy:
                # A close or a recording is at work there: looked at again in a moment.
                self.recheck(symbol)
                continue
            by_account.setdefault(symbol.account_id, set()).add(symbol)
        for account_id, touched in sorted(by_account.items()):
            begun = self._begin(touched)
            readings = await self._reader.symbols(account_id, touched, "rechecks")
            await self._settle(account_id, readings, begun, focus=frozenset(touched))

    def _begin(self, symbols: Iterable[SymbolKey]) -> _Read:
        self._turns += 1
        return _Read(self._turns, {symbol: self._locks.stamp(symbol) for symbol in symbols})

    def _usable(self, fresh: Mapping[SymbolKey, Reading], begun: _Read) -> dict[SymbolKey, Reading]:
        """The readings that belong to our records and are the newest; the others are asked anew.

        Where a close moved the size, or our record of it, during the read, the two do not belong
        together. And a sweep's read may end after that of a recheck which began later.
        """
        usable = {}
        for symbol, reading in fresh.items():
            stamp = begun.stamps[symbol]
            if stamp is None or self._locks.stamp(symbol) != stamp:
                self.recheck(symbol)
            elif self._newest.get(symbol, 0) < begun.turn:
                self._newest[symbol] = begun.turn
                usable[symbol] = reading
        return usable

    # --- the outcome ------------------------------------------------------------------------

    async def _settle(
        self,
        account_id: AccountId,
        fresh: Mapping[SymbolKey, Reading],
        begun: _Read,
        focus: frozenset[SymbolKey] | None = None,
    ) -> None:
        """Judge with the fresh readings, store the outcome, then show it: in that order."""
        async with self._settling:
            usable = self._usable(fresh, begun)
            self._portfolio.readings.update(usable)
            judgement = judge(
                self._portfolio.of_account(account_id),
                self._portfolio.unassigned,
                self._portfolio.readings,
                self._locks.busy,
                focus,
            )
            try:
                await self._store(judgement, usable)
            except PositiondError as error:
                _log.warning("verdicts were not stored", code=error.code, error=error.detail)
                for symbol in fresh:
                    self.recheck(symbol)
                return
            self._show(judgement)
        # Without a connection there is nothing to ask; its return asks for a full compare.
        if account_id in self._exchanges:
            self._retries.plan(self._portfolio, account_id, self._timing.now())

    async def _store(self, judgement: Judgement, fresh: Mapping[SymbolKey, Reading]) -> None:
        deviating = {
            d.bucket: DeviationRecord(d.bucket, d.kind, d.expected, d.actual, None)
            for d in judgement.deviations
            if SymbolKey(d.bucket.account_id, d.bucket.category, d.bucket.symbol) in fresh
        }
        cleared = [
            b for b in judgement.in_order if SymbolKey(b.account_id, b.category, b.symbol) in fresh
        ]
        verdicts = [
            VerdictWrite(position_id, _deviates(sync), at)
            for position_id, sync in judgement.positions.items()
            if (at := sync.verified_at) is not None
        ]
        if verdicts or deviating or cleared:
            await self._positions.write_verdicts(
                verdicts, list(deviating.values()), cleared, self._timing.now()
            )

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
            self._portfolio.positions[position_id] = self._flagged(position, judgement)
        self._changed(frozenset(judgement.positions))
        if turned:
            self._turned(frozenset(turned))

    @staticmethod
    def _flagged(position: Position, judgement: Judgement) -> Position:
        sync = judgement.positions[position.id]
        if sync.verified_at is None:
            # Doubt changes no flag.
            return position
        return replace(position, is_altered=_deviates(sync), verified_at=sync.verified_at)


def _deviates(sync: PositionSync) -> bool:
    return any(leg.difference for leg in sync.legs.values())
