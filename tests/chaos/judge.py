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
from tests.chaos.journal import Answer, Row, RunRecord
from tests.chaos.truth import (
    UNSEEN_MS,
    Claim,
    Leg,
    Standing,
    Truth,
    created_ms,
    ended_ms,
    is_done,
)

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
        *_turns(truth),
        *_answers(record),
        *_sets(record),
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
        if claim is None or not all(part.component_id in truth.legs for part in claim.parts):
            yield Violation("an order that nobody wrote down", f"{order}")
        elif not _is_of_its_legs(truth, order, claim):
            yield Violation("an order off its leg", f"{order} for {claim}")
    for link_id, orders in by_link.items():
        if len([order for order in orders if order.filled]) > 1:
            yield Violation("sent twice", f"{link_id}: {orders}")


def _is_of_its_legs(truth: Truth, order: Sent, claim: Claim) -> bool:
    """It sits where they do, closes them as a net, and they are of closes asked for together."""
    heavy = [part for part in claim.parts if not truth.is_light(part, order)]
    light = [part for part in claim.parts if truth.is_light(part, order)]
    net = sum((p.quantity for p in heavy), ZERO) - sum((p.quantity for p in light), ZERO)
    closes = {part.close_id for part in claim.parts}
    together = {one["close_id"] for one in truth.together(truth.record.closes[min(closes)])}
    return (
        net == order.quantity
        and closes <= together
        and all(
            truth.legs[part.component_id] in truth.legs_of(truth.record.closes[part.close_id])
            and truth.legs[part.component_id].bucket == order.bucket
            for part in claim.parts
        )
    )


def _shares(truth: Truth) -> Iterator[Violation]:
    for order in truth.books.orders:
        claim = truth.claims.get(order.link_id)
        if not order.filled or claim is None:
            continue
        if not all(part.component_id in truth.legs for part in claim.parts):
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
        for leg in truth.legs_of(close):
            filled = truth.filled(leg.component_id, close["close_id"])
            row = legs.get(leg.component_id)
            if row is None:
                # A leg with nothing open takes no part.
                is_open = truth.wanted(leg.component_id, close) > 0
                if filled or (is_open and close["state"] == "DONE"):
                    yield Violation("a leg without outcome", f"{leg} filled {filled}: {close}")
                continue
            if Decimal(row["filled"]) != filled:
                yield Violation("fills told wrong", f"{filled} by the books, told {row}")
            yield from _outcome(truth, close, leg, row)


def _outcome(truth: Truth, close: Row, leg: Leg, row: Row) -> Iterator[Violation]:
    outcome = row["outcome"]
    wanted = truth.wanted(leg.component_id, close)
    left = wanted - truth.filled(leg.component_id, close["close_id"])
    if wanted == left == 0 and close.get("fraction"):
        # A part of less than a step: nothing was to be closed, whatever it is called.
        return
    if (outcome == "flat") != (left == 0):
        yield Violation("outcome told wrong", f"{left} is left, told {row}")
    if outcome in ("shortfall", "dust"):
        window = created_ms(close) - UNSEEN_MS, ended_ms(close) + 1_000
        found = truth.standings(truth.group(leg, close), *window)
        if all(standing.share > 0 for standing in found):
            yield Violation("a shortfall that was none", f"{left} of {leg} was there: {row}")
    if outcome == "unknown":
        yield Violation("ended while unknown", f"{close}")


def _failure(truth: Truth, close: Row) -> Iterator[Violation]:
    """A close fails for a reason that the books show."""
    code = close["code"]
    if not code:
        yield Violation("FAILED without a code", f"{close}")
    window = created_ms(close) - UNSEEN_MS, ended_ms(close) + 1_000
    reasons = {
        "shortfall-unattributed": lambda: any(
            standing.is_unattributed for standing in _standings(truth, close, *window)
        ),
        "netted": lambda: any(standing.is_netted for standing in _standings(truth, close, *window)),
        "resting-orders": lambda: _is_in_the_way(truth, close),
        "plan-changed": lambda: _has_changed(truth, close),
    }
    if code in reasons and not reasons[code]():
        yield Violation("refused for no reason", f"{close}")


def _standings(truth: Truth, close: Row, since_ms: int, until_ms: int) -> Iterator[Standing]:
    """All that a close, and those asked for with it, works on: one in the way is in all's."""
    for one in truth.together(close):
        for leg in truth.legs_of(one):
            yield from truth.standings(truth.group(leg, one), since_ms, until_ms)


def _is_in_the_way(truth: Truth, close: Row) -> bool:
    """Whether the trader ever had an order resting where the close works."""
    places = {leg.bucket for one in truth.together(close) for leg in truth.legs_of(one)}
    return any(order.bucket in places for order in truth.books.orders if order.kind == "Limit")


