"""How the daemon's parts hang together, and the term of leadership in which its loops run."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import MappingProxyType
from typing import Final, NoReturn
from uuid import uuid4

import structlog

from ..http.hub import Hub
from ..http.services import Services
from ..store.migrate import migrate, missing
from ..store.store import Store
from .account_desk import AccountDesk
from .backoff import Backoff
from .board import Board
from .bucket_locks import BucketLocks
from .catalogue import Catalogue
from .cause_finder import CauseFinder
from .close_context import Closing
from .close_desk import CloseDesk
from .close_inbox import Inboxes
from .close_planner import ClosePlanner
from .close_quotes import CloseQuotes
from .config import LoopConfig
from .connections import Connections
from .domain.book import Book
from .domain.errors import ExchangeUnreachable, StoreUnavailable
from .domain.events import AccountEvent
from .domain.model import AccountId, CloseId, CloseOrderId, Position
from .domain.orders import CloseRequest
from .domain.portfolio import Portfolio
from .domain.ports import AccountExchange, Gateway
from .domain.verdict import symbol_of
from .funding_ledger import FundingLedger
from .funding_reads import FundingReads
from .historian import Historian
from .in_flight import InFlight
from .inquiry import Inquiry
from .position_reconciler import PositionReconciler
from .pulse import Pulse
from .recorder import Recorder
from .resolver import Resolver
from .supervise import Loop, endless, first_errors
from .timing import Timing, utc_now
from .together import apart
from .tracker import Tracker
from .trade_closer import TradeCloser

_log = structlog.get_logger(__name__)

# How long each loop may go without a beat before the watchdog calls it stuck, in seconds.
_LIMITS: Final = MappingProxyType(
    {
        "watch": 60.0,
        "rules": 300.0,
        "publish": 15.0,
        "sweeps": 300.0,
        "rechecks": 300.0,
        "closes": 60.0,
        "funding": 300.0,
        # One account's week of executions, page by page behind the reads of all the others.
        "funding reads": 900.0,
        "history": 300.0,
    }
)
_OLDER: Final = "its schema is an older version's; this process changes it once it leads"


class Daemon:
    """Every part, wired once; `lead` runs the loops while this process holds the trading lock."""

    def __init__(
        self, loops: LoopConfig, store: Store, gateway: Gateway, hub: Hub, store_url: str
    ) -> None:
        self._loops = loops
        self._store = store
        self._store_url = store_url
        self._gateway = gateway
        self._hub = hub
        self.pulse = Pulse(time.monotonic)
        self._timing = Timing(utc_now, time.monotonic, self.pulse)
        # Shut until it is known what a dead process left in which bucket.
        self._locks = BucketLocks(is_shut=True)
        self._inboxes = Inboxes()
        self._wake = asyncio.Event()
        self._exchanges: dict[AccountId, AccountExchange] = {}
        self._portfolio = Portfolio()
        self._catalogue = Catalogue(gateway, utc_now)
        self._in_flight = InFlight(self._portfolio, utc_now)
        self._causes = CauseFinder(
            self._portfolio, self._exchanges, store.evidence, self._catalogue, self._timing
        )
        self._book = Book()
        self._closer: TradeCloser | None = None
        self._connections: Connections | None = None
        self.board = Board(
            self._book,
            self._portfolio,
            store.positions,
            store.closes,
            self._timing,
            loops.sweep_minutes,
        )
        self.tracker = Tracker(
            self._book, self._portfolio, self.board, self._catalogue, self._timing, store
        )
        self.reconciler = PositionReconciler(
            self._portfolio,
            store.positions,
            self._exchanges,
            self._catalogue,
            self._locks,
            self._timing,
            self.tracker.mark,
            self.tracker.turned,
            self.board.pnl_writes,
            loops.sweep_minutes,
            evidence=store.evidence,
            causes=self._causes,
            in_flight=self._in_flight,
            fee_tolerance=loops.spot_fee_tolerance,
        )
        self.board.ban_left = gateway.ban_left
        self.board.sweep_at = lambda: self.reconciler.last_sweep_at

    def services(self) -> Services:
        """What the HTTP floor is given."""
        store = self._store
        recorder = Recorder(
            store.positions,
            self._portfolio,
            self.board,
            self.tracker,
            self.reconciler,
            self._catalogue,
            self._locks,
            self._exchanges,
            store.accounts,
        )
        return Services(
            board=self.board,
            recorder=recorder,
            closes=self._close_desk(),
            inquiry=Inquiry(self.board, store.evidence, utc_now),
            resolver=self._resolver(),
            account_desk=AccountDesk(
                self._portfolio,
                self._exchanges,
                store.accounts,
                self._timing,
                self.board.live_view,
                self.reconciler.resync,
            ),
            people=store.people,
            accounts=store.accounts,
            hub=self._hub,
        )

    def _close_desk(self) -> CloseDesk:
        closing, slippage = self._closing(), self._loops.close_slippage
        quotes = CloseQuotes(self._gateway, self._exchange, self._timing)
        return CloseDesk(
            self._store.closes,
            self._store.positions,
            self._portfolio,
            self.tracker,
            self._wake,
            utc_now,
            self._loops.close_expiry,
            ClosePlanner(closing, quotes, self._book.index, slippage),
            self._recheck_close,
            slippage,
            self._book.settle_coin,
            self._look_again,
        )

    def _look_again(self, account_id: AccountId) -> None:
        if self._connections is not None:
            self._connections.look_again(account_id)

    def _recheck_close(self, close_id: CloseId) -> None:
        """Only the process that leads drives closes; any other has nothing to nudge."""
        if self._closer is not None:
            self._closer.recheck(close_id)

    def _resolver(self) -> Resolver:
        return Resolver(
            self._store.positions,
            self._portfolio,
            self.board,
            self._locks,
            self._timing,
            self.reconciler.read_now,
            self.reconciler.settle_now,
            self.tracker.put,
            self._loops.spot_fee_tolerance,
        )

    # --- leading ----------------------------------------------------------------------------

    async def lead(self) -> NoReturn:
        """Lead whenever the trading lock can be had, stand by otherwise, for ever.

        A database that goes away ends the term and nothing else: what is known stays shown, and
        the next term starts from the rows.
        """
        backoff = Backoff(first=0.2, most=10.0)
        while True:
            try:
                # A schema of a newer version is refused at once, not only when it would be used.
                is_older = bool(await missing(self._store_url))
                self.board.store_trouble = _OLDER if is_older else None
                async with self._store.leadership.held(self._migrate) as epoch:
                    self.board.store_trouble = None
                    backoff.reset()
                    self.board.leads = True
                    _log.info("leading", epoch=epoch)
                    await apart(self._term())
            except* StoreUnavailable as errors:
                self.board.store_trouble = str(first_errors(errors)[0])
                _log.warning("the database is not usable", reason=self.board.store_trouble)
                # Not that the streams ended with the term, but why it ended is what to look for.
                self.reconciler.doubt(f"the database is not usable: {self.board.store_trouble}")
                self.tracker.flush(self._hub)
            finally:
                self.board.leads = False
            await self._timing.sleep(backoff.next())

    async def _migrate(self) -> None:
        """With the trading lock held: whoever leads with the old schema goes on with it."""
        for name in await migrate(self._store_url):
            _log.info("schema brought up to date", migration=name)

    async def _term(self) -> None:
        """Run the loops until one fails: the row of the last term's closes is where they stand."""
        closer = self._closer = TradeCloser(
            self._closing(), self._timing, self._wake, self._gateway.ban_left
        )
        funding, funding_reads = self._funding()
        historian = Historian(self.board.pnl_points, self._store.evidence, self._timing)

        def on_account(event: AccountEvent) -> None:
            # The closer first: a compare must not see a fill that its close has not heard of. And
            # the causes before the compare: what it finds is then explained with what was told.
            closer.on_account(event)
            self.tracker.on_account(event)
            self._causes.on_account(event)
            funding.on_account(event)
            funding_reads.on_account(event)
            self.reconciler.on_account(event)

        connections = self._connections = Connections(
            self._gateway,
            self._portfolio,
            self._exchanges,
            self._timing,
            self.tracker.on_market,
            on_account,
        )
        self.tracker.loaded.clear()
        self.tracker.learned.clear()
        self.board.forget_markets()
        with self._beating(), self._streaming(connections):
            async with asyncio.TaskGroup() as group:

                def start(name: str, loop: Loop) -> None:
                    group.create_task(endless(name, loop), name=name)

                start("watch", lambda: self.tracker.run_watch(connections, self.reconciler))
                start("publish", lambda: self.tracker.run_publish(self._hub))
                await self.tracker.loaded.wait()
                await self.reconciler.recall()
                start("closes", closer.run)
                # No compare sees what a dead process sent before its close stands for it.
                await closer.resumed.wait()
                # By the rules an account is read in a few lists, without them symbol by symbol.
                await self.tracker.learned.wait()
                start("rechecks", self.reconciler.run_rechecks)
                start("sweeps", lambda: self.reconciler.run_sweeps(connections.are_settled))
                start("funding", funding.run)
                start("funding reads", funding_reads.run)
                start("history", historian.run)

    def _funding(self) -> tuple[FundingLedger, FundingReads]:
        evidence = self._store.evidence
        ledger = FundingLedger(
            self._portfolio,
            self._store.positions,
            evidence,
            self._exchanges,
            self._catalogue,
            self._locks,
            self._timing,
            self.tracker.put,
        )
        reads = FundingReads(self._portfolio, self._exchanges, evidence, ledger, self._timing)
        return ledger, reads

    @contextmanager
    def _streaming(self, connections: Connections) -> Iterator[None]:
        """Afterwards nothing is shown as live or in sync that nobody looks after any more."""
        try:
            yield
        finally:
            connections.end("this process does not lead just now")
            self.tracker.flush(self._hub)
            self.tracker.tell_feeds(self._hub)

    @contextmanager
    def _beating(self) -> Iterator[None]:
        for name, limit in _LIMITS.items():
            self.pulse.expect(name, limit)
        try:
            yield
        finally:
            for name in _LIMITS:
                self.pulse.forget(name)

    # --- closing ----------------------------------------------------------------------------

    def _closing(self) -> Closing:
        store = self._store
        return Closing(
            closes=store.closes,
            positions=store.positions,
            switches=store.switches,
            portfolio=self._portfolio,
            catalogue=self._catalogue,
            locks=self._locks,
            in_flight=self._in_flight,
            inboxes=self._inboxes,
            timing=self._timing,
            new_link_id=lambda: f"pd-{secrets.token_hex(12)}",
            new_order_id=lambda: CloseOrderId(uuid4()),
            exchange=self._exchange,
            shown=self._show_close,
            ended=self._end_close,
            price=self._book.price,
            fee_tolerance=self._loops.spot_fee_tolerance,
        )

    def _exchange(self, position: Position) -> AccountExchange:
        exchange = self._exchanges.get(position.account_id)
        if exchange is None:
            state = self._portfolio.accounts.get(position.account_id)
            why = (state.trouble if state else None) or "the account is not connected yet"
            raise ExchangeUnreachable("account-not-connected", why)
        return exchange

    def _show_close(self, request: CloseRequest) -> None:
        if not self._portfolio.note_close(request):
            return
        position = self._portfolio.positions.get(request.position_id)
        self.tracker.mark((request.position_id,))
        if position is not None:
            self._hub.close(position.user_id, request)

    def _end_close(self, request: CloseRequest, position: Position | None) -> None:
        self._show_close(request)
        if position is None:
            return
        self.tracker.put(position)
        for component in position.components:
            # Others may hold the symbol: what the close moved is compared once it has settled.
            self.reconciler.recheck(symbol_of(position, component))
