"""Words of Bybit V5, shared by the client and the paper exchange; values are as on the wire."""

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Final


class Category(StrEnum):
    LINEAR = "linear"
    INVERSE = "inverse"
    SPOT = "spot"
    OPTION = "option"


class Side(StrEnum):
    """Side of an order or execution; a flat position's side is the empty string."""

    BUY = "Buy"
    SELL = "Sell"


FLAT_SIDE: Final = ""


class PositionIdx(IntEnum):
    ONE_WAY = 0
    HEDGE_LONG = 1
    HEDGE_SHORT = 2


class PositionMode(IntEnum):
    """`mode` of position/switch-mode."""

    ONE_WAY = 0
    HEDGE = 3


class PositionStatus(StrEnum):
    NORMAL = "Normal"
    LIQUIDATING = "Liq"
    ADL = "Adl"


class OrderType(StrEnum):
    MARKET = "Market"
    LIMIT = "Limit"
    UNKNOWN = "UNKNOWN"


class TimeInForce(StrEnum):
    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"
    POST_ONLY = "PostOnly"
    RPI = "RPI"


class OrderStatus(StrEnum):
    CREATED = "Created"
    NEW = "New"
    PARTIALLY_FILLED = "PartiallyFilled"
    UNTRIGGERED = "Untriggered"
    REJECTED = "Rejected"
    PARTIALLY_FILLED_CANCELED = "PartiallyFilledCanceled"
    FILLED = "Filled"
    CANCELLED = "Cancelled"
    TRIGGERED = "Triggered"
    DEACTIVATED = "Deactivated"


OPEN_ORDER_STATUSES: Final = frozenset(
    {
        OrderStatus.CREATED,
        OrderStatus.NEW,
        OrderStatus.PARTIALLY_FILLED,
        OrderStatus.UNTRIGGERED,
    }
)


class ExecType(StrEnum):
    TRADE = "Trade"
    ADL_TRADE = "AdlTrade"
    BUST_TRADE = "BustTrade"
    FUNDING = "Funding"
    DELIVERY = "Delivery"
    SETTLE = "Settle"
    SESSION_SETTLE_PNL = "SessionSettlePnL"
    BLOCK_TRADE = "BlockTrade"
    MOVE_POSITION = "MovePosition"
    FUTURE_SPREAD = "FutureSpread"
    CORPORATE_ACTION = "CorporateAction"
    UNKNOWN = "UNKNOWN"


# An allow-list: a type missing here never counts as a fill.
SIZE_CHANGING_EXEC_TYPES: Final = frozenset(
    {
        ExecType.TRADE,
        ExecType.ADL_TRADE,
        ExecType.BUST_TRADE,
        ExecType.DELIVERY,
        ExecType.SETTLE,
        ExecType.BLOCK_TRADE,
        ExecType.MOVE_POSITION,
        ExecType.FUTURE_SPREAD,
    }
)


class CreateType(StrEnum):
    """Who made an order; the venue adds values, so unknown ones must be accepted."""

    BY_USER = "CreateByUser"
    BY_CLOSING = "CreateByClosing"
    BY_ADMIN_CLOSING = "CreateByAdminClosing"
    BY_SETTLE = "CreateBySettle"
    BY_STOP_ORDER = "CreateByStopOrder"
    BY_TAKE_PROFIT = "CreateByTakeProfit"
    BY_PARTIAL_TAKE_PROFIT = "CreateByPartialTakeProfit"
    BY_STOP_LOSS = "CreateByStopLoss"
    BY_PARTIAL_STOP_LOSS = "CreateByPartialStopLoss"
    BY_TRAILING_STOP = "CreateByTrailingStop"
    BY_LIQUIDATION = "CreateByLiq"
    BY_TAKEOVER = "CreateByTakeOver_PassThrough"
    BY_ADL = "CreateByAdl_PassThrough"
    BY_BLOCK_TRADE = "CreateByBlock_PassThrough"
    BY_MOVE_POSITION = "CreateByBlockTradeMovePosition_PassThrough"
    BY_FUTURE_SPREAD = "CreateByFutureSpread"
    BY_TRAILING_PROFIT = "CreateByTrailingProfit"
    BY_MARGIN_RATE_CLOSE = "CreateByMmRateClose"
    BY_GRID_BOT = "CreateByFGridBot"
    BY_GRID_BOT_CLOSE = "CloseByFGridBot"
    BY_MARTINGALE_BOT = "CreateByMartingaleBot"
    BY_MARTINGALE_BOT_CLOSE = "CloseByMartingaleBot"
    BY_TWAP = "CreateByTWAP"
    BY_ICEBERG = "CreateByIceBerg"
    BY_TV_SIGNAL = "CreateByTVSignal"
    BY_ARBITRAGE = "CreateByArbitrage"
    BY_DELTA_HEDGE = "CreateByDdh"
    BY_BBO_ORDER = "CreateByBboOrder"


