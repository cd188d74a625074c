"""Positions, orders, executions, wallet and key as Bybit V5 sends them, over REST and streams."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from . import vocab
from .fields import (
    Raw,
    WireError,
    flag,
    integer,
    integer_or_none,
    mapping_or_empty,
    moment,
    moment_or_none,
    number,
    number_if_given,
    number_or_none,
    rows,
    text,
    text_or_empty,
    texts,
)


@dataclass(frozen=True, slots=True)
class PositionRow:
    """Bybit V5: position/list and topic `position`; `side` is None when flat, `size` >= 0."""

    category: str
    symbol: str
    position_idx: int
    side: vocab.Side | None
    size: Decimal
    entry_price: Decimal | None
    updated_at: datetime | None
    seq: int | None


def read_position(row: Raw) -> PositionRow:
    size = number(row, "size")
    side = _side_or_flat(row)
    if size < 0 or (side is None and size != 0):
        raise WireError(f"a position of size {size} without a direction")
    entry = number_or_none(row, "avgPrice")
    if entry is None:
        # The stream's name for it.
        entry = number_or_none(row, "entryPrice")
    index = integer(row, "positionIdx")
    if index not in tuple(vocab.PositionIdx):
        raise WireError(f"positionIdx {index}")
    return PositionRow(
        category=text_or_empty(row, "category"),
        symbol=text(row, "symbol"),
        position_idx=index,
        side=side if size else None,
        size=size,
        entry_price=entry or None,
        updated_at=moment_or_none(row, "updatedTime"),
        seq=_seq(row),
    )


def _side_or_flat(row: Raw) -> vocab.Side | None:
    if row.get("side") == vocab.FLAT_SIDE:
        return None
    return read_side(row)


def read_side(row: Raw) -> vocab.Side:
    """Buy or Sell, or WireError: no default is ever right for a direction."""
    found = text(row, "side")
    try:
        return vocab.Side(found)
    except ValueError as error:
        raise WireError(f"side {found[:20]!r}") from error


def _seq(row: Raw) -> int | None:
    found = integer_or_none(row, "seq")
    # -1 says that the symbol never traded.
    return found if found is not None and found >= 0 else None


@dataclass(frozen=True, slots=True)
class OrderRow:
    """Bybit V5: order/realtime, order/history and topic `order`.

    `filled` may be above zero whatever the status. `price` of a market order is its IOC bound.
    """

    category: str
    symbol: str
    order_id: str
    link_id: str
    side: vocab.Side
    order_type: str
    position_idx: int | None
    quantity: Decimal
    filled: Decimal
    price: Decimal | None
    trigger_price: Decimal | None
    average_price: Decimal | None
    reduce_only: bool
    status: str
    cancel_type: str
    reject_reason: str
    create_type: str
    stop_order_type: str
    created_at: datetime
    updated_at: datetime


def read_order(row: Raw) -> OrderRow:
    created = moment(row, "createdTime")
    return OrderRow(
        category=text_or_empty(row, "category"),
        symbol=text(row, "symbol"),
        order_id=text(row, "orderId"),
        link_id=text_or_empty(row, "orderLinkId"),
        side=read_side(row),
        order_type=text_or_empty(row, "orderType"),
        position_idx=integer_or_none(row, "positionIdx"),
        quantity=number(row, "qty"),
        filled=number_if_given(row, "cumExecQty") or Decimal(0),
        price=number_or_none(row, "price"),
        trigger_price=number_or_none(row, "triggerPrice"),
        average_price=number_or_none(row, "avgPrice") or None,
        reduce_only=flag(row, "reduceOnly"),
        status=text(row, "orderStatus"),
        cancel_type=text_or_empty(row, "cancelType"),
        reject_reason=text_or_empty(row, "rejectReason"),
        create_type=text_or_empty(row, "createType"),
        stop_order_type=text_or_empty(row, "stopOrderType"),
        created_at=created,
        updated_at=moment_or_none(row, "updatedTime") or created,
    )


@dataclass(frozen=True, slots=True)
class ExecutionRow:
    """Bybit V5: execution/list and topic `execution`. `fee` > 0 was paid, < 0 received."""

    category: str
    symbol: str
    exec_id: str
    order_id: str
    link_id: str
    side: vocab.Side
    exec_type: str
    create_type: str
    stop_order_type: str
    price: Decimal
    quantity: Decimal
    order_quantity: Decimal | None
    closed_size: Decimal | None
    fee: Decimal
    fee_coin: str
    executed_at: datetime
    seq: int | None


def read_execution(row: Raw) -> ExecutionRow:
    return ExecutionRow(
        category=text_or_empty(row, "category"),
        symbol=text(row, "symbol"),
        exec_id=text(row, "execId"),
        # A delivery is stored as a trade without an order.
        order_id=text_or_empty(row, "orderId"),
        link_id=text_or_empty(row, "orderLinkId"),
        side=read_side(row),
        exec_type=text(row, "execType"),
        create_type=text_or_empty(row, "createType"),
        stop_order_type=text_or_empty(row, "stopOrderType"),
        price=number(row, "execPrice"),
        quantity=number(row, "execQty"),
        order_quantity=number_or_none(row, "orderQty"),
        closed_size=number_or_none(row, "closedSize"),
        fee=number_if_given(row, "execFee") or Decimal(0),
        fee_coin=text_or_empty(row, "feeCurrency"),
        executed_at=moment(row, "execTime"),
        seq=_seq(row),
    )


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """Bybit V5: asset/delivery-record; `side` is that of the position that ended."""

    symbol: str
    side: vocab.Side
    size: Decimal
    price: Decimal
    delivered_at: datetime


def read_delivery(row: Raw) -> DeliveryRow:
    return DeliveryRow(
        symbol=text(row, "symbol"),
        side=read_side(row),
        size=abs(number(row, "position")),
        price=number(row, "deliveryPrice"),
        delivered_at=moment(row, "deliveryTime"),
    )


@dataclass(frozen=True, slots=True)
class CoinRow:
    """One coin of a wallet; quantities in the coin."""

    coin: str
    wallet_balance: Decimal
    locked: Decimal
    spot_borrow: Decimal


@dataclass(frozen=True, slots=True)
class WalletRow:
    """Bybit V5: account/wallet-balance and topic `wallet`; coins of zero are left out."""

    account_type: str
    coins: tuple[CoinRow, ...]


def read_wallet(row: Raw) -> WalletRow:
    return WalletRow(
        account_type=text(row, "accountType"),
        coins=tuple(_read_coin(coin) for coin in rows(row, "coin")),
    )


def _read_coin(row: Raw) -> CoinRow:
    return CoinRow(
        coin=text(row, "coin"),
        wallet_balance=number(row, "walletBalance"),
        locked=number_if_given(row, "locked") or Decimal(0),
        spot_borrow=number_if_given(row, "spotBorrow") or Decimal(0),
    )


@dataclass(frozen=True, slots=True)
class FeeRateRow:
    """Bybit V5: account/fee-rate; options name their coin alone, all others their symbol."""

    symbol: str
    base_coin: str
    taker: Decimal


def read_fee_rate(row: Raw) -> FeeRateRow:
    return FeeRateRow(
        text_or_empty(row, "symbol"), text_or_empty(row, "baseCoin"), number(row, "takerFeeRate")
    )


@dataclass(frozen=True, slots=True)
class ApiKeyRow:
    """Bybit V5: user/query-api. `expired_at` means something only for keys without bound IPs."""

    user_id: str
    read_only: bool
    permissions: Mapping[str, tuple[str, ...]]
    ips: tuple[str, ...]
    expired_at: str


def read_api_key(row: Raw) -> ApiKeyRow:
    permissions = mapping_or_empty(row.get("permissions"))
    return ApiKeyRow(
        user_id=str(integer(row, "userID")),
        # Anything but a plain 0 counts as read-only: the doubt must not allow trading.
        read_only=integer_or_none(row, "readOnly") != 0,
        permissions={name: texts(permissions, name) for name in permissions},
        ips=texts(row, "ips"),
        expired_at=text_or_empty(row, "expiredAt"),
    )


@dataclass(frozen=True, slots=True)
class OrderAck:
    """Bybit V5: the reply of order/create and order/cancel; matching comes later."""

    order_id: str


def read_order_ack(row: Raw) -> OrderAck:
    return OrderAck(text(row, "orderId"))
