"""What was whose at any moment, by the exchange's books and what had been recorded before.

The one thing taken from the daemon is which leg an order was written down for; that claim is
checked (each order of ours has one, of its symbol and side), and cannot make a fill disappear.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from tests.chaos.books import SPOT, ZERO, Books, Bucket, Change, Sent, bucket_of, read_books
from tests.chaos.journal import Row, RunRecord
from tests.chaos.markets import MARKETS

# The size is read before an order is signed, a signature lives for 5 s, and a busy machine takes
# its time between the two: a trade by hand so shortly before an order may not have been seen.
UNSEEN_MS = 7_000


@dataclass(frozen=True, slots=True)
class Leg:
    """A recorded leg: where it sits and how much of which sign was its own at first."""

    component_id: str
    position: int
    bucket: Bucket
    sign: int
    quantity: Decimal
    step: Decimal


@dataclass(frozen=True, slots=True)
class Standing:
    """A leg at one moment: what is open, what of the bucket is its own, and what stands against
    closing it."""

    open: Decimal
    share: Decimal
    is_unattributed: bool
    is_netted: bool


@dataclass(slots=True)
class Truth:
    """One run's books and claims."""

    record: RunRecord
    books: Books = field(init=False)
    legs: dict[str, Leg] = field(init=False)
    claims: dict[str, tuple[str, str]] = field(init=False)
    unassigned: dict[Bucket, Decimal] = field(init=False)
    _leg_of: dict[str, tuple[str, str]] = field(init=False)

    def __post_init__(self) -> None:
        self.books = read_books(self.record.books)
        self.legs = {leg.component_id: leg for leg in _legs(self.record)}
        self.claims = {
            row["order_link_id"]: (close_id, row["component_id"])
            for close_id, close in self.record.closes.items()
            for row in close["orders"]
        }
        self.unassigned = _unassigned(self.record, {leg.bucket for leg in self.legs.values()})
        self._leg_of = {
            order.order_id: self.claims[order.link_id]
            for order in self.books.orders
            if order.link_id in self.claims
        }

    # What was done by whom

    def at_first(self, bucket: Bucket) -> Decimal:
        """What the account was made with."""
        balances = MARKETS[self.record.plan.market].balances
        return balances.get(bucket.place, ZERO) if bucket.category == SPOT else ZERO

    def is_ours(self, change: Change) -> bool:
        return change.order_id not in self.record.hand_orders

    def ours(self, component_id: str, close_id: str | None = None) -> list[Change]:
        """The fills of a leg's orders, of all closes or of one."""
        leg = self.legs[component_id]
        return [
            change
            for change in self.books.of(leg.bucket)
            for claim in [self._leg_of.get(change.order_id)]
            if claim is not None and claim[1] == component_id and close_id in (None, claim[0])
        ]

    def wanted(self, component_id: str, close: Row) -> Decimal:
        """What a close had to close of a leg: what was open when it began, or its part of that."""
        leg = self.legs[component_id]
        earlier = (
            self.filled(component_id, other["close_id"])
            for other in self.record.closes.values()
            if other["position_id"] == close["position_id"]
            and created_ms(other) < created_ms(close)
        )
        part = (leg.quantity - sum(earlier, ZERO)) * Decimal(close.get("fraction") or 1)
        return part // leg.step * leg.step

    def filled(self, component_id: str, close_id: str | None = None) -> Decimal:
        return sum((abs(c.amount) for c in self.ours(component_id, close_id)), ZERO)

    def orders_of(self, close_id: str) -> list[Sent]:
        """The orders that the exchange took of one close."""
        found = [(order, self._leg_of.get(order.order_id)) for order in self.books.orders]
        return [order for order, claim in found if claim is not None and claim[0] == close_id]

    # What was whose

    def share_for(self, order: Sent) -> Decimal:
        """The most that was the leg's when the order was sent; trades by hand that it may not
        have seen count as the trader would have it, our own fills always."""
        leg = self.legs[self.claims[order.link_id][1]]
        fills = [c for c in self.books.of(leg.bucket) if c.order_id == order.order_id]
        before = fills[0].serial
        since, until = order.created_ms - UNSEEN_MS, fills[0].at_ms
        return max(
            self._standing(leg, before, seen, closed).share
            for seen in self._moments(leg.bucket, since, until)
            for closed in (since, until)
        )

    def standings(self, leg: Leg, since_ms: int, until_ms: int) -> Iterator[Standing]:
        """How the leg stood at every moment of a time."""
        changes = self.books.of(leg.bucket)
        bounds = [c.serial for c in changes if since_ms < c.at_ms <= until_ms]
        first = min(bounds, default=None)
        if first is None:
            first = 1 + max((c.serial for c in changes if c.at_ms <= since_ms), default=0)
        last = 1 + max((c.serial for c in changes if c.at_ms <= until_ms), default=0)
        for serial in dict.fromkeys((first, *bounds, last)):
            for closed in (since_ms, until_ms):
                yield self._standing(leg, serial, serial, closed)

    def _moments(self, bucket: Bucket, since_ms: int, until_ms: int) -> list[int]:
        """Serials before which trades by hand count: one for each that may not have been seen."""
        hand = [c for c in self.books.of(bucket) if not self.is_ours(c)]
        unseen = [c.serial for c in hand if since_ms < c.at_ms <= until_ms]
        seen = [c.serial + 1 for c in hand if c.at_ms <= until_ms]
        return [*unseen, max(seen, default=0)]

    def _standing(self, leg: Leg, ours_before: int, hand_before: int, closed_ms: int) -> Standing:
        """With our fills and hand trades up to these serials, and what had been closed by then."""
        actual = self.at_first(leg.bucket) + sum(
            (
                c.amount
                for c in self.books.of(leg.bucket)
                if c.serial < (ours_before if self.is_ours(c) else hand_before)
            ),
            ZERO,
        )
        unassigned = self.unassigned.get(leg.bucket, ZERO)
        rivals = [
            other
            for other in self.legs.values()
            if other.bucket == leg.bucket
            and other != leg
            and not self._is_closed(other.position, closed_ms)
            and self._open(other, ours_before)
        ]
        others = sum((other.sign * self._open(other, ours_before) for other in rivals), ZERO)
        open_ = self._open(leg, ours_before)
        share = min(max(leg.sign * (actual - unassigned - others), ZERO), open_)
        expected = unassigned + others + leg.sign * open_
        short = share < open_ and bool(rivals or unassigned)
        return Standing(open_, share, expected * actual < 0 or short, leg.sign * actual < share)

    def _open(self, leg: Leg, before: int) -> Decimal:
        filled = (abs(c.amount) for c in self.ours(leg.component_id) if c.serial < before)
        return leg.quantity - sum(filled, ZERO)

    def _is_closed(self, position: int, at_ms: int) -> bool:
        wanted = str(self.record.positions[position].id)
        return any(
            is_done(close) and close["position_id"] == wanted and ended_ms(close) <= at_ms
            for close in self.record.closes.values()
        )


