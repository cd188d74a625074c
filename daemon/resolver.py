"""What a trader decides of a deviation: read anew, decided, stored, compared, in one breath."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Final

from .bucket_locks import BucketLocks
from .domain import resolving
from .domain.buckets import SymbolKey
from .domain.errors import Conflict, ExchangeUnreachable, NotFound
from .domain.model import (
    AccountId,
    Component,
    ComponentId,
    Position,
    PositionId,
    PositionStatus,
    UserId,
)
from .domain.portfolio import Portfolio
from .domain.ports import Positions
from .domain.records import PositionEdit
from .domain.resolving import ResolveAction
from .domain.services import Board
from .domain.verdict import Reading, symbol_of
from .domain.views import PositionView
from .size_reader import LATE
from .timing import Timing
from .together import together

Readings = Mapping[SymbolKey, Reading]
ReadNow = Callable[[AccountId, frozenset[SymbolKey]], Awaitable[Readings]]
SettleNow = Callable[[frozenset[SymbolKey], Readings], Awaitable[None]]

_PATIENCE: Final = 5.0
_BUSY: Final = "Something else is at work in the same bucket; try again."
_PAUSES: Final = (0.2, 0.5, 1.0, 0.0)


class Resolver:
    """Implements services.Resolver.

    `read_now` asks Bybit for symbols, ahead of ordinary reads; `settle_now` compares with such
    readings at once; `put` shows a position as it was just stored.
    """

    def __init__(
        self,
        positions: Positions,
        portfolio: Portfolio,
        board: Board,
        locks: BucketLocks,
        timing: Timing,
        read_now: ReadNow,
        settle_now: SettleNow,
        put: Callable[[Position], None],
        fee_tolerance: Decimal,
    ) -> None:
        self._positions = positions
        self._portfolio = portfolio
        self._board = board
        self._locks = locks
        self._timing = timing
        self._read_now = read_now
        self._settle_now = settle_now
        self._put = put
        self._fee_tolerance = fee_tolerance

    async def resolve(
        self,
        user_id: UserId,
        position_id: PositionId,
        action: ResolveAction,
        component_id: ComponentId | None,
    ) -> PositionView:
        """The flag is gone when this returns; one that stays on a position has another cause."""
        position = await self._owned(user_id, position_id)
        symbols = frozenset(symbol_of(position, c) for c in _legs(position, component_id))
        self._refuse_while_closing(symbols)
        busy = Conflict("close-open", _BUSY)
        async with self._locks.held_within(_PATIENCE, symbols, busy):
            # A close may have been accepted, or the legs have changed, while the locks were taken.
            self._refuse_while_closing(symbols)
            position = self._still_open(position_id)
            readings = await self._read(position.account_id, symbols)
            await self._refuse_unless_known(symbols)
            resolution = resolving.resolve(
                action,
                position,
                None if component_id is None else (component_id,),
                self._portfolio.of_account(position.account_id),
                self._portfolio.unassigned,
                readings,
                actor=user_id,
                at=self._timing.now(),
                fee_tolerance=self._fee_tolerance,
            )
            touched = await self._positions.resolve(resolution)
            self._portfolio.note_unassigned(await self._positions.unassigned(), symbols)
            for one in touched:
                self._put(one)
            await self._settle_now(symbols, readings)
        return await self._view(user_id, position_id)

    async def edit(
        self, user_id: UserId, position_id: PositionId, change: PositionEdit
    ) -> PositionView:
        """Rename, note, tags; NotFound for unknown and foreign alike."""
        stored = await self._positions.edit(position_id, user_id, change, self._timing.now())
        known = self._portfolio.positions.get(position_id)
        if known is not None:
            # The labels alone: a close may have stored more since this row was read.
            labels = replace(known, name=stored.name, note=stored.note, tags=stored.tags)
            self._put(labels)
        return await self._view(user_id, position_id)

    # --- what stands in the way -------------------------------------------------------------

    async def _owned(self, user_id: UserId, position_id: PositionId) -> Position:
        known = self._portfolio.positions.get(position_id)
        position = await self._positions.load(position_id) if known is None else known
        if position is None or position.user_id != user_id:
            raise NotFound("unknown-position", "There is no such position.")
        if position.status is PositionStatus.CLOSED:
            raise Conflict("already-closed", "The position is closed: nothing of it is open.")
        if known is None:
            raise Conflict("unverified", "The position was recorded just now; try again.")
        return position

    def _still_open(self, position_id: PositionId) -> Position:
        position = self._portfolio.positions.get(position_id)
        if position is None:
            raise Conflict("already-closed", "The position was closed meanwhile.")
        return position

    def _refuse_while_closing(self, symbols: frozenset[SymbolKey]) -> None:
        for holder in self._portfolio.holders(symbols):
            position = self._portfolio.positions[holder]
            if position.status is PositionStatus.CLOSING:
                raise Conflict(
                    "close-open",
                    f"{position.name} is being closed in the same bucket; wait for its end.",
                )

    async def _read(self, account_id: AccountId, symbols: frozenset[SymbolKey]) -> Readings:
        """Rows that contradict one another are right in a moment; for late ones a read waits."""
        for pause in _PAUSES:
            readings = await self._read_now(account_id, symbols)
            failed = [s for s in sorted(symbols) if readings[s].failure is not None]
            if not failed:
                return readings
            reading = readings[failed[0]]
            why = f"{failed[0].symbol} could not be read: {reading.failure}"
            if not reading.holdings:
                raise ExchangeUnreachable("exchange-unreachable", why)
            if reading.failure in LATE:
                break
            await self._timing.sleep(pause)
        raise Conflict("unverified", why)

    async def _refuse_unless_known(self, symbols: frozenset[SymbolKey]) -> None:
        """Rows written straight into the tables may be newer than what is in memory."""
        everyone = self._portfolio.positions.values()
        known = {
            (c.id, c.open)
            for position in everyone
            for c in position.components
            if c.open > 0 and symbol_of(position, c) in symbols
        }
        claims = await together(
            self._positions.claims(s.account_id, s.category, s.symbol) for s in sorted(symbols)
        )
        if doubts := [claim.doubt for claim in claims if claim.doubt]:
            raise Conflict("coin-unknown", "; ".join(dict.fromkeys(doubts)))
        recorded = {(c.id, c.open) for claim in claims for c in claim.components if c.open > 0}
        if recorded != known:
            raise Conflict(
                "changed-meanwhile", "What is recorded there has just changed; try again."
            )

    async def _view(self, user_id: UserId, position_id: PositionId) -> PositionView:
        view = await self._board.view(user_id, position_id)
        if view is None:
            raise NotFound("unknown-position", "There is no such position.")
        return view


def _legs(position: Position, component_id: ComponentId | None) -> list[Component]:
    """The legs to look at; without an id all that are open."""
    if component_id is None:
        legs = [c for c in position.components if c.open > 0]
    else:
        legs = [c for c in position.components if c.id == component_id]
        if not legs:
            raise NotFound("unknown-component", "The position has no such leg.")
    if not legs:
        raise Conflict("nothing-to-resolve", "Nothing of the position is open.")
    return legs
