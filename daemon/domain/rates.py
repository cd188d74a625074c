"""Money of several coins in one currency: what was booked, by the coins' current dollar prices."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from .model import ZERO, Booked

USD: Final = "USD"
# Stablecoins that count as one US dollar wherever coins have to be added up.
DOLLARS: Final = frozenset({USD, "USDT", "USDC"})
ONE: Final = Decimal(1)

# The dollar price of a coin now; None where there is none that is fresh. Dollars are never asked.
DollarPrice = Callable[[str], Decimal | None]


@dataclass(frozen=True, slots=True)
class BookedSums:
    """Sums in one currency, None where a coin cannot be valued: `incomplete` names it."""

    fees: Decimal | None
    funding: Decimal | None
    realized_pnl: Decimal | None
    incomplete: str | None


def currency_of(coins: Iterable[str | None]) -> str:
    """What a position with legs in these coins is valued in: the one coin, else US dollars.

    None stands for a coin that is not known yet.
    """
    several = set(coins)
    coin = several.pop() if len(several) == 1 else None
    return coin or USD


def coins_to_value(coins: Iterable[str], currency: str) -> frozenset[str]:
    """The coins whose dollar prices it takes to tell amounts in `coins` in the currency."""
    foreign = {coin for coin in coins if not _is_same(coin, currency)}
    if not foreign:
        return frozenset()
    return frozenset((foreign | {currency}) - DOLLARS)


def converted(amount: Decimal, coin: str, currency: str, price: DollarPrice) -> Decimal | None:
    """The amount in the currency: exact within one coin and among dollars, else by two prices."""
    if _is_same(coin, currency) or not amount:
        return amount
    source = ONE if coin in DOLLARS else price(coin)
    target = ONE if currency in DOLLARS else price(currency)
    if source is None or target is None:
        return None
    return amount * source / target


def booked_coins(booked: Iterable[Booked]) -> frozenset[str]:
    """The coins in which something is booked."""
    return frozenset(b.coin for b in booked if b.fees or b.funding or b.realized_pnl)


def booked_sums(booked: Iterable[Booked], currency: str, price: DollarPrice) -> BookedSums:
    """The sums of what was booked; a missing price spoils only the sums that need it."""
    entries = tuple(booked)
    unknown: set[str] = set()

    def total(parts: Iterable[tuple[str, Decimal]]) -> Decimal | None:
        worth = [(coin, converted(amount, coin, currency, price)) for coin, amount in parts]
        missing = {coin for coin, value in worth if value is None}
        unknown.update(missing)
        return None if missing else sum((value or ZERO for _, value in worth), ZERO)

    fees = total((b.coin, b.fees) for b in entries)
    funding = total((b.coin, b.funding) for b in entries)
    realized = total((b.coin, b.realized_pnl) for b in entries)
    lacking = sorted(c for c in coins_to_value(unknown, currency) if price(c) is None)
    incomplete = f"no fresh dollar price of {', '.join(lacking)}" if lacking else None
    return BookedSums(fees, funding, realized, incomplete)


def _is_same(coin: str, currency: str) -> bool:
    return coin == currency or (coin in DOLLARS and currency in DOLLARS)
