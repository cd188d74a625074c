"""What fills do to the legs of their order, computed before it is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from ..daemon.domain.allocation import closed_by
from ..daemon.domain.model import ZERO, Booked, Category, Component, ComponentId, Fill
from ..daemon.domain.orders import CloseOrder
from ..daemon.domain.pnl import unrealized

# Bybit lets fees be paid in its own token, whatever the contract settles in.
_FEE_TOKEN = "MNT"


@dataclass(frozen=True, slots=True)
class Piece:
    """What of a fill is a leg's: the unsigned quantity it closes, and the fee it paid for it."""

    fill: Fill
    quantity: Decimal
    fee: Decimal


@dataclass(frozen=True, slots=True)
class Booking:
    """What pieces do to their leg. Quantities unsigned.

    `closed` is what each piece closed, by exec id; `beyond` is what the leg had no more open.
    `money` is what is added to the position's sums, ordered by coin.
    """

    closed: Mapping[str, Decimal]
    beyond: Decimal
    money: tuple[Booked, ...]

    @property
    def quantity(self) -> Decimal:
        return sum(self.closed.values(), ZERO)


def in_order(fills: Sequence[Fill]) -> list[Fill]:
    """As they happened."""
    return sorted(fills, key=lambda fill: (fill.executed_at, fill.exec_id))


def split(order: CloseOrder, fills: Sequence[Fill]) -> Mapping[ComponentId, list[Piece]]:
    """New fills of an order that has filled `order.filled` so far, as pieces of its legs.

    The heavy legs paid the fees: without the light ones the order would have been as large and
    larger. Whatever fills beyond the order's quantity is the first heavy leg's.
    """
    shares = order.shares
    heavy = [part for part in shares if not part.is_light]
    weight = sum((part.quantity for part in heavy), ZERO)
    pieces: dict[ComponentId, list[Piece]] = {part.component_id: [] for part in shares}
    filled = order.filled
    before = closed_by(shares, order.quantity, filled, order.step)
    for fill in in_order(fills):
        excess = max(filled + fill.quantity - max(filled, order.quantity), ZERO)
        filled += fill.quantity
        after = closed_by(shares, order.quantity, filled, order.step)
        unpaid = fill.fee
        for part in shares:
            closed, fee = after[part.component_id] - before[part.component_id], ZERO
            if part == heavy[0]:
                closed += excess
            if part == heavy[-1]:
                # What rounding leaves, too: the fees add up to the fill's, to its last digit.
                fee = unpaid
            elif not part.is_light:
                fee = fill.fee * part.quantity / weight
            unpaid -= fee
            if closed or fee:
                pieces[part.component_id].append(Piece(fill, closed, fee))
        before = after
    return pieces


def book(component: Component, pieces: Sequence[Piece], settle_coin: str | None = None) -> Booking:
    """Book pieces in the order given; `settle_coin` is the component's, where known.

    A component never closes more than it has: what a fill took beyond that is somebody else's, and
    realizes nothing here. Its fee was paid all the same.
    """
    closed: dict[str, Decimal] = {}
    left, beyond = component.open, ZERO
    fees: dict[str, Decimal] = {}
    realized: dict[str, Decimal] = {}
    for piece in pieces:
        fill = piece.fill
        taken = min(piece.quantity, left)
        left -= taken
        beyond += piece.quantity - taken
        coin = settle_coin or settled_in(component, fill)
        if taken:
            closed[fill.exec_id] = taken
            realized[coin] = realized.get(coin, ZERO) + realized_by(component, taken, fill.price)
        if piece.fee:
            paid_in = fill.fee_coin or coin
            fees[paid_in] = fees.get(paid_in, ZERO) + piece.fee
    money = tuple(
        Booked(coin, fees=fees.get(coin, ZERO), realized_pnl=realized.get(coin, ZERO))
        for coin in sorted(fees.keys() | realized.keys())
    )
    return Booking(closed, beyond, money)


def realized_by(component: Component, quantity: Decimal, price: Decimal) -> Decimal:
    """P&L of closing so much of a leg at a price, in the coin that it settles in."""
    return unrealized(component.category, component.side, quantity, component.entry_price, price)


def settled_in(component: Component, fill: Fill) -> str:
    """The coin of a fill's P&L, as far as it can be told without the instrument.

    A spot symbol is the base coin and then the quote coin. A derivative's fee is in its settlement
    coin (Bybit V5: execution/list `feeCurrency`), if it says so; else the symbol tells: inverse
    ones begin with it, linear ones and options name USDT or settle in USDC.
    """
    symbol = component.symbol
    if component.category is Category.SPOT:
        quote = symbol.removeprefix(component.coin or symbol)
        return quote or fill.fee_coin
    if fill.fee_coin and fill.fee_coin != _FEE_TOKEN:
        return fill.fee_coin
    if component.category is Category.INVERSE:
        return symbol.partition("USD")[0]
    return "USDT" if "USDT" in symbol else "USDC"
