"""Private rows as Bybit V5 spells them: numbers as strings, the int and bool fields as such.

The exchange's own encoder: it shares only words with the client, so that a wrong idea of the
wire in one of the two shows.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from ..vocab import AccountType, Category, CreateType, ExecType
from .model import ZERO, ClosedPnl, Execution, Order
from .netting import money
from .valuation import CoinValue, Valuation

Row = dict[str, Any]

# Which stop an order was that somebody's page or bot triggered (Bybit V5: enum stopOrderType).
STOP_ORDER_TYPES: Mapping[str, str] = {
    CreateType.BY_STOP_ORDER: "Stop",
    CreateType.BY_TAKE_PROFIT: "TakeProfit",
    CreateType.BY_PARTIAL_TAKE_PROFIT: "PartialTakeProfit",
    CreateType.BY_STOP_LOSS: "StopLoss",
    CreateType.BY_PARTIAL_STOP_LOSS: "PartialStopLoss",
    CreateType.BY_TRAILING_STOP: "TrailingStop",
    CreateType.BY_TRAILING_PROFIT: "TrailingProfit",
    CreateType.BY_MARGIN_RATE_CLOSE: "MmRateClose",
}
# Spot has one kind of stop for both ends.
SPOT_STOP = "tpslOrder"


def text(number: Decimal) -> str:
    return format(number, "f")


def stop_order_type(category: Category, create_type: str, none: str) -> str:
    """`none` is what orders and executions without a stop show: not the same on both."""
    stop = STOP_ORDER_TYPES.get(create_type)
    if stop is None:
        return none
    return SPOT_STOP if category is Category.SPOT else stop


def order_row(order: Order) -> Row:
    """As in order/realtime."""
    spot = order.category is Category.SPOT
    fees = {order.fee_coin: text(order.cum_fee)} if order.cum_qty else {}
    return {
        "orderId": order.order_id,
        "orderLinkId": order.link_id,
        "blockTradeId": "",
        "symbol": order.symbol,
        "price": text(order.price),
        "qty": text(order.qty),
        "side": order.side,
        "isLeverage": "0" if spot else "",
        "positionIdx": order.idx,
        "orderStatus": order.status,
        "createType": order.create_type,
        "cancelType": order.cancel_type,
        "rejectReason": order.reject_reason,
        "avgPrice": text(order.avg_price) if order.cum_qty else "",
        "leavesQty": text(order.leaves),
        "leavesValue": text(order.leaves_value),
        "cumExecQty": text(order.cum_qty),
        "cumExecValue": text(order.cum_value),
        "cumExecFee": text(order.cum_fee),
        "timeInForce": order.tif,
        "orderType": order.order_type,
        "stopOrderType": stop_order_type(order.category, order.create_type, ""),
        "orderIv": "",
        "marketUnit": order.market_unit or "",
        "triggerPrice": "",
        "takeProfit": "",
        "stopLoss": "",
        "tpslMode": "",
        "tpLimitPrice": "",
        "slLimitPrice": "",
        "tpTriggerBy": "",
        "slTriggerBy": "",
        "triggerDirection": 0,
        "triggerBy": "",
        "lastPriceOnCreated": text(order.last_price_on_created),
        "reduceOnly": order.reduce_only,
        "closeOnTrigger": order.close_on_trigger,
        "placeType": "",
        "smpType": "None",
        "smpGroup": 0,
        "smpOrderId": "",
        "slippageToleranceType": order.slippage_type,
        "slippageTolerance": order.slippage,
        "createdTime": str(order.created_ms),
        "updatedTime": str(order.updated_ms),
        "cumFeeDetail": fees,
        "rpiTakerAccess": False,
        "rpiMatchedQty": "0",
    }


def closed_order_row(order: Order) -> Row:
    """As in order/history."""
    return {**order_row(order), "extraFees": ""}


def order_frame_row(order: Order) -> Row:
    """As pushed on `order`; createType is a contract's alone there."""
    row = order_row(order)
    if order.category in (Category.SPOT, Category.OPTION):
        del row["createType"]
    extra = {
        "category": order.category,
        "closedPnl": text(order.closed_pnl),
        "feeCurrency": "",
        "parentOrderLinkId": "",
    }
    return {**row, **extra}


def execution_row(row: Execution) -> Row:
    """As in execution/list: without positionIdx and without a realised P&L."""
    option = row.category is Category.OPTION
    return {
        "symbol": row.symbol,
        "orderId": row.order_id,
        "orderLinkId": row.link_id,
        "side": row.side,
        "orderPrice": text(row.order_price),
        "orderQty": text(row.order_qty),
        "leavesQty": text(row.leaves_qty),
        "orderType": row.order_type,
        "stopOrderType": stop_order_type(row.category, row.create_type, "UNKNOWN"),
        "createType": row.create_type,
        "execId": row.exec_id,
        "execType": row.exec_type,
        "execPrice": text(row.price),
        "execQty": text(row.qty),
        "execValue": text(row.value),
        "execFee": text(row.fee),
        "execFeeV2": "",
        "feeRate": text(row.fee_rate),
        "feeCurrency": row.fee_coin,
        "execTime": str(row.exec_ms),
        "isMaker": row.is_maker,
        "closedSize": "" if row.category is Category.SPOT else text(row.closed_size),
        "markPrice": text(row.mark),
        "indexPrice": text(row.index),
        "underlyingPrice": text(row.underlying) if option else "",
        "tradeIv": text(row.trade_iv) if option else "",
        "markIv": text(row.mark_iv) if option else "",
        "blockTradeId": "",
        "seq": row.seq,
        "extraFees": "",
    }


