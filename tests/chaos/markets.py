"""What a run may hold, a line for each kind of contract; another kind is another line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Contract:
    """A quantity of `unit` is worth some tens of dollars; `step` is what an order's may be."""

    symbol: str
    unit: Decimal
    step: Decimal


@dataclass(frozen=True, slots=True)
class Market:
    """A kind of contract; an account that trades it has `balances` at first."""

    category: str
    contracts: tuple[Contract, ...]
    balances: Mapping[str, Decimal]
    hedges: bool = False
    shorts: bool = True


def _contracts(*rows: tuple[str, str, str]) -> tuple[Contract, ...]:
    return tuple(Contract(symbol, Decimal(unit), Decimal(step)) for symbol, unit, step in rows)


def _coins(**amounts: int) -> Mapping[str, Decimal]:
    return MappingProxyType({coin: Decimal(amount) for coin, amount in amounts.items()})


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
        ),
        "usdc": Market(
            "linear",
            _contracts(("BTCPERP", "0.001", "0.001"), ("ETHPERP", "0.02", "0.01")),
            _coins(USDC=1_000_000),
        ),
        "inverse": Market(
            "inverse",
            _contracts(("BTCUSD", "30", "1"), ("ETHUSD", "30", "1")),
            _coins(BTC=20, ETH=400),
        ),
    }
)
