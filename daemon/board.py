"""The live picture: views of positions assembled from memory, and whether to trust it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Final

from .domain.book import Book, LegValue, Valuation
from .domain.buckets import position_idx_for
from .domain.close_ports import Closes
from .domain.deviations import DeviationRow
from .domain.history import PnlPoint
from .domain.model import (
    ZERO,
    AccountId,
    Category,
    Component,
    Environment,
    InstrumentKey,
    Position,
    PositionId,
    PositionStatus,
    Side,
    UserId,
    Verdict,
)
from .domain.orders import CloseRequest
from .domain.pnl import price_basis
from .domain.portfolio import NOT_COMPARED, Portfolio
from .domain.ports import Positions
from .domain.rates import BookedSums, booked_sums, currency_of
from .domain.records import PnlWrite
from .domain.services import Readiness
from .domain.verdict import PositionSync, symbol_of
from .domain.views import FeedState, LegView, PositionView
from .timing import Timing

BanClock = Callable[[Environment], float]
SweepClock = Callable[[], datetime | None]

_CLOSED_AT_MOST: Final = 200
# So many accounts that are only connecting are named one by one.
_NAMED_AT_MOST: Final = 5
_NOT_LOADED: Final = "recorded just now, not loaded yet"
_NO_SYNC: Final = PositionSync(Verdict.UNVERIFIED, None, None, {})
_LOOKING: Final = "looking for the cause"


class Board:
    """Implements services.Board; the feed and store troubles are set by the tracker."""

    def __init__(
        self,
        book: Book,
        portfolio: Portfolio,
        positions: Positions,
        closes: Closes,
        timing: Timing,
        sweep_minutes: int,
    ) -> None:
        self._book = book
        self._portfolio = portfolio
        self._positions = positions
        self._closes = closes
        self._timing = timing
        # Two sweeps without a compare, and some: what was true then is no verdict any more.
        self._verdict_ages = timedelta(minutes=2 * sweep_minutes + 1)
        self._markets: dict[tuple[Environment, Category], str | None] = {}
        self._troubles: dict[Environment, str] = {}
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
        value = self._book.value(position_id, self._timing.now())
        return self._assemble(position, sync, value)

    def pnl_writes(self) -> list[PnlWrite]:
        """What the sweep stores: every open position's P&L as of now."""
        now = self._timing.now()
        return [
            PnlWrite(position_id, self._book.value(position_id, now).pnl, now)
            for position_id in self._portfolio.positions
        ]

    def pnl_points(self) -> Iterator[PnlPoint]:
        """A point of every open position that can be valued; others may work between two."""
        now = self._timing.now()
        for position_id in list(self._portfolio.positions):
            if position_id not in self._portfolio.positions:
                continue
            view = self.live_view(position_id)
            pnl = view.unrealized_pnl
            if pnl is not None:
                yield PnlPoint(position_id, now, pnl, view.net_pnl, view.pnl_currency)

    def _aged(self, sync: PositionSync) -> PositionSync:
        at = sync.verified_at
        if at is None or self._timing.now() - at <= self._verdict_ages:
            return sync
        return PositionSync(
            Verdict.UNVERIFIED, f"not compared since {at:%H:%M:%S} UTC", at, sync.legs
        )

    def _assemble(self, position: Position, sync: PositionSync, value: Valuation) -> PositionView:
        deviations = self._deviations(position)
        booked = self._booked(position, value.currency)
        return PositionView(
            position=position,
            legs=tuple(_leg(c, sync, value.legs[c.id]) for c in position.components),
            verdict=sync.verdict,
            verdict_reason=_reason(sync, deviations),
            unrealized_pnl=value.pnl,
            pnl_currency=value.currency,
            pnl_at=value.at,
            pnl_incomplete=value.incomplete,
            verified_at=position.verified_at,
            last_close=self._portfolio.last_closes.get(position.id),
            fees=booked.fees,
            funding=booked.funding,
            realized_pnl=booked.realized_pnl,
            booked_incomplete=booked.incomplete,
            deviations=deviations,
        )

    def _deviations(self, position: Position) -> tuple[DeviationRow, ...]:
        """The open deviations of the buckets in which the position has something open."""
        rows = self._portfolio.deviations
        if not rows:
            return ()
        found: dict[int, DeviationRow] = {}
        for component in position.components:
            symbol = symbol_of(position, component)
            if not component.open:
                continue
            reading = self._portfolio.readings.get(symbol)
            if reading is not None and reading.holdings:
                indices = {position_idx_for(component.side, reading.holdings)}
            else:
                # Not read since the start: what is on record of either mode is of this side.
                indices = {0, 1 if component.side is Side.BUY else 2}
            for idx in indices:
                if (row := rows.get(symbol.bucket(idx))) is not None:
                    found[row.id] = row
        return tuple(sorted(found.values(), key=lambda row: (row.first_seen, row.id)))

    def _booked(self, position: Position, currency: str) -> BookedSums:
        environment = position.environment
        return booked_sums(
            position.booked, currency, lambda coin: self._book.dollar_price(environment, coin)
        )

    def _stored_view(self, position: Position, last: CloseRequest | None) -> PositionView:
        """A position that is not in memory: closed, so that nothing floats, or not loaded yet."""
        is_closed = position.status is PositionStatus.CLOSED
        currency = self._currency(position)
        booked = self._booked(position, currency)
        return PositionView(
            position=position,
            legs=tuple(
                _leg(c, _NO_SYNC, LegValue(None, None, None, self._coin(position, c)))
                for c in position.components
            ),
            verdict=Verdict.IN_SYNC if is_closed else Verdict.UNVERIFIED,
            verdict_reason=None if is_closed else _NOT_LOADED,
            unrealized_pnl=ZERO if is_closed else None,
            pnl_currency=currency,
            pnl_at=position.closed_at,
            pnl_incomplete=None if is_closed else _NOT_LOADED,
            verified_at=position.verified_at,
            last_close=last,
            fees=booked.fees,
            funding=booked.funding,
            realized_pnl=booked.realized_pnl,
            booked_incomplete=booked.incomplete,
        )

    def _coin(self, position: Position, component: Component) -> str | None:
        return self._book.settle_coin(
            InstrumentKey(position.environment, component.category, component.symbol)
        )

    def _currency(self, position: Position) -> str:
        """As in the book, or from what was booked where instruments are not known (any more).

        Realized P&L and funding are booked in the coin that a leg settles in; fees may not be.
        """
        coins = {self._coin(position, component) for component in position.components}
        if None in coins:
            coins.remove(None)
            coins.update(b.coin for b in position.booked if b.realized_pnl or b.funding)
        return currency_of(coins)

    # --- feeds and readiness ----------------------------------------------------------------

    def forget_markets(self) -> None:
        """Streams are about to be opened anew, and only those that are needed then."""
        self._markets.clear()
        self._troubles.clear()

    def market_up(self, environment: Environment, category: Category) -> None:
        self._markets[environment, category] = None
        self._troubles.pop(environment, None)

    def market_down(self, environment: Environment, category: Category, reason: str) -> None:
        self._markets[environment, category] = reason

    def market_trouble(self, environment: Environment, reason: str) -> None:
        """Instruments could not be read: the exchange is not reachable."""
        if not any(env is environment and why is None for (env, _), why in self._markets.items()):
            self._troubles[environment] = reason

    def feed_state(self, user_id: UserId) -> FeedState:
        mine = [s for s in self._portfolio.accounts.values() if s.account.user_id == user_id]
        environments = {s.account.environment for s in mine}
        public = [why is None for market, why in self._markets.items() if market[0] in environments]
        private = [s.stream_up for s in mine]
        return FeedState(
            "live" if all(public) and not environments & self._troubles.keys() else "down",
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
        for environment in self._troubles.keys() - {
            environment for environment, _ in self._markets
        }:
            yield f"prices of {environment}: {self._troubles[environment]}"
        accounts = list(self._portfolio.accounts.values())
        down = [state for state in accounts if not state.stream_up]
        queued = [state for state in down if state.trouble is None]
        if len(queued) > _NAMED_AT_MOST:
            yield (
                f"{len(queued)} of {len(accounts)} accounts wait for their private stream: Bybit "
                "lets in 500 in five minutes; meanwhile every sweep reads them"
            )
            down = [state for state in down if state.trouble is not None]
        for state in down:
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


def _leg(component: Component, sync: PositionSync, value: LegValue) -> LegView:
    leg = sync.legs.get(component.id)
    return LegView(
        component,
        value.price,
        price_basis(component.category),
        value.at,
        value.pnl,
        leg.actual if leg else None,
        leg.difference if leg else None,
        value.currency,
        leg.note if leg else None,
        leg.deviates if leg else False,
    )


def _reason(sync: PositionSync, deviations: tuple[DeviationRow, ...]) -> str | None:
    """Why the verdict is what it is; for ALTERED the causes, which may take a while to find."""
    if sync.verdict is not Verdict.ALTERED:
        return sync.reason
    texts = dict.fromkeys(row.cause.text if row.cause else _LOOKING for row in deviations)
    return "; ".join(texts) or _LOOKING
