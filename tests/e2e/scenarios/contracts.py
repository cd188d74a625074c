"""What the rows hold: one leg for each category and mode, of contracts that are listed today."""

from __future__ import annotations

import time
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from positiond.bybit.paper.instruments import Instrument
from positiond.bybit.paper.listing import default_listing
from positiond.bybit.vocab import Category, OptionsType

OTHER: Final = {"Buy": "Sell", "Sell": "Buy"}
SIGN: Final = {"Buy": 1, "Sell": -1}


@dataclass(frozen=True, slots=True)
class Leg:
    """What is held and recorded; `idx` is the row of the position in hedge mode."""

    category: str
    symbol: str
    side: str
    quantity: str
    idx: int = 0

    def part(self, share: str) -> str:
        return plain(Decimal(self.quantity) * Decimal(share))


@dataclass(frozen=True, slots=True)
class Contract:
    """A kind of leg, as the table names it; `subject` and `unit` are its words in a cause."""

    label: str
    mode: str
    leg: Leg
    subject: str
    unit: str


def plain(value: Decimal) -> str:
    return format(value.normalize(), "f") if value else "0"


def _dated(category: Category, settle: str, kind: OptionsType | None = None) -> list[Instrument]:
    """Listed contracts with an end, the last to end first."""
    listed = default_listing(int(time.time() * 1000)).of(category)
    found = [
        i
        for i in listed
        if i.delivery_ms and i.settle == settle and (i.option.kind if i.option else None) is kind
    ]
    return sorted(found, key=lambda i: (-i.delivery_ms, i.symbol))


FUTURES: Final = [i.symbol for i in _dated(Category.LINEAR, "USDC")]
INVERSE_FUTURES: Final = [i.symbol for i in _dated(Category.INVERSE, "BTC")]
CALLS: Final = [i.symbol for i in _dated(Category.OPTION, "USDC", OptionsType.CALL)]
PUTS: Final = [i.symbol for i in _dated(Category.OPTION, "USDC", OptionsType.PUT)]

_BTC: Final = "BTCUSDT"
USDT_LONG: Final = Contract(
    "linear USDT", "one-way", Leg("linear", _BTC, "Buy", "0.5"), "Long leg", "BTC"
)
USDT_SHORT: Final = Contract(
    "linear USDT", "one-way", Leg("linear", "ETHUSDT", "Sell", "5"), "Short leg", "ETH"
)
HEDGE_LONG: Final = Contract(
    "linear USDT", "hedge", Leg("linear", _BTC, "Buy", "0.5", 1), "Long leg", "BTC"
)
HEDGE_SHORT: Final = Contract(
    "linear USDT", "hedge", Leg("linear", _BTC, "Sell", "0.5", 2), "Short leg", "BTC"
)
USDC: Final = Contract(
    "linear USDC", "one-way", Leg("linear", "BTCPERP", "Buy", "0.5"), "Long leg", "BTC"
)
FUTURE: Final = Contract(
    "linear future", "one-way", Leg("linear", FUTURES[0], "Sell", "0.5"), "Short leg", "BTC"
)
INVERSE: Final = Contract(
    "inverse perpetual", "one-way", Leg("inverse", "BTCUSD", "Sell", "5000"), "Short leg", "USD"
)
INVERSE_FUTURE: Final = Contract(
    "inverse future",
    "one-way",
    Leg("inverse", INVERSE_FUTURES[0], "Buy", "5000"),
    "Long leg",
    "USD",
)
CALL: Final = Contract(
    "option call", "one-way", Leg("option", CALLS[0], "Buy", "0.5"), "Long leg", "BTC"
)
PUT: Final = Contract(
    "option put", "one-way", Leg("option", PUTS[0], "Sell", "0.5"), "Short leg", "BTC"
)
SPOT: Final = Contract("spot", "one-way", Leg("spot", "SOLUSDT", "Buy", "50"), "SOL", "SOL")
