"""An account as the exchange's own books tell it, in the order of events."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from decimal import Decimal

from tests.chaos.journal import Row

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Bucket:
    """What the venue nets together."""

    category: str
    symbol: str
    idx: int


@dataclass(frozen=True, slots=True)
class Sent:
    """An order as the exchange took it."""

    serial: int
    order_id: str
    link_id: str
    bucket: Bucket
    side: str
    kind: str
    quantity: Decimal
    filled: Decimal
    reduce_only: bool
    close_on_trigger: bool
    created_ms: int


@dataclass(frozen=True, slots=True)
class Change:
    """What one execution did to a bucket, signed."""

    serial: int
    at_ms: int
    amount: Decimal
    order_id: str


@dataclass(frozen=True, slots=True)
class Books:
    orders: tuple[Sent, ...]
    changes: dict[Bucket, tuple[Change, ...]]
    sizes: dict[Bucket, Decimal]

    def of(self, bucket: Bucket) -> tuple[Change, ...]:
        return self.changes.get(bucket, ())


def read_books(state: Row) -> Books:
    """From what `/_paper/state` says of one account."""
    changes: dict[Bucket, list[Change]] = defaultdict(list)
    for row in state["executions"]:
        amount = Decimal(row["qty"]) * (1 if row["side"] == "Buy" else -1)
        changes[_bucket(row)].append(Change(row["serial"], row["exec_ms"], amount, row["order_id"]))
    return Books(
        tuple(sorted((_sent(row) for row in state["orders"]), key=lambda order: order.serial)),
        {b: tuple(sorted(rows, key=lambda c: c.serial)) for b, rows in changes.items()},
        {
            _bucket(row): Decimal(row["size"]) * (-1 if row["side"] == "Sell" else 1)
            for row in state["positions"]
        },
    )


def _bucket(row: Row) -> Bucket:
    return Bucket(row["category"], row["symbol"], row["idx"])


def _sent(row: Row) -> Sent:
    return Sent(
        serial=row["serial"],
        order_id=row["order_id"],
        link_id=row["link_id"],
        bucket=_bucket(row),
        side=row["side"],
        kind=row["order_type"],
        quantity=Decimal(row["qty"]),
        filled=Decimal(row["cum_qty"]),
        reduce_only=row["reduce_only"],
        close_on_trigger=row["close_on_trigger"],
        created_ms=row["created_ms"],
    )
