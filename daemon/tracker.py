"""Tracking: stream events into the book, recorded rows into memory, changes out to the pages."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Final, NoReturn, Protocol

import structlog

from .backoff import Backoff
from .board import Board
from .catalogue import Catalogue
from .connections import Connections
from .domain.book import Book
from .domain.buckets import SymbolKey
from .domain.close_ports import Closes
from .domain.errors import PositiondError
from .domain.events import (
    AccountEvent,
    AccountFeedDown,
    AccountFeedUp,
    MarketEvent,
    MarketFeedDown,
    MarketFeedUp,
    PriceTick,
)
from .domain.model import (
    AccountId,
    BucketKey,
    Category,
    Component,
    Environment,
    Instrument,
    Position,
    PositionId,
    PositionStatus,
    UserId,
)
from .domain.people import AccountBook
from .domain.portfolio import Portfolio
from .domain.ports import Changes, Positions, Switches
from .domain.services import Publisher
from .domain.verdict import symbol_of
from .places import with_coin
from .position_reconciler import PositionReconciler
from .rules_reader import RulesReader
from .timing import Timing

_log = structlog.get_logger(__name__)

# Rows written straight into the tables are live within 2 s even when no notification comes.
_POLL: Final = 1.5
_FLUSH: Final = 0.1
_FEED_EVERY: Final = 10


class Records(Protocol):
    """The parts of the store that the tracker reads."""

    @property
    def positions(self) -> Positions: ...
    @property
    def closes(self) -> Closes: ...
    @property
    def accounts(self) -> AccountBook: ...
    @property
    def switches(self) -> Switches: ...
    @property
    def changes(self) -> Changes: ...


class Tracker:
    """Owns the book; the loops here are the only writers of positions and prices in memory."""

    def __init__(
        self,
        book: Book,
        portfolio: Portfolio,
        board: Board,
        catalogue: Catalogue,
        timing: Timing,
        store: Records,
    ) -> None:
        self._book = book
        self._portfolio = portfolio
        self._board = board
        self._catalogue = catalogue
        self._timing = timing
        self._positions = store.positions
        self._closes = store.closes
        self._accounts = store.accounts
        self._switches = store.switches
        self._changes = store.changes
        self._dirty: set[PositionId] = set()
        self._turned: set[PositionId] = set()
        self._removed: dict[UserId, set[PositionId]] = {}
        # What the store was like when all of it was last read; None: it has to be read again.
        self._mark: str | None = None
        # What was put since the current reload began.
        self._touched: set[PositionId] = set()
        # What the last look read, and the components that were shown after it.
        self._read: dict[PositionId, tuple[Position, tuple[Component, ...]]] = {}
        self._rules = RulesReader(book, board, catalogue, timing)
        self._looked = asyncio.Event()
        # The rows are in memory; and the rules of their instruments, as far as Bybit answers.
        self.loaded = asyncio.Event()
        self.learned = asyncio.Event()

    # --- sinks of the streams: plain calls, nothing here waits -------------------------------

    def on_market(self, event: MarketEvent) -> None:
        match event:
            case PriceTick():
                self._book.tick(event)
            case MarketFeedUp(environment, category):
                self._board.market_up(environment, category)
            case MarketFeedDown(environment, category, reason):
                self._lose(environment, category, reason)

    def on_account(self, event: AccountEvent) -> None:
        match event:
            case AccountFeedUp(account_id):
                self._stream(account_id, up=True, reason=None)
            case AccountFeedDown(account_id, reason):
                self._stream(account_id, up=False, reason=reason)
            case _:
                pass

    def _stream(self, account_id: AccountId, *, up: bool, reason: str | None) -> None:
        state = self._portfolio.accounts.get(account_id)
        if state is not None:
            state.stream_up, state.trouble = up, reason

    def _lose(self, environment: Environment, category: Category, reason: str) -> None:
        self._board.market_down(environment, category, reason)
        self._book.lose(environment, category)

    # --- recorded rows ----------------------------------------------------------------------

    async def run_watch(self, connections: Connections, reconciler: PositionReconciler) -> NoReturn:
        """Load what is recorded, again whenever it changes, and open the streams it needs.

        What is recorded is all that closes wait for; compares wait for `learned` as well.
        """
        backoff = Backoff(first=0.2, most=5.0)
        # However little has changed since an earlier term: its streams ended with it.
        self._mark = None
        async with asyncio.TaskGroup() as group:
            group.create_task(self._run_rules(reconciler), name="rules")
            while True:
                self._timing.beat("watch")
                try:
                    new = await self.reload(connections, group)
                except PositiondError as error:
                    self._board.store_trouble = error.detail
                    _log.warning("recorded rows were not read", code=error.code)
                    await self._timing.sleep(backoff.next())
                    continue
                backoff.reset()
                self._board.store_trouble = None
                # What is there at the first look is compared by the sweep that waits for it: in
                # few lists, not symbol by symbol.
                is_first = not self.loaded.is_set()
                for position in () if is_first else new:
                    for component in position.components:
                        reconciler.recheck(symbol_of(position, component))
                if is_first and (unplaced := self._portfolio.coins_unknown()):
                    # A spot leg is closed, and its deviations are recalled, in its coin.
                    await self._rules.read(unplaced, "watch")
                    await self.learn_coins()
                self.loaded.set()
                self._looked.set()
                await self._changes.wait(_POLL)
        raise AssertionError("the loop above has no end")

    async def reload(self, connections: Connections, group: asyncio.TaskGroup) -> list[Position]:
        """Read accounts, positions and unassigned quantities; gives what has to be compared.

        Only if they are others than last time: all of them are thousands of rows.
        """
        self._touched.clear()
        mark = await self._positions.recorded_mark()
        self._board.trading_paused = await self._switches.trading_paused()
        if mark == self._mark:
            connections.watch(group, self._book.keys())
            return []
        connections.keep(group, await self._accounts.load_all())
        recorded = await self._positions.load_open()
        unassigned = await self._positions.unassigned()
        known = set(self._portfolio.positions)
        fresh = [p for p in recorded if self._is_news(p)]
        last = await self._closes.last_requests([p.id for p in fresh])
        # From here on nothing waits. What others wrote during the reads is newer than the reads.
        moved = set() if self._touched else self._note_unassigned(unassigned)
        for request in last:
            self._portfolio.last_closes.setdefault(request.position_id, request)
        for position in recorded:
            if position.id not in self._touched and not self._is_as_read(position):
                self._put(position)
        self._read = {
            position.id: (position, self._portfolio.positions[position.id].components)
            for position in recorded
            if position.id in self._portfolio.positions and position.id not in self._touched
        }
        for gone in known - {p.id for p in recorded} - self._touched:
            # What was expected of its buckets is another sum now: its neighbours are compared.
            moved |= self._drop(gone)
        connections.watch(group, self._book.keys())
        self._mark = None if self._touched else mark
        fresh = [p for p in fresh if p.id not in self._touched]
        positions = self._portfolio.positions
        return fresh + [positions[holder] for holder in moved if holder in positions]

    def _is_as_read(self, position: Position) -> bool:
        """Neither the row nor what we made of it has changed: most of them, with every look."""
        shown = self._portfolio.positions.get(position.id)
        if shown is None or position.id not in self._read:
            return False
        read, components = self._read[position.id]
        return read is position and shown.components is components

    def _note_unassigned(self, unassigned: Mapping[BucketKey, Decimal]) -> set[PositionId]:
        """Who holds a bucket where it changed: judged by the old quantity until compared again."""
        old, self._portfolio.unassigned = self._portfolio.unassigned, unassigned
        changed = {bucket for bucket, _ in old.items() ^ unassigned.items()}
        return set(self._portfolio.holders(SymbolKey.of(bucket) for bucket in changed))

    def _is_news(self, position: Position) -> bool:
        """Recorded since the last look, or with other legs than then: it has to be compared."""
        old = self._portfolio.positions.get(position.id)
        return old is None or old.components != position.components

    def put(self, position: Position) -> None:
        """Show the position as somebody has just stored it."""
        self._touched.add(position.id)
        self._mark = None
        if position.status is PositionStatus.CLOSED:
            self._drop(position.id)
        else:
            self._put(position)

    def _put(self, position: Position) -> None:
        old = self._portfolio.positions.get(position.id)
        if old is not None and {c.id for c in old.components} != {
            c.id for c in position.components
        }:
            self._portfolio.syncs.pop(position.id, None)
        if self._portfolio.put(position):
            self._book.put(self._portfolio.positions[position.id])
            self.mark((position.id,))

    def _drop(self, position_id: PositionId) -> frozenset[PositionId]:
        """The position left the active list; gives those that share a bucket with it."""
        self._book.drop(position_id)
        position = self._portfolio.drop(position_id)
        if position is None:
            return frozenset()
        self._removed.setdefault(position.user_id, set()).add(position_id)
        return self._portfolio.holders(symbol_of(position, c) for c in position.components)

    def learn(self, instruments: Iterable[Instrument]) -> None:
        """Note the rules of instruments that somebody asked for already."""
        self._book.learn(instruments)

    async def _run_rules(self, reconciler: PositionReconciler) -> NoReturn:
        """Learn what is new, beside the looks at the rows: hundreds of symbols take their time."""
        while True:
            self._timing.beat("rules")
            if self.loaded.is_set():
                await self._rules.read(self._book.keys(), "rules")
                for symbol in await self.learn_coins():
                    if self.learned.is_set():
                        reconciler.recheck(symbol)
                self.learned.set()
            await self._timing.wait_for(self._looked, _POLL)
            self._looked.clear()

    async def learn_coins(self) -> frozenset[SymbolKey]:
        """Put spot legs into their coins, now that their instruments are known; gives the coins.

        The store keeps them too; where it does not just now, it is told again with the next look.
        """
        found: dict[Environment, dict[str, str]] = {}
        for key in self._portfolio.coins_unknown():
            instrument = self._catalogue.cached(key)
            if instrument is not None:
                found.setdefault(key.environment, {})[key.symbol] = instrument.base_coin
        for environment, coins in found.items():
            try:
                await self._positions.set_coins(environment, coins)
            except PositiondError as error:
                _log.warning("the coins of spot legs were not stored", code=error.code)
                # The rows are read without them, and they are told again.
                self._mark = None
        return frozenset(
            symbol
            for position in list(self._portfolio.positions.values())
            for symbol in self._settle_coins(position, found.get(position.environment, {}))
        )

    def _settle_coins(self, position: Position, coins: Mapping[str, str]) -> list[SymbolKey]:
        """The places where legs of the position have come to stand."""
        components = tuple(with_coin(component, coins) for component in position.components)
        moved = [c for c in components if c not in position.components]
        if moved:
            # A look at the rows may be under way, which read them without the coin.
            self._touched.add(position.id)
            self._put(replace(position, components=components))
        return [symbol_of(position, component) for component in moved]

    # --- out to the pages -------------------------------------------------------------------

    def mark(self, position_ids: Iterable[PositionId]) -> None:
        """Something other than a price changed; shown with the next flush."""
        self._dirty.update(position_ids)

    def turned(self, position_ids: Collection[PositionId]) -> None:
        """These positions' verdicts are other than before; told with the next flush."""
        for position_id in position_ids:
            sync = self._portfolio.syncs[position_id]
            _log.info(
                "verdict turned",
                position=str(position_id),
                verdict=sync.verdict.value,
                reason=sync.reason,
                differences={
                    component.symbol: format(sync.legs[component.id].difference, "f")
                    for component in self._portfolio.positions[position_id].components
                    if component.id in sync.legs and sync.legs[component.id].difference
                },
                causes=self._causes(position_id),
            )
        self._turned.update(position_ids)

    def _causes(self, position_id: PositionId) -> list[str]:
        """Why its buckets deviate, as far as that is known."""
        position = self._portfolio.positions[position_id]
        symbols = {symbol_of(position, c) for c in position.components if c.open > 0}
        rows = (
            self._portfolio.deviations.get(symbol.bucket(idx))
            for symbol in sorted(symbols)
            for idx in (0, 1, 2)
        )
        return [row.cause.text for row in rows if row is not None and row.cause is not None]

    async def run_publish(self, publisher: Publisher) -> NoReturn:
        """Ten times a second: what changed, to those who watch."""
        ticks = 0
        while True:
            self._timing.beat("publish")
            await self._timing.sleep(_FLUSH)
            self.flush(publisher)
            ticks = (ticks + 1) % _FEED_EVERY
            if not ticks:
                self.tell_feeds(publisher)

    def tell_feeds(self, publisher: Publisher) -> None:
        """How the streams are, to everybody who watches."""
        for user_id in publisher.watchers():
            publisher.feed(user_id, self._board.feed_state(user_id))

    def flush(self, publisher: Publisher) -> None:
        """Publish one conflated round."""
        turned, self._turned = self._turned, set()
        dirty = self._dirty.union(self._book.take_dirty())
        self._dirty.clear()
        removed, self._removed = self._removed, {}
        changed: dict[UserId, list[PositionId]] = {}
        for position_id in dirty:
            position = self._portfolio.positions.get(position_id)
            if position is not None:
                changed.setdefault(position.user_id, []).append(position_id)
        for user_id in publisher.watchers():
            views = [self._board.live_view(p) for p in changed.get(user_id, ())]
            gone = removed.get(user_id, set())
            if views or gone:
                publisher.positions(user_id, views, sorted(gone))
            for view in views:
                if view.position.id in turned:
                    publisher.deviation(user_id, view)
