"""Whether an order is accepted now: reduce-only rules, ids, limits and margin."""

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum

from ..vocab import Side
from .books import Books
from .instruments import TAKER_FEE
from .model import ZERO, Position, Uid
from .prices import Market, Quote
from .refusals import (
    duplicate_link_id,
    idx_mismatch,
    margin_insufficient,
    no_market_price,
    nothing_to_reduce,
    notional_too_small,
    reduces_wrong_side,
    too_many_orders,
)
from .rules import OrderRequest, check_band, slippage_cap
from .valuation import value_account

MAX_OPEN_ORDERS = 500
DAY_MS = int(timedelta(days=1).total_seconds() * 1000)


class LinkRule(StrEnum):
    """How long an orderLinkId stays reserved; the venue's own window is not documented."""

    DAY = "day"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class Admitted:
    """Quantity after the reduce-only cut, and the limit price inside (market: the band's)."""

    qty: Decimal
    price: Decimal


class Admission:
    """Judges order requests against the books as they stand."""

    def __init__(self, books: Books, market: Market, link_rule: LinkRule) -> None:
        self._books = books
        self._market = market
        self.link_rule = link_rule

    def admit(self, uid: Uid, request: OrderRequest, now_ms: int) -> Admitted:
        """Raises Refused; the order of the checks is the venue's as far as it is known."""
        i = request.instrument
        if request.idx != 0:
            raise idx_mismatch()
        self._check_link(uid, request, now_ms)
        held = self._books.position(uid, i.category, i.symbol, request.idx)
        qty = self._reduced(request, held) if request.reduce_only else request.qty
        quote = self._market.quote(i.category, i.symbol)
        check_band(request, quote.mark)
        price = market_limit(request, quote) if request.price is None else request.price
        if request.reduce_only:
            return Admitted(qty, price)
        # A closing order is exempt from the least value (help centre: trading rules).
        basis = quote.last if request.price is None else price
        if qty * basis < i.min_notional:
            raise notional_too_small(i.min_notional, i.settle)
        self._check_count(uid, request)
        self._check_margin(held, request.side, qty, quote.mark)
        return Admitted(qty, price)

    def _check_link(self, uid: Uid, request: OrderRequest, now_ms: int) -> None:
        if not request.link_id:
            return
        earlier = self._books.linked(uid, request.instrument.category, request.link_id)
        if earlier is None:
            return
        young = now_ms - earlier.created_ms < DAY_MS
        if earlier.is_open or (self.link_rule is LinkRule.DAY and young):
            raise duplicate_link_id()

    def _reduced(self, request: OrderRequest, held: Position) -> Decimal:
        if held.side is None:
            raise nothing_to_reduce()
        if held.side is request.side:
            raise reduces_wrong_side()
        if request.qty == 0:
            # Close all, at most one market order's worth (Bybit V5: order/create).
            return min(held.size, request.instrument.max_market_qty)
        return min(request.qty, held.size)

    def _check_count(self, uid: Uid, request: OrderRequest) -> None:
        i = request.instrument
        count = sum(
            order.uid == uid and order.category is i.category and order.symbol == i.symbol
            for order in self._books.open_orders.values()
        )
        if count >= MAX_OPEN_ORDERS:
            raise too_many_orders()

    def _check_margin(self, held: Position, side: Side, qty: Decimal, mark: Decimal) -> None:
        grows = qty if held.side in (None, side) else max(qty - held.size, ZERO)
        need = grows * mark / held.leverage + qty * mark * TAKER_FEE
        if grows and need > value_account(self._books, self._market, held.uid).available:
            raise margin_insufficient()


def market_limit(request: OrderRequest, quote: Quote) -> Decimal:
    """The inner limit of a market order: mark·(1±X), or what slippageTolerance allows."""
    low, high = request.instrument.band(quote.mark)
    buys = request.side is Side.BUY
    if request.slippage is None:
        return high if buys else low
    best = quote.ask if buys else quote.bid
    if best <= 0:
        raise no_market_price()
    cap = slippage_cap(request.slippage, request.side, best, request.instrument.tick)
    return min(cap, high) if buys else max(cap, low)