class CancelType(StrEnum):
    UNKNOWN = "UNKNOWN"
    BY_USER = "CancelByUser"
    BY_REDUCE_ONLY = "CancelByReduceOnly"
    BY_PREPARE_LIQUIDATION = "CancelByPrepareLiq"
    ALL_BEFORE_LIQUIDATION = "CancelAllBeforeLiq"
    BY_PREPARE_ADL = "CancelByPrepareAdl"
    ALL_BEFORE_ADL = "CancelAllBeforeAdl"
    BY_ADMIN = "CancelByAdmin"
    BY_SETTLE = "CancelBySettle"
    BY_TP_SL_CLEAR = "CancelByTpSlTsClear"
    BY_SMP = "CancelBySmp"
    BY_DCP = "CancelByDCP"
    BY_CANNOT_AFFORD = "CancelByCannotAffordOrderCost"
    BY_PM_TRIAL_MARGIN = "CancelByPmTrialMmOverEquity"
    BY_ACCOUNT_BLOCKING = "CancelByAccountBlocking"
    BY_DELIVERY = "CancelByDelivery"
    BY_MAX_TRADES = "CancelByCrossReachMaxTradeNum"


class RejectReason(StrEnum):
    NO_ERROR = "EC_NoError"
    OTHERS = "EC_Others"
    DUPLICATED_LINK_ID = "EC_DuplicatedClOrdID"
    ORIGINAL_NOT_FOUND = "EC_OrigClOrdIDDoesNotExist"
    TOO_LATE_TO_CANCEL = "EC_TooLateToCancel"
    NOT_ENOUGH_TO_FILL = "EC_NoEnoughQtyToFill"
    NO_IMMEDIATE_QTY = "EC_NoImmediateQtyToFill"
    NO_FULL_FILL = "EC_CancelForNoFullFill"
    PER_CANCEL_REQUEST = "EC_PerCancelRequest"
    POST_ONLY_WOULD_TAKE = "EC_PostOnlyWillTakeLiquidity"
    SELF_MATCH = "EC_BySelfMatch"
    INVALID_SYMBOL_STATUS = "EC_InvalidSymbolStatus"
    QTY_CANNOT_BE_ZERO = "EC_QtyCannotBeZero"
    MAX_TRADES = "EC_ReachMaxTradeNum"
    RISK_PRICE_LIMIT = "EC_ReachRiskPriceLimit"
    MARKET_PRICE_LIMIT = "EC_ReachMarketPriceLimit"
    ORDER_NOT_EXIST = "EC_OrderNotExist"


class InstrumentStatus(StrEnum):
    PRE_LAUNCH = "PreLaunch"
    TRADING = "Trading"
    DELIVERING = "Delivering"
    CLOSED = "Closed"


class ContractType(StrEnum):
    LINEAR_PERPETUAL = "LinearPerpetual"
    LINEAR_FUTURES = "LinearFutures"
    INVERSE_PERPETUAL = "InversePerpetual"
    INVERSE_FUTURES = "InverseFutures"


class OptionsType(StrEnum):
    CALL = "Call"
    PUT = "Put"


class MarketUnit(StrEnum):
    BASE_COIN = "baseCoin"
    QUOTE_COIN = "quoteCoin"


class SlippageToleranceType(StrEnum):
    TICK_SIZE = "TickSize"
    PERCENT = "Percent"
    UNKNOWN = "UNKNOWN"


class AccountType(StrEnum):
    UNIFIED = "UNIFIED"


class MarginMode(StrEnum):
    ISOLATED = "ISOLATED_MARGIN"
    REGULAR = "REGULAR_MARGIN"
    PORTFOLIO = "PORTFOLIO_MARGIN"


class MessageType(StrEnum):
    """`type` of a public push."""

    SNAPSHOT = "snapshot"
    DELTA = "delta"


