"""Reading what Bybit holds: by lists where they tell, by symbol where they leave out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final

import structlog

from .catalogue import Catalogue
from .domain.buckets import SymbolKey, place_of
from .domain.errors import ExchangeBusy, ExchangeRefused, ExchangeUnreachable, PositiondError
from .domain.model import ZERO, AccountId, Category, Fill, Holding, InstrumentKey
from .domain.portfolio import Portfolio
from .domain.ports import AccountExchange
from .domain.verdict import Reading, contradiction
from .newest_fills import BETWEEN_LOOKS, LOOKS, NewestFills, are_shown
from .timing import Timing
from .together import together

_log = structlog.get_logger(__name__)

# The row is from before a fill that is known: right in a moment, so no reason to doubt yet.
LAGS: Final = "Bybit's row is older than the last fill there"
_LAGS_FOR_LONG: Final = "Bybit's row has been older than the last fill there for too long"
LATE: Final = frozenset({LAGS, _LAGS_FOR_LONG})
_LAG_PATIENCE: Final = timedelta(seconds=10)
# So many symbols at once, and if none of them gets an answer the account's others are not asked
# either: each takes half a minute to give up, and a stuck loop would be all that a watchdog sees.
_AT_ONCE: Final = 4
_ENOUGH_SILENCE: Final = 2
_HEDGE: Final = frozenset({1, 2})
_ALL_KNOWN: Final[Mapping[SymbolKey, Iterable[Fill]]] = MappingProxyType({})
# What Bybit says of a symbol that it does not list (any more): V5 error 10001.
_PARAMETER_ERROR: Final = 10001


class SizeReader:
    """Gives a Reading for every symbol asked for; one that failed says why.

    `loop` names who asks: its heartbeat goes on with every answer.
    """

    def __init__(
        self,
        portfolio: Portfolio,
        exchanges: Mapping[AccountId, AccountExchange],
        catalogue: Catalogue,
        fills: NewestFills,
        timing: Timing,
    ) -> None:
        self._portfolio = portfolio
        self._exchanges = exchanges
        self._catalogue = catalogue
        self._fills = fills
        self._timing = timing
        # Since when each symbol's row has been older than a fill, whenever it was read.
        self._late_since: dict[SymbolKey, datetime] = {}

    async def account(
        self, account_id: AccountId, symbols: frozenset[SymbolKey], loop: str
    ) -> dict[SymbolKey, Reading]:
        """Few list calls for most symbols; what a list leaves out is asked for by symbol.

        A symbol missing from a list is a claim, not a fact (Bybit's lists are known to omit held
        positions), and a symbol query answers even when flat.
        """
        exchange = self._exchanges.get(account_id)
        if exchange is None:
            return self.failed(symbols, self._trouble(account_id))
        listed: dict[SymbolKey, list[Holding]] = {}
        lists = sorted(self._lists(symbols))
        for rows in await together(self._list(exchange, *which, loop) for which in lists):
            for holding in rows:
                key = SymbolKey(account_id, holding.category, holding.symbol)
                listed.setdefault(key, []).append(holding)
        now = self._timing.now()
        told = [s for s in symbols if s in listed and self._is_whole(s, listed[s])]
        readings = {symbol: Reading(tuple(listed[symbol]), now) for symbol in told}
        self._note_late(readings)
        return readings | await self.symbols(account_id, symbols - readings.keys(), loop)

    async def symbols(
        self,
        account_id: AccountId,
        symbols: Iterable[SymbolKey],
        loop: str,
        *,
        urgent: bool = False,
    ) -> dict[SymbolKey, Reading]:
        """One query for each, a few at a time; several where a row is older than a fill."""
        exchange = self._exchanges.get(account_id)
        if exchange is None:
            return self.failed(symbols, self._trouble(account_id))
        asked = frozenset(symbols)
        unknown = asked & self._unknown(account_id)
        readings = await self._ask(exchange, asked - unknown, loop, urgent)
        self._note_late(readings)
        # Those that are known by now, and not those that come meanwhile.
        late = {s: self._fills.recent(s) for s, r in readings.items() if r.failure == LAGS}
        for _ in range(LOOKS - 1):
            if not late:
                break
            await self._timing.sleep(BETWEEN_LOOKS)
            readings |= await self._ask(exchange, late, loop, urgent, late)
            late = {s: fills for s, fills in late.items() if readings[s].failure == LAGS}
        for symbol in self._note_late(readings):
            readings[symbol] = replace(readings[symbol], failure=_LAGS_FOR_LONG)
        return readings | self.failed(unknown, "the instrument is not known yet")

    async def _ask(
        self,
        exchange: AccountExchange,
        symbols: Iterable[SymbolKey],
        loop: str,
        urgent: bool,
        to_show: Mapping[SymbolKey, Iterable[Fill]] = _ALL_KNOWN,
    ) -> dict[SymbolKey, Reading]:
        """One query for each; `to_show` are fills that rows may not be older than."""
        readings: dict[SymbolKey, Reading] = {}
        wanted, silent = sorted(symbols), 0
        while wanted:
            batch, wanted = wanted[:_AT_ONCE], wanted[_AT_ONCE:]
            answers = await together(
                self._symbol(exchange, s, loop, urgent, to_show.get(s)) for s in batch
            )
            readings |= {s: reading for s, (reading, _) in zip(batch, answers, strict=True)}
            silent = silent + len(batch) if all(is_silent for _, is_silent in answers) else 0
            if silent >= _ENOUGH_SILENCE:
                return readings | self.failed(wanted, answers[-1][0].failure or "no answer")
        return readings

    def _note_late(self, readings: Mapping[SymbolKey, Reading]) -> list[SymbolKey]:
        """Remember since when rows have been late; gives those that have been for too long."""
        now = self._timing.now()
        for symbol, reading in readings.items():
            if reading.failure != LAGS:
                self._late_since.pop(symbol, None)
            else:
                self._late_since.setdefault(symbol, now)
        late = self._late_since
        return [s for s in readings if s in late and now - late[s] >= _LAG_PATIENCE]

    def failed(self, symbols: Iterable[SymbolKey], why: str) -> dict[SymbolKey, Reading]:
        return {symbol: Reading((), self._timing.now(), why) for symbol in symbols}

    # --- lists ------------------------------------------------------------------------------

    async def _list(
        self, exchange: AccountExchange, category: Category, coin: str, loop: str
    ) -> list[Holding]:
        try:
            return await exchange.holdings(category, settle_coin=coin)
        except PositiondError as error:
            # The symbols are still asked for one by one: each then speaks for itself.
            _log.warning("a list failed", category=category.value, coin=coin, code=error.code)
            return []
        finally:
            self._timing.beat(loop)

    def _lists(self, symbols: frozenset[SymbolKey]) -> set[tuple[Category, str]]:
        """The lists that cover the symbols: linear ones by settle coin, the others by category."""
        found: set[tuple[Category, str]] = set()
        for symbol in symbols:
            if symbol.category is not Category.LINEAR:
                found.add((symbol.category, ""))
                continue
            instrument = self._catalogue.cached(self._key(symbol))
            if instrument is not None:
                found.add((symbol.category, instrument.settle_coin))
        return found

    def _is_whole(self, symbol: SymbolKey, rows: list[Holding]) -> bool:
        """Whether a list may be believed about the symbol.

        It leaves out what is flat, so of a symbol in hedge mode it may tell one side alone.
        """
        sides = {row.position_idx for row in rows} & _HEDGE
        is_new = are_shown(self._fills.recent(symbol), rows) and not self._falls_back(symbol, rows)
        return (not sides or sides == _HEDGE) and not contradiction(rows) and is_new

    def _falls_back(self, symbol: SymbolKey, rows: list[Holding]) -> bool:
        """Whether a row is older than the last one read of its bucket (V5: `seq` per symbol)."""
        last = self._portfolio.readings.get(symbol)
        known = {row.position_idx: row.seq or 0 for row in last.holdings} if last else {}
        return any(row.seq is not None and row.seq < known.get(row.position_idx, 0) for row in rows)

    # --- symbols ----------------------------------------------------------------------------

    async def _symbol(
        self,
        exchange: AccountExchange,
        symbol: SymbolKey,
        loop: str,
        urgent: bool,
        to_show: Iterable[Fill] | None,
    ) -> tuple[Reading, bool]:
        """What the query says, and whether there was no answer at all.

        `to_show` are fills that the rows may not be older than; None: all that are known by then.
        """
        try:
            rows = await exchange.holdings_in(symbol.category, symbol.symbol, urgent=urgent)
        except PositiondError as error:
            if not self._is_gone(symbol, error):
                is_silent = isinstance(error, ExchangeUnreachable | ExchangeBusy)
                return Reading((), self._timing.now(), error.detail), is_silent
            rows = []
        finally:
            self._timing.beat(loop)
        is_over = not any(row.size for row in rows) and self._is_delivered(symbol)
        if is_over:
            rows = rows or [self._flat(symbol)]
        sides = self._portfolio.sides_in(symbol)
        why = contradiction(rows, sides) if rows else "Bybit gave no row for the symbol"
        fills = self._fills.recent(symbol) if to_show is None else to_show
        if not is_over and not are_shown(fills, rows):
            why = why or LAGS
        return Reading(tuple(rows), self._timing.now(), why), False

    def _is_gone(self, symbol: SymbolKey, error: PositiondError) -> bool:
        is_unlisted = isinstance(error, ExchangeRefused) and error.ret_code == _PARAMETER_ERROR
        return is_unlisted and self._is_delivered(symbol)

    def _is_delivered(self, symbol: SymbolKey) -> bool:
        """An expired contract leaves Bybit's lists for good: no row is then as good as flat."""
        # An account may be removed while it is read, once nothing of it is open.
        if symbol.category is Category.SPOT or symbol.account_id not in self._portfolio.accounts:
            return False
        return self._catalogue.is_delivered(self._key(symbol))

    def _flat(self, symbol: SymbolKey) -> Holding:
        now = self._timing.now()
        return Holding(symbol.category, symbol.symbol, 0, None, ZERO, None, None, None, now)

    def _unknown(self, account_id: AccountId) -> set[SymbolKey]:
        """Where spot legs stand whose coin is not known: there is no such wallet to ask for."""
        return {
            place_of(account_id, component)
            for position in self._portfolio.of_account(account_id)
            for component in position.components
            if component.category is Category.SPOT and component.coin is None
        }

    def _key(self, symbol: SymbolKey) -> InstrumentKey:
        environment = self._portfolio.accounts[symbol.account_id].account.environment
        return InstrumentKey(environment, symbol.category, symbol.symbol)

    def _trouble(self, account_id: AccountId) -> str:
        state = self._portfolio.accounts.get(account_id)
        return (state.trouble if state else None) or "the account is not connected"
