"""Recording a position: checked against the instruments, with what is unassigned beside it."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from .board import Board
from .bucket_locks import BucketLocks
from .catalogue import Catalogue
from .domain.buckets import SymbolKey
from .domain.errors import ExchangeUnreachable, NotFound
from .domain.model import (
    AccountId,
    BucketKey,
    Category,
    Holding,
    Instrument,
    InstrumentKey,
    NewComponent,
    NewPosition,
    UserId,
)
from .domain.people import AccountBook
from .domain.portfolio import AccountState, Portfolio
from .domain.ports import AccountExchange, Positions
from .domain.registration import check_legs, unassigned_after
from .domain.verdict import judge
from .domain.views import PositionView
from .position_reconciler import PositionReconciler
from .together import together
from .tracker import Tracker


class Recorder:
    """Implements services.Recorder."""

    def __init__(
        self,
        positions: Positions,
        portfolio: Portfolio,
        board: Board,
        tracker: Tracker,
        reconciler: PositionReconciler,
        catalogue: Catalogue,
        locks: BucketLocks,
        exchanges: Mapping[AccountId, AccountExchange],
        accounts: AccountBook,
    ) -> None:
        self._positions = positions
        self._portfolio = portfolio
        self._board = board
        self._tracker = tracker
        self._reconciler = reconciler
        self._catalogue = catalogue
        self._locks = locks
        self._exchanges = exchanges
        self._accounts = accounts

    async def record(self, user_id: UserId, position: NewPosition) -> tuple[PositionView, bool]:
        """Store it once; the same external id again gives the first one and False."""
        state = await self._account(user_id, position.account_id)
        legs = position.components
        found = await together(
            self._catalogue.instrument(
                InstrumentKey(state.account.environment, leg.category, leg.symbol)
            )
            for leg in legs
            if leg.category is Category.LINEAR
        )
        instruments: dict[tuple[Category, str], Instrument] = {
            (i.key.category, i.key.symbol): i for i in found if i is not None
        }
        check_legs(position, instruments)
        exchange = self._exchanges.get(position.account_id)
        if exchange is None:
            why = state.trouble or "the account is still connecting"
            raise ExchangeUnreachable("account-not-connected", why)
        symbols = [SymbolKey(position.account_id, leg.category, leg.symbol) for leg in legs]
        # The locks keep a close from moving the buckets between the read and the commit.
        async with self._locks.held(symbols):
            read = await together(
                self._unassigned(exchange, symbol, leg)
                for symbol, leg in zip(symbols, legs, strict=True)
            )
            stored, is_new = await self._positions.record(position, dict(u for u, _ in read))
            if is_new:
                self._portfolio.unassigned = await self._positions.unassigned()
                for symbol, (_, holdings) in zip(symbols, read, strict=True):
                    self._reconciler.keep(symbol, holdings)
        self._tracker.learn(instruments.values())
        self._tracker.put(stored)
        if is_new:
            for symbol in symbols:
                self._reconciler.recheck(symbol)
        view = await self._board.view(user_id, stored.id)
        if view is None:
            raise NotFound("unknown-position", "The position was removed meanwhile.")
        return view, is_new

    async def _account(self, user_id: UserId, account_id: AccountId) -> AccountState:
        state = self._portfolio.accounts.get(account_id)
        if state is not None and state.account.user_id == user_id:
            return state
        if any(account.id == account_id for account in await self._accounts.of_user(user_id)):
            # On file, but this process has not picked it up yet.
            raise ExchangeUnreachable("account-not-connected", "the account is still connecting")
        raise NotFound("unknown-account", "There is no such account.", field="account_id")

    async def _unassigned(
        self, exchange: AccountExchange, symbol: SymbolKey, leg: NewComponent
    ) -> tuple[tuple[BucketKey, Decimal], list[Holding]]:
        """The bucket's unassigned quantity from here on, and the rows it rests on."""
        holdings = await exchange.holdings_in(symbol.category, symbol.symbol)
        if not holdings:
            raise ExchangeUnreachable("no-row", f"Bybit gave no row for {symbol.symbol}")
        claims = await self._positions.claims(symbol.account_id, symbol.category, symbol.symbol)
        unassigned = unassigned_after(
            symbol, leg, claims, holdings, deviates=self._deviates(symbol)
        )
        return unassigned, holdings

    def _deviates(self, symbol: SymbolKey) -> bool:
        """Whether the last compare found the symbol's buckets other than expected."""
        reading = self._portfolio.readings.get(symbol)
        if reading is None or reading.failure:
            # Nothing fresh to judge by: a flag from before stands for a deviation still open.
            holders = self._portfolio.holders((symbol,))
            return any(self._portfolio.positions[holder].is_altered for holder in holders)
        judgement = judge(
            self._portfolio.of_account(symbol.account_id),
            self._portfolio.unassigned,
            {symbol: reading},
            frozenset(),
        )
        return bool(judgement.deviations)
