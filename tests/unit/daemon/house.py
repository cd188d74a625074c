"""The parts that show and record, wired as the daemon wires them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from positiond.daemon.board import Board
from positiond.daemon.bucket_locks import BucketLocks
from positiond.daemon.catalogue import Catalogue
from positiond.daemon.connections import Connections
from positiond.daemon.domain.book import Book
from positiond.daemon.domain.model import AccountId, Component, Position
from positiond.daemon.domain.portfolio import Portfolio
from positiond.daemon.domain.ports import AccountExchange
from positiond.daemon.in_flight import InFlight
from positiond.daemon.position_reconciler import PositionReconciler
from positiond.daemon.recorder import Recorder
from positiond.daemon.tracker import Tracker

from ...builders import position
from .compares import Archive, Causes
from .fake_time import now, timing
from .streams import OpenDoor, Shop

LOOPS = ("watch", "rules", "publish", "sweeps", "rechecks")


class House:
    """One store, one door; nothing runs until a test runs it."""

    def __init__(self, door: OpenDoor | None = None, sweep_minutes: int = 5) -> None:
        self.portfolio = Portfolio()
        self.archive = Archive(self.portfolio)
        self.causes = Causes()
        self.shop = Shop(self.archive)
        self.door = door or OpenDoor()
        self.locks = BucketLocks()
        self.exchanges: dict[AccountId, AccountExchange] = {}
        self.timing = timing(*LOOPS)
        self.catalogue = Catalogue(self.door, now)
        self.book = Book()
        self.board = Board(
            self.book, self.portfolio, self.archive, self.archive, self.timing, sweep_minutes
        )
        self.tracker = Tracker(
            self.book, self.portfolio, self.board, self.catalogue, self.timing, self.shop
        )
        self.reconciler = PositionReconciler(
            self.portfolio,
            self.archive,
            self.exchanges,
            self.catalogue,
            self.locks,
            self.timing,
            self.tracker.mark,
            self.tracker.turned,
            self.board.pnl_writes,
            sweep_minutes,
            evidence=self.archive,
            causes=self.causes,
            in_flight=InFlight(self.portfolio, now),
        )
        self.recorder = Recorder(
            self.archive,
            self.portfolio,
            self.board,
            self.tracker,
            self.reconciler,
            self.catalogue,
            self.locks,
            self.exchanges,
            self.shop.accounts,
        )
        self.connections = self.new_connections()

    def new_connections(self) -> Connections:
        """Those of a term: each has its own."""
        return Connections(
            self.door,
            self.portfolio,
            self.exchanges,
            self.timing,
            self.tracker.on_market,
            self.tracker.on_account,
        )

    def write(self, *components: Component, name: str = "pair") -> Position:
        """A row as somebody writes it into the tables."""
        one = position(*components, name=name)
        self.archive.positions[one.id] = one
        return one

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[asyncio.TaskGroup]:
        """A group for the streams that looks at the rows open; they end with it."""
        group = asyncio.TaskGroup()
        try:
            async with group:
                yield group
                raise _Over
        except* _Over:
            pass


class _Over(Exception):
    """Ends the group."""
