"""The words of the domain as values: accounts, positions, components, buckets, orders, fills."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import NewType
from uuid import UUID

UserId = NewType("UserId", UUID)
AccountId = NewType("AccountId", UUID)
PositionId = NewType("PositionId", UUID)
ComponentId = NewType("ComponentId", UUID)
CloseId = NewType("CloseId", UUID)
CloseOrderId = NewType("CloseOrderId", UUID)

ZERO = Decimal(0)


class Environment(StrEnum):
    """A world of Bybit; keys of one are unknown in the others."""

    MAINNET = "mainnet"
    TESTNET = "testnet"
    DEMO = "demo"
    PAPER = "paper"


class Category(StrEnum):
    """A product category of Bybit V5; the same symbol may exist in several."""

    LINEAR = "linear"
    INVERSE = "inverse"
    OPTION = "option"
    SPOT = "spot"


class Side(StrEnum):
    """The side of an order, or the direction of a component or a holding."""

    BUY = "Buy"
    SELL = "Sell"

    @property
    def sign(self) -> int:
        """+1 for Buy (long), -1 for Sell (short)."""
        return 1 if self is Side.BUY else -1

    @property
    def reverse(self) -> Side:
        return Side.SELL if self is Side.BUY else Side.BUY


class PositionStatus(StrEnum):
    ACTIVE = "ACTIVE"
    CLOSING = "CLOSING"
    CLOSED = "CLOSED"


class Verdict(StrEnum):
    """What a compare says of a position; UNVERIFIED is the answer to any doubt."""

    IN_SYNC = "in_sync"
    ALTERED = "altered"
    UNVERIFIED = "unverified"


class DeviationKind(StrEnum):
    MISSING = "missing"
    SURPLUS = "surplus"
    FLIPPED = "flipped"


class PriceBasis(StrEnum):
    """Which price values a leg: derivatives by mark, spot by last."""

    MARK = "mark"
    LAST = "last"


@dataclass(frozen=True, slots=True)
class InstrumentKey:
    """An instrument's identity: prices differ between worlds, symbols repeat in categories."""

    environment: Environment
    category: Category
    symbol: str


@dataclass(frozen=True, slots=True, order=True)
class BucketKey:
    """What Bybit nets together; ordered, so that locks are always taken in one order."""

    account_id: AccountId
    category: Category
    symbol: str
    position_idx: int


@dataclass(frozen=True, slots=True)
class Instrument:
    """An instrument's trading rules. Quantities in its own unit, prices in the quote coin."""

    key: InstrumentKey
    base_coin: str
    quote_coin: str
    settle_coin: str
    status: str
    tick_size: Decimal
    quantity_step: Decimal
    min_quantity: Decimal
    max_market_quantity: Decimal
    min_notional: Decimal
    delivery_at: datetime | None = None
    """When it expires or is delisted; None for what lives on."""

    @property
    def is_trading(self) -> bool:
        return self.status == "Trading"


@dataclass(frozen=True, slots=True)
class Credentials:
    """An API key pair; the secret never shows in a repr."""

    key: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Account:
    """One Bybit UID's API credentials in one environment, owned by one user."""

    id: AccountId
    user_id: UserId
    label: str
    environment: Environment
    api_key: str


@dataclass(frozen=True, slots=True)
class Component:
    """A leg as recorded: the original snapshot, and what our own confirmed fills closed of it.

    A resolve action may change `quantity`; `recorded_quantity` keeps what it was at first (None:
    unchanged). `coin` is whose wallet balance backs a spot leg; None until it is known.
    """

    id: ComponentId
    position_id: PositionId
    category: Category
    symbol: str
    side: Side
    quantity: Decimal
    closed_quantity: Decimal
    entry_price: Decimal
    recorded_quantity: Decimal | None = None
    coin: str | None = None

    @property
    def open(self) -> Decimal:
        """Unsigned quantity still open."""
        return self.quantity - self.closed_quantity

    @property
    def signed_open(self) -> Decimal:
        return self.side.sign * self.open


