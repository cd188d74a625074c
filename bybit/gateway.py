"""The door to Bybit in all its environments: hosts, clocks and limits are shared behind it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, assert_never

import aiohttp

from ..daemon.domain.errors import ExchangeRefused, InvalidInput
from ..daemon.domain.model import (
    Account,
    Category,
    Credentials,
    Environment,
    Instrument,
    InstrumentKey,
)
from ..daemon.domain.orders import OrderBook
from . import translate, vocab
from .account_feed import BybitAccountFeed
from .clock import ServerClock
from .exchange import BybitAccount
from .fields import Raw, WireError
from .limits import ADDRESS_LIMIT, AddressGate
from .market_feed import BybitMarketFeed
from .oddities import Oddities
from .outcomes import PARAMETER_CODE
from .reconnect import Persistence
from .rest import Patience, Query, RestClient, reading
from .signing import Signer
from .streaming import StreamTools
from .tally import Tallies
from .turns import Doors, Turnstile
from .vocab import Hosts
from .wire_market import read_book, read_instrument

_INSTRUMENTS_PAGE: Final = "1000"
# The deepest book that Bybit gives of options, and of spot. (Bybit V5: market/orderbook)
_OPTION_BOOK: Final = "25"
_BOOK: Final = "200"
# Bybit lists only what trades unless asked: a delisting symbol would vanish from under a leg. The
# closed options are left out of the long list, where each day adds hundreds: ask them by symbol.
_GONE: Final = (vocab.InstrumentStatus.DELIVERING, vocab.InstrumentStatus.CLOSED)
# The coins that Bybit lists options on; it names them nowhere, so others are learnt from symbols.
_OPTION_COINS: Final = ("BTC", "ETH", "SOL", "XRP", "DOGE", "MNT")
_OTHER_STATUSES: Final = (
    vocab.InstrumentStatus.DELIVERING,
    vocab.InstrumentStatus.PRE_LAUNCH,
    vocab.InstrumentStatus.CLOSED,
)
_KEEP_ALIVE: Final = 60.0


def known_hosts(overrides: Mapping[Environment, Hosts]) -> dict[Environment, Hosts]:
    """Bybit's own hosts, replaced or (for paper) completed by configuration."""
    known = {Environment(name): hosts for name, hosts in vocab.HOSTS.items()}
    return {**known, **overrides}


def _utcnow() -> datetime:
    return datetime.now(UTC)


