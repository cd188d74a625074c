"""A recorded hour of public tickers in all categories, and positions to value by it.

What it holds is data as the exchange sends it and as people write it: no parser, no model and no
formula of the product. `record.py` made the recording.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import orjson

_FOLDER: Final = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Frame:
    """A push of one category's public stream; `text` as it stands on the wire."""

    category: str
    symbol: str
    is_snapshot: bool
    text: str


@dataclass(frozen=True, slots=True)
class Leg:
    """A component in plain text; `closed` is what of the quantity is closed already."""

    category: str
    symbol: str
    side: str
    quantity: str
    entry: str
    closed: str = "0"


@dataclass(frozen=True, slots=True)
class Held:
    """A position in plain text; `booked` is coin → fees, funding, realized P&L."""

    name: str
    legs: tuple[Leg, ...]
    booked: tuple[tuple[str, str, str, str], ...] = ()


CALL, PUT, PUT_USDT = (
    "BTC-26DEC25-100000-C",
    "BTC-26DEC25-104000-P",
    "ETH-26DEC25-4000-P-USDT",
)

POSITIONS: Final = (
    Held(
        "pair in USDT",
        (
            Leg("linear", "BTCUSDT", "Buy", "0.517", "101212.3"),
            Leg("linear", "ETHUSDT", "Sell", "13.37", "3891.07", closed="1.2"),
        ),
        (("USDT", "31.4159", "-2.718281", "12.5"),),
    ),
    Held(
        "cash and carry",
        (
            Leg("spot", "BTCUSDT", "Buy", "1.234567", "101100.1"),
            Leg("linear", "BTCUSDT", "Sell", "1.234", "101260.7"),
        ),
        (("BTC", "0.001234567", "0", "0"), ("USDT", "68.62", "9.99", "0")),
    ),
    Held(
        "calendar in coin",
        (
            Leg("inverse", "BTCUSD", "Sell", "125000", "101234.5"),
            Leg("inverse", "BTCUSDZ25", "Buy", "98765", "102345.6", closed="4321"),
        ),
        (("BTC", "0.00067", "-0.000013", "0.0042"),),
    ),
    Held(
        "coin against dollars",
        (
            Leg("inverse", "BTCUSD", "Buy", "77777", "100999.9"),
            Leg("linear", "BTCUSDT", "Sell", "0.771", "101301.4"),
        ),
        (("BTC", "0.0004", "0.00001", "-0.003"), ("USDT", "42.1", "1.1", "300")),
    ),
    Held(
        "dollars of two kinds",
        (
            Leg("linear", "BTCPERP", "Buy", "0.333", "101190.2"),
            Leg("linear", "SOLUSDT", "Sell", "161.8", "186.91"),
        ),
        (("USDC", "18.5", "-0.5", "0"), ("USDT", "16.2", "0.25", "-7.75")),
    ),
    Held(
        "strangle",
        (
            Leg("option", CALL, "Sell", "1.41", "8215"),
            Leg("option", PUT, "Buy", "0.73", "9330"),
        ),
        (("USDC", "4.44", "0", "0"),),
    ),
    Held(
        "cross pair alone",
        (Leg("spot", "ETHBTC", "Buy", "21.21", "0.038412"),),
        (("ETH", "0.02121", "0", "0"),),
    ),
    Held(
        "cross pair hedged",
        (
            Leg("spot", "ETHBTC", "Buy", "9.87654", "0.038397"),
            Leg("linear", "ETHUSDT", "Sell", "9.87", "3889.99"),
        ),
        (("BTC", "0.0003", "0", "0.0111"), ("ETH", "0.00987654", "0", "0")),
    ),
    Held(
        "two coins",
        (
            Leg("inverse", "BTCUSD", "Buy", "33333", "101555.5"),
            Leg("inverse", "ETHUSD", "Sell", "44444", "3876.54"),
        ),
        (("BTC", "0.0002", "0.0000031", "0"), ("ETH", "0.0063", "-0.0001", "0.017")),
    ),
    Held(
        "everything",
        (
            Leg("linear", "BTCPERP", "Sell", "0.25", "101200.0"),
            Leg("inverse", "ETHUSD", "Buy", "10001", "3901.25"),
            Leg("spot", "ETHBTC", "Buy", "3.3", "0.0384"),
            Leg("option", PUT_USDT, "Buy", "7.1", "301.5"),
            Leg("inverse", "BTCUSDZ25", "Sell", "5000", "102000", closed="5000"),
            Leg("linear", "SOLUSDT", "Buy", "3", "185.5", closed="2.9"),
        ),
        (("USDT", "9.75", "0", "0.25"), ("BTC", "0.00002", "0", "0.000345")),
    ),
)


@cache
def frames() -> tuple[Frame, ...]:
    """The hour in the order in which it was sent."""
    with gzip.open(_FOLDER / "hour.jsonl.gz") as lines:
        return tuple(_frame(orjson.loads(line)) for line in lines)


@cache
def instrument_rows() -> tuple[dict[str, Any], ...]:
    """Rows of market/instruments-info, each with its `category`."""
    return tuple(orjson.loads((_FOLDER / "instruments.json").read_bytes()))


def _frame(line: dict[str, Any]) -> Frame:
    frame = line["frame"]
    symbol = line["topic"].removeprefix("tickers.")
    text = orjson.dumps(frame).decode()
    return Frame(line["category"], symbol, frame["type"] == "snapshot", text)
