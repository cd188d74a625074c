"""What must hold of a run, whatever went wrong; judged by the exchange's books, not by the daemon.

What the daemon said is judged by them too: every promise has to come to an end, and every end
that it tells has to be true.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise

from tests.chaos.books import ZERO, Bucket, Sent, bucket_of, moved
from tests.chaos.journal import Row, RunRecord
from tests.chaos.truth import UNSEEN_MS, Leg, Truth, created_ms, ended_ms, is_done

_PERMITTED = frozenset({"flat", "dust", "shortfall"})
_ENDS = frozenset({"DONE", "FAILED", "CANCELLED"})


@dataclass(frozen=True, slots=True)
class Violation:
    rule: str
    detail: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.detail}"


def judge(record: RunRecord) -> list[Violation]:
    """Everything that should not have happened; empty for a good run."""
    unended = list(_unended(record))
    if unended:
        # Nothing else can be judged while something is still on its way.
        return unended
    truth = Truth(record)
    return [
        *_orders(truth),
        *_shares(truth),
        *_balances(truth),
        *_flips(truth),
        *_ends_told(truth),
        *_positions(truth),
        *_answers(record),
        *_calm(truth),
    ]


def _unended(record: RunRecord) -> Iterator[Violation]:
    for answer in record.answers:
        if answer.status == 0:
            yield Violation("never answered", f"{answer}")
    for close_id in record.close_ids:
        close = record.closes.get(close_id)
        if close is None:
            yield Violation("promise lost", f"{close_id} got a 202 and is not known any more")
        elif close["state"] not in _ENDS:
            yield Violation(
                "never ended", f"{close_id} is {close['state']}: {close['detail']} {close}"
            )


# --- orders -----------------------------------------------------------------------------------


def _orders(truth: Truth) -> Iterator[Violation]:
    """Every order is the trader's own, or one that may only reduce and was written down."""
    by_link: dict[str, list[Sent]] = defaultdict(list)
    for order in truth.books.orders:
        if order.order_id in truth.record.hand_orders:
            continue
        by_link[order.link_id].append(order)
        only_reduces = order.reduce_only or order.bucket.is_spot
        if not only_reduces or order.kind != "Market" or order.close_on_trigger:
            yield Violation("not a reduce-only market order", f"{order}")
        claim = truth.claims.get(order.link_id)
        leg = truth.legs.get(claim[1]) if claim else None
        if leg is None:
            yield Violation("an order that nobody wrote down", f"{order}")
        elif order.bucket != leg.bucket or order.side != ("Sell" if leg.sign > 0 else "Buy"):
            yield Violation("an order off its leg", f"{order} for {leg}")
    for link_id, orders in by_link.items():
        if len([order for order in orders if order.filled]) > 1:
            yield Violation("sent twice", f"{link_id}: {orders}")


def _shares(truth: Truth) -> Iterator[Violation]:
    for order in truth.books.orders:
        claim = truth.claims.get(order.link_id)
        if not order.filled or claim is None or claim[1] not in truth.legs:
            continue
        share = truth.share_for(order)
        if order.filled > share:
            yield Violation("more than the share", f"share {share}, filled {order}")


def _balances(truth: Truth) -> Iterator[Violation]:
    """End = start + the trader's trades − our fills, by what each of them is known to have done."""
    hand: dict[Bucket, Decimal] = defaultdict(Decimal)
    for order in truth.record.hand_orders.values():
        bucket = bucket_of(order["category"], order["symbol"], order["positionIdx"])
        for row in order["executions"]:
            fill = row["execQty"], row["execFee"], row["feeCurrency"]
            hand[bucket] += moved(bucket, row["side"], *fill)
    for bucket in {*truth.books.changes, *(b for b in truth.books.sizes if not b.is_spot)}:
        ours = sum(
            (
                leg.sign * truth.filled(leg.component_id)
                for leg in truth.legs.values()
                if leg.bucket == bucket
            ),
            ZERO,
        )
        wanted = truth.at_first(bucket) + hand[bucket] - ours
        size = truth.books.sizes.get(bucket, ZERO)
        if size != wanted:
            yield Violation("the sum is wrong", f"{bucket}: {size} where {wanted} is left")


def _flips(truth: Truth) -> Iterator[Violation]:
    for bucket, changes in truth.books.changes.items():
        size = truth.at_first(bucket)
        for change in changes:
            after = size + change.amount
            if truth.is_ours(change) and (abs(after) > abs(size) or after * size < 0):
                yield Violation("flipped or grown by us", f"{bucket}: {size} to {after}, {change}")
            size = after


# --- what was told ----------------------------------------------------------------------------


