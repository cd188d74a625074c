"""A stage for closes: a venue, a ledger and the real machinery between them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal
from itertools import count

from positiond.daemon.bucket_locks import BucketLocks
from positiond.daemon.catalogue import Catalogue
from positiond.daemon.close_context import Closing
from positiond.daemon.close_inbox import Inboxes
from positiond.daemon.close_run import CloseRun
from positiond.daemon.domain.model import CloseOrderId, Component, Position, PositionStatus
from positiond.daemon.domain.orders import CloseRequest, CloseTerms, LegOutcome, RequestState
from positiond.daemon.domain.portfolio import AccountState, Portfolio
from positiond.daemon.in_flight import InFlight

from ...builders import BTC, ETH, LONG, SHORT, account, position, uuid_of
from .fake_time import now, timing
from .gate import Gate
from .ledger import Ledger
from .venue import Door, Reaction, Venue


class Stage:
    """One account; `shown` is what the page was told, `once` what happens when a state is shown."""

    def __init__(self, *reactions: Reaction) -> None:
        self.gate = Gate()
        self.venue = Venue(self.gate)
        self.venue.script.extend(reactions)
        self.door = Door()
        self.ledger = Ledger(self.gate)
        self.locks = BucketLocks()
        self.portfolio = Portfolio()
        self.portfolio.accounts[account().id] = AccountState(account())
        self.in_flight = InFlight(self.portfolio, now)
        self.shown: list[CloseRequest] = []
        self.ended: list[tuple[CloseRequest, Position | None]] = []
        self.once: dict[RequestState, Callable[[], None]] = {}
        self.prices = {BTC: Decimal(105), ETH: Decimal(11)}
        self.is_hedged = False
        self._numbers = count(1)

    def record(self, *components: Component, name: str = "pair", held: bool = True) -> Position:
        """A position with these legs, which the venue holds as recorded."""
        one = position(*components, name=name)
        self.ledger.positions[one.id] = one
        for component in one.components if held else ():
            where = component.coin or component.symbol
            self.venue.trade(where, component.signed_open, self.idx_of(component))
        return one

    def idx_of(self, component: Component) -> int:
        """The positionIdx of the leg, in the position mode of the stage."""
        return {LONG: 1, SHORT: 2}[component.side] if self.is_hedged else 0

    async def close(self, one: Position, terms: CloseTerms | None = None) -> CloseRequest:
        """Close it to the end; the request as it then stands in the ledger."""
        request = self.ledger.open_close(one, terms)
        await self.drive(request)
        return self.ledger.requests[request.id]

    async def close_set(
        self, *positions: Position, terms: CloseTerms | None = None
    ) -> list[CloseRequest]:
        """Close them together to the end; the requests as they then stand in the ledger."""
        requests = self.ledger.open_set(*positions, terms=terms)
        await self.drive(*requests)
        return [self.ledger.requests[request.id] for request in requests]

    async def drive(self, *requests: CloseRequest) -> None:
        recorded = [self.ledger.positions[request.position_id] for request in requests]
        await CloseRun(self.closing(), requests, recorded).drive()

    def at(self, seconds: float, action: Callable[[], None]) -> None:
        """Do something so many seconds from now."""
        asyncio.get_running_loop().call_later(seconds, action)

    def restart(self) -> None:
        """A new process: nothing but the ledger and the venue is left."""
        self.gate.stop_at = None
        self.venue.inboxes = Inboxes()
        self.locks = BucketLocks()
        self.in_flight = InFlight(self.portfolio, now)

    def closing(self) -> Closing:
        return Closing(
            closes=self.ledger,
            positions=self.ledger,
            switches=self.ledger,
            portfolio=self.portfolio,
            catalogue=Catalogue(self.door, now),
            locks=self.locks,
            in_flight=self.in_flight,
            inboxes=self.venue.inboxes,
            timing=timing(),
            new_link_id=lambda: f"link-{next(self._numbers)}",
            new_order_id=lambda: CloseOrderId(uuid_of(f"row {next(self._numbers)}")),
            exchange=lambda _: self.venue,
            shown=self._show,
            ended=lambda request, one: self.ended.append((request, one)),
            price=lambda key: self.prices.get(key.symbol),
        )

    def _show(self, request: CloseRequest) -> None:
        self.shown.append(request)
        self.once.pop(request.state, lambda: None)()

    def status(self, one: Position) -> PositionStatus:
        return self.ledger.positions[one.id].status

    def notes(self) -> list[str]:
        """Everything the page was told that closes wait for."""
        return [request.detail for request in self.shown if request.detail]


def outcomes(request: CloseRequest) -> list[LegOutcome]:
    return [leg.outcome for leg in request.legs]
