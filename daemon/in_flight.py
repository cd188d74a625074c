"""What our own orders may still do to a bucket, so that a compare can tell it from a loss."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from .domain.allocation import closed_by
from .domain.buckets import SymbolKey
from .domain.model import ZERO, AccountId, CloseOrderId, Component, ComponentId, Fill
from .domain.orders import CloseOrder
from .domain.portfolio import Portfolio
from .newest_fills import NewestFills


@dataclass(slots=True)
class _Leg:
    """One leg that a close works on, as it was when the close was accepted."""

    symbol: SymbolKey
    component: Component
    closed_before: Decimal
    is_known: bool
    is_silent: bool = False
    orders: dict[CloseOrderId, CloseOrder] = field(default_factory=dict)


class InFlight:
    """Kept by closes, read by compares; a close enters before its first order can leave.

    Memory learns of our fills some time after they are booked, so the range is not what the orders
    have left to fill but what they may have closed in all, less what memory shows as closed.
    """

    def __init__(self, portfolio: Portfolio, now: Callable[[], datetime]) -> None:
        self._portfolio = portfolio
        self._legs: dict[ComponentId, _Leg] = {}
        self._versions: dict[SymbolKey, int] = {}
        self.fills = NewestFills(now)

    @contextmanager
    def closing(
        self,
        legs: Iterable[tuple[Component, SymbolKey]],
        open_before: Mapping[ComponentId, Decimal],
        *,
        is_known: bool,
    ) -> Iterator[None]:
        """A close works on these legs, of which so much was open when it was accepted.

        One that a dead process left is not known before its orders were read from their rows.
        """
        entered = list(legs)
        for component, symbol in entered:
            closed_before = component.quantity - open_before[component.id]
            self._legs[component.id] = _Leg(symbol, component, closed_before, is_known)
            self._turn(symbol)
        try:
            yield
        finally:
            for component, symbol in entered:
                self._legs.pop(component.id, None)
                self._turn(symbol)

    def note(self, order: CloseOrder) -> None:
        """The order as it now stands: before it may leave, and after anything came of it."""
        for part in order.shares:
            leg = self._legs.get(part.component_id)
            if leg is not None:
                leg.orders[order.id] = order
                leg.is_silent |= any(part.is_light for part in order.shares)
                self._turn(leg.symbol)

    def silence(self, component_ids: Iterable[ComponentId]) -> None:
        """These legs close against each other: no verdict until that is over.

        Memory learns of one position's side before the other's, and for that moment what is
        expected is off by more than any order explains.
        """
        for component_id in component_ids:
            leg = self._legs.get(component_id)
            if leg is not None:
                leg.is_silent = True
                self._turn(leg.symbol)

    def know(self, component_ids: Iterable[ComponentId]) -> None:
        """All orders of these legs have been noted by now."""
        for component_id in component_ids:
            leg = self._legs.get(component_id)
            if leg is not None and not leg.is_known:
                leg.is_known = True
                self._turn(leg.symbol)

    def note_fills(self, account_id: AccountId, fills: Iterable[Fill]) -> None:
        """What a lookup found, which the stream may not have told."""
        for fill in fills:
            self.fills.note(account_id, fill)

    def version(self, symbol: SymbolKey) -> int:
        """Another number after every change: a read belongs to one of them only."""
        return self._versions.get(symbol, 0)

    def is_at_work(self, symbol: SymbolKey) -> bool:
        """Whether a close works in the symbol that says what its orders may still do."""
        here = [leg for leg in self._legs.values() if leg.symbol == symbol]
        return any(leg.is_known for leg in here) and not any(leg.is_silent for leg in here)

    def changes(self) -> Mapping[SymbolKey, Mapping[int, Decimal]]:
        """Per symbol and positionIdx, the signed change that orders may still make to `actual`.

        A symbol that a close works in is always there, with an empty mapping before its orders.
        """
        known = [leg for leg in self._legs.values() if self.is_at_work(leg.symbol) and leg.is_known]
        found: dict[SymbolKey, dict[int, Decimal]] = {leg.symbol: {} for leg in known}
        for leg in known:
            if not leg.orders:
                continue
            component_id = leg.component.id
            at_most = (_at_most(order, component_id) for order in leg.orders.values())
            may_have_closed = leg.closed_before + sum(at_most, ZERO)
            left = max(may_have_closed - self._shown_closed(leg), ZERO)
            idx = next(iter(leg.orders.values())).bucket.position_idx
            change = found[leg.symbol]
            change[idx] = change.get(idx, ZERO) - leg.component.side.sign * left
        return found

    def _shown_closed(self, leg: _Leg) -> Decimal:
        """What memory shows as closed of the leg; all of it where the position left memory."""
        position = self._portfolio.positions.get(leg.component.position_id)
        shown = (c for c in (position.components if position else ()) if c.id == leg.component.id)
        return next((c.closed_quantity for c in shown), leg.component.quantity)

    def _turn(self, symbol: SymbolKey) -> None:
        self._versions[symbol] = self._versions.get(symbol, 0) + 1


def _at_most(order: CloseOrder, component_id: ComponentId) -> Decimal:
    """How much of the leg the order may have closed in the end."""
    filled = order.filled if order.state.is_settled else max(order.quantity, order.filled)
    if len(order.shares) == 1:
        return filled
    return closed_by(order.shares, order.quantity, filled, order.step)[component_id]