def _ends_told(truth: Truth) -> Iterator[Violation]:
    for close in truth.record.closes.values():
        legs = {row["component_id"]: row for row in close["legs"]}
        outcomes = {row["outcome"] for row in close["legs"]}
        if close["state"] == "DONE" and not (outcomes and outcomes <= _PERMITTED):
            yield Violation("DONE without proof", f"{close}")
        if close["state"] == "FAILED":
            yield from _failure(truth, close)
        for component_id in _legs_of(truth, close):
            leg = truth.legs[component_id]
            filled = truth.filled(component_id, close["close_id"])
            row = legs.get(component_id)
            if row is None:
                # A leg with nothing open takes no part.
                is_open = truth.wanted(component_id, close) > 0
                if filled or (is_open and close["state"] == "DONE"):
                    yield Violation("a leg without outcome", f"{leg} filled {filled}: {close}")
                continue
            if Decimal(row["filled"]) != filled:
                yield Violation("fills told wrong", f"{filled} by the books, told {row}")
            yield from _outcome(truth, close, leg, row)


def _outcome(truth: Truth, close: Row, leg: Leg, row: Row) -> Iterator[Violation]:
    outcome = row["outcome"]
    left = truth.wanted(leg.component_id, close) - truth.filled(leg.component_id, close["close_id"])
    if (outcome == "flat") != (left == 0):
        yield Violation("outcome told wrong", f"{left} is left, told {row}")
    if outcome in ("shortfall", "dust"):
        found = truth.standings(leg, created_ms(close) - UNSEEN_MS, ended_ms(close) + 1_000)
        if all(standing.share > 0 for standing in found):
            yield Violation("a shortfall that was none", f"{left} of {leg} was there: {row}")
    if outcome == "unknown":
        yield Violation("ended while unknown", f"{close}")


def _failure(truth: Truth, close: Row) -> Iterator[Violation]:
    """A close fails for a reason that the books show."""
    code = close["code"]
    if not code:
        yield Violation("FAILED without a code", f"{close}")
    if code not in ("shortfall-unattributed", "netted"):
        return
    window = created_ms(close) - UNSEEN_MS, ended_ms(close) + 1_000
    for component_id in _legs_of(truth, close):
        for standing in truth.standings(truth.legs[component_id], *window):
            if standing.is_unattributed if code != "netted" else standing.is_netted:
                return
    yield Violation("refused for no reason", f"{close}")


def _positions(truth: Truth) -> Iterator[Violation]:
    """CLOSED means that the last close is DONE, and what is booked is what was filled."""
    for number, position in enumerate(truth.record.positions):
        shown = truth.record.shown[str(position.id)]
        closes = _closes_of(truth.record, str(position.id))
        is_closed = bool(closes) and is_done(closes[-1])
        if shown["status"] != ("CLOSED" if is_closed else "ACTIVE"):
            yield Violation("status told wrong", f"{number} is {shown['status']} after {closes}")
        for row in shown["components"]:
            filled = truth.filled(row["id"])
            if Decimal(row["closed_quantity"]) != filled:
                yield Violation("booked wrong", f"{filled} by the books, told {row}")
        for earlier, later in pairwise(closes):
            if any(
                order.created_ms < ended_ms(earlier) for order in truth.orders_of(later["close_id"])
            ):
                yield Violation("two closes at once", f"{earlier} and {later}")


def _answers(record: RunRecord) -> Iterator[Violation]:
    """The same key is the same close; nothing but a closed position refuses to be closed."""
    by_key: dict[str, set[str]] = defaultdict(set)
    for answer in record.answers:
        if answer.status == 202 and answer.key and answer.close_id:
            by_key[answer.key].add(answer.close_id)
        elif answer.status != 202 and answer.code != "already-closed":
            yield Violation("refused for no reason", f"{answer}")
    for key, found in by_key.items():
        if len(found) > 1:
            yield Violation("one key, two closes", f"{key}: {found}")


def _calm(truth: Truth) -> Iterator[Violation]:
    """Asked again when nothing goes wrong any more, a close does what the books allow."""
    record = truth.record
    ids = {a.close_id for a in record.answers if a.is_calm and a.status == 202}
    for close in record.closes.values():
        if close["close_id"] not in ids or created_ms(close) < record.calm_from_ms:
            continue
        blocked = any(
            standing.is_unattributed or standing.is_netted
            for component_id in _legs_of(truth, close)
            for standing in truth.standings(
                truth.legs[component_id], created_ms(close), ended_ms(close)
            )
        )
        if close["state"] != "DONE" and not blocked:
            yield Violation("not closed although nothing went wrong", f"{close}")


def _legs_of(truth: Truth, close: Row) -> list[str]:
    number = [str(p.id) for p in truth.record.positions].index(close["position_id"])
    return [leg.component_id for leg in truth.legs.values() if leg.position == number]


def _closes_of(record: RunRecord, position_id: str) -> list[Row]:
    found = [close for close in record.closes.values() if close["position_id"] == position_id]
    return sorted(found, key=created_ms)