class Op(StrEnum):
    """`op` of a WebSocket request or reply."""

    AUTH = "auth"
    SUBSCRIBE = "subscribe"
    UNSUBSCRIBE = "unsubscribe"
    PING = "ping"
    PONG = "pong"


class PrivateTopic(StrEnum):
    POSITION = "position"
    EXECUTION = "execution"
    FAST_EXECUTION = "execution.fast"
    ORDER = "order"
    WALLET = "wallet"


TICKERS_PREFIX: Final = "tickers."
BEST_QUOTE_PREFIX: Final = "orderbook.1."
OPTION_COMMAND_REPLY: Final = "COMMAND_RESP"

# Spelled as sent; HTTP compares them without regard to case.
HEADER_KEY: Final = "X-BAPI-API-KEY"
HEADER_TIMESTAMP: Final = "X-BAPI-TIMESTAMP"
HEADER_RECV_WINDOW: Final = "X-BAPI-RECV-WINDOW"
HEADER_SIGN: Final = "X-BAPI-SIGN"
HEADER_SIGN_TYPE: Final = "X-BAPI-SIGN-TYPE"
HEADER_LIMIT: Final = "X-Bapi-Limit"
HEADER_LIMIT_STATUS: Final = "X-Bapi-Limit-Status"
HEADER_LIMIT_RESET: Final = "X-Bapi-Limit-Reset-Timestamp"
HEADER_TRACE_ID: Final = "Traceid"

DEFAULT_RECV_WINDOW_MS: Final = 5000
# The server refuses a timestamp this far ahead of its own clock, whatever the window.
MAX_CLOCK_LEAD_MS: Final = 1000
WS_AUTH_PREFIX: Final = "GET/realtime"

ORDER_LINK_ID_PATTERN: Final = r"[A-Za-z0-9_-]{1,36}"


class Path(StrEnum):
    """REST paths that more than one module names."""

    TIME = "/v5/market/time"
    INSTRUMENTS = "/v5/market/instruments-info"
    TICKERS = "/v5/market/tickers"
    ORDERBOOK = "/v5/market/orderbook"
    PRICE_LIMIT = "/v5/market/price-limit"
    POSITIONS = "/v5/position/list"
    SWITCH_MODE = "/v5/position/switch-mode"
    SET_LEVERAGE = "/v5/position/set-leverage"
    CLOSED_PNL = "/v5/position/closed-pnl"
    CLOSED_POSITIONS = "/v5/position/get-closed-positions"
    ORDER_CREATE = "/v5/order/create"
    ORDER_CREATE_BATCH = "/v5/order/create-batch"
    ORDER_AMEND = "/v5/order/amend"
    ORDER_CANCEL = "/v5/order/cancel"
    ORDER_CANCEL_ALL = "/v5/order/cancel-all"
    ORDER_CANCEL_BATCH = "/v5/order/cancel-batch"
    ORDERS_REALTIME = "/v5/order/realtime"
    ORDER_HISTORY = "/v5/order/history"
    EXECUTIONS = "/v5/execution/list"
    WALLET = "/v5/account/wallet-balance"
    ACCOUNT_INFO = "/v5/account/info"
    FEE_RATE = "/v5/account/fee-rate"
    TRANSACTIONS = "/v5/account/transaction-log"
    QUERY_API = "/v5/user/query-api"
    COIN_INFO = "/v5/asset/coin/query-info"
    DELIVERIES = "/v5/asset/delivery-record"
    SETTLEMENTS = "/v5/asset/settlement-record"


WS_PUBLIC_PATH: Final = "/v5/public/"
WS_PRIVATE_PATH: Final = "/v5/private"


@dataclass(frozen=True, slots=True)
class Hosts:
    """Base URLs of one environment, without a trailing slash; a path of V5 follows."""

    rest: str
    public_ws: str
    private_ws: str


# The demo environment has no public stream of its own: it shows mainnet's.
HOSTS: Final = {
    "mainnet": Hosts("https://api.bybit.com", "wss://stream.bybit.com", "wss://stream.bybit.com"),
    "testnet": Hosts(
        "https://api-testnet.bybit.com",
        "wss://stream-testnet.bybit.com",
        "wss://stream-testnet.bybit.com",
    ),
    "demo": Hosts(
        "https://api-demo.bybit.com",
        "wss://stream.bybit.com",
        "wss://stream-demo.bybit.com",
    ),
}
