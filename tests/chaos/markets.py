"""What a run may hold, a line for each kind of contract; another kind is another line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from time import time
from types import MappingProxyType

from positiond.bybit.paper.expiries import date_name, expiries_after, quarter_name


@dataclass(frozen=True, slots=True)
class Contract:
    """A quantity of `unit` is worth some tens of dollars; `step` is what an order's may be."""

    symbol: str
    unit: Decimal
    step: Decimal


@dataclass(frozen=True, slots=True)
class Market:
    """A kind of contract; an account that trades it has `balances` at first.

    `rests`: whether limit orders of the trader's may be in the way. `is_offered`: whether the
    daemon closes it at all; else it is tried only when it is named.
    """

    category: str
    contracts: tuple[Contract, ...]
    balances: Mapping[str, Decimal]
    hedges: bool = False
    shorts: bool = True
    rests: bool = False
    is_offered: bool = True


def place_of(category: str, symbol: str) -> str:
    """What the venue nets: a contract, or on spot the coin that is bought."""
    return symbol.removesuffix("USDT") if category == "spot" else symbol


def _contracts(*rows: tuple[str, str, str]) -> tuple[Contract, ...]:
    return tuple(Contract(symbol, Decimal(unit), Decimal(step)) for symbol, unit, step in rows)


def _coins(**amounts: int) -> Mapping[str, Decimal]:
    return MappingProxyType({coin: Decimal(amount) for coin, amount in amounts.items()})


# The names of dated contracts go with the calendar; a plan has them at the same places.
_NEXT, _LAST = expiries_after(int(time() * 1000)).quarterly
_OPTION_DAY, _DAY, _QUARTER = date_name(_NEXT), date_name(_LAST), quarter_name(_LAST)

MARKETS: Mapping[str, Market] = MappingProxyType(
    {
        "linear": Market(
            "linear",
            _contracts(
                ("BTCUSDT", "0.001", "0.001"),
                ("ETHUSDT", "0.02", "0.01"),
                ("SOLUSDT", "0.3", "0.1"),
                ("XRPUSDT", "20", "0.1"),
                ("DOGEUSDT", "200", "1"),
                ("LTCUSDT", "0.5", "0.1"),
            ),
            _coins(USDT=1_000_000),
            hedges=True,
            rests=True,
        ),
        "usdc": Market(
            "linear",
            _contracts(("BTCPERP", "0.001", "0.001"), ("ETHPERP", "0.02", "0.01")),
            _coins(USDC=1_000_000),
        ),
        "future": Market(
            "linear",
            _contracts((f"BTCUSDT-{_DAY}", "0.001", "0.001"), (f"ETHUSDT-{_DAY}", "0.02", "0.01")),
            _coins(USDT=1_000_000),
        ),
        "inverse": Market(
            "inverse",
            _contracts(
                ("BTCUSD", "30", "1"), ("ETHUSD", "30", "1"), (f"BTCUSD{_QUARTER}", "30", "1")
            ),
            _coins(BTC=20, ETH=400),
        ),
        "option": Market(
            "option",
            _contracts(
                (f"BTC-{_OPTION_DAY}-100000-C-USDT", "0.01", "0.01"),
                (f"BTC-{_OPTION_DAY}-96000-P-USDT", "0.01", "0.01"),
                (f"ETH-{_OPTION_DAY}-4000-C", "0.1", "0.1"),
            ),
            _coins(USDT=1_000_000, USDC=1_000_000),
        ),
        # The coins at first are the trader's own, and pay the fees of what is bought.
        "spot": Market(
            "spot",
            _contracts(("BTCUSDT", "0.001", "0.000001"), ("ETHUSDT", "0.02", "0.00001")),
            _coins(USDT=1_000_000, BTC=1, ETH=10),
            shorts=False,
        ),
    }
)

OFFERED = tuple(name for name, market in MARKETS.items() if market.is_offered)

# Whether a part of a position can be closed.
FRACTIONS_OFFERED = True
