"""Rows of what is over: closed positions, deliveries, settlements, the transaction log."""

from ..vocab import ExecType
from .encode import Row, text
from .model import ClosedPnl, Delivery, Entry, EntryKind, SessionSettlement


def closed_position_row(row: ClosedPnl) -> Row:
    """As in position/get-closed-positions, the options' list."""
    delivered = row.exec_type in (ExecType.DELIVERY, ExecType.SETTLE)
    close_fee = text(row.close_fee)
    return {
        "symbol": row.symbol,
        # The side of the position, not of the order that closed it.
        "side": "Sell" if row.side == "Buy" else "Buy",
        "totalOpenFee": text(row.open_fee),
        "deliveryFee": close_fee if delivered else "0",
        "totalCloseFee": "0" if delivered else close_fee,
        "qty": text(row.closed_size),
        "closeTime": row.updated_ms,
        "avgExitPrice": text(row.avg_exit),
        "deliveryPrice": text(row.avg_exit) if delivered else "",
        "openTime": row.open_ms,
        "avgEntryPrice": text(row.avg_entry),
        "totalPnl": text(row.pnl),
    }


def delivery_row(row: Delivery) -> Row:
    """As in asset/delivery-record."""
    return {
        "deliveryTime": row.delivery_ms,
        "symbol": row.symbol,
        "side": row.side,
        "position": text(row.size),
        "entryPrice": text(row.entry),
        "deliveryPrice": text(row.price),
        "strike": text(row.strike) if row.strike else "",
        "fee": text(row.fee),
        "deliveryRpl": text(row.pnl),
    }


def settlement_row(row: SessionSettlement) -> Row:
    """As in asset/settlement-record."""
    return {
        "symbol": row.symbol,
        "side": row.side,
        "size": text(row.size),
        "sessionAvgPrice": text(row.session_avg),
        "markPrice": text(row.mark),
        "realisedPnl": text(row.pnl),
        "createdTime": str(row.at_ms),
    }


def transaction_row(row: Entry) -> Row:
    """As in account/transaction-log; `funding` has the opposite sign of an execFee."""
    traded = row.kind is not EntryKind.DEPOSIT
    return {
        "id": f"{row.uid}_{row.symbol}_{row.serial}",
        "symbol": row.symbol,
        "side": row.side or "None",
        "funding": text(row.funding) if row.funding else "",
        "orderLinkId": row.link_id,
        "orderId": row.order_id,
        "fee": text(row.fee),
        "change": text(row.change),
        "cashFlow": text(row.cash),
        "transactionTime": str(row.at_ms),
        "type": row.kind,
        "transSubType": "",
        "feeRate": text(row.fee_rate),
        "bonusChange": "",
        "size": text(row.size_after) if traded else "0",
        "qty": text(row.qty),
        "cashBalance": text(row.balance),
        "currency": row.coin,
        "category": row.category or "",
        "tradePrice": text(row.price),
        "tradeId": row.exec_id,
        "extraFees": "",
    }