class BybitGateway:
    """Makes accounts and feeds (a Gateway). It uses the HTTP session but does not own it."""

    def __init__(
        self,
        http: aiohttp.ClientSession,
        hosts: Mapping[Environment, Hosts],
        *,
        utcnow: Callable[[], datetime] = _utcnow,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        patience: Patience | None = None,
        persistence: Persistence | None = None,
        tallies: Tallies | None = None,
    ) -> None:
        self.oddities = Oddities()
        self._http = http
        self._hosts = dict(hosts)
        self._utcnow = utcnow
        self._monotonic = monotonic
        self._sleep = sleep
        self._patience = patience or Patience()
        self._tallies = tallies or Tallies(None)
        doors = Doors(monotonic, sleep, self._tallies)
        self._tools = StreamTools(
            self.oddities, doors, monotonic, sleep, persistence or Persistence()
        )
        self._turns: dict[str, Turnstile] = {}
        self._clients: dict[Environment, RestClient] = {}
        self._option_coins = set(_OPTION_COINS)

    def account(self, account: Account, credentials: Credentials) -> BybitAccount:
        return BybitAccount(self.client(account.environment), Signer(credentials))

    def account_feed(self, account: Account, credentials: Credentials) -> BybitAccountFeed:
        client = self.client(account.environment)
        return BybitAccountFeed(
            account.id,
            f"{self._hosts_of(account.environment).private_ws}{vocab.WS_PRIVATE_PATH}",
            Signer(credentials),
            client.clock,
            client.measure_clock,
            self._tools,
        )

    def market_feed(self, environment: Environment, category: Category) -> BybitMarketFeed:
        host = self._hosts_of(environment).public_ws
        url = f"{host}{vocab.WS_PUBLIC_PATH}{category.value}"
        return BybitMarketFeed(environment, category, url, self._tools)

    def client(self, environment: Environment) -> RestClient:
        """The environment's REST client: one, so that clock and limits are shared."""
        if environment not in self._clients:
            self._clients[environment] = RestClient(
                self._http,
                self._hosts_of(environment).rest,
                clock=ServerClock(self._utcnow, self._monotonic),
                turns=self._turns_of(environment),
                oddities=self.oddities,
                monotonic=self._monotonic,
                sleep=self._sleep,
                patience=self._patience,
            )
        return self._clients[environment]

    def ban_left(self, environment: Environment) -> float:
        return self._turns_of(environment).pause_left

    def _turns_of(self, environment: Environment) -> Turnstile:
        """Bybit counts our address over all its hosts; a local exchange counts for itself.

        Made when first needed: a standby that takes over knows what the leader sent until then.
        """
        is_paper = environment is Environment.PAPER
        exchange = "paper" if is_paper else "bybit"
        if exchange not in self._turns:
            sent = self._tallies.open(f"requests-{exchange}", ADDRESS_LIMIT)
            # A local exchange that was started anew with us has forgotten its bans.
            bans = None if is_paper else self._tallies.open(f"bans-{exchange}", 1)
            gate = AddressGate(self._monotonic, sent, bans)
            self._turns[exchange] = Turnstile(gate, self._monotonic, self._sleep)
        return self._turns[exchange]

    def _hosts_of(self, environment: Environment) -> Hosts:
        try:
            return self._hosts[environment]
        except KeyError:
            raise InvalidInput(
                "no-hosts", f"no address is configured for the environment {environment.value}"
            ) from None

    # --- the book ------------------------------------------------------------------------

    async def order_book(
        self, environment: Environment, category: Category, symbol: str
    ) -> OrderBook:
        limit = _OPTION_BOOK if category is Category.OPTION else _BOOK
        query = [("category", category.value), ("symbol", symbol), ("limit", limit)]
        result = await self.client(environment).get(vocab.Path.ORDERBOOK, query)
        with reading(vocab.Path.ORDERBOOK):
            row = read_book(result)
            if row.symbol != symbol:
                raise WireError(f"the book of {row.symbol[:40]!r}")
            return translate.order_book(row)

    # --- instruments ---------------------------------------------------------------------

    async def instruments(
        self,
        environment: Environment,
        category: Category,
        symbol: str | None = None,
        *,
        urgent: bool = False,
    ) -> list[Instrument]:
        """As the port says; a row that cannot be read is reported and left out of a long list."""
        client = self.client(environment)
        if symbol is not None:
            wanted = InstrumentKey(environment, category, symbol)
            return await self._one_instrument(client, wanted, urgent=urgent)
        raw: list[Raw] = []
        for query in self._lists_of(category):
            if category is Category.OPTION:
                raw += await self._listed(client, query, urgent=urgent)
            else:
                raw += await client.pages(vocab.Path.INSTRUMENTS, query, urgent=urgent)
        found: dict[str, Instrument] = {}
        for row in raw:
            try:
                instrument = _instrument(row, environment, category)
            except WireError as error:
                self.oddities.note("instrument that cannot be read", str(error))
                continue
            found.setdefault(instrument.key.symbol, instrument)
        return list(found.values())

    def _lists_of(self, category: Category) -> list[Query]:
        """What to ask for all of a category.

        What trades comes first: a contract that ends meanwhile is then in two lists, not in none.
        """
        query = _query(category)
        match category:
            case Category.SPOT:
                return [query]
            case Category.LINEAR | Category.INVERSE:
                return [query, *([*query, ("status", status.value)] for status in _GONE)]
            case Category.OPTION:
                # Without a coin Bybit lists BTC options only.
                return [[*query, ("baseCoin", coin)] for coin in sorted(self._option_coins)]
            case _:
                assert_never(category)

    async def _listed(self, client: RestClient, query: Query, *, urgent: bool) -> list[Raw]:
        try:
            return await client.pages(vocab.Path.INSTRUMENTS, query, urgent=urgent)
        except ExchangeRefused as refusal:
            # "symbol invalid", or a coin without options: how some categories say "none".
            if refusal.ret_code != PARAMETER_CODE:
                raise
            return []

    async def _one_instrument(
        self, client: RestClient, wanted: InstrumentKey, *, urgent: bool
    ) -> list[Instrument]:
        environment, category, symbol = wanted.environment, wanted.category, wanted.symbol
        query = [*_query(category), ("symbol", symbol)]
        if category is Category.OPTION:
            coin = symbol.partition("-")[0]
            query.append(("baseCoin", coin))
        asked: list[Query] = [query]
        if category is not Category.SPOT:
            asked += [[*query, ("status", status.value)] for status in _OTHER_STATUSES]
        for one in asked:
            raw = await self._listed(client, one, urgent=urgent)
            with reading(vocab.Path.INSTRUMENTS):
                found = [
                    _instrument(row, environment, category)
                    for row in raw
                    if row.get("symbol") == symbol
                ]
            if found:
                if category is Category.OPTION:
                    self._option_coins.add(coin)
                return found[:1]
        return []


def _query(category: Category) -> list[tuple[str, str]]:
    return [("category", category.value), ("limit", _INSTRUMENTS_PAGE)]


def _instrument(row: Raw, environment: Environment, category: Category) -> Instrument:
    return translate.instrument(read_instrument(row), environment, category)


@asynccontextmanager
async def open_gateway(
    overrides: Mapping[Environment, Hosts],
    *,
    patience: Patience | None = None,
    persistence: Persistence | None = None,
    memory: Path | None = None,
) -> AsyncIterator[BybitGateway]:
    """A gateway with an HTTP session of its own; `overrides` replace Bybit's hosts.

    In the directory `memory` it keeps what it sent of late, for whoever is started after it.
    """
    async with AsyncExitStack() as stack:
        tallies = Tallies(memory)
        stack.callback(tallies.close)
        http = await stack.enter_async_context(_http())
        yield BybitGateway(
            http,
            known_hosts(overrides),
            patience=patience,
            persistence=persistence,
            tallies=tallies,
        )


def _http() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        # Without a limit of its own: an order must not wait in it behind the reads under way, and
        # how many those may be is settled before.
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEP_ALIVE),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": "positiond"},
    )
