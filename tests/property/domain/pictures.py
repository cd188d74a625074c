"""Generated pictures of an account, and what a slow reading of them says of each leg.

A picture holds positions in few places, so that they meet there: contracts in one-way and in hedge
mode, coins, reads that failed and reads that make no sense. About half of what is held is what is
recorded. The words below the strategies are written apart from the product's, and as plainly as
possible: the properties hold the product against them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from hypothesis import strategies as st
from positiond.daemon.domain.buckets import SymbolKey
from positiond.daemon.domain.model import (
    BucketKey,
    Category,
    Component,
    Holding,
    Position,
    PositionStatus,
    Side,
)
from positiond.daemon.domain.verdict import Reading

from ...builders import ACCOUNT, NOON, SHORT, component, position
from ...unit.domain.places import row
from ...unit.domain.samples import quantities, sides, signed

TOLERANCE = Decimal("0.002")
# Which part of a leg was sold already.
_SOLD = (*[Decimal(0)] * 7, Decimal("0.5"), Decimal("0.99"), Decimal(1))
INSTRUMENTS: tuple[tuple[Category, str, str | None], ...] = (
    (Category.LINEAR, "AUSDT", None),
    (Category.LINEAR, "AUSDT", None),
    (Category.INVERSE, "BUSD", None),
    (Category.OPTION, "C-27MAR26-100-C-USDT", None),
    (Category.SPOT, "DUSDT", "D"),
    (Category.SPOT, "DUSDC", "D"),
    (Category.SPOT, "DUSDC", "D"),
    (Category.SPOT, "NEWUSDT", None),
)
PLACES = tuple(sorted({SymbolKey(ACCOUNT, cat, coin or sym) for cat, sym, coin in INSTRUMENTS}))


@dataclass(frozen=True)
class Picture:
    """All that a compare is given."""

    positions: Sequence[Position]
    unassigned: Mapping[BucketKey, Decimal]
    readings: Mapping[SymbolKey, Reading]
    busy: frozenset[SymbolKey]


@st.composite
def legs(draw: st.DrawFn, of: str) -> tuple[Component, ...]:
    chosen = draw(st.lists(st.sampled_from(INSTRUMENTS), min_size=1, max_size=3, unique=True))
    found = []
    for category, symbol, coin in chosen:
        quantity = draw(quantities)
        closed = quantity * draw(st.sampled_from(_SOLD))
        side = Side.BUY if category is Category.SPOT else draw(sides)
        leg = component(quantity, side, symbol, of=of, closed=closed, category=category)
        found.append(replace(leg, coin=coin))
    return tuple(found)


@st.composite
def crowds(draw: st.DrawFn) -> list[Position]:
    names = [f"p{n}" for n in range(draw(st.integers(1, 4)))]
    return [
        position(
            *draw(legs(name)),
            name=name,
            status=draw(st.sampled_from([*[PositionStatus.ACTIVE] * 7, PositionStatus.CLOSED])),
        )
        for name in names
    ]


def _rows(draw: st.DrawFn, place: SymbolKey, expected: Mapping[int, Decimal]) -> list[Holding]:
    def held(idx: int) -> Decimal:
        if draw(st.booleans()):
            return expected[idx]
        if place.category is Category.SPOT:
            # Around what is permitted as a fee: a surplus, within it, at its edge, beyond it.
            part = draw(st.sampled_from(("-0.5", "0.001", "0.002", "0.0021", "0.5", "1")))
            return expected[idx] * (1 - Decimal(part))
        return draw(signed)

    def told(size: Decimal, idx: int) -> Holding:
        return row(size, place.symbol, place.category, idx=idx)

    if place.category is Category.LINEAR and draw(st.booleans()):
        return [told(max(held(1), Decimal(0)), 1), told(min(held(2), Decimal(0)), 2)]
    return [told(held(0), 0)]


@st.composite
def pictures(draw: st.DrawFn, *, is_sound: bool = False) -> Picture:
    """`is_sound`: every place was read, and well."""
    positions = draw(crowds())
    unassigned = {
        place.bucket(idx): draw(signed)
        for place in PLACES
        for idx in (0, 1, 2)
        if draw(st.integers(0, 2)) == 0
    }
    readings = {}
    for place in PLACES:
        tracked = {idx: _tracked(positions, place, idx) for idx in (0, 1, 2)}
        if place.category is not Category.SPOT:
            tracked = {i: t + unassigned.get(place.bucket(i), 0) for i, t in tracked.items()}
        rows = _rows(draw, place, tracked)
        fate = 9 if is_sound else draw(st.integers(0, 14))
        if fate == 0:
            rows.append(replace(rows[0], side=SHORT, size=Decimal(7)))
        if fate != 1:
            failure = "timed out" if fate == 2 else None
            readings[place] = Reading(tuple(rows), NOON, failure)
    busy = frozenset(place for place in PLACES if not is_sound and draw(st.integers(0, 6)) == 0)
    return Picture(positions, unassigned, readings, busy)


# --- the slow reading -----------------------------------------------------------------------


def place(leg: Component) -> SymbolKey:
    return SymbolKey(ACCOUNT, leg.category, leg.coin or leg.symbol)


def open_legs(positions: Sequence[Position]) -> Iterator[tuple[Position, Component]]:
    for one in positions:
        for leg in one.components:
            if one.status is not PositionStatus.CLOSED and leg.open > 0:
                yield one, leg


def _tracked(positions: Sequence[Position], where: SymbolKey, idx: int) -> Decimal:
    total = Decimal(0)
    for _, leg in open_legs(positions):
        if place(leg) == where and idx in (0, 2 if leg.side is SHORT else 1):
            total += leg.open if leg.side is Side.BUY else -leg.open
    return total


def bucket(picture: Picture, leg: Component) -> BucketKey | None:
    """Where the leg sits; None where nothing sound was read."""
    reading = picture.readings.get(place(leg))
    if reading is None or reading.failure or len(reading.holdings) > 2:
        return None
    if leg.category is Category.SPOT and leg.coin is None:
        return None
    indices = [h.position_idx for h in reading.holdings]
    if len(indices) != len(set(indices)):
        return None
    hedged = indices != [0]
    return place(leg).bucket((2 if leg.side is SHORT else 1) if hedged else 0)


def expected(picture: Picture, key: BucketKey) -> Decimal:
    where = SymbolKey(key.account_id, key.category, key.symbol)
    tracked = _tracked(picture.positions, where, key.position_idx)
    if key.category is Category.SPOT:
        return tracked
    return tracked + picture.unassigned.get(key, Decimal(0))


def actual(picture: Picture, key: BucketKey) -> Decimal:
    where = SymbolKey(key.account_id, key.category, key.symbol)
    for told in picture.readings[where].holdings:
        if told.position_idx == key.position_idx and told.side is not None:
            return told.size if told.side is Side.BUY else -told.size
    return Decimal(0)


def fee(picture: Picture, key: BucketKey, without: Component | None = None) -> Decimal:
    """What the bucket's legs (without one) may lack of what was bought of them."""
    bought = [
        leg.quantity
        for _, leg in open_legs(picture.positions)
        if bucket(picture, leg) == key and (without is None or leg.id != without.id)
    ]
    return sum(bought, Decimal(0)) * TOLERANCE


def is_as_recorded(picture: Picture, key: BucketKey) -> bool:
    wanted, held = expected(picture, key), actual(picture, key)
    if key.category is Category.SPOT:
        return held >= wanted - fee(picture, key)
    return held == wanted