def _has_changed(truth: Truth, close: Row) -> bool:
    """Whether a plan was agreed to, and then something that it says may have become another."""
    asked = [
        answer.asked_ms
        for answer in truth.record.answers
        if answer.close_id == close["close_id"] and answer.terms.by_plan
    ]
    since, until = min(asked, default=ended_ms(close)) - UNSEEN_MS, ended_ms(close)
    places = {leg.bucket for leg in truth.legs_of(close)}
    traded = (c.at_ms for bucket in places for c in truth.books.of(bucket))
    others = [other for other in truth.record.closes.values() if other is not close]
    moments = [*traded, *(ended_ms(other) for other in others)]
    rested = _is_in_the_way(truth, close)
    return bool(asked) and (rested or any(since <= at <= until for at in moments))


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


def _turns(truth: Truth) -> Iterator[Violation]:
    """In each contract or coin one close after the other: from its first order to its end."""
    times: dict[tuple[str, str], dict[str, tuple[int, int]]] = defaultdict(dict)
    for close_id, close in truth.record.closes.items():
        # Those of a set are one, until the last of them has ended.
        name = close.get("set_id") or close_id
        until = max(ended_ms(one) for one in truth.together(close))
        for order in truth.orders_of(close_id):
            there = times[order.bucket.category, order.bucket.place]
            since, _ = there.get(name, (order.created_ms, until))
            there[name] = min(since, order.created_ms), until
    for place, spans in times.items():
        in_turn = sorted(spans.items(), key=lambda item: item[1])
        for (earlier, (_, until)), (later, (since, _)) in pairwise(in_turn):
            if since < until:
                yield Violation("two closes at once", f"{earlier} and {later} in {place}")


def _answers(record: RunRecord) -> Iterator[Violation]:
    """The same key is the same close; what is told of a set is true."""
    by_key: dict[str, set[str]] = defaultdict(set)
    for answer in record.answers:
        if answer.status == 202 and answer.key and answer.close_id:
            by_key[f"{answer.key} of {answer.position}"].add(answer.close_id)
        elif answer.status != 202 and not _may_refuse(record, answer):
            yield Violation("refused for no reason", f"{answer}")
    for key, found in by_key.items():
        if len(found) > 1:
            yield Violation("one key, two closes", f"{key}: {found}")


def _may_refuse(record: RunRecord, answer: Answer) -> bool:
    """A closed position; a plan that is too old; in a set, one that is being closed already."""
    if answer.code == "plan-changed":
        return answer.terms.by_plan
    if answer.code == "close-open":
        return answer.is_of_set and any(
            created_ms(close) <= answer.told_ms and ended_ms(close) >= answer.asked_ms
            for close in record.closes.values()
        )
    return answer.code == "already-closed"


def _sets(record: RunRecord) -> Iterator[Violation]:
    """Who was promised a set has closes of one, and it is of different positions."""
    members: dict[str, list[Row]] = defaultdict(list)
    for close in record.closes.values():
        if close.get("set_id"):
            members[close["set_id"]].append(close)
    for answer in record.answers:
        if answer.set_id and answer.status == 202 and answer.close_id:
            close = record.closes[answer.close_id]
            wanted = str(record.positions[answer.position].id)
            if (close.get("set_id"), close["position_id"]) != (answer.set_id, wanted):
                yield Violation("a set told wrong", f"{answer}: {close}")
    for set_id, closes in members.items():
        if len({close["position_id"] for close in closes}) < len(closes):
            yield Violation("a set told wrong", f"{set_id}: {closes}")
        if len({close["created_at"] for close in closes}) > 1:
            yield Violation("a set told wrong", f"{set_id} did not begin at once: {closes}")


def _calm(truth: Truth) -> Iterator[Violation]:
    """Asked again when nothing goes wrong any more, a close does what the books allow."""
    record = truth.record
    ids = {a.close_id for a in record.answers if a.is_calm and a.status == 202}
    for close in record.closes.values():
        if close["close_id"] not in ids or created_ms(close) < record.calm_from_ms:
            continue
        blocked = any(
            standing.is_unattributed or standing.is_netted
            for standing in _standings(truth, close, created_ms(close), ended_ms(close))
        )
        if close["state"] != "DONE" and not blocked:
            yield Violation("not closed although nothing went wrong", f"{close}")


def _closes_of(record: RunRecord, position_id: str) -> list[Row]:
    found = [close for close in record.closes.values() if close["position_id"] == position_id]
    return sorted(found, key=created_ms)
