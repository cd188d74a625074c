"""The compare: what is recorded against what Bybit holds, as a pure function.

Invariants, each property-tested:

* the order of positions, components and rows never matters;
* a symbol that was not read, whose read failed or whose rows contradict each other gives
  UNVERIFIED, never a deviation, and never changes a flag;
* a symbol that a close is working in gives no new verdict, but for what its orders cannot explain;
* a bucket that nobody recorded a component in changes nothing: what is held there is the trader's.

The compare runs over the union of recorded and reported buckets. What is held where no component
is open is no deviation but the trader's own, so such buckets drop out; where a component stands,
the recorded unassigned part is expected beside it. Spot has no unassigned part, and a wallet holds
coins for many reasons: only what is short of the tracked sum counts there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Final

from .buckets import SymbolKey, place_of, position_idx_for, signed_size
from .fees import FEE_TOLERANCE, permitted_fee
from .model import (
    ZERO,
    BucketKey,
    Category,
    Component,
    ComponentId,
    DeviationKind,
    Holding,
    Position,
    PositionId,
    PositionStatus,
    Side,
    Verdict,
)
from .money import plain

_NOTHING: Final[Mapping[SymbolKey, Mapping[int, Decimal]]] = MappingProxyType({})


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
    """A bucket with an open component, read without doubt; `change` may still be in flight.

    `permitted` is what it may lack as the fee of purchases, a quantity.
    """

    key: BucketKey
    expected: Decimal
    actual: Decimal
    permitted: Decimal
    change: Decimal | None

    @property
    def difference(self) -> Decimal:
        return self.actual - self.expected

    @property
    def is_in_order(self) -> bool:
        return is_in_order(self.key.category, self.expected, self.actual, self.permitted)

    @property
    def is_silent(self) -> bool:
        """Whether what orders in flight may do explains all that differs: no verdict then."""
        if self.change is None:
            return False
        low, high = sorted((self.expected, self.expected + self.change))
        if self.key.category is Category.SPOT:
            return self.actual >= low - self.permitted
        return low <= self.actual <= high

    @property
    def deviation(self) -> Deviation:
        is_spot = self.key.category is Category.SPOT
        kind = DeviationKind.MISSING if is_spot else kind_of(self.expected, self.actual)
        return Deviation(self.key, kind, self.expected, self.actual)


def is_in_order(category: Category, expected: Decimal, actual: Decimal, permitted: Decimal) -> bool:
    """Whether a bucket holds what is expected of it.

    A spot purchase pays its fee in the base coin, so a shortage of up to `permitted` (a quantity:
    `fees.permitted_fee`) is in order there, and so is any surplus.
    """
    if category is Category.SPOT:
        return actual >= expected - permitted
    return actual == expected


def kind_of(expected: Decimal, actual: Decimal) -> DeviationKind:
    """Name a deviation; the two differ."""
    if expected * actual < 0:
        return DeviationKind.FLIPPED
    return DeviationKind.MISSING if abs(actual) < abs(expected) else DeviationKind.SURPLUS


def contradiction(rows: Iterable[Holding], sides: Iterable[Side] = ()) -> str | None:
    """Why one symbol's rows cannot all be true at once, or None.

    In one-way mode Bybit keeps a position in row 0, in hedge mode a long one in row 1 and a short
    one in row 2 (Bybit V5: position/list `positionIdx`). An answer by symbol has both, even when
    flat: one that leaves out a row of these `sides` says nothing of it, least of all that it is 0.
    """
    told = tuple(rows)
    indices = [row.position_idx for row in told]
    held = {row.position_idx for row in told if row.size}
    if len({(row.category, row.symbol) for row in told}) > 1:
        return "Bybit gave rows of other symbols"
    if not {*indices} <= {0, 1, 2}:
        return "Bybit gave a row of an unknown positionIdx"
    if len(set(indices)) < len(indices):
        return "Bybit gave two rows for one positionIdx"
    if 0 in held and {1, 2} & {*indices}:
        return "Bybit gave rows of one-way and of hedge mode at once"
    why = next((why for row in told if (why := _absurdity(row))), None)
    if not why and told and not {position_idx_for(side, told) for side in sides} <= {*indices}:
        why = "Bybit gave no row for one side of the hedge"
    return why


def _absurdity(row: Holding) -> str | None:
    if row.side is None and row.size:
        return "Bybit gave a size without a side"
    if row.size < 0:
        return "Bybit gave a size below zero"
    if row.size and (row.position_idx, row.side) in ((1, Side.SELL), (2, Side.BUY)):
        return "Bybit gave a hedge row of the wrong side"
    return None


def doubt_of(component: Component, reading: Reading | None) -> str | None:
    """Why the component cannot be judged by the reading of its place, or None if it can."""
    if component.category is Category.SPOT and component.coin is None:
        return "the instrument is not known yet"
    if reading is None:
        return "not read yet"
    return reading.failure or contradiction(reading.holdings, (component.side,))


def symbol_of(position: Position, component: Component) -> SymbolKey:
    return place_of(position.account_id, component)


def judge(
    positions: Iterable[Position],
    unassigned: Mapping[BucketKey, Decimal],
    readings: Mapping[SymbolKey, Reading],
    busy: Set[SymbolKey],
    focus: Set[SymbolKey] | None = None,
    *,
    in_flight: Mapping[SymbolKey, Mapping[int, Decimal]] = _NOTHING,
    fee_tolerance: Decimal = FEE_TOLERANCE,
) -> Judgement:
    """Compare every symbol that has an open component.

    `positions` are all open positions of the accounts concerned: a bucket is compared with the
    sum of them. With `focus`, only positions with a leg in one of those symbols are judged: also
    one that was closed there just now, whose old verdict still speaks of it. And those that have
    nothing open anywhere.

    A `busy` symbol, in which somebody works, gives no new verdict. With an entry in `in_flight`
    (positionIdx -> the signed change of the actual size that our unconfirmed orders may still
    make) it gives one where the actual size is beyond expected and expected plus that change.
    """
    everyone = [p for p in positions if p.status is not PositionStatus.CLOSED]
    shut = {symbol for symbol in busy if symbol not in in_flight}
    buckets = _buckets(everyone, unassigned, readings, in_flight, fee_tolerance)
    judged: dict[PositionId, PositionSync] = {}
    for position in everyone:
        symbols = {symbol_of(position, c) for c in position.components if c.open > 0}
        if symbols & shut or not _is_in_focus(position, focus):
            continue
        sync = _judge_position(position, buckets, readings)
        if sync is not None:
            judged[position.id] = sync
    compared = [
        bucket
        for key, bucket in sorted(buckets.items())
        if SymbolKey.of(key) not in shut and not bucket.is_silent
    ]
    return Judgement(
        judged,
        tuple(bucket.deviation for bucket in compared if not bucket.is_in_order),
        tuple(bucket.key for bucket in compared if bucket.is_in_order),
    )


def _is_in_focus(position: Position, focus: Set[SymbolKey] | None) -> bool:
    if focus is None or not any(c.open > 0 for c in position.components):
        # Of what has nothing open there is nothing to read.
        return True
    return any(symbol_of(position, c) in focus for c in position.components)


def _buckets(
    positions: Iterable[Position],
    unassigned: Mapping[BucketKey, Decimal],
    readings: Mapping[SymbolKey, Reading],
    in_flight: Mapping[SymbolKey, Mapping[int, Decimal]],
    tolerance: Decimal,
) -> dict[BucketKey, _Bucket]:
    """Expected and actual of every bucket that was read and has an open component."""
    expected: dict[BucketKey, Decimal] = {}
    bought: dict[BucketKey, list[Component]] = {}
    for position in positions:
        is_closing = position.status is PositionStatus.CLOSING
        for component in position.components:
            symbol = symbol_of(position, component)
            reading = readings.get(symbol)
            # What a close has sold in full leaves its part of the fee to the others until its end.
            if reading is None or not (component.open or is_closing):
                continue
            if doubt_of(component, reading):
                continue
            key = symbol.bucket(position_idx_for(component.side, reading.holdings))
            bought.setdefault(key, []).append(component)
            if component.open == 0:
                continue
            if key not in expected:
                is_spot = key.category is Category.SPOT
                expected[key] = ZERO if is_spot else unassigned.get(key, ZERO)
            expected[key] += component.signed_open
    buckets = {}
    for key, sum_ in expected.items():
        symbol = SymbolKey.of(key)
        actual = signed_size(readings[symbol].holdings, key.position_idx)
        flying = in_flight.get(symbol)
        change = None if flying is None else flying.get(key.position_idx, ZERO)
        permitted = permitted_fee(bought[key], tolerance)
        buckets[key] = _Bucket(key, sum_, actual, permitted, change)
    return buckets


def _judge_position(
    position: Position,
    buckets: Mapping[BucketKey, _Bucket],
    readings: Mapping[SymbolKey, Reading],
) -> PositionSync | None:
    """The position's verdict; None where a close in flight leaves nothing to say."""
    if not position.components:
        return PositionSync(Verdict.UNVERIFIED, "no components are recorded yet", None, {})
    legs: dict[ComponentId, LegSync] = {}
    doubts: dict[str, set[str]] = {}
    read_at: list[datetime] = []
    is_silent = False
    for component in position.components:
        if component.open == 0:
            continue
        symbol = symbol_of(position, component)
        reading = readings.get(symbol)
        why = doubt_of(component, reading)
        if reading is None or why:
            doubts.setdefault(why or "not read yet", set()).add(component.symbol)
            continue
        bucket = buckets[symbol.bucket(position_idx_for(component.side, reading.holdings))]
        legs[component.id] = _leg(component, bucket)
        is_silent |= bucket.is_silent
        read_at.append(reading.read_at)
    verified_at = min(read_at, default=None)
    # A partial read says neither In sync nor Altered; what was read is still shown per leg.
    if doubts:
        reasons = (f"{', '.join(sorted(symbols))}: {why}" for why, symbols in doubts.items())
        return PositionSync(Verdict.UNVERIFIED, "; ".join(sorted(reasons)), None, legs)
    # What no order of ours explains is certain, whatever is in flight beside it.
    if any(leg.deviates for leg in legs.values()):
        return PositionSync(Verdict.ALTERED, None, verified_at, legs)
    return None if is_silent else PositionSync(Verdict.IN_SYNC, None, verified_at, legs)


def _leg(component: Component, bucket: _Bucket) -> LegSync:
    # A zero is printed as "0", not with the digits of what it was computed from.
    difference = component.side.sign * bucket.difference or ZERO
    note = None
    if bucket.key.category is Category.SPOT:
        difference = min(difference, ZERO)
    if difference and bucket.is_silent:
        note = "a close is under way"
    elif difference and bucket.is_in_order:
        short = plain((-difference).normalize())
        note = f"{short} {bucket.key.symbol} short: the fee of the purchase in the base coin"
    deviates = not bucket.is_in_order and not bucket.is_silent
    return LegSync(component.open + difference, difference, deviates, note)
