"""Reconciliation: fetch what Bybit holds, judge it against what is recorded, write it down.

Two ways lead to a compare. The sweep reads everything, at start, every five minutes on the clock
and when a private stream (re)connects. The event path re-queries the symbols whose size changed,
once they have been quiet. Both end in `Settlement`, the one place where flags change.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final, NoReturn, Protocol, TypeVar

import structlog

from .bucket_locks import BucketLocks
from .catalogue import Catalogue
from .domain.buckets import SymbolKey
from .domain.deviations import DeviationRow
from .domain.errors import PositiondError
from .domain.events import (
    AccountEvent,
    AccountFeedDown,
    AccountFeedUp,
    FillSeen,
    HoldingSeen,
    WalletSeen,
)
from .domain.fees import FEE_TOLERANCE
from .domain.model import AccountId, Category, Fill, Holding, PositionId
from .domain.portfolio import Portfolio
from .domain.ports import AccountExchange, Positions
from .domain.quiet import QUIET, QuietWindow
from .domain.records import PnlWrite
from .domain.verdict import Reading
from .doubts import Doubts
from .in_flight import InFlight
from .places import places_of
from .second_looks import SecondLooks
from .settling import Changed, Explains, Outcome, Settlement
from .size_reader import SizeReader
from .sweeps import Sweeps
from .timing import Timing

_log = structlog.get_logger(__name__)

_NAP: Final = 1.0
# Accounts read at once. The client paces the requests; this only keeps its line short, so that an
# event's read does not stand behind a whole sweep.
_AT_ONCE: Final = 24
_LATE_PRICES: Final = timedelta(seconds=30)
# Work on one account that takes longer than this is stuck, and the loop then beats no more.
_STUCK: Final = timedelta(minutes=4)
# Executions of these types never change a size (Bybit V5: enum execType). Any other that we do not
# count as a fill is one we do not know: what it did is asked for.
_HARMLESS: Final = frozenset({"Funding", "SessionSettlePnL"})

# What is read one after the other: an account's wallet, and its contracts. A wallet that is traded
# without a pause takes seconds to read, and nothing else of the account waits for that.
_Lane = tuple[AccountId, bool]
_Whom = TypeVar("_Whom", AccountId, _Lane)

PriceWrites = Callable[[], list[PnlWrite]]


class Record(Protocol):
    """The part of the evidence that a term starts from."""

    async def open_deviations(self) -> list[DeviationRow]: ...


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
        *,
        evidence: Record,
        causes: Explains,
        in_flight: InFlight,
        fee_tolerance: Decimal = FEE_TOLERANCE,
    ) -> None:
        self._portfolio = portfolio
        self._positions = positions
        self._evidence = evidence
        self._exchanges = exchanges
        self._locks = locks
        self._in_flight = in_flight
        self._timing = timing
        self._changed = changed
        self._price_writes = price_writes
        self._reader = SizeReader(portfolio, exchanges, catalogue, in_flight.fills, timing)
        self._settlement = Settlement(
            portfolio, positions, causes, locks, in_flight, timing, changed, turned, fee_tolerance
        )
        self._doubts = Doubts(portfolio, timing.now, changed)
        self._quiet = QuietWindow()
        self._wake = asyncio.Event()
        self._unread: set[AccountId] = set()
        self._due: dict[_Lane, set[SymbolKey]] = {}
        self._working: dict[tuple[str, Hashable], datetime] = {}
        self._second = SecondLooks(portfolio)
        self._unpriced: set[PositionId] = set()
        self._late_until = timing.now()
        self._sweeps = Sweeps(timing, sweep_minutes)

    @property
    def last_sweep_at(self) -> datetime | None:
        return self._sweeps.last_at

    @property
    def sweeps(self) -> int:
        return self._sweeps.done

    @property
    def overlaps(self) -> int:
        return self._sweeps.overlaps

    # --- what the streams and the others tell -----------------------------------------------

    def on_account(self, event: AccountEvent) -> None:
        """Note what may have changed; never blocks. Called for every private event."""
        match event:
            case AccountFeedUp(account_id):
                self._doubts.stream_up(account_id)
                self._second.stream_up(account_id, self._timing.now())
                self.resync(account_id)
            case AccountFeedDown(account_id, reason):
                # Without a connection nobody will come to doubt it later: another process leads.
                is_over = account_id not in self._exchanges
                self._second.stream_down(account_id)
                self._doubts.stream_down(account_id, reason, at_once=is_over)
                self._wake.set()
            case HoldingSeen(account_id, holding):
                self._on_holding(SymbolKey(account_id, holding.category, holding.symbol), holding)
            case WalletSeen(account_id, coins):
                self._on_wallet(account_id, coins)
            case FillSeen(account_id, fill):
                self._on_fill(account_id, fill)
            case _:
                pass

    def _on_holding(self, symbol: SymbolKey, holding: Holding) -> None:
        if not self._portfolio.holders((symbol,)):
            return
        if self._doubts.is_other_mode(symbol, holding):
            mode = f"the position mode of {symbol.symbol} changed; reading it again"
            self._doubts.cast((symbol,), mode)
            self._quiet.note(symbol, self._timing.now() - QUIET)
            self._wake.set()
        elif self._is_news(symbol, holding):
            self.recheck(symbol)

    def _on_wallet(self, account_id: AccountId, coins: frozenset[str]) -> None:
        """A coin that the wallet no longer names is gone, or as it was: nothing tells which."""
        for symbol in self._portfolio.symbols(account_id):
            if symbol.category is Category.SPOT and symbol.symbol not in coins:
                reading = self._portfolio.readings.get(symbol)
                if reading is None or any(row.size for row in reading.holdings):
                    self.recheck(symbol)

    def _on_fill(self, account_id: AccountId, fill: Fill) -> None:
        self._in_flight.fills.note(account_id, fill)
        if fill.changes_size or fill.exec_type not in _HARMLESS:
            for place in places_of(self._portfolio, account_id, fill.category, fill.symbol):
                self.recheck(place)

    def recheck(self, symbol: SymbolKey) -> None:
        """Ask for a compare of the symbol once it has been quiet; ignored where nobody holds it."""
        if self._portfolio.holders((symbol,)):
            self._quiet.note(symbol, self._timing.now())
            self._wake.set()

    def resync(self, account_id: AccountId) -> None:
        """Ask for a full compare of the account now."""
        self._unread.add(account_id)
        self._wake.set()

    def doubt(self, why: str) -> None:
        """Nothing can be relied on any more, for this reason; the flags stay as they are."""
        for account_id in self._portfolio.account_ids():
            self._doubts.cast(self._portfolio.symbols(account_id), why)

    def keep(self, symbol: SymbolKey, holdings: Sequence[Holding]) -> None:
        """What somebody else has read just now, with the symbol locked, for the next compare."""
        self._portfolio.readings[symbol] = Reading(tuple(holdings), self._timing.now())

    async def read_now(
        self, account_id: AccountId, symbols: Iterable[SymbolKey]
    ) -> Mapping[SymbolKey, Reading]:
        """Read ahead of everything ordinary, for somebody who waits; a failed reading says why."""
        return await self._reader.symbols(account_id, symbols, "rechecks", urgent=True)

    async def settle_now(
        self, symbols: Iterable[SymbolKey], readings: Mapping[SymbolKey, Reading]
    ) -> None:
        """Judge, store and show by readings taken just now by who has the symbols locked."""
        by_account: dict[AccountId, dict[SymbolKey, Reading]] = {}
        for symbol in symbols:
            by_account.setdefault(symbol.account_id, {})[symbol] = readings[symbol]
        for account_id, own in by_account.items():
            is_stored = await self._settlement.settle_at_once(account_id, own)
            self._second.plan(account_id, own, self._timing.now(), is_stored=is_stored)

    async def recall(self) -> None:
        """Take up the deviations that are open on record, once the positions are loaded."""
        rows = await self._evidence.open_deviations()
        self._portfolio.deviations.clear()
        for row in rows:
            if self._portfolio.holders((SymbolKey.of(row.bucket),)):
                self._portfolio.deviations[row.bucket] = row

    def _is_news(self, symbol: SymbolKey, holding: Holding) -> bool:
        """A push without a change of size is none (Bybit V5: one comes with every order)."""
        reading = self._portfolio.readings.get(symbol)
        if reading is None or reading.failure:
            return True
        known = [h.signed for h in reading.holdings if h.position_idx == holding.position_idx]
        return known != [holding.signed]

    # --- the loops --------------------------------------------------------------------------

    async def run_sweeps(self, are_settled: Callable[[], bool]) -> NoReturn:
        """Sweep at once and on the clock for ever; an overlapping one is skipped and counted."""
        await self._sweeps.run(self.reconcile_all_positions, are_settled, self._write_late_prices)

    async def run_rechecks(self) -> NoReturn:
        """Serve the event path and the compares that streams asked for, for ever."""
        gate = asyncio.Semaphore(_AT_ONCE)
        self._working.clear()
        async with asyncio.TaskGroup() as group:
            while True:
                if not self._is_stuck():
                    self._timing.beat("rechecks")
                await self._wait_for_work()
                now = self._timing.now()
                self._doubts.cast_due()
                self._unread |= self._second.accounts_due(now)
                for symbol in self._quiet.take_due(now) | self._second.symbols_due(now):
                    self._due.setdefault(_lane(symbol), set()).add(symbol)
                for account_id in self._startable(self._unread, "all"):
                    group.create_task(self._catch_up(account_id, gate))
                for lane in self._startable(self._due, "symbols"):
                    group.create_task(self._recheck(lane, gate))
        raise AssertionError("the loop above has no end")

    def _startable(self, wanted: Iterable[_Whom], what: str) -> list[_Whom]:
        """Whom nobody does this work for yet; they are counted as at work from here on."""
        free = [whom for whom in sorted(wanted) if (what, whom) not in self._working]
        self._working.update({(what, whom): self._timing.now() for whom in free})
        return free

    def _is_stuck(self) -> bool:
        since = self._timing.now() - _STUCK
        return any(begun < since for begun in self._working.values())

    async def _wait_for_work(self) -> None:
        self._wake.clear()
        if any(("all", account_id) not in self._working for account_id in self._unread):
            return
        moments = [m for m in (self._quiet.due_at(), self._doubts.due_at()) if m is not None]
        left = min(((m - self._timing.now()).total_seconds() for m in moments), default=_NAP)
        await self._timing.wait_for(self._wake, min(max(left, 0.0), _NAP))

    async def _catch_up(self, account_id: AccountId, gate: asyncio.Semaphore) -> None:
        try:
            async with gate:
                self._working["all", account_id] = self._timing.now()
                # A sweep may have begun to read it since it was asked for.
                if account_id in self._unread:
                    await self._reconcile_account(account_id, "rechecks")
        finally:
            del self._working["all", account_id]
            self._wake.set()

    # --- the sweep --------------------------------------------------------------------------

    async def reconcile_all_positions(self) -> None:
        """Compare every recorded leg with Bybit and write the P&L of all active positions."""
        gate = asyncio.Semaphore(_AT_ONCE)

        async def one(account_id: AccountId) -> None:
            async with gate:
                await self._reconcile_account(account_id, "sweeps")

        async with asyncio.TaskGroup() as group:
            for account_id in self._portfolio.account_ids():
                group.create_task(one(account_id), name=f"reconcile {account_id}")
        try:
            writes = self._price_writes()
            await self._positions.write_pnl(writes)
        except PositiondError as error:
            _log.warning("P&L was not written", code=error.code, error=error.detail)
            return
        self._unpriced = {row.position_id for row in writes if row.unrealized_pnl is None}
        self._late_until = self._timing.now() + _LATE_PRICES
        self._sweeps.note_done()
        self._changed(frozenset(self._portfolio.positions))

    async def _write_late_prices(self) -> None:
        """What had no price at the sweep: the first may be done before the first tick came."""
        if not self._unpriced or self._timing.now() > self._late_until:
            return
        found = [
            row
            for row in self._price_writes()
            if row.position_id in self._unpriced and row.unrealized_pnl is not None
        ]
        if not found:
            return
        try:
            await self._positions.write_pnl(found)
        except PositiondError as error:
            _log.warning("P&L was not written", code=error.code, error=error.detail)
            return
        self._unpriced -= {row.position_id for row in found}

    async def _reconcile_account(self, account_id: AccountId, loop: str) -> None:
        self._unread.discard(account_id)
        symbols = self._portfolio.symbols(account_id)
        begun = self._settlement.reads.begin(symbols, self._timing.now())
        readings = await self._reader.account(account_id, symbols, loop)
        # What was recorded since is not judged by rows that were not read for it.
        outcome = await self._settlement.settle(account_id, readings, begun, focus=symbols)
        self._look_again(account_id, symbols, outcome)

    # --- the event path ---------------------------------------------------------------------

    async def _recheck(self, lane: _Lane, gate: asyncio.Semaphore) -> None:
        """Compare what is due of the account there, and what gets due meanwhile."""
        account_id, _ = lane
        try:
            while symbols := self._due.pop(lane, None):
                async with gate:
                    self._working["symbols", lane] = self._timing.now()
                    await self._compare(account_id, self._free(symbols))
        finally:
            del self._working["symbols", lane]
            self._wake.set()

    def _free(self, symbols: Iterable[SymbolKey]) -> frozenset[SymbolKey]:
        """Without those where somebody is at work who cannot say what may change there."""
        free = set()
        for symbol in symbols:
            if symbol in self._locks.busy and not self._in_flight.is_at_work(symbol):
                self.recheck(symbol)
            else:
                free.add(symbol)
        return frozenset(free)

    async def _compare(self, account_id: AccountId, symbols: frozenset[SymbolKey]) -> None:
        if not symbols:
            return
        begun = self._settlement.reads.begin(symbols, self._timing.now())
        readings = await self._reader.symbols(account_id, symbols, "rechecks")
        outcome = await self._settlement.settle(account_id, readings, begun, focus=symbols)
        self._look_again(account_id, symbols, outcome)

    def _look_again(
        self, account_id: AccountId, compared: Iterable[SymbolKey], outcome: Outcome
    ) -> None:
        for symbol in outcome.again:
            self.recheck(symbol)
        now = self._timing.now()
        self._second.plan(account_id, compared, now, is_stored=outcome.is_stored)


def _lane(symbol: SymbolKey) -> _Lane:
    return symbol.account_id, symbol.category is Category.SPOT
