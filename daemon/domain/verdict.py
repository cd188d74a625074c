"""The compare: what is recorded against what Bybit holds, as a pure function.

Invariants, each property-tested:

* the order of positions, components and rows never matters;
* a symbol that was not read (or whose read failed) gives UNVERIFIED, never a deviation, and never
  changes a flag;
* a symbol that a close is working in gives no new verdict;
* what is held in symbols where no position has an open component changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from .buckets import SymbolKey, place_of, position_idx_for, signed_size
from .model import (
    ZERO,
    BucketKey,
    Component,
    ComponentId,
    DeviationKind,
    Holding,
    Position,
    PositionId,
    Verdict,
)


@dataclass(frozen=True, slots=True)
class Reading:
    """What one symbol's query said, or why it said nothing."""

    holdings: tuple[Holding, ...]
    read_at: datetime
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class Deviation:
    """A bucket that does not hold what is expected; signed quantities."""

    bucket: BucketKey
    kind: DeviationKind
    expected: Decimal
    actual: Decimal


@dataclass(frozen=True, slots=True)
class LegSync:
    """A leg's part of its bucket, unsigned in its own direction: see views.LegView.

    `deviates` is the verdict on it: a difference may be within what is permitted (the fee of a spot
    purchase), and `note` then says what it is.
    """

    actual: Decimal
    difference: Decimal
    deviates: bool
    note: str | None = None


@dataclass(frozen=True, slots=True)
class PositionSync:
    """A position's verdict with its evidence; `reason` is one sentence for UNVERIFIED."""

    verdict: Verdict
    reason: str | None
    verified_at: datetime | None
    legs: Mapping[ComponentId, LegSync]


@dataclass(frozen=True, slots=True)
class Judgement:
    """The outcome of one compare. Positions without a new verdict are not in `positions`."""

    positions: Mapping[PositionId, PositionSync]
    deviations: tuple[Deviation, ...]
    in_order: tuple[BucketKey, ...]


@dataclass(frozen=True, slots=True)
class _Bucket:
    key: BucketKey
    expected: Decimal
    actual: Decimal

    @property
    def difference(self) -> Decimal:
        return self.actual - self.expected


def kind_of(expected: Decimal, actual: Decimal) -> DeviationKind:
    """Name a deviation; the two differ."""
    if expected * actual < 0:
        return DeviationKind.FLIPPED
    return DeviationKind.MISSING if abs(actual) < abs(expected) else DeviationKind.SURPLUS


def judge(
    positions: Iterable[Position],
    unassigned: Mapping[BucketKey, Decimal],
    readings: Mapping[SymbolKey, Reading],
    busy: Set[SymbolKey],
    focus: Set[SymbolKey] | None = None,
) -> Judgement:
    """Compare every symbol that has an open component.

    `positions` are all open positions of the accounts concerned: a bucket is compared with the
    sum of them. With `focus`, only positions with an open leg in one of those symbols are judged.
    """
    everyone = list(positions)
    buckets = _buckets(everyone, unassigned, readings)
    judged: dict[PositionId, PositionSync] = {}
    for position in everyone:
        symbols = {symbol_of(position, c) for c in position.components if c.open > 0}
        if symbols & busy or (focus is not None and not symbols & focus):
            continue
        judged[position.id] = _judge_position(position, buckets, readings)
    compared = [b for b in buckets.values() if _symbol(b.key) not in busy]
    return Judgement(
        judged,
        tuple(
            Deviation(b.key, kind_of(b.expected, b.actual), b.expected, b.actual)
            for b in sorted(compared, key=lambda b: b.key)
            if b.difference
        ),
        tuple(sorted(b.key for b in compared if not b.difference)),
    )


def symbol_of(position: Position, component: Component) -> SymbolKey:
    return place_of(position.account_id, component)


def _symbol(bucket: BucketKey) -> SymbolKey:
    return SymbolKey(bucket.account_id, bucket.category, bucket.symbol)


def _buckets(
    positions: Iterable[Position],
    unassigned: Mapping[BucketKey, Decimal],
    readings: Mapping[SymbolKey, Reading],
) -> dict[BucketKey, _Bucket]:
    """Expected and actual of every bucket that was read and has an open component."""
    expected: dict[BucketKey, Decimal] = {}
    for position in positions:
        for component in position.components:
            symbol = symbol_of(position, component)
            reading = readings.get(symbol)
            if reading is None or reading.failure or component.open == 0:
                continue
            key = symbol.bucket(position_idx_for(component.side, reading.holdings))
            expected.setdefault(key, unassigned.get(key, ZERO))
            expected[key] += component.signed_open
    return {
        key: _Bucket(key, sum_, signed_size(readings[_symbol(key)].holdings, key.position_idx))
        for key, sum_ in expected.items()
    }


def _judge_position(
    position: Position,
    buckets: Mapping[BucketKey, _Bucket],
    readings: Mapping[SymbolKey, Reading],
) -> PositionSync:
    if not position.components:
        return PositionSync(Verdict.UNVERIFIED, "no components are recorded yet", None, {})
    legs: dict[ComponentId, LegSync] = {}
    doubts: dict[str, list[str]] = {}
    read_at: list[datetime] = []
    for component in position.components:
        symbol = symbol_of(position, component)
        reading = readings.get(symbol)
        if component.open == 0:
            continue
        if reading is None or reading.failure:
            why = (reading.failure if reading else None) or "not read yet"
            doubts.setdefault(why, []).append(component.symbol)
            continue
        idx = position_idx_for(component.side, reading.holdings)
        # A zero is printed as "0", not with the digits of what it was computed from.
        difference = component.side.sign * buckets[symbol.bucket(idx)].difference or ZERO
        legs[component.id] = LegSync(component.open + difference, difference, bool(difference))
        read_at.append(reading.read_at)
    verified_at = min(read_at, default=None)
    # A partial read says neither In sync nor Altered; what was read is still shown per leg.
    if doubts:
        reasons = (f"{', '.join(sorted(symbols))}: {why}" for why, symbols in doubts.items())
        return PositionSync(Verdict.UNVERIFIED, "; ".join(sorted(reasons)), None, legs)
    if any(leg.deviates for leg in legs.values()):
        return PositionSync(Verdict.ALTERED, None, verified_at, legs)
    return PositionSync(Verdict.IN_SYNC, None, verified_at, legs)