def is_done(close: Row) -> bool:
    """Whether the close ended the position: a part of it leaves the rest open."""
    return close["state"] == "DONE" and Decimal(close.get("fraction") or 1) == 1


def created_ms(close: Row) -> int:
    return _ms(close["created_at"])


def ended_ms(close: Row) -> int:
    return _ms(close["ended_at"])


def _ms(stamp: str) -> int:
    return int(datetime.fromisoformat(stamp).timestamp() * 1000)


def _legs(record: RunRecord) -> Iterator[Leg]:
    steps = {c.symbol: c.step for c in MARKETS[record.plan.market].contracts}
    for number, position in enumerate(record.positions):
        for component in position.components:
            bucket = bucket_of(
                component.category.value,
                component.symbol,
                record.plan.idx(component.side.value),
            )
            yield Leg(
                str(component.id),
                number,
                bucket,
                component.side.sign,
                component.quantity,
                steps[component.symbol],
            )


def _unassigned(record: RunRecord, buckets: set[Bucket]) -> dict[Bucket, Decimal]:
    """The trader's own part of the buckets that a leg sits in; of others nothing is recorded."""
    found: dict[Bucket, Decimal] = {}
    for holding in record.plan.own:
        category = MARKETS[holding.market].category
        bucket = bucket_of(category, holding.symbol, record.plan.idx(holding.side))
        # The surplus of a wallet is the trader's without being recorded.
        if bucket in buckets and not bucket.is_spot:
            found[bucket] = found.get(bucket, ZERO) + holding.signed
    return found
