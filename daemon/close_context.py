"""What every close works with, and how it reads a leg's surroundings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from .backoff import Backoff
from .bucket_locks import BucketLocks
from .catalogue import Catalogue
from .close_inbox import Inboxes
from .domain.errors import ExchangeUnreachable
from .domain.model import (
    ZERO,
    Category,
    CloseId,
    CloseOrderId,
    Component,
    ComponentId,
    Fill,
    InstrumentKey,
    Position,
)
from .domain.orders import CloseOrder, CloseRequest, OrderState, SignedOrder
from .domain.plan import LegPlan, Surroundings, is_as_new_as
from .domain.portfolio import Portfolio
from .domain.close_ports import Closes
from .domain.ports import AccountExchange, Positions, Switches
from .domain.verdict import Reading, symbol_of
from .in_flight import InFlight
from .timing import Timing
from .together import together


@dataclass(frozen=True, slots=True)
class Closing:
    """The ports and shared state of closing; one instance serves all closes.

    `shown` is told that a request moved, `ended` that it ended, with its position as it now stands
    in the store (CLOSED, or ACTIVE again).
    """

    closes: Closes
    positions: Positions
    switches: Switches
    portfolio: Portfolio
    catalogue: Catalogue
    locks: BucketLocks
    in_flight: InFlight
    inboxes: Inboxes
    timing: Timing
    new_link_id: Callable[[], str]
    new_order_id: Callable[[], CloseOrderId]
    exchange: Callable[[Position], AccountExchange]
    shown: Callable[[CloseRequest], None]
    ended: Callable[[CloseRequest, Position | None], None]

    def new_row(
        self,
        close_id: CloseId,
        position: Position,
        component: Component,
        attempt: int,
        signed: SignedOrder,
    ) -> CloseOrder:
        """The row of an order that is about to be written ahead."""
        draft = signed.order
        key = InstrumentKey(position.environment, component.category, component.symbol)
        instrument = self.catalogue.cached(key)
        return CloseOrder(
            id=self.new_order_id(),
            close_id=close_id,
            component_id=component.id,
            bucket=symbol_of(position, component).bucket(draft.position_idx),
            attempt=attempt,
            link_id=draft.link_id,
            side=draft.side,
            quantity=draft.quantity,
            state=OrderState.PLANNED,
            order_id=None,
            signed_at=signed.signed_at,
            dies_at=signed.dies_at,
            filled=ZERO,
            average_price=None,
            status=None,
            detail=None,
            created_at=self.timing.now(),
            settle_coin=instrument.settle_coin if instrument is not None else None,
        )


def may_send(plan: LegPlan) -> LegPlan:
    """Spot has no reduce-only on Bybit: nothing is sent there before it is known how to be safe."""
    if plan.component.category is not Category.SPOT or not plan.quantity:
        return plan
    why = f"{plan.component.symbol}: spot legs cannot be closed here yet; sell the coin on Bybit"
    return replace(plan, quantity=ZERO, code="spot-not-closable", detail=why)


class LegReader:
    """Reads live sizes and recorded claims for the legs of one position."""

    def __init__(self, closing: Closing, position: Position, note: Callable[[str], None]) -> None:
        self._c = closing
        self._position = position
        self._note = note

    async def read(self, components: Sequence[Component]) -> list[Surroundings]:
        """Live size and recorded claims of each leg's symbol, read now, all at once."""
        return await together(self._read(component) for component in components)

    async def _read(self, component: Component) -> Surroundings:
        position = self._position
        key = InstrumentKey(position.environment, component.category, component.symbol)
        instrument = await self._c.catalogue.instrument(key)
        place = symbol_of(position, component)
        claims = await self._c.positions.claims(place.account_id, place.category, place.symbol)
        exchange = self._c.exchange(position)
        holdings = await exchange.holdings_in(place.category, place.symbol, urgent=True)
        if not holdings:
            raise ExchangeUnreachable("no-row", f"Bybit gave no row for {component.symbol}")
        # A leg that claims nothing any more has nothing open, whatever our copy of it says.
        closed = replace(component, closed_quantity=component.quantity)
        recorded = next((c for c in claims.components if c.id == component.id), closed)
        return Surroundings(recorded, instrument, claims, tuple(holdings))

    async def read_after(
        self, components: Sequence[Component], fills: Mapping[ComponentId, Fill]
    ) -> list[Surroundings]:
        """Read until every row is as new as the leg's last fill, however long that takes."""
        backoff = Backoff(first=0.1, most=5.0)
        while True:
            arounds = await self.read(components)
            behind = [a.component.symbol for a in arounds if not _is_after(a, fills)]
            if not behind:
                return arounds
            self._note(f"waiting for a position read as new as the fills in {', '.join(behind)}")
            await self._c.timing.sleep(backoff.next())

    def remember(self, arounds: Sequence[Surroundings]) -> None:
        """Leave the reconciler a reading that belongs to our records as they now are."""
        for around in arounds:
            symbol = symbol_of(self._position, around.component)
            # By our own clock, as all readings are: that of the rows is the server's.
            reading = Reading(around.holdings, self._c.timing.now())
            self._c.portfolio.readings[symbol] = reading


def _is_after(around: Surroundings, fills: Mapping[ComponentId, Fill]) -> bool:
    fill = fills.get(around.component.id)
    return is_as_new_as(around.holdings, around.share.position_idx, fill)
