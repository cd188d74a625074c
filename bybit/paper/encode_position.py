"""Position rows as Bybit V5 spells them on REST and on the stream."""

from dataclasses import dataclass, replace
from decimal import Decimal

from ..vocab import FLAT_SIDE, Category, Side
from .encode import Row, text
from .model import Position
from .netting import money, rounded
from .quotes import Quote
from .valuation import maintenance_margin, position_margin, unrealised

LEAST_TAKER_FEE = Decimal("0.00055")


@dataclass(frozen=True, slots=True)
class Shown:
    """A position with the quote it is shown at; `liq_price` is an estimate, None for none."""

    position: Position
    quote: Quote
    liq_price: Decimal | None = None


def position_row(shown: Shown) -> Row:
    """As in position/list."""
    p = shown.position
    return {
        **_row(shown),
        "avgPrice": text(p.avg_price),
        "bustPrice": "",
        "liqPrice": text(shown.liq_price) if shown.liq_price else "",
        "sessionAvgPrice": text(p.session_avg) if _has_sessions(shown) else "",
    }


def position_frame_row(shown: Shown) -> Row:
    """As pushed on `position`: `entryPrice` instead of avgPrice, and the category."""
    p = shown.position
    row = {
        **_row(shown),
        "category": p.category,
        "entryPrice": text(p.avg_price),
        "bustPrice": "",
        "liqPrice": text(shown.liq_price) if shown.liq_price else "",
        "sessionAvgPrice": text(p.session_avg) if _has_sessions(shown) else "0",
    }
    if p.side is None:
        row |= {"positionValue": "0", "unrealisedPnl": "0", "liqPrice": "0"}
    return row


def _has_sessions(shown: Shown) -> bool:
    """USDC contracts alone have a cost basis of their session (Bybit V5: position/list)."""
    return shown.position.side is not None and shown.quote.instrument.settles_by_session


def _row(shown: Shown) -> Row:
    p, quote = shown.position, shown.quote
    i, flat = quote.instrument, p.side is None
    entered = replace(quote, mark=p.avg_price) if not flat else quote
    option = p.category is Category.OPTION
    value = money(i.value(p.size, p.avg_price)) if not flat else p.size
    return {
        "positionIdx": p.idx,
        "riskId": 0 if option else 1,
        "riskLimitValue": "" if option else "2000000",
        "symbol": p.symbol,
        "side": FLAT_SIDE if p.side is None else p.side,
        "size": text(p.size),
        "positionValue": "" if flat else text(value),
        "tradeMode": 0,
        "positionStatus": p.status,
        "autoAddMargin": 0,
        "adlRankIndicator": 0 if flat else 2,
        "leverage": "" if option else text(p.leverage),
        "breakEvenPrice": _break_even(p),
        "positionBalance": "0",
        "markPrice": text(quote.mark),
        "positionIM": text(money(position_margin(i, p, entered))),
        "positionIMByMp": text(money(position_margin(i, p, quote))),
        "positionMM": text(money(maintenance_margin(i, p, entered))),
        "positionMMByMp": text(money(maintenance_margin(i, p, quote))),
        "tpslMode": "Full",
        "takeProfit": "",
        "stopLoss": "",
        "trailingStop": "0",
        "unrealisedPnl": "" if flat else text(money(unrealised(p, quote.mark))),
        "curRealisedPnl": text(p.cur_realised),
        "cumRealisedPnl": "" if option else text(p.cum_realised),
        **(_greeks(p, quote) if option else {}),
        "seq": p.seq,
        "isReduceOnly": False,
        "mmrSysUpdatedTime": "",
        "leverageSysUpdatedTime": "",
        "createdTime": str(p.created_ms),
        "updatedTime": str(p.updated_ms),
        "openTime": p.open_ms,
    }


def _greeks(p: Position, quote: Quote) -> Row:
    """Of the whole position; empty where the quote has none."""
    greeks = quote.greeks
    names = ("delta", "gamma", "vega", "theta")
    if greeks is None:
        return dict.fromkeys(names, "")
    return {name: text(rounded(p.signed * getattr(greeks, name))) for name in names}


def _break_even(p: Position) -> str:
    """(entry·qty − realised) / (qty − |qty|·taker), qty signed (Bybit V5: position/list).

    Inverse solves the same in coin; options have none.
    """
    if p.side is None or p.category is Category.OPTION:
        return ""
    fee = p.size * LEAST_TAKER_FEE
    if p.category is Category.INVERSE:
        gained = p.signed / p.avg_price + p.cur_realised
        price = (p.signed + fee) / gained if gained else Decimal(0)
        return text(max(price, Decimal(0)).quantize(Decimal("1E-8")))
    worth = p.signed * p.avg_price - p.cur_realised
    sign = 1 if p.side is Side.BUY else -1
    return text((worth / (sign * p.size - fee)).quantize(Decimal("1E-8")))
