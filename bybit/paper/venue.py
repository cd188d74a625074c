"""One running exchange: engine, ledger, faults and clock as the edges use them.

`commit` is the one place where changes become durable and events leave, in this order: what a
client is told is on disk.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from enum import StrEnum
from pathlib import Path

from ..vocab import Category
from .addresses import REQUESTS, Addresses
from .admission import LinkRule
from .books import Books
from .engine import TICK_MS, Engine
from .events import Told
from .faults import DEPTH_KINDS, FaultBoard, FaultKind
from .ledger import Ledger
from .limits import Limits
from .listing import default_listing
from .model import Account, Order, Position, Uid
from .prices import Market
from .refusals import Refused
from .replay import Player, Recording, Show
from .seeded import api_key, api_secret

MANUAL_START_MS = 1_760_000_000_000
PRICES_EVERY_MS = 2000
DEFAULT_BALANCES = {"USDT": Decimal(1_000_000)}


class ClockKind(StrEnum):
    """`auto` follows the wall clock; `manual` moves only by steps."""

    AUTO = "auto"
    MANUAL = "manual"


class Venue:
    """Everything behind the sockets; `listener` gets each event once it is durable."""

    def __init__(
        self,
        ledger: Ledger,
        *,
        seed: int,
        clock: ClockKind,
        speed: float = 1.0,
        link_rule: LinkRule = LinkRule.DAY,
        address_limit: int = REQUESTS,
        replay: Path | None = None,
    ) -> None:
        self.seed = seed
        self.clock = clock
        self.faults = FaultBoard()
        self.limits = Limits()
        self.addresses = Addresses(address_limit)
        self.listener: Callable[[Told], None] = lambda _: None
        self.changed = asyncio.Event()
        self._ledger = ledger
        self._prices_ms = 0
        self.books = Books()
        self.books.load(ledger.load())
        self.market = Market(default_listing(self._start_ms()), seed, speed)
        if saved := ledger.load_prices():
            ticks, prices = saved
            self.market.restore(prices, ticks, self.books.counters.seq)
            # What was a clean end is none any more: a sequence told from here on is not saved yet.
            ledger.store_prices(ticks, self.market.save())
        self.engine = Engine(
            self.books,
            self.market,
            seed=seed,
            now_ms=self._start_ms(),
            link_rule=link_rule,
        )
        self.engine.exact = clock is ClockKind.MANUAL
        self.engine.depth_for = self._depth_for
        if replay is not None:
            recording = Recording(replay, self.market.listing)
            self._show = Show(self.market, Player(recording, speed))
            self._play(0)

    @property
    def is_manual(self) -> bool:
        return self.clock is ClockKind.MANUAL

    def now_ms(self) -> int:
        """The exchange's clock."""
        if self.is_manual:
            return self.engine.now_ms
        return max(_wall_ms(), self.engine.now_ms)

    def server_ms(self) -> int:
        """The clock as the venue shows it, off by the skew in force."""
        return self.now_ms() + self.faults.skew_ms()

    def signing_ms(self) -> int | None:
        """The clock that request timestamps are judged by. A clock that stands still would
        refuse every client, so under manual only a scripted skew is judged."""
        if not self.is_manual:
            return self.server_ms()
        skew = self.faults.skew_ms()
        return _wall_ms() + skew if skew else None

    def advance(self, now_ms: int) -> None:
        """Lets happen what is due by `now_ms`, stores it, tells it.

        By steps, one for each moment at which something is due: what a listener plans in
        answer to an event (a delayed frame) then still falls into its place.
        """
        while self.is_manual and (due := self.engine.next_ms()) is not None and due < now_ms:
            self.engine.advance(due)
            self.commit()
        self.engine.advance(now_ms)
        self.commit()

    def commit(self) -> None:
        """Makes durable what changed, then hands out the events."""
        self._ledger.store(self.books.drain())
        self.changed.set()
        outbox, self.engine.outbox = self.engine.outbox, []
        for told in outbox:
            self.listener(told)
        if self.is_manual:
            self.keep_prices()

    def keep_prices(self) -> None:
        """Stores all prices every two seconds. Under the wall clock its loop asks for it once
        the frames are out, which would else wait for it."""
        if self.engine.now_ms - self._prices_ms >= PRICES_EVERY_MS:
            self._store_prices()
            self._ledger.store(self.books.drain())

    def _play(self, milliseconds: int) -> None:
        """Shows what the recording has of this much time, and goes on with the next tick."""
        self.engine.later(TICK_MS, lambda: self._play(TICK_MS))
        if not self.engine.paused:
            self.engine.show(self._show.play(milliseconds))

    def _store_prices(self, *, clean: bool = False) -> None:
        self._prices_ms = now_ms = self.engine.now_ms
        self.books.put(replace(self.books.counters, seq=self.market.seq, now_ms=now_ms))
        self._ledger.store_prices(self.market.ticks, self.market.save(clean=clean))

    def close(self) -> None:
        self.commit()
        self._store_prices(clean=True)
        self.commit()
        self._ledger.close()

    def add_account(
        self,
        label: str = "",
        *,
        key: str = "",
        secret: str = "",
        read_only: bool = False,
        balances: Mapping[str, Decimal] | None = None,
    ) -> Account:
        """A new UID with its balances; the same key again gives the account it has."""
        if known := self.books.by_api_key.get(key):
            return known
        serial = self.books.count("account")
        account = Account(
            uid=Uid(str(100_000 + serial)),
            label=label or f"paper-{serial}",
            key=key or api_key(self.seed, serial),
            secret=secret or api_secret(self.seed, serial),
            read_only=read_only,
            created_ms=self.now_ms(),
        )
        self.books.put(account)
        for coin, amount in (DEFAULT_BALANCES if balances is None else balances).items():
            self.engine.deposit(account.uid, coin, amount, self.now_ms())
        self.commit()
        return account

    def change_account(self, account: Account) -> None:
        """Puts other terms of a known key in force, durably."""
        self.books.put(account)
        self.commit()

    def account(self, name: str) -> Account:
        """By UID, key or label; raises Refused 10003 for none."""
        for account in self.books.accounts.values():
            if name in (account.uid, account.key, account.label):
                return account
        raise Refused(10003, "API key is invalid.")

    def set_mark(self, category: Category, symbol: str, mark: Decimal) -> None:
        """Pins a price, durably."""
        self.engine.set_mark(category, symbol, mark)
        self._store_prices()
        self.commit()

    def held(self, uid: Uid, category: Category, symbol: str, idx: int = 0) -> Position:
        self.market.listing.get(category, symbol)
        return self.books.position(uid, category, symbol, idx)

    def _depth_for(self, order: Order) -> Decimal | None:
        symbol = order.symbol
        fault = self.faults.take(DEPTH_KINDS, symbol, order.uid, symbol=symbol)
        if fault is None or fault.kind is FaultKind.THIN_BOOK:
            return fault.depth if fault else None
        return self.market.listing.get(order.category, symbol).floor_qty(order.qty * fault.share)

    def _start_ms(self) -> int:
        saved = self.books.counters.now_ms
        if self.is_manual:
            return saved or MANUAL_START_MS
        # A manual run may have left a clock ahead of the wall's; order times never go back.
        return max(_wall_ms(), saved)


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000
