"""Resolve actions: what a trader decides about a deviation, each leaving expected = actual.

An action changes records, never anything on Bybit. It is computed from rows read just now, it
touches only the buckets of the legs that it is asked for, and it is refused wherever the outcome
would still deviate: for every touched bucket, the compare of the changed records is in order.

With one exception. Where more is gone than one leg had open, as after the liquidation of a bucket
that several positions share, no single leg's change can explain it all. There a leg of which
nothing is left can be marked closed, and what the others still lack stays a deviation of theirs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import assert_never

from .buckets import SymbolKey, position_idx_for, signed_size
from .errors import Conflict, InvalidInput, NotFound
from .fees import FEE_TOLERANCE, permitted_fee
from .model import (
    ZERO,
    AccountId,
    BucketKey,
    Category,
    Component,
    ComponentId,
    Position,
    PositionId,
    PositionStatus,
    UserId,
)
from .verdict import Reading, doubt_of, is_in_order, symbol_of


class ResolveAction(StrEnum):
    """ACCEPT: the difference becomes unassigned. REBASE: the leg becomes what is there of it.

    MARK_CLOSED: the leg is gone on Bybit, nothing of it stays open.
    """

    ACCEPT = "accept"
    REBASE = "rebase"
    MARK_CLOSED = "mark_closed"


@dataclass(frozen=True, slots=True)
class Change:
    """A quantity before and after; open quantities are unsigned, unassigned ones signed."""

    before: Decimal
    after: Decimal


@dataclass(frozen=True, slots=True)
class Resolution:
    """What one resolve action changes, computed from `actual` (signed, read just now).

    `lacking` are the buckets that go on deviating: what is expected there beyond the actual.
    """

    position_id: PositionId
    account_id: AccountId
    action: ResolveAction
    actor: UserId
    at: datetime
    opens: Mapping[ComponentId, Change]
    unassigned: Mapping[BucketKey, Change]
    actual: Mapping[BucketKey, Decimal]
    lacking: Mapping[BucketKey, Decimal] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Bucket:
    """A bucket with the legs in it that the action is about; signed quantities.

    `others` is what all other components there have open. What may be lacking as the fee of
    purchases: `own_fee` for the legs, `other_fees` for those others.
    """

    key: BucketKey
    legs: tuple[Component, ...]
    others: Decimal
    unassigned: Decimal
    actual: Decimal
    own_fee: Decimal
    other_fees: Decimal

    @property
    def names(self) -> str:
        return " and ".join(sorted(leg.symbol for leg in self.legs))

    @property
    def is_spot(self) -> bool:
        return self.key.category is Category.SPOT

    @property
    def tracked(self) -> Decimal:
        return self.others + sum((leg.signed_open for leg in self.legs), ZERO)

    @property
    def differs(self) -> bool:
        """Whether there is anything to resolve; in spot the fee of a purchase may be, too."""
        expected = self.tracked + self.unassigned
        return self.actual < expected if self.is_spot else self.actual != expected

    @property
    def deviates(self) -> bool:
        expected, permitted = self.tracked + self.unassigned, self.own_fee + self.other_fees
        return not is_in_order(self.key.category, expected, self.actual, permitted)

    def is_settled_by(self, expected: Decimal) -> bool:
        """Whether it is in order where the legs were set right: no fee of theirs is left then."""
        return is_in_order(self.key.category, expected, self.actual, self.other_fees)


@dataclass(frozen=True, slots=True)
class _Outcome:
    opens: Mapping[ComponentId, Change]
    unassigned: Mapping[BucketKey, Change]
    lacking: Mapping[BucketKey, Decimal] = field(default_factory=dict)


def resolve(
    action: ResolveAction,
    position: Position,
    component_ids: Collection[ComponentId] | None,
    everyone: Iterable[Position],
    unassigned: Mapping[BucketKey, Decimal],
    readings: Mapping[SymbolKey, Reading],
    *,
    actor: UserId,
    at: datetime,
    fee_tolerance: Decimal = FEE_TOLERANCE,
) -> Resolution:
    """What the action changes of the named components; of all that deviate where none are named.

    `everyone` are the account's open positions. NotFound `unknown-component`; Conflict
    `already-closed`, `unverified`, `nothing-to-resolve`, `opposite-unassigned`, `cannot-rebase`,
    `not-gone`; InvalidInput `spot-has-no-unassigned`. All or nothing: one refusal refuses all.
    """
    if position.status is PositionStatus.CLOSED:
        raise Conflict("already-closed", f"{position.name} is closed.")
    legs = _legs(position, component_ids)
    _refuse_doubt(position, legs, readings)
    others = [p for p in everyone if p.id != position.id]
    found = list(_buckets(position, legs, others, unassigned, readings, fee_tolerance))
    if component_ids is None:
        found = [bucket for bucket in found if bucket.deviates]
    else:
        found = [bucket for bucket in found if bucket.differs]
    if not found:
        raise Conflict("nothing-to-resolve", "Bybit holds what is recorded.")
    outcomes = [_decide(action, bucket) for bucket in found]
    return Resolution(
        position.id,
        position.account_id,
        action,
        actor,
        at,
        {leg: change for outcome in outcomes for leg, change in outcome.opens.items()},
        {key: change for outcome in outcomes for key, change in outcome.unassigned.items()},
        {bucket.key: bucket.actual for bucket in found},
        {key: lack for outcome in outcomes for key, lack in outcome.lacking.items()},
    )


def offers(
    position: Position,
    everyone: Iterable[Position],
    unassigned: Mapping[BucketKey, Decimal],
    readings: Mapping[SymbolKey, Reading],
    *,
    fee_tolerance: Decimal = FEE_TOLERANCE,
) -> Mapping[ComponentId, tuple[ResolveAction, ...]]:
    """The actions that `resolve` would take now, for each open component by itself."""
    others = [p for p in everyone if p.id != position.id]
    found: dict[ComponentId, tuple[ResolveAction, ...]] = {}
    for leg in position.components:
        if leg.open == 0:
            continue
        taken: tuple[ResolveAction, ...] = ()
        if not doubt_of(leg, readings.get(symbol_of(position, leg))):
            (bucket,) = _buckets(position, (leg,), others, unassigned, readings, fee_tolerance)
            taken = tuple(a for a in ResolveAction if bucket.differs and _is_taken(a, bucket))
        found[leg.id] = taken
    return found


def _legs(
    position: Position, component_ids: Collection[ComponentId] | None
) -> tuple[Component, ...]:
    """The open components in question."""
    if component_ids is None:
        return tuple(leg for leg in position.components if leg.open > 0)
    if not {*component_ids} <= {leg.id for leg in position.components}:
        raise NotFound("unknown-component", f"{position.name} has no such component.")
    return tuple(leg for leg in position.components if leg.id in component_ids and leg.open > 0)


def _refuse_doubt(
    position: Position, legs: Iterable[Component], readings: Mapping[SymbolKey, Reading]
) -> None:
    for leg in legs:
        why = doubt_of(leg, readings.get(symbol_of(position, leg)))
        if why:
            raise Conflict("unverified", f"{leg.symbol}: {why}.")


def _buckets(
    position: Position,
    legs: Iterable[Component],
    others: Iterable[Position],
    unassigned: Mapping[BucketKey, Decimal],
    readings: Mapping[SymbolKey, Reading],
    tolerance: Decimal,
) -> Iterator[_Bucket]:
    """The legs by bucket, each read without doubt, with all that is recorded beside them."""

    def bucket_of(owner: Position, leg: Component) -> BucketKey | None:
        symbol = symbol_of(owner, leg)
        reading = readings.get(symbol)
        if reading is None or leg.open == 0:
            return None
        return symbol.bucket(position_idx_for(leg.side, reading.holdings))

    wanted: dict[BucketKey, list[Component]] = {}
    for leg in legs:
        key = bucket_of(position, leg)
        if key is not None:
            wanted.setdefault(key, []).append(leg)
    claims: dict[BucketKey, list[Component]] = {key: [] for key in wanted}
    for owner in (position, *(p for p in others if p.status is not PositionStatus.CLOSED)):
        for leg in owner.components:
            key = bucket_of(owner, leg)
            if key is not None and key in claims:
                claims[key].append(leg)
    for key, asked in sorted(wanted.items()):
        rows = readings[SymbolKey.of(key)].holdings
        mine = {leg.id for leg in asked}
        beside = [leg for leg in claims[key] if leg.id not in mine]
        yield _Bucket(
            key,
            tuple(asked),
            sum((leg.signed_open for leg in beside), ZERO),
            ZERO if key.category is Category.SPOT else unassigned.get(key, ZERO),
            signed_size(rows, key.position_idx),
            permitted_fee(asked, tolerance),
            permitted_fee(beside, tolerance),
        )


def _is_taken(action: ResolveAction, bucket: _Bucket) -> bool:
    try:
        _decide(action, bucket)
    except (Conflict, InvalidInput):
        return False
    return True


def _decide(action: ResolveAction, bucket: _Bucket) -> _Outcome:
    match action:
        case ResolveAction.ACCEPT:
            return _accept(bucket)
        case ResolveAction.REBASE:
            return _rebase(bucket)
        case ResolveAction.MARK_CLOSED:
            return _mark_closed(bucket)
        case _:
            assert_never(action)


def _accept(bucket: _Bucket) -> _Outcome:
    if bucket.is_spot:
        raise InvalidInput(
            "spot-has-no-unassigned",
            f"{bucket.names}: what a wallet holds beyond the records is the trader's without a "
            "record, and a lack of it cannot be.",
        )
    after = bucket.actual - bucket.tracked
    if after * bucket.tracked < 0:
        raise Conflict(
            "opposite-unassigned",
            f"{bucket.names}: {after:+f} would be unassigned beside {bucket.tracked:+f} of "
            "recorded legs; what is unassigned is never opposite to them.",
        )
    return _Outcome({}, {bucket.key: Change(bucket.unassigned, after)})


def _rebase(bucket: _Bucket) -> _Outcome:
    if len(bucket.legs) > 1:
        raise Conflict(
            "cannot-rebase",
            f"{bucket.names} are backed by one balance: name the leg that is to change.",
        )
    (leg,) = bucket.legs
    beside = bucket.unassigned + bucket.others
    after = max(leg.side.sign * (bucket.actual - beside), ZERO)
    if bucket.is_settled_by(beside + leg.side.sign * after):
        return _Outcome({leg.id: Change(leg.open, after)}, {})
    released = _released(bucket)
    if released is None:
        raise Conflict(
            "cannot-rebase",
            f"{leg.symbol}: Bybit holds {bucket.actual:+f}, and {beside:+f} of it is recorded for "
            f"others: no quantity of this leg explains it.",
        )
    return _Outcome({leg.id: Change(leg.open, after)}, released)


def _mark_closed(bucket: _Bucket) -> _Outcome:
    beside = bucket.unassigned + bucket.others
    left = bucket.actual - beside
    # In spot what is left of a sold leg may be as little as the fee that its purchase cost.
    if any(leg.side.sign * left > bucket.own_fee for leg in bucket.legs):
        raise Conflict(
            "not-gone",
            f"{bucket.names}: Bybit still holds {bucket.actual:+f}; without this leg "
            f"{beside:+f} would be recorded.",
        )
    gone = {leg.id: Change(leg.open, ZERO) for leg in bucket.legs}
    if bucket.is_settled_by(beside):
        return _Outcome(gone, {})
    released = _released(bucket)
    return _Outcome(gone, {}, {bucket.key: -left}) if released is None else _Outcome(gone, released)


def _released(bucket: _Bucket) -> Mapping[BucketKey, Change] | None:
    """What becomes unassigned once the leg has nothing open, where the bucket has turned past it.

    None where something of the leg is still there, in spot, and where what is left would be
    opposite to the other legs: then it cannot be the trader's own.
    """
    signs = {leg.side.sign for leg in bucket.legs}
    left = bucket.actual - bucket.unassigned - bucket.others
    after = bucket.actual - bucket.others
    if bucket.is_spot or any(sign * left > 0 for sign in signs) or after * bucket.others < 0:
        return None
    return {bucket.key: Change(bucket.unassigned, after)}
