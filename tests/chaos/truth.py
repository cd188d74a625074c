"""What was whose at any moment, by the exchange's books and what had been recorded before.

Two things are taken from the daemon. Which legs an order was written down for: that claim is
checked (each order of ours has one, of its symbol and sides, that adds up to what it sent), and
cannot make a fill disappear. And what legs of a set closed against each other without an order,
which counts only where both sides of a bucket did so alike.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from positiond.daemon.domain.allocation import closed_by
from positiond.daemon.domain.model import CloseId, ComponentId
from positiond.daemon.domain.orders import OrderPart

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
class Claim:
    """The legs that an order closes when it fills wholly."""

    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Part:
    component_id: str
    close_id: str
    quantity: Decimal


@dataclass(frozen=True, slots=True)
class Closed:
    """What one execution closed of a leg, unsigned."""

    serial: int
    close_id: str
    quantity: Decimal


@dataclass(frozen=True, slots=True)
class Standing:
    """Legs that close together at one moment: what is open of them as a net, what of the bucket is
    their own, and what stands against closing it."""

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
    claims: dict[str, Claim] = field(init=False)
    unassigned: dict[Bucket, Decimal] = field(init=False)
    _closed: dict[str, list[Closed]] = field(init=False)
    _netted: dict[tuple[str, str], Decimal] = field(init=False)

    def __post_init__(self) -> None:
        self.books = read_books(self.record.books)
        self.legs = {leg.component_id: leg for leg in _legs(self.record)}
        self.claims = {
            row["order_link_id"]: Claim(tuple(_parts(row)))
            for close in self.record.closes.values()
            for row in close["orders"]
        }
        self.unassigned = _unassigned(self.record, {leg.bucket for leg in self.legs.values()})
        self._closed = self._split()
        self._netted = self._netting()

    def _split(self) -> dict[str, list[Closed]]:
        """What each fill of ours closed of each leg, in the order of the fills."""
        found: dict[str, list[Closed]] = {component_id: [] for component_id in self.legs}
        for order in self.books.orders:
            claim = self.claims.get(order.link_id)
            if claim is None or not all(part.component_id in self.legs for part in claim.parts):
                continue
            filled, before = ZERO, dict[ComponentId, Decimal]()
            for change in self.books.of(order.bucket):
                if change.order_id != order.order_id:
                    continue
                filled += abs(change.amount)
                closed = self._closed_by(claim, order, filled)
                for part in claim.parts:
                    key = ComponentId(UUID(part.component_id))
                    more = closed[key] - before.get(key, ZERO)
                    found[part.component_id].append(Closed(change.serial, part.close_id, more))
                before = dict(closed)
        return found

    def _closed_by(
        self, claim: Claim, order: Sent, filled: Decimal
    ) -> Mapping[ComponentId, Decimal]:
        """The daemon's own rule, since any that conserves the sum would be as good."""
        if len(claim.parts) == 1:
            # Whatever filled, more than was written down too.
            return {ComponentId(UUID(claim.parts[0].component_id)): filled}
        shares = [
            OrderPart(
                ComponentId(UUID(part.component_id)),
                CloseId(UUID(part.close_id)),
                part.quantity,
                is_light=self.is_light(part, order),
            )
            for part in claim.parts
        ]
        return closed_by(
            shares, order.quantity, filled, self.legs[claim.parts[0].component_id].step
        )

    def _netting(self) -> dict[tuple[str, str], Decimal]:
        """What was told closed beyond the fills, where it cancels out in its bucket."""
        sums: dict[tuple[str, Bucket], Decimal] = defaultdict(Decimal)
        found: dict[tuple[str, str], Decimal] = {}
        sets: dict[tuple[str, str], tuple[str, Bucket]] = {}
        for close_id, close in self.record.closes.items():
            for row in close["legs"] if close.get("set_id") else ():
                key = (row["component_id"], close_id)
                leg = self.legs[key[0]]
                more = Decimal(row["filled"]) - self._by_orders(*key)
                if more > 0 and not leg.bucket.is_spot:
                    found[key], sets[key] = more, (close["set_id"], leg.bucket)
                    sums[sets[key]] += leg.sign * more
        return {key: more for key, more in found.items() if not sums[sets[key]]}

    # What was done by whom

    def at_first(self, bucket: Bucket) -> Decimal:
        """What the account was made with."""
        balances = MARKETS[self.record.plan.market].balances
        return balances.get(bucket.place, ZERO) if bucket.category == SPOT else ZERO

    def is_ours(self, change: Change) -> bool:
        return change.order_id not in self.record.hand_orders

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
        """What was closed of a leg, by all closes or by one."""
        netted = (
            more
            for key, more in self._netted.items()
            if key[0] == component_id and close_id in (None, key[1])
        )
        return self._by_orders(component_id, close_id) + sum(netted, ZERO)

    def _by_orders(self, component_id: str, close_id: str | None = None) -> Decimal:
        found = self._closed[component_id]
        return sum((one.quantity for one in found if close_id in (None, one.close_id)), ZERO)

    def is_light(self, part: Part, order: Sent) -> bool:
        """Whether the leg is on the order's own side, and nets with what that closes."""
        return (self.legs[part.component_id].sign > 0) == (order.side == "Buy")

    def orders_of(self, close_id: str) -> list[Sent]:
        """The orders that the exchange took with a part of one close."""
        return [
            order
            for order in self.books.orders
            for claim in [self.claims.get(order.link_id)]
            if claim is not None and any(part.close_id == close_id for part in claim.parts)
        ]

    def together(self, close: Row) -> list[Row]:
        """The closes that it was asked for with, itself among them."""
        if not close.get("set_id"):
            return [close]
        return [c for c in self.record.closes.values() if c.get("set_id") == close["set_id"]]

    def legs_of(self, close: Row) -> list[Leg]:
        number = [str(p.id) for p in self.record.positions].index(close["position_id"])
        return [leg for leg in self.legs.values() if leg.position == number]

    def group(self, leg: Leg, close: Row) -> tuple[Leg, ...]:
        """The legs that a close, or its set, closes as one; coin nets with nothing."""
        if leg.bucket.is_spot:
            return (leg,)
        legs = (other for one in self.together(close) for other in self.legs_of(one))
        return tuple(other for other in legs if other.bucket == leg.bucket)

    # What was whose

    def share_for(self, order: Sent) -> Decimal:
        """The most that was the legs' when the order was sent; trades by hand that it may not
        have seen count as the trader would have it, our own fills always."""
        first = self.claims[order.link_id].parts[0]
        close = self.record.closes[first.close_id]
        group = self.group(self.legs[first.component_id], close)
        fills = [c for c in self.books.of(order.bucket) if c.order_id == order.order_id]
        before = fills[0].serial
        since, until = order.created_ms - UNSEEN_MS, fills[0].at_ms
        return max(
            self._standing(group, before, seen, closed).share
            for seen in self._moments(order.bucket, since, until)
            for closed in (since, until)
        )

    def standings(self, group: Sequence[Leg], since_ms: int, until_ms: int) -> Iterator[Standing]:
        """How the legs stood at every moment of a time."""
        changes = self.books.of(group[0].bucket)
        bounds = [c.serial for c in changes if since_ms < c.at_ms <= until_ms]
        first = min(bounds, default=None)
        if first is None:
            first = 1 + max((c.serial for c in changes if c.at_ms <= since_ms), default=0)
        last = 1 + max((c.serial for c in changes if c.at_ms <= until_ms), default=0)
        for serial in dict.fromkeys((first, *bounds, last)):
            for closed in (since_ms, until_ms):
                yield self._standing(group, serial, serial, closed)

    def _moments(self, bucket: Bucket, since_ms: int, until_ms: int) -> list[int]:
        """Serials before which trades by hand count: one for each that may not have been seen."""
        hand = [c for c in self.books.of(bucket) if not self.is_ours(c)]
        unseen = [c.serial for c in hand if since_ms < c.at_ms <= until_ms]
        seen = [c.serial + 1 for c in hand if c.at_ms <= until_ms]
        return [*unseen, max(seen, default=0)]

    def _standing(
        self, group: Sequence[Leg], ours_before: int, hand_before: int, closed_ms: int
    ) -> Standing:
        """With our fills and hand trades up to these serials, and what had been closed by then."""
        bucket = group[0].bucket
        actual = self.at_first(bucket) + sum(
            (
                c.amount
                for c in self.books.of(bucket)
                if c.serial < (ours_before if self.is_ours(c) else hand_before)
            ),
            ZERO,
        )
        unassigned = self.unassigned.get(bucket, ZERO)
        rivals = [
            other
            for other in self.legs.values()
            if other.bucket == bucket
            and other not in group
            and not self._is_closed(other.position, closed_ms)
            and self._open(other, ours_before, closed_ms)
        ]
        others = self._net(rivals, ours_before, closed_ms)
        net = self._net(group, ours_before, closed_ms)
        sign = (net > 0) - (net < 0) or group[0].sign
        own = actual - unassigned - others
        share = min(max(sign * own, ZERO), abs(net))
        several = len([leg for leg in group if self._open(leg, ours_before, closed_ms)]) > 1
        short = share < abs(net) and bool(rivals or unassigned or several)
        unattributed = (
            (unassigned + others + net) * actual < 0 or short or (several and not net and bool(own))
        )
        return Standing(abs(net), share, unattributed, sign * actual < share)

    def _net(self, legs: Sequence[Leg], before: int, closed_ms: int) -> Decimal:
        return sum((leg.sign * self._open(leg, before, closed_ms) for leg in legs), ZERO)

    def _open(self, leg: Leg, before: int, closed_ms: int) -> Decimal:
        closed = (c.quantity for c in self._closed[leg.component_id] if c.serial < before)
        netted = (
            more
            for (component_id, close_id), more in self._netted.items()
            if component_id == leg.component_id
            and ended_ms(self.record.closes[close_id]) <= closed_ms
        )
        return leg.quantity - sum(closed, ZERO) - sum(netted, ZERO)

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


def _parts(row: Row) -> Iterator[Part]:
    for part in row["parts"]:
        yield Part(part["component_id"], part["close_id"], Decimal(part["quantity"]))
