"""Reading what Bybit holds: by lists where they tell, by symbol where they leave out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import structlog

from .catalogue import Catalogue
from .domain.buckets import SymbolKey
from .domain.errors import ExchangeBusy, ExchangeUnreachable, PositiondError
from .domain.model import AccountId, Category, Holding, InstrumentKey
from .domain.portfolio import Portfolio
from .domain.ports import AccountExchange
from .domain.verdict import Reading
from .timing import Timing

_log = structlog.get_logger(__name__)

# So many symbols in a row without an answer, and the account's others are not asked either: each
# takes half a minute to give up, and a stuck loop would be all that a watchdog sees.
_ENOUGH_SILENCE: Final = 2
_HEDGE: Final = frozenset({1, 2})


class SizeReader:
    """Gives a Reading for every symbol asked for; one that failed says why.

    `loop` names who asks: its heartbeat goes on with every answer.
    """

    def __init__(
        self,
        portfolio: Portfolio,
        exchanges: Mapping[AccountId, AccountExchange],
        catalogue: Catalogue,
        timing: Timing,
    ) -> None:
        self._portfolio = portfolio
        self._exchanges = exchanges
        self._catalogue = catalogue
        self._timing = timing

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
        for category, coin in sorted(self._lists(account_id, symbols)):
            self._timing.beat(loop)
            try:
                for holding in await exchange.holdings(category, settle_coin=coin):
                    key = SymbolKey(account_id, holding.category, holding.symbol)
                    listed.setdefault(key, []).append(holding)
            except PositiondError as error:
                # The symbols are still asked for one by one: each then speaks for itself.
                _log.warning("a position list failed", coin=coin, code=error.code)
        now = self._timing.now()
        told = [s for s in symbols if s in listed and _is_whole(listed[s])]
        readings = {symbol: Reading(tuple(listed[symbol]), now) for symbol in told}
        return readings | await self.symbols(account_id, symbols - readings.keys(), loop)

    async def symbols(
        self, account_id: AccountId, symbols: Iterable[SymbolKey], loop: str
    ) -> dict[SymbolKey, Reading]:
        """One query for each, one after the other."""
        exchange = self._exchanges.get(account_id)
        if exchange is None:
            return self.failed(symbols, self._trouble(account_id))
        readings: dict[SymbolKey, Reading] = {}
        silent, wanted = 0, sorted(symbols)
        for number, symbol in enumerate(wanted):
            self._timing.beat(loop)
            try:
                rows = await exchange.holdings_in(symbol.category, symbol.symbol)
            except PositiondError as error:
                readings |= self.failed((symbol,), error.detail)
                is_silence = isinstance(error, ExchangeUnreachable | ExchangeBusy)
                silent = silent + 1 if is_silence else 0
                if silent >= _ENOUGH_SILENCE:
                    return readings | self.failed(wanted[number + 1 :], error.detail)
                continue
            silent = 0
            why = None if rows else "Bybit gave no row for the symbol"
            readings[symbol] = Reading(tuple(rows), self._timing.now(), why)
        return readings

    def failed(self, symbols: Iterable[SymbolKey], why: str) -> dict[SymbolKey, Reading]:
        return {symbol: Reading((), self._timing.now(), why) for symbol in symbols}

    def _lists(
        self, account_id: AccountId, symbols: frozenset[SymbolKey]
    ) -> set[tuple[Category, str]]:
        """The (category, settle coin) lists that cover the symbols whose rules are known."""
        environment = self._portfolio.accounts[account_id].account.environment
        found = set()
        for symbol in symbols:
            key = InstrumentKey(environment, symbol.category, symbol.symbol)
            instrument = self._catalogue.cached(key)
            if instrument is not None:
                found.add((symbol.category, instrument.settle_coin))
        return found

    def _trouble(self, account_id: AccountId) -> str:
        state = self._portfolio.accounts.get(account_id)
        return (state.trouble if state else None) or "the account is not connected"


def _is_whole(rows: Iterable[Holding]) -> bool:
    """A list leaves out what is flat: of a symbol in hedge mode it may tell one side alone."""
    sides = {row.position_idx for row in rows} & _HEDGE
    return not sides or sides == _HEDGE
