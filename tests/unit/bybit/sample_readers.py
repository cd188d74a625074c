"""Readers of what the venue shows in its examples and the daemon never reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from positiond.bybit import vocab
from positiond.bybit.fields import (
    Raw,
    WireError,
    flag,
    integer,
    integer_or_none,
    mapping,
    moment,
    moment_or_none,
    number,
    number_or_none,
    rows,
    text,
    text_or_empty,
)
from positiond.bybit.wire_account import read_side
from positiond.bybit.wire_request import Command


@dataclass(frozen=True, slots=True)
class ClosedPnlRow:
    """Bybit V5: position/closed-pnl. `side` is that of the closing order; P&L is net of fees."""

    symbol: str
    order_id: str
    side: vocab.Side
    exec_type: str
    closed_size: Decimal
    average_entry: Decimal | None
    average_exit: Decimal | None
    closed_pnl: Decimal | None
    created_at: datetime | None


def read_closed_pnl(row: Raw) -> ClosedPnlRow:
    return ClosedPnlRow(
        symbol=text(row, "symbol"),
        order_id=text_or_empty(row, "orderId"),
        side=read_side(row),
        exec_type=text_or_empty(row, "execType"),
        closed_size=number(row, "closedSize"),
        average_entry=number_or_none(row, "avgEntryPrice"),
        average_exit=number_or_none(row, "avgExitPrice"),
        closed_pnl=number_or_none(row, "closedPnl"),
        created_at=moment_or_none(row, "createdTime"),
    )


@dataclass(frozen=True, slots=True)
class AccountInfo:
    """Bybit V5: account/info."""

    margin_mode: str
    unified_status: int | None


def read_account_info(row: Raw) -> AccountInfo:
    return AccountInfo(text(row, "marginMode"), integer_or_none(row, "unifiedMarginStatus"))


@dataclass(frozen=True, slots=True)
class BatchItem:
    """One order of a batch's reply: `code` 0 was taken, and only then it has an id."""

    symbol: str
    order_id: str
    link_id: str
    code: int
    message: str


def read_batch(result: Raw, extra: Raw) -> tuple[BatchItem, ...]:
    """The reply of order/create-batch: the codes stand apart from the orders, in their order."""
    orders, codes = rows(result, "list"), rows(extra, "list")
    if len(orders) != len(codes):
        raise WireError("a batch reply with more orders than codes, or fewer")
    return tuple(
        BatchItem(
            symbol=text_or_empty(order, "symbol"),
            order_id=text_or_empty(order, "orderId"),
            link_id=text_or_empty(order, "orderLinkId"),
            code=integer(code, "code"),
            message=text_or_empty(code, "msg"),
        )
        for order, code in zip(orders, codes, strict=True)
    )


@dataclass(frozen=True, slots=True)
class FastExecutionRow:
    """Topic `execution.fast`: lacks the type and the maker's link id, so never used for truth."""

    symbol: str
    exec_id: str
    order_id: str
    side: str
    price: Decimal
    quantity: Decimal
    executed_at: datetime


def read_fast_execution(row: Raw) -> FastExecutionRow:
    return FastExecutionRow(
        text(row, "symbol"),
        text(row, "execId"),
        text(row, "orderId"),
        text(row, "side"),
        number(row, "execPrice"),
        number(row, "execQty"),
        moment(row, "execTime"),
    )


@dataclass(frozen=True, slots=True)
class SystemStatus:
    """Topic `system.status`: maintenance announced or running."""

    title: str
    state: str
    begins_at: datetime | None
    ends_at: datetime | None


def read_system_status(row: Raw) -> SystemStatus:
    return SystemStatus(
        text_or_empty(row, "title"),
        text(row, "state"),
        moment_or_none(row, "begin"),
        moment_or_none(row, "end"),
    )


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
