"""P&L from raw frames by a script of its own: what the daemon's numbers have to equal.

It imports nothing of the product, on purpose: its own reading of the JSON, its own formulas, its
own notion of what is known. Slow and plain; every value is worked out anew when it is asked for.

* A snapshot is all that is known of a contract, a delta changes what it names; an empty text says
  nothing. After a lost stream nothing is known.
* With the mark price M (spot: the last price), entry E and what is open of the quantity, Q:
  long linear, option, spot: Q·(M − E); long inverse: Q·(1/E − 1/M); short: the negative.
* Legs of one settle coin (spot: quote coin) are added up in it; any others in dollars. USDT and
  USDC are dollars. A coin's dollar price is the first that is known of: `usdIndexPrice` of the spot
  pairs with that base coin, `indexPrice` of its inverse and then of its linear contracts; each kind
  in the order of the symbols.
* What cannot be known is None; a part that is None makes the sum None.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from .corpus import Held, Leg

_DOLLAR_COINS = ("USD", "USDT", "USDC")
_INDEX = {"spot": "usdIndexPrice", "inverse": "indexPrice", "linear": "indexPrice"}


class Reference:
    """What the frames so far make of positions."""

    def __init__(self, rows: Iterable[Mapping[str, Any]]) -> None:
        self._rows = {(row["category"], row["symbol"]): row for row in rows}
        self._known: dict[tuple[str, str], dict[str, str]] = {key: {} for key in self._rows}
        self._priced = [key for kind in _INDEX for key in sorted(self._rows) if key[0] == kind]

    def take(self, category: str, text: str) -> None:
        frame = json.loads(text)
        key = category, frame["topic"].split(".", 1)[1]
        news = {name: value for name, value in frame["data"].items() if value != ""}
        if frame["type"] == "snapshot":
            self._known[key] = news
        else:
            self._known[key].update(news)

    def lose(self, category: str) -> None:
        for key in self._known:
            if key[0] == category:
                self._known[key] = {}

    def leg(self, leg: Leg) -> Decimal | None:
        """In the coin that the leg settles in."""
        quantity = Decimal(leg.quantity) - Decimal(leg.closed)
        if quantity == 0:
            return Decimal(0)
        shown = self.shown(leg)
        if shown is None:
            return None
        if leg.side == "Sell":
            quantity = -quantity
        if leg.category == "inverse":
            return quantity * (1 / Decimal(leg.entry) - 1 / shown)
        return quantity * (shown - Decimal(leg.entry))

    def shown(self, leg: Leg) -> Decimal | None:
        """The price that values the leg."""
        known = self._known[leg.category, leg.symbol]
        text = known.get("lastPrice" if leg.category == "spot" else "markPrice")
        return None if text is None else Decimal(text)

    def currency(self, held: Held) -> str:
        coins = {self._settle(leg) for leg in held.legs}
        return coins.pop() if len(coins) == 1 else "USD"

    def total(self, held: Held) -> Decimal | None:
        """The price P&L in the position's currency."""
        parts = [(self._settle(leg), self.leg(leg)) for leg in held.legs]
        return self._sum(parts, self.currency(held))

    def booked(self, held: Held) -> tuple[Decimal | None, ...]:
        """Fees, funding and realized P&L in the position's currency."""
        return tuple(
            self._sum([(row[0], Decimal(row[part])) for row in held.booked], self.currency(held))
            for part in (1, 2, 3)
        )

    def net(self, held: Held) -> Decimal | None:
        """Price P&L and realized P&L and funding received, less fees paid."""
        fees, funding, realized = self.booked(held)
        price = self.total(held)
        if price is None or fees is None or funding is None or realized is None:
            return None
        return price + realized + funding - fees

    def dollars(self, coin: str) -> Decimal | None:
        """What one of the coin is worth in US dollars."""
        if coin in _DOLLAR_COINS:
            return Decimal(1)
        for key in self._priced:
            if self._rows[key]["baseCoin"] == coin:
                shown = self._known[key].get(_INDEX[key[0]])
                if shown is not None:
                    return Decimal(shown)
        return None

    def _settle(self, leg: Leg) -> str:
        row = self._rows[leg.category, leg.symbol]
        return str(row["quoteCoin"] if leg.category == "spot" else row["settleCoin"])

    def _sum(self, parts: Iterable[tuple[str, Decimal | None]], currency: str) -> Decimal | None:
        total = Decimal(0)
        for coin, amount in parts:
            if amount is None:
                return None
            worth = self._told_in(currency, coin, amount)
            if worth is None:
                return None
            total = total + worth
        return total

    def _told_in(self, currency: str, coin: str, amount: Decimal) -> Decimal | None:
        both_dollars = coin in _DOLLAR_COINS and currency in _DOLLAR_COINS
        if coin == currency or both_dollars or amount == 0:
            return amount
        worth, unit = self.dollars(coin), self.dollars(currency)
        if worth is None or unit is None:
            return None
        return amount * worth / unit
