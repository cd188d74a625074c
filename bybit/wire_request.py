"""What goes out: commands on a stream, and order requests as they read on the wire."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

import orjson

from . import vocab
from .fields import (
    Raw,
    flag,
    integer_or_none,
    mapping,
    number,
    number_or_none,
    rows,
    text,
    text_or_empty,
)
from .wire_account import read_side


@dataclass(frozen=True, slots=True)
class Command:
    """A request on a stream; `args` may hold a key and a signature, so no repr shows them."""

    op: vocab.Op
    args: tuple[str | int, ...]
    request_id: str

    def encode(self) -> str:
        frame: dict[str, object] = {"req_id": self.request_id, "op": self.op.value}
        if self.args:
            frame["args"] = list(self.args)
        return orjson.dumps(frame).decode()

    def __repr__(self) -> str:
        return f"Command(op={self.op.value!r}, request_id={self.request_id!r})"


def read_command(message: Raw) -> Command:
    args = message.get("args")
    plain: Sequence[object] = args if isinstance(args, list) else ()
    return Command(
        vocab.Op(text(message, "op")),
        tuple(arg for arg in plain if isinstance(arg, (str, int))),
        text_or_empty(message, "req_id"),
    )


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """An order as asked for; read back only, to judge what an encoder wrote."""

    category: str
    symbol: str
    side: vocab.Side
    order_type: str
    quantity: Decimal
    price: Decimal | None
    time_in_force: str
    position_idx: int | None
    link_id: str
    reduce_only: bool


def read_order_request(row: Raw, category: str = "") -> OrderRequest:
    """Bybit V5: order/create; an item of a batch takes the batch's category."""
    return OrderRequest(
        category=text_or_empty(row, "category") or category,
        symbol=text(row, "symbol"),
        side=read_side(row),
        order_type=text(row, "orderType"),
        quantity=number(row, "qty"),
        price=number_or_none(row, "price"),
        time_in_force=text_or_empty(row, "timeInForce"),
        position_idx=integer_or_none(row, "positionIdx"),
        link_id=text_or_empty(row, "orderLinkId"),
        reduce_only=flag(row, "reduceOnly"),
    )


def read_batch_request(message: Raw) -> tuple[OrderRequest, ...]:
    """Bybit V5: order/create-batch."""
    category = text(message, "category")
    return tuple(read_order_request(row, category) for row in rows(message, "request"))


@dataclass(frozen=True, slots=True)
class CancelRequest:
    """Bybit V5: order/cancel; `orderId` wins over the link id."""

    category: str
    symbol: str
    order_id: str
    link_id: str


def read_cancel_request(row: Raw) -> CancelRequest:
    return CancelRequest(
        text(row, "category"),
        text(row, "symbol"),
        text_or_empty(row, "orderId"),
        text_or_empty(row, "orderLinkId"),
    )


@dataclass(frozen=True, slots=True)
class TradeRequest:
    """Bybit V5: the trade stream's `order.create` and `order.create-batch`."""

    op: str
    orders: tuple[OrderRequest, ...]


def read_trade_request(message: Raw) -> TradeRequest:
    op = text(message, "op")
    (argument,) = rows(message, "args")
    one = mapping(argument, "the argument")
    if "request" in one:
        return TradeRequest(op, read_batch_request(one))
    return TradeRequest(op, (read_order_request(one),))
