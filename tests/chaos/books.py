"""An account as the exchange's own books tell it, in the order of events."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from decimal import Decimal

from tests.chaos.journal import Row
from tests.chaos.markets import place_of

ZERO = Decimal(0)
SPOT = "spot"


@dataclass(frozen=True, slots=True)
class Bucket:
    """What the venue nets together; `place` is a contract, or on spot a coin."""

    category: str
    place: str
    idx: int

    @property
    def is_spot(self) -> bool:
        return self.category == SPOT


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
        bucket = bucket_of(row["category"], row["symbol"], row["idx"])
        amount = moved(bucket, row["side"], row["qty"], row["fee"], row["fee_coin"])
        changes[bucket].append(Change(row["serial"], row["exec_ms"], amount, row["order_id"]))
    return Books(
        tuple(sorted((_sent(row) for row in state["orders"]), key=lambda order: order.serial)),
        {b: tuple(sorted(rows, key=lambda c: c.serial)) for b, rows in changes.items()},
        {**_sizes(state), **_coins(state)},
    )


def bucket_of(category: str, symbol: str, idx: int) -> Bucket:
    return Bucket(category, place_of(category, symbol), idx)


def moved(bucket: Bucket, side: str, qty: str, fee: str, fee_coin: str) -> Decimal:
    """What a fill did to its bucket; who buys a coin pays the fee in it."""
    amount = Decimal(qty) if side == "Buy" else -Decimal(qty)
    return amount - Decimal(fee) if bucket.is_spot and fee_coin == bucket.place else amount


def _sizes(state: Row) -> dict[Bucket, Decimal]:
    return {
        bucket_of(row["category"], row["symbol"], row["idx"]): Decimal(row["size"])
        * (-1 if row["side"] == "Sell" else 1)
        for row in state["positions"]
    }


def _coins(state: Row) -> dict[Bucket, Decimal]:
    """Wallets, of which only those matter that something was traded in."""
    return {Bucket(SPOT, row["coin"], 0): Decimal(row["balance"]) for row in state["wallets"]}


def _sent(row: Row) -> Sent:
    return Sent(
        serial=row["serial"],
        order_id=row["order_id"],
        link_id=row["link_id"],
        bucket=bucket_of(row["category"], row["symbol"], row["idx"]),
        side=row["side"],
        kind=row["order_type"],
        quantity=Decimal(row["qty"]),
        filled=Decimal(row["cum_qty"]),
        reduce_only=row["reduce_only"],
        close_on_trigger=row["close_on_trigger"],
        created_ms=row["created_ms"],
    )
