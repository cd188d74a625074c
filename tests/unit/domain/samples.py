"""Generated pictures of an account: positions, what is unassigned, what Bybit holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from hypothesis import settings
from hypothesis import strategies as st
from positiond.daemon.domain.buckets import SymbolKey
from positiond.daemon.domain.model import BucketKey, Component, Position
from positiond.daemon.domain.verdict import Reading

from ...builders import LONG, NOON, SHORT, component, holding, position, symbol_key

# The same examples in every run, on every machine, however slow it is.
steady = settings(derandomize=True, max_examples=120, deadline=None, database=None)

SYMBOLS = ("AUSDT", "BUSDT", "CUSDT")
quantities = st.integers(1, 4).map(lambda n: Decimal(n) / 2)
signed = st.integers(-6, 6).map(lambda n: Decimal(n) / 2)
sides = st.sampled_from((LONG, SHORT))


@dataclass(frozen=True)
class Picture:
    """All that a compare is given."""

    positions: Sequence[Position]
    unassigned: Mapping[BucketKey, Decimal]
    readings: Mapping[SymbolKey, Reading]
    busy: frozenset[SymbolKey]


@st.composite
def legs(draw: st.DrawFn, of: str) -> tuple[Component, ...]:
    symbols = draw(st.lists(st.sampled_from(SYMBOLS), min_size=1, max_size=3, unique=True))
    return tuple(
        component(
            quantity := draw(quantities),
            draw(sides),
            symbol,
            of=of,
            closed=quantity if draw(st.integers(0, 9)) == 0 else 0 * quantity,
        )
        for symbol in symbols
    )


@st.composite
def readings(draw: st.DrawFn, symbol: str) -> Reading:
    if draw(st.integers(0, 4)) == 0:
        return Reading((), NOON, "timed out")
    if draw(st.booleans()):
        return Reading((holding(draw(signed), symbol),), NOON)
    long, short = draw(st.integers(0, 6)), draw(st.integers(0, 6))
    rows = holding(Decimal(long) / 2, symbol, idx=1), holding(Decimal(-short) / 2, symbol, idx=2)
    return Reading(rows, NOON)


@st.composite
def pictures(draw: st.DrawFn) -> Picture:
    names = [f"p{n}" for n in range(draw(st.integers(1, 4)))]
    keys = [symbol_key(symbol) for symbol in SYMBOLS]
    return Picture(
        positions=[position(*draw(legs(name)), name=name) for name in names],
        unassigned={
            key.bucket(idx): draw(signed)
            for key in keys
            for idx in (0, 1, 2)
            if draw(st.integers(0, 2)) == 0
        },
        readings={key: draw(readings(key.symbol)) for key in keys if draw(st.integers(0, 4)) != 0},
        busy=frozenset(key for key in keys if draw(st.integers(0, 4)) == 0),
    )
