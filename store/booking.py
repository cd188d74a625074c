"""What a set of fills does to its component and position, computed before it is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from ..daemon.domain.model import ZERO, Booked, Category, Component, Fill
from ..daemon.domain.pnl import unrealized

# Bybit lets fees be paid in its own token, whatever the contract settles in.
_FEE_TOKEN = "MNT"


@dataclass(frozen=True, slots=True)
class Booking:
    """Quantities unsigned; `beyond` is filled quantity that the component had no more open.

    `money` is what is added to the position's sums, ordered by coin.
    """

    filled: Decimal
    closed: Decimal
    beyond: Decimal
    money: tuple[Booked, ...]


def book(component: Component, fills: Sequence[Fill], settle_coin: str | None = None) -> Booking:
    """Book fills in the order they happened; `settle_coin` is the component's, where known.

    A component never closes more than it has: what a fill took beyond that is somebody else's, and
    realizes nothing here. Its fee was paid all the same.
    """
    left = component.open
    fees: dict[str, Decimal] = {}
    realized: dict[str, Decimal] = {}
    for fill in sorted(fills, key=lambda fill: (fill.executed_at, fill.exec_id)):
        taken = min(fill.quantity, left)
        left -= taken
        coin = settle_coin or settled_in(component, fill)
        realized[coin] = realized.get(coin, ZERO) + unrealized(
            component.category, component.side, taken, component.entry_price, fill.price
        )
        paid_in = fill.fee_coin or coin
        fees[paid_in] = fees.get(paid_in, ZERO) + fill.fee
    filled = sum((fill.quantity for fill in fills), ZERO)
    closed = component.open - left
    money = tuple(
        Booked(coin, fees=fees.get(coin, ZERO), realized_pnl=realized.get(coin, ZERO))
        for coin in sorted(fees.keys() | realized.keys())
    )
    return Booking(filled, closed, filled - closed, money)


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
