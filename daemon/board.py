"""The live picture: views of positions assembled from memory, and whether to trust it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Final

from .domain.book import Book, LegValue, Valuation
from .domain.model import (
    ZERO,
    AccountId,
    Category,
    ComponentId,
    Environment,
    InstrumentKey,
    Position,
    PositionId,
    PositionStatus,
    UserId,
    Verdict,
)
from .domain.orders import CloseRequest
from .domain.pnl import price_basis
from .domain.portfolio import NOT_COMPARED, Portfolio
from .domain.ports import Closes, Positions
from .domain.records import PnlWrite
from .domain.services import Readiness
from .domain.verdict import PositionSync
from .domain.views import FeedState, LegView, PositionView
from .timing import Timing

BanClock = Callable[[Environment], float]
SweepClock = Callable[[], datetime | None]

_CLOSED_AT_MOST: Final = 200
# Two sweeps without a compare, and some: what was true then is no verdict any more.
_VERDICT_AGES: Final = timedelta(minutes=11)
_NOT_LOADED: Final = "recorded just now, not loaded yet"
_NO_SYNC: Final = PositionSync(Verdict.UNVERIFIED, None, None, {})
_NO_VALUE: Final = LegValue(None, None, None)


class Board:
    """Implements services.Board; the feed and store troubles are set by the tracker."""

    def __init__(
        self,
        book: Book,
        portfolio: Portfolio,
        positions: Positions,
        closes: Closes,
        timing: Timing,
    ) -> None:
        self._book = book
        self._portfolio = portfolio
        self._positions = positions
        self._closes = closes
        self._timing = timing
        self._markets: dict[tuple[Environment, Category], str | None] = {}
        self.store_trouble: str | None = "the database has not been reached yet"
        self.leads = False
        self.trading_paused = False
        self.sweep_at: SweepClock = lambda: None
        self.ban_left: BanClock = lambda _: 0.0

    # --- views ------------------------------------------------------------------------------

    async def views(
        self,
        user_id: UserId,
        statuses: frozenset[PositionStatus],
        account_id: AccountId | None = None,
    ) -> list[PositionView]:
        live = [
            view
            for view in self.open_views(user_id)
            if view.position.status in statuses
            and (account_id is None or view.position.account_id == account_id)
        ]
        if PositionStatus.CLOSED not in statuses:
            return live
        closed = await self._positions.closed_of(user_id, account_id, _CLOSED_AT_MOST)
        requests = await self._closes.last_requests([p.id for p in closed])
        last = {request.position_id: request for request in requests}
        return live + [self._stored_view(p, last.get(p.id)) for p in closed]

    async def view(self, user_id: UserId, position_id: PositionId) -> PositionView | None:
        position = self._portfolio.positions.get(position_id)
        if position is None:
            position = await self._positions.load(position_id)
        if position is None or position.user_id != user_id:
            return None
        if position.id in self._portfolio.positions:
            return self.live_view(position.id)
        last = await self._closes.last_requests([position.id])
        return self._stored_view(position, last[0] if last else None)

    def open_views(self, user_id: UserId) -> list[PositionView]:
        mine = [p for p in self._portfolio.positions.values() if p.user_id == user_id]
        mine.sort(key=lambda p: (p.opened_at, p.id))
        return [self.live_view(p.id) for p in mine]

    def live_view(self, position_id: PositionId) -> PositionView:
        """KeyError for a position that is not open."""
        position = self._portfolio.positions[position_id]
        sync = self._aged(self._portfolio.syncs.get(position_id, NOT_COMPARED))
        value = self._book.value(position_id)
        return self._assemble(position, sync, value)

    def pnl_writes(self) -> list[PnlWrite]:
        """What the sweep stores: every open position's P&L as of now."""
        now = self._timing.now()
        return [
            PnlWrite(position_id, self._book.value(position_id).pnl, now)
            for position_id in self._portfolio.positions
        ]

    def _aged(self, sync: PositionSync) -> PositionSync:
        at = sync.verified_at
        if at is None or self._timing.now() - at <= _VERDICT_AGES:
            return sync
        return PositionSync(
            Verdict.UNVERIFIED, f"not compared since {at:%H:%M:%S} UTC", at, sync.legs
        )

    def _assemble(self, position: Position, sync: PositionSync, value: Valuation) -> PositionView:
        return PositionView(
            position=position,
            legs=_legs(position, sync, value.legs),
            verdict=sync.verdict,
            verdict_reason=sync.reason,
            unrealized_pnl=value.pnl,
            pnl_currency=value.currency,
            pnl_at=value.at,
            pnl_incomplete=value.incomplete,
            verified_at=position.verified_at,
            last_close=self._portfolio.last_closes.get(position.id),
        )

    def _stored_view(self, position: Position, last: CloseRequest | None) -> PositionView:
        """A position that is not in memory: closed, so that nothing floats, or not loaded yet."""
        is_closed = position.status is PositionStatus.CLOSED
        return PositionView(
            position=position,
            legs=_legs(position, _NO_SYNC, {}),
            verdict=Verdict.IN_SYNC if is_closed else Verdict.UNVERIFIED,
            verdict_reason=None if is_closed else _NOT_LOADED,
            unrealized_pnl=ZERO if is_closed else None,
            pnl_currency=self._currency(position),
            pnl_at=position.closed_at,
            pnl_incomplete=None if is_closed else _NOT_LOADED,
            verified_at=position.verified_at,
            last_close=last,
        )

    def _currency(self, position: Position) -> str:
        coins = {
            self._book.settle_coin(InstrumentKey(position.environment, c.category, c.symbol))
            for c in position.components
        }
        coin = coins.pop() if len(coins) == 1 else None
        return coin or "USD"

    # --- feeds and readiness ----------------------------------------------------------------

    def forget_markets(self) -> None:
        """Streams are about to be opened anew, and only those that are needed then."""
        self._markets.clear()

    def market_up(self, environment: Environment, category: Category) -> None:
        self._markets[environment, category] = None

    def market_down(self, environment: Environment, category: Category, reason: str) -> None:
        self._markets[environment, category] = reason

    def market_trouble(self, environment: Environment, reason: str) -> None:
        """Instruments could not be read: the exchange is not reachable."""
        for market in self._markets:
            if market[0] is environment and self._markets[market] is None:
                return
        self._markets.setdefault((environment, Category.LINEAR), reason)

    def feed_state(self, user_id: UserId) -> FeedState:
        mine = [s for s in self._portfolio.accounts.values() if s.account.user_id == user_id]
        environments = {s.account.environment for s in mine}
        public = [why is None for market, why in self._markets.items() if market[0] in environments]
        private = [s.stream_up for s in mine]
        return FeedState(
            "live" if all(public) else "down",
            "live" if all(private) else "down",
            self.sweep_at(),
            self.trading_paused,
        )

    def late_loops(self) -> list[str]:
        """The loops that have not beaten within their limits: stuck, as far as one can tell."""
        return self._timing.pulse_late()

    def _stream_reasons(self) -> Iterator[str]:
        for (environment, category), why in self._markets.items():
            if why is not None:
                yield f"prices of {environment} {category}: {why}"
        accounts = list(self._portfolio.accounts.values())
        for state in accounts:
            if not state.stream_up:
                why = state.trouble or "connecting"
                yield f"account {state.account.label} ({state.account.id}): {why}"
        for environment in {state.account.environment for state in accounts}:
            if (left := self.ban_left(environment)) > 0:
                yield (
                    f"{environment}: Bybit has banned our address for {left:.0f} s more; "
                    "nothing is read or sent"
                )

    def readiness(self) -> Readiness:
        reasons = []
        if self.store_trouble is not None:
            reasons.append(f"database: {self.store_trouble}")
        elif not self.leads:
            reasons.append("another positiond on this database leads; standing by")
        reasons += self._stream_reasons()
        if self.sweep_at() is None:
            reasons.append("the first full compare is not done")
        if late := self.late_loops():
            reasons.append(f"loops that do not beat: {', '.join(late)}")
        return Readiness(tuple(reasons))


def _legs(
    position: Position, sync: PositionSync, values: Mapping[ComponentId, LegValue]
) -> tuple[LegView, ...]:
    views = []
    for component in position.components:
        value = values.get(component.id, _NO_VALUE)
        leg = sync.legs.get(component.id)
        views.append(
            LegView(
                component,
                value.price,
                price_basis(component.category),
                value.at,
                value.pnl,
                leg.actual if leg else None,
                leg.difference if leg else None,
            )
        )
    return tuple(views)
