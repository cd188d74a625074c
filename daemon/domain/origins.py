"""Whose doing an execution was, from `execType`, `createType`, `stopOrderType` and `orderLinkId`.

The words are of Bybit V5: enum (execType, createType, stopOrderType). A value that is not listed
here names itself and explains nothing: it is never taken for a hand trade.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from .deviations import CauseKind
from .model import Fill

# Every order link id of ours begins so.
OUR_MARK: Final = "pd-"
_STOP_ORDER: Final = "CreateByStopOrder"
# Words that leave it to the next one to say more.
_VAGUE: Final = frozenset({"", "UNKNOWN", "CreateByUser", _STOP_ORDER})
_LONGEST: Final = 40


@dataclass(frozen=True, slots=True)
class Origin:
    """`words` follow the verb: "reduced by ADL"; `verb` is given where no other fits.

    `closes`: it is by nature an order that takes off what is held.
    """

    kind: CauseKind
    words: str
    verb: str = ""
    closes: bool = False


_BY_HAND = Origin(CauseKind.BY_HAND, "by hand")
_CLOSED_BY_HAND = Origin(CauseKind.BY_HAND, "by hand", closes=True)
_LIQUIDATION = Origin(CauseKind.LIQUIDATION, "by liquidation", closes=True)
_ADL = Origin(CauseKind.ADL, "by ADL", closes=True)
_TAKE_PROFIT = Origin(CauseKind.TAKE_PROFIT, "by take-profit", closes=True)
_STOP_LOSS = Origin(CauseKind.STOP_LOSS, "by stop-loss", closes=True)
_TRAILING = Origin(CauseKind.TRAILING_STOP, "by trailing stop", closes=True)
_EITHER = Origin(CauseKind.STOP_LOSS, "by a take-profit or stop-loss order")
_MARGIN_CLOSE = Origin(
    CauseKind.LIQUIDATION, "by the automatic close at a maintenance margin rate", closes=True
)
_SETTLEMENT = Origin(CauseKind.SETTLEMENT, "", "settled", closes=True)
_BLOCK = Origin(CauseKind.BLOCK_TRADE, "by a block trade")
_MOVE = Origin(CauseKind.MOVE_POSITION, "by a position move")
_SPREAD = Origin(CauseKind.BY_HAND, "by a spread trade")
_CONDITIONAL = Origin(CauseKind.BY_HAND, "by a conditional order")
_GRID = Origin(CauseKind.BOT, "by a grid bot")
_MARTINGALE = Origin(CauseKind.BOT, "by a martingale bot")
DELIVERED: Final = Origin(CauseKind.DELIVERY, "", "delivered", closes=True)
CORPORATE_ACTION: Final = Origin(CauseKind.CORPORATE_ACTION, "by a corporate action")

_EXEC_TYPES: Final[Mapping[str, Origin]] = {
    "AdlTrade": _ADL,
    "BustTrade": _LIQUIDATION,
    "Delivery": DELIVERED,
    "Settle": _SETTLEMENT,
    "BlockTrade": _BLOCK,
    "MovePosition": _MOVE,
    "FutureSpread": _SPREAD,
    "CorporateAction": CORPORATE_ACTION,
}
_CREATE_TYPES: Final[Mapping[str, Origin]] = {
    "CreateByClosing": _CLOSED_BY_HAND,
    "CreateByBboOrder": _BY_HAND,
    "CreateByChaseOrder": _BY_HAND,
    "CreateByFutureSpread": _SPREAD,
    "CreateBySettle": _SETTLEMENT,
    "CreateByTakeProfit": _TAKE_PROFIT,
    "CreateByPartialTakeProfit": _TAKE_PROFIT,
    "CreateByStopLoss": _STOP_LOSS,
    "CreateByPartialStopLoss": _STOP_LOSS,
    "CreateByTrailingStop": _TRAILING,
    "CreateByTrailingProfit": _TRAILING,
    "CreateByLiq": _LIQUIDATION,
    "CreateByTakeOver_PassThrough": _LIQUIDATION,
    "CreateByMmRateClose": _MARGIN_CLOSE,
    "CreateByAdl_PassThrough": _ADL,
    "CreateByBlock_PassThrough": _BLOCK,
    "CreateByBlockTradeMovePosition_PassThrough": _MOVE,
    "CreateByFGridBot": _GRID,
    "CloseByFGridBot": _GRID,
    "CreateByMartingaleBot": _MARTINGALE,
    "CloseByMartingaleBot": _MARTINGALE,
    "CreateByTWAP": Origin(CauseKind.BOT, "by a TWAP order"),
    "CreateByIceBerg": Origin(CauseKind.BOT, "by an iceberg order"),
    "CreateByTVSignal": Origin(CauseKind.BOT, "by a TradingView signal"),
    "CreateByArbitrage": Origin(CauseKind.BOT, "by an arbitrage bot"),
    "CreateByDdh": Origin(CauseKind.BOT, "by dynamic delta hedging"),
    "CreateByAdminClosing": Origin(
        CauseKind.UNKNOWN, "by Bybit's administration (CreateByAdminClosing)", closes=True
    ),
}
_STOP_TYPES: Final[Mapping[str, Origin]] = {
    "TakeProfit": _TAKE_PROFIT,
    "PartialTakeProfit": _TAKE_PROFIT,
    "StopLoss": _STOP_LOSS,
    "PartialStopLoss": _STOP_LOSS,
    "TrailingStop": _TRAILING,
    "TrailingProfit": _TRAILING,
    "Stop": _CONDITIONAL,
    "MmRateClose": _MARGIN_CLOSE,
    # Spot: one kind of order for both, and nothing on the execution says which of the two it was.
    "tpslOrder": _EITHER,
    "OcoOrder": _EITHER,
    "BidirectionalTpslOrder": _EITHER,
}


def origin_of(fill: Fill, owners: Mapping[str, str]) -> Origin:
    """`owners` are the names of our positions by the link ids of their orders."""
    if fill.link_id.startswith(OUR_MARK):
        return _ours(fill.link_id, owners)
    found = _EXEC_TYPES.get(fill.exec_type)
    if found is not None:
        return found
    if fill.exec_type != "Trade":
        return _unheard_of("an execution of the unknown type", fill.exec_type)
    # A conditional order is told more closely by its stop type, which may be all there is (spot).
    for word in (fill.create_type, fill.stop_order_type):
        if word not in _VAGUE:
            found = _CREATE_TYPES.get(word) or _STOP_TYPES.get(word)
            return found or _unheard_of("an order of the unknown kind", word)
    return _CONDITIONAL if fill.create_type == _STOP_ORDER else _BY_HAND


def _ours(link_id: str, owners: Mapping[str, str]) -> Origin:
    name = owners.get(link_id)
    if name is None:
        # Another database's daemon on the same account, or rows that somebody deleted.
        words = f"by an order with our mark that is not on record ({link_id[:_LONGEST]})"
        return Origin(CauseKind.UNKNOWN, words)
    return Origin(CauseKind.OTHER_POSITION, f"by the close of our position “{name}”")


def _unheard_of(what: str, value: str) -> Origin:
    return Origin(CauseKind.UNKNOWN, f"by {what} {value[:_LONGEST] or '(none)'}")