@dataclass(frozen=True, slots=True)
class Booked:
    """What was booked for a position in one coin: exact sums, never valued here.

    `fees` > 0 were paid; `funding` > 0 was received.
    """

    coin: str
    fees: Decimal = ZERO
    funding: Decimal = ZERO
    realized_pnl: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class Position:
    """A synthetic position: a named set of components of one account.

    `booked` has one entry for each coin in which something was booked, ordered by coin.
    """

    id: PositionId
    account_id: AccountId
    user_id: UserId
    environment: Environment
    name: str
    external_id: str | None
    note: str
    tags: tuple[str, ...]
    status: PositionStatus
    is_altered: bool
    opened_at: datetime
    closed_at: datetime | None
    verified_at: datetime | None
    unrealized_pnl: Decimal | None
    pnl_at: datetime | None
    booked: tuple[Booked, ...]
    components: tuple[Component, ...]


@dataclass(frozen=True, slots=True)
class NewComponent:
    """A leg as somebody asks to record it, not yet checked against its instrument."""

    category: Category
    symbol: str
    side: Side
    quantity: Decimal
    entry_price: Decimal


@dataclass(frozen=True, slots=True)
class NewPosition:
    account_id: AccountId
    name: str
    external_id: str | None
    components: tuple[NewComponent, ...]
    note: str = ""
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Holding:
    """One row of what Bybit holds: a bucket's size, as read at `read_at`.

    `side` is None when flat. `seq` orders it against executions of the same symbol. For spot,
    `symbol` is the coin, `size` its wallet balance less what was borrowed by spot trading, and
    `locked` what rests in open orders.
    """

    category: Category
    symbol: str
    position_idx: int
    side: Side | None
    size: Decimal
    entry_price: Decimal | None
    updated_at: datetime | None
    seq: int | None
    read_at: datetime
    locked: Decimal = ZERO

    @property
    def signed(self) -> Decimal:
        return ZERO if self.side is None else self.side.sign * self.size


class OrderStatus(StrEnum):
    """What Bybit last said of an order, folded to what matters to a close."""

    OPEN = "open"
    FILLED = "filled"
    CANCELLED = "cancelled"
    REJECTED = "rejected"

    @property
    def is_terminal(self) -> bool:
        return self is not OrderStatus.OPEN


@dataclass(frozen=True, slots=True)
class OrderReport:
    """An order as Bybit reports it; `filled` may be above zero whatever the status."""

    category: Category
    symbol: str
    order_id: str
    link_id: str
    side: Side
    quantity: Decimal
    filled: Decimal
    average_price: Decimal | None
    reduce_only: bool
    status: OrderStatus
    status_text: str
    reason: str
    create_type: str
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Fill:
    """One execution. `fee` > 0 was paid, < 0 received; `changes_size` is False for funding.

    `closed_size` is how much of it reduced a position, where Bybit says so; `stop_order_type` is
    all that tells a spot stop from a hand trade (V5: execution/list, spot has no `createType`).
    """

    exec_id: str
    category: Category
    symbol: str
    order_id: str
    link_id: str
    side: Side
    price: Decimal
    quantity: Decimal
    fee: Decimal
    fee_coin: str
    exec_type: str
    create_type: str
    changes_size: bool
    executed_at: datetime
    seq: int | None
    closed_size: Decimal | None = None
    stop_order_type: str = ""


@dataclass(frozen=True, slots=True)
class Delivery:
    """An expired contract as Bybit settled it (V5: asset/delivery-record); `size` unsigned."""

    category: Category
    symbol: str
    side: Side
    size: Decimal
    price: Decimal
    delivered_at: datetime


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """What Bybit says an API key may do; without `ips` it works from anywhere."""

    uid: str
    read_only: bool
    permissions: Mapping[str, tuple[str, ...]]
    ips: tuple[str, ...]
    expires_at: datetime | None
