"""What the exchange keeps: accounts, wallets, positions, orders, executions. All immutable.

A change makes a new record under the same key, so a stream frame that is sent later still
shows the state of its own moment, and the ledger stores whole records.
"""

from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import NewType

from ..vocab import (
    OPEN_ORDER_STATUSES,
    CancelType,
    Category,
    ExecType,
    MarketUnit,
    OrderStatus,
    OrderType,
    PositionMode,
    PositionStatus,
    RejectReason,
    Side,
    SlippageToleranceType,
    TimeInForce,
)

Uid = NewType("Uid", str)
OrderId = NewType("OrderId", str)

ZERO = Decimal(0)

# The other side of every booking: what accounts lose the book wins, and the fees go apart.
# Summed over all owners, the balances of a coin change by deposits alone.
HOUSE = Uid("house")
FEES = Uid("fees")

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
    # What P&L is counted from: the average price, or since the last periodic settlement of a
    # USDC contract its mark.
    session_avg: Decimal = ZERO
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
    def basis(self) -> Decimal:
        return self.session_avg or self.avg_price

    @property
    def signed(self) -> Decimal:
        """Size in base coin (inverse: contracts), negative for a short."""
        return -self.size if self.side is Side.SELL else self.size


@dataclass(frozen=True, slots=True)
class Order:
    """An accepted order; `matched` is False between the ack and its turn in the matching.

    A spot market order in `MarketUnit.QUOTE_COIN` has its `qty` in quote coin, `cum_qty` as
    ever in base coin.
    """

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
    market_unit: MarketUnit | None = None
    avg_price: Decimal = ZERO

    @property
    def is_open(self) -> bool:
        return self.status in OPEN_ORDER_STATUSES

    @property
    def leaves(self) -> Decimal:
        """What can still fill, in base coin (inverse: contracts); 0 once closed, even after a
        part fill, and for an order in quote coin."""
        return self.qty - self.cum_qty if self.is_open and not self.by_quote else ZERO

    @property
    def leaves_value(self) -> Decimal:
        """What can still fill by value, in quote coin (inverse: contracts × price)."""
        if self.by_quote:
            return self.qty - self.cum_value if self.is_open else ZERO
        return self.leaves * self.price

    @property
    def by_quote(self) -> bool:
        return self.market_unit is MarketUnit.QUOTE_COIN


@dataclass(frozen=True, slots=True)
class Execution:
    """A fill-like event; `pnl` is the gross realised P&L, `fee` > 0 was paid.

    `cash` is what the settle coin's wallet got before the fee: the P&L of a contract, the
    premium of an option (negative for a buyer), the value of a spot trade (in quote coin).
    The volatilities and `underlying` are an option's.
    """

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
    cash: Decimal = ZERO
    mark_iv: Decimal = ZERO
    trade_iv: Decimal = ZERO
    underlying: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class ClosedPnl:
    """What one order closed: `pnl` is gross less both fees, in the settle coin.

    Options too, whose list is position/get-closed-positions.
    """

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
    open_ms: int = 0
    idx: int = 0


@dataclass(frozen=True, slots=True)
class ModeChoice:
    """The position mode an account chose for a symbol; one-way without a record."""

    uid: Uid
    symbol: str
    mode: PositionMode


class EntryKind(StrEnum):
    """`type` of a transaction-log row."""

    DEPOSIT = "TRANSFER_IN"
    TRADE = "TRADE"
    SETTLEMENT = "SETTLEMENT"  # funding and the periodic settlement of USDC contracts
    DELIVERY = "DELIVERY"
    LIQUIDATION = "LIQUIDATION"
    ADL = "ADL"
    MOVE = "BLOCKTRADE"


@dataclass(frozen=True, slots=True)
class Entry:
    """One change of one coin's balance: `change` = `cash` + `funding` − `fee`, after which the
    balance is `balance`. `funding` > 0 was received: the sign is the opposite of `Execution.fee`.
    """

    serial: int
    uid: Uid
    coin: str
    kind: EntryKind
    category: Category | None
    symbol: str
    side: Side | None
    qty: Decimal
    price: Decimal
    size_after: Decimal
    cash: Decimal
    funding: Decimal
    fee: Decimal
    fee_rate: Decimal
    change: Decimal
    balance: Decimal
    order_id: str
    link_id: str
    exec_id: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Delivery:
    """A row of asset/delivery-record: a position that ended with its contract."""

    serial: int
    uid: Uid
    category: Category
    symbol: str
    side: Side
    size: Decimal
    entry: Decimal
    price: Decimal
    strike: Decimal
    fee: Decimal
    pnl: Decimal
    delivery_ms: int


@dataclass(frozen=True, slots=True)
class SessionSettlement:
    """A row of asset/settlement-record: what a USDC position earned since the settlement
    before; `session_avg` is the price it was counted from."""

    serial: int
    uid: Uid
    symbol: str
    side: Side
    size: Decimal
    session_avg: Decimal
    mark: Decimal
    pnl: Decimal
    at_ms: int


@dataclass(frozen=True, slots=True)
class Ended:
    """A contract that was delivered: closed for good, at this price."""

    category: Category
    symbol: str
    price: Decimal
    at_ms: int


@dataclass(frozen=True, slots=True)
class Counters:
    """What must go on counting across restarts, so that no id or sequence repeats."""

    account: int = 0
    order: int = 0
    execution: int = 0
    entry: int = 0
    record: int = 0
    seq: int = 0
    now_ms: int = 0


Record = (
    Account
    | Wallet
    | Position
    | Order
    | Execution
    | ClosedPnl
    | ModeChoice
    | Entry
    | Delivery
    | SessionSettlement
    | Ended
    | Counters
)
