"""Recording a position: checked against the instruments, with what is unassigned beside it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

from .board import Board
from .bucket_locks import BucketLocks
from .catalogue import Catalogue
from .domain.buckets import SymbolKey, position_idx_for
from .domain.errors import Conflict, ExchangeUnreachable, NotFound
from .domain.model import (
    AccountId,
    BucketKey,
    Category,
    Holding,
    Instrument,
    InstrumentKey,
    NewComponent,
    NewPosition,
    Position,
    PositionId,
    Side,
    UserId,
)
from .domain.people import AccountBook
from .domain.portfolio import AccountState, Portfolio
from .domain.ports import AccountExchange, Positions
from .domain.registration import check_legs, unassigned_after
from .domain.verdict import Reading, contradiction, judge, symbol_of
from .domain.views import PositionView
from .position_reconciler import PositionReconciler
from .size_reader import LAGS
from .together import together
from .tracker import Tracker

_PATIENCE: Final = 10.0
_BUSY: Final = "A close is at work in one of the symbols; record the position after its end."
# A read waits for rows that lag by itself; after one pause it is tried once more.
_PAUSES: Final = (1.5,)


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
        first = await self._first(position)
        if first is not None:
            return await self._view(user_id, first.id), False
        if position.account_id not in self._exchanges:
            # Before its instruments: an environment without an address has nobody to ask for them.
            why = state.trouble or "the account is still connecting"
            raise ExchangeUnreachable("account-not-connected", why)
        instruments = await self._instruments(state, position)
        check_legs(position, instruments)
        legs = {_place(position.account_id, leg, instruments): leg for leg in position.components}
        # The locks keep a close from moving the buckets between the read and the commit.
        busy = Conflict("close-in-progress", _BUSY)
        async with self._locks.held_within(_PATIENCE, legs, busy):
            stored, is_new = await self._record(position, legs)
        self._tracker.learn(instruments.values())
        self._tracker.put(stored)
        await self._tracker.learn_coins()
        if is_new:
            for place in legs:
                self._reconciler.recheck(place)
        return await self._view(user_id, stored.id), is_new

    async def _first(self, position: NewPosition) -> Position | None:
        """Who asks again wants the answer that was lost.

        It needs nothing of Bybit, and is given where the symbol has ended, is being closed or
        cannot be read meanwhile.
        """
        if position.external_id is None:
            return None
        return await self._positions.recorded_as(position.account_id, position.external_id)

    async def _view(self, user_id: UserId, position_id: PositionId) -> PositionView:
        view = await self._board.view(user_id, position_id)
        if view is None:
            raise NotFound("unknown-position", "The position was removed meanwhile.")
        return view

    async def _instruments(
        self, state: AccountState, position: NewPosition
    ) -> dict[tuple[Category, str], Instrument]:
        keys = (
            InstrumentKey(state.account.environment, leg.category, leg.symbol)
            for leg in position.components
        )
        found = await together(self._catalogue.instrument(key) for key in keys)
        return {(i.key.category, i.key.symbol): i for i in found if i is not None}

    async def _record(
        self, position: NewPosition, legs: Mapping[SymbolKey, NewComponent]
    ) -> tuple[Position, bool]:
        # A wallet's surplus is nobody's record: what the account holds of a coin is not asked.
        places = [place for place in legs if place.category is not Category.SPOT]
        readings = await self._read(position.account_id, places)
        found = await together(self._unassigned(p, legs[p], readings[p].holdings) for p in places)
        unassigned = dict(one for one in found if one is not None)
        stored, is_new = await self._positions.record(position, unassigned)
        if is_new:
            self._portfolio.note_unassigned(await self._positions.unassigned(), {*places})
            for place, reading in readings.items():
                self._reconciler.keep(place, reading.holdings)
        return stored, is_new

    async def _read(
        self, account_id: AccountId, places: Sequence[SymbolKey]
    ) -> Mapping[SymbolKey, Reading]:
        """Rows as new as the last fill in them, or ExchangeUnreachable with the reason."""
        for pause in (*_PAUSES, None):
            readings = await self._reconciler.read_now(account_id, places)
            failed = [p for p in places if readings[p].failure]
            if not failed:
                return readings
            if pause is None or any(readings[p].failure != LAGS for p in failed):
                break
            await asyncio.sleep(pause)
        why = readings[failed[0]].failure
        raise ExchangeUnreachable("holdings-unread", f"{failed[0].symbol}: {why}")

    async def _account(self, user_id: UserId, account_id: AccountId) -> AccountState:
        state = self._portfolio.accounts.get(account_id)
        if state is not None and state.account.user_id == user_id:
            return state
        if any(account.id == account_id for account in await self._accounts.of_user(user_id)):
            # On file, but this process has not picked it up yet.
            raise ExchangeUnreachable("account-not-connected", "the account is still connecting")
        raise NotFound("unknown-account", "There is no such account.", field="account_id")

    async def _unassigned(
        self, place: SymbolKey, leg: NewComponent, holdings: Sequence[Holding]
    ) -> tuple[BucketKey, Decimal] | None:
        """The bucket's unassigned quantity from here on."""
        if why := contradiction(holdings, (leg.side,)):
            raise ExchangeUnreachable("holdings-unread", f"{place.symbol}: {why}")
        claims = await self._positions.claims(place.account_id, place.category, place.symbol)
        deviates = self._deviates(place, leg.side, holdings)
        return unassigned_after(place, leg, claims, holdings, deviates=deviates)

    def _deviates(self, symbol: SymbolKey, side: Side, holdings: Sequence[Holding]) -> bool:
        """Whether the last compare found the bucket of that side other than expected.

        `holdings` are the symbol's rows as read now: they tell the mode.
        """
        idx = position_idx_for(side, holdings)
        # Before a switch of the mode the bucket was another one: row 0 is of both sides.
        rows = (0, 1, 2) if idx == 0 else (0, idx)
        reading = self._portfolio.readings.get(symbol)
        if reading is None or reading.failure:
            # Nothing fresh to judge by: what is on record, or a flag, stands for it still.
            is_on_record = any(symbol.bucket(row) in self._portfolio.deviations for row in rows)
            return is_on_record or self._is_flagged(symbol, idx, holdings)
        judgement = judge(
            self._portfolio.of_account(symbol.account_id),
            self._portfolio.unassigned,
            {symbol: reading},
            frozenset(),
        )
        return any(deviation.bucket.position_idx in rows for deviation in judgement.deviations)

    def _is_flagged(self, symbol: SymbolKey, idx: int, holdings: Sequence[Holding]) -> bool:
        """Whether a position with an open leg in the bucket counts as altered."""
        holders = (self._portfolio.positions[p] for p in self._portfolio.holders((symbol,)))
        return any(
            position_idx_for(leg.side, holdings) == idx
            for position in holders
            if position.is_altered
            for leg in position.components
            if leg.open > 0 and symbol_of(position, leg) == symbol
        )


def _place(
    account_id: AccountId,
    leg: NewComponent,
    instruments: Mapping[tuple[Category, str], Instrument],
) -> SymbolKey:
    """Where the leg will stand: its symbol, or for spot its coin."""
    is_spot = leg.category is Category.SPOT
    instrument = instruments[leg.category, leg.symbol]
    return SymbolKey(account_id, leg.category, instrument.base_coin if is_spot else leg.symbol)