def execution_frame_row(row: Execution) -> Row:
    """As pushed on `execution`; `execPnl` is gross, and createType a contract's alone."""
    extra = {
        "category": row.category,
        "execPnl": text(row.pnl),
        "isLeverage": "0",
        "marketUnit": "",
        "indexPrice": text(row.index) if row.category is Category.OPTION else "",
    }
    shown = execution_row(row)
    del shown["execFeeV2"]
    if row.category in (Category.SPOT, Category.OPTION):
        del shown["createType"]
    return {**shown, **extra}


def fast_execution_row(row: Execution) -> Row | None:
    """As pushed on `execution.fast`: trades alone; a maker's orderLinkId is left out."""
    if row.exec_type is not ExecType.TRADE:
        return None
    return {
        "category": row.category,
        "symbol": row.symbol,
        "execId": row.exec_id,
        "execPrice": text(row.price),
        "execQty": text(row.qty),
        "orderId": row.order_id,
        "isMaker": row.is_maker,
        "orderLinkId": "" if row.is_maker else row.link_id,
        "side": row.side,
        "execTime": str(row.exec_ms),
        "seq": row.seq,
    }


def closed_pnl_row(row: ClosedPnl) -> Row:
    """As in position/closed-pnl."""
    return {
        "symbol": row.symbol,
        "orderId": row.order_id,
        "side": row.side,
        "orderType": row.order_type,
        "orderPrice": text(row.order_price),
        "qty": text(row.qty),
        "closedSize": text(row.closed_size),
        "execType": row.exec_type,
        "avgEntryPrice": text(row.avg_entry),
        "cumEntryValue": text(row.entry_value),
        "avgExitPrice": text(row.avg_exit),
        "cumExitValue": text(row.exit_value),
        "closedPnl": text(row.pnl),
        "openFee": text(row.open_fee),
        "closeFee": text(row.close_fee),
        "fillCount": str(row.fill_count),
        "leverage": text(row.leverage),
        "createdTime": str(row.created_ms),
        "updatedTime": str(row.updated_ms),
    }


def wallet_row(value: Valuation, coins: frozenset[str] | None = None) -> Row:
    """As in account/wallet-balance and on `wallet`; zero coins are left out unless asked for."""
    equity, margin = value.equity, value.margin_balance
    im = text(_rate(value.initial_margin, margin))
    mm = text(_rate(value.maintenance, margin))
    shown = [
        coin_row(coin)
        for coin in value.coins
        if (coin.wallet.coin in coins if coins else coin.equity or coin.wallet.balance)
    ]
    return {
        "accountType": AccountType.UNIFIED,
        "accountLTV": "0",
        "accountIMRate": im,
        "accountIMRateByMp": im,
        "accountMMRate": mm,
        "accountMMRateByMp": mm,
        "totalEquity": text(money(equity)),
        "totalWalletBalance": text(money(value.wallet_balance)),
        "totalMarginBalance": text(money(margin)),
        "totalAvailableBalance": text(money(value.available)),
        "totalPerpUPL": text(money(value.unrealised)),
        "totalInitialMargin": text(money(value.initial_margin)),
        "totalInitialMarginByMp": text(money(value.initial_margin)),
        "totalMaintenanceMargin": text(money(value.maintenance)),
        "totalMaintenanceMarginByMp": text(money(value.maintenance)),
        "coin": shown,
    }


def coin_row(coin: CoinValue) -> Row:
    return {
        "coin": coin.wallet.coin,
        "equity": text(money(coin.equity)),
        "usdValue": text(money(coin.usd_value)),
        "walletBalance": text(coin.wallet.balance),
        "locked": text(coin.locked),
        "spotHedgingQty": "0",
        "borrowAmount": "0",
        "spotBorrow": "0",
        "accruedInterest": "0",
        "totalOrderIM": text(money(coin.order_margin)),
        "totalPositionIM": text(money(coin.position_margin)),
        "totalPositionMM": text(money(coin.maintenance)),
        "unrealisedPnl": text(money(coin.unrealised)),
        "cumRealisedPnl": text(coin.wallet.realised),
        "bonus": "0",
        "collateralSwitch": True,
        "marginCollateral": True,
        "availableToWithdraw": "",
        "availableToBorrow": "",
    }


def _rate(part: Decimal, whole: Decimal) -> Decimal:
    return (part / whole).quantize(Decimal("0.0001")) if whole > 0 else ZERO
