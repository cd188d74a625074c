"""What the exchange keeps: accounts, wallets, positions, orders, executions. All immutable.

A change makes a new record under the same key, so a stream frame that is sent later still
shows the state of its own moment, and the ledger stores whole records.
"""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import NewType

from ..vocab import (
    OPEN_ORDER_STATUSES,
    CancelType,
    Category,
    ExecType,
    OrderStatus,
    OrderType,
    PositionStatus,
    RejectReason,
    Side,
    SlippageToleranceType,
    TimeInForce,
)

Uid = NewType("Uid", str)
OrderId = NewType("OrderId", str)

ZERO = Decimal(0)

# As `permissions` of user/query-api groups them: "Group.Right".
USUAL_RIGHTS = (
    "ContractTrade.Order",
    "ContractTrade.Position",
    "Spot.SpotTrade",
    "Options.OptionsTrade",
    "Derivatives.DerivativesTrade",
)


@dataclass(frozen=True, slots=True)
class Account:
    """One UID with one API key; the key and the secret are throw-away, for paper only.

    Without `ips` the key works from everywhere; without `expires_ms` it never ends.
    """

    uid: Uid
    label: str
    key: str
    secret: str = field(repr=False)
    read_only: bool
    created_ms: int
    rights: tuple[str, ...] = USUAL_RIGHTS
    ips: tuple[str, ...] = ()
    expires_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Wallet:
    """The balance of one coin: `balance` and `realised` in that coin."""

    uid: Uid
    coin: str
    balance: Decimal
    realised: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class Position:
    """One (account, category, symbol, positionIdx); `side` is None when flat."""

    uid: Uid
    category: Category
    symbol: str
    idx: int
    side: Side | None = None
    size: Decimal = ZERO
    avg_price: Decimal = ZERO
    leverage: Decimal = Decimal(10)
    open_fee: Decimal = ZERO
    cur_realised: Decimal = ZERO
    cum_realised: Decimal = ZERO
    status: PositionStatus = PositionStatus.NORMAL
    seq: int = -1
    created_ms: int = 0
    updated_ms: int = 0
    open_ms: int = 0

    @property
    def signed(self) -> Decimal:
        """Size in base coin (inverse: contracts), negative for a short."""
        return -self.size if self.side is Side.SELL else self.size


@dataclass(frozen=True, slots=True)
class Order:
    """An accepted order; `matched` is False between the ack and its turn in the matching."""

    serial: int
    order_id: OrderId
    link_id: str
    uid: Uid
    category: Category
    symbol: str
    idx: int
    side: Side
    order_type: OrderType
    tif: TimeInForce
    price: Decimal
    qty: Decimal
    reduce_only: bool
    close_on_trigger: bool
    create_type: str
    created_ms: int
    updated_ms: int
    last_price_on_created: Decimal
    slippage_type: SlippageToleranceType = SlippageToleranceType.UNKNOWN
    slippage: str = ""
    status: OrderStatus = OrderStatus.NEW
    matched: bool = False
    cancel_type: CancelType = CancelType.UNKNOWN
    reject_reason: RejectReason = RejectReason.NO_ERROR
    cum_qty: Decimal = ZERO
    cum_value: Decimal = ZERO
    cum_fee: Decimal = ZERO
    closed_pnl: Decimal = ZERO
    fee_coin: str = ""
    history_ms: int = 0

    @property
    def is_open(self) -> bool:
        return self.status in OPEN_ORDER_STATUSES

    @property
    def leaves(self) -> Decimal:
        """What can still fill; 0 once closed, even after a part fill."""
        return self.qty - self.cum_qty if self.is_open else ZERO


@dataclass(frozen=True, slots=True)
class Execution:
    """A fill-like event; `pnl` is the gross realised P&L, `fee` > 0 was paid."""

    serial: int
    exec_id: str
    order_id: OrderId
    link_id: str
    uid: Uid
    category: Category
    symbol: str
    idx: int
    side: Side
    order_type: OrderType
    order_price: Decimal
    order_qty: Decimal
    leaves_qty: Decimal
    create_type: str
    exec_type: ExecType
    price: Decimal
    qty: Decimal
    value: Decimal
    fee: Decimal
    fee_rate: Decimal
    fee_coin: str
    is_maker: bool
    closed_size: Decimal
    pnl: Decimal
    mark: Decimal
    index: Decimal
    seq: int
    exec_ms: int


@dataclass(frozen=True, slots=True)
class ClosedPnl:
    """What one order closed: `pnl` is gross less both fees, in the settle coin."""

    serial: int
    uid: Uid
    category: Category
    symbol: str
    order_id: OrderId
    side: Side
    order_type: OrderType
    order_price: Decimal
    qty: Decimal
    closed_size: Decimal
    exec_type: ExecType
    avg_entry: Decimal
    entry_value: Decimal
    avg_exit: Decimal
    exit_value: Decimal
    pnl: Decimal
    open_fee: Decimal
    close_fee: Decimal
    fill_count: int
    leverage: Decimal
    created_ms: int
    updated_ms: int


@dataclass(frozen=True, slots=True)
class Counters:
    """What must go on counting across restarts, so that no id or sequence repeats."""

    account: int = 0
    order: int = 0
    execution: int = 0
    seq: int = 0
    now_ms: int = 0


Record = Account | Wallet | Position | Order | Execution | ClosedPnl | Counters
