"""Whether an order is accepted now: modes, reduce-only rules, ids, limits, margin, balances."""

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum

from ..vocab import PositionMode, Side
from .books import Books
from .instruments import Instrument
from .model import ZERO, Order, Position, Uid
from .prices import Market
from .quotes import Quote
from .refusals import (
    amount_too_small,
    balance_insufficient,
    contract_not_live,
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
from .valuation import order_margin, value_account

MAX_OPEN_ORDERS = 500  # per symbol, spot in all
MAX_OPTION_ORDERS = 50  # per coin
DAY_MS = int(timedelta(days=1).total_seconds() * 1000)
# In hedge mode the index names the side that is held.
HEDGED_SIDE = {1: Side.BUY, 2: Side.SELL}


class LinkRule(StrEnum):
    """How long an orderLinkId stays reserved; the venue's own window is not documented."""

    DAY = "day"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class Admitted:
    """Quantity after the reduce-only cut, the limit price inside (market: the band's), and
    whether the order only ever reduces: in hedge mode closing does by itself."""

    qty: Decimal
    price: Decimal
    reduce_only: bool


class Admission:
    """Judges order requests against the books as they stand."""

    def __init__(self, books: Books, market: Market, link_rule: LinkRule) -> None:
        self._books = books
        self._market = market
        self.link_rule = link_rule

    def admit(self, uid: Uid, request: OrderRequest, now_ms: int) -> Admitted:
        """Raises Refused; the order of the checks is the venue's as far as it is known."""
        i = request.instrument
        quote = self._market.quote(i.category, i.symbol)
        if not quote.instrument.is_trading:
            raise contract_not_live()
        if i.is_spot:
            return self._admit_spot(uid, request, quote, now_ms)
        reduces = self._reduces(uid, request)
        self._check_link(uid, request, now_ms)
        held = self._books.position(uid, i.category, i.symbol, request.idx)
        if request.close_on_trigger and held.side is None:
            # Refused even without reduceOnly (sieblyio/bybit-api#193).
            raise nothing_to_reduce()
        qty = self._reduced(request, held) if reduces else request.qty
        check_band(request, quote.mark)
        price = market_limit(request, quote) if request.price is None else request.price
        if reduces:
            return Admitted(qty, price, reduce_only=True)
        # A closing order is exempt from the least value (help centre: trading rules).
        basis = quote.last if request.price is None else price
        if (qty if i.is_inverse else qty * basis) < i.min_notional:
            raise notional_too_small(i.min_notional, i.quote if i.is_inverse else i.settle)
        self._check_count(uid, i)
        self.check_margin(held, request.side, qty, quote.mark if request.price is None else price)
        return Admitted(qty, price, reduce_only=False)

    def _reduces(self, uid: Uid, request: OrderRequest) -> bool:
        """Whether the order closes, after its index was found to fit the mode."""
        hedged = self._books.mode(uid, request.instrument.symbol) is PositionMode.HEDGE
        if not (hedged and request.instrument.can_hedge):
            if request.idx != 0:
                raise idx_mismatch()
            # closeOnTrigger alone reduces too (sieblyio/bybit-api#193).
            return request.reduce_only or request.close_on_trigger
        if request.idx == 0:
            raise idx_mismatch()
        grows = HEDGED_SIDE[request.idx] is request.side
        if grows and request.reduce_only:
            raise reduces_wrong_side()
        return not grows

    def _check_link(self, uid: Uid, request: OrderRequest, now_ms: int) -> None:
        if not request.link_id:
            return
        earlier = self._books.linked(uid, request.instrument.category, request.link_id)
        if earlier is None:
            return
        young = now_ms - earlier.created_ms < DAY_MS
        if earlier.is_open or (self.link_rule is LinkRule.DAY and young):
            raise duplicate_link_id(spot=request.instrument.is_spot)

    def _reduced(self, request: OrderRequest, held: Position) -> Decimal:
        if held.side is None:
            raise nothing_to_reduce()
        if held.side is request.side:
            raise reduces_wrong_side()
        if request.qty == 0:
            # Close all, at most one market order's worth (Bybit V5: order/create).
            return min(held.size, request.instrument.max_market_qty)
        return min(request.qty, held.size)

    def _check_count(self, uid: Uid, i: Instrument) -> None:
        orders = [o for o in self._books.open_of(uid) if o.category is i.category]
        limit = MAX_OPEN_ORDERS
        if i.option is not None:
            limit = MAX_OPTION_ORDERS
            listing = self._market.listing
            orders = [o for o in orders if listing.get(o.category, o.symbol).base == i.base]
        elif not i.is_spot:
            orders = [o for o in orders if o.symbol == i.symbol]
        if len(orders) >= limit:
            raise too_many_orders(limit, spot=i.is_spot)

    def check_margin(self, held: Position, side: Side, qty: Decimal, price: Decimal) -> None:
        """Raises Refused 110007 where what `qty` opens takes more than is available."""
        quote = self._market.quote(held.category, held.symbol)
        i = quote.instrument
        grows = qty if held.side in (None, side) else max(qty - held.size, ZERO)
        if not grows:
            return
        need = order_margin(i, grows, price, side, held.leverage, quote)
        need += i.fee(qty, price, quote.index, i.taker_fee)
        available = value_account(self._books, self._market, held.uid).available
        if need * self._market.usd(i.settle) > available:
            raise margin_insufficient()

    def check_growth(self, order: Order, quote: Quote, qty: Decimal, price: Decimal) -> None:
        """Whether an open order may become this; what it holds already is its own."""
        i = quote.instrument
        left = qty - order.cum_qty
        if i.is_spot:
            before = order.leaves_value if order.side is Side.BUY else order.leaves
            after = left * price if order.side is Side.BUY else left
            coin = i.quote if order.side is Side.BUY else i.base
            row = value_account(self._books, self._market, order.uid).coin(coin)
            if row is None or after - before > row.free:
                raise balance_insufficient()
        elif order.reduce_only:
            return
        elif qty > order.qty or price > order.price:
            held = self._books.position(order.uid, i.category, i.symbol, order.idx)
            more = left - order.leaves * order.price / price
            if more > 0:
                self.check_margin(held, order.side, more, price)

    # Spot

    def _admit_spot(self, uid: Uid, request: OrderRequest, quote: Quote, now_ms: int) -> Admitted:
        self._check_link(uid, request, now_ms)
        check_band(request, quote.mark)
        price = market_limit(request, quote) if request.price is None else request.price
        qty = request.qty
        basis = quote.last if request.price is None else price
        if (qty if request.by_quote else qty * basis) < request.instrument.min_notional:
            raise amount_too_small()
        self._check_count(uid, request.instrument)
        self.check_balance(uid, quote, request.side, qty, price, by_quote=request.by_quote)
        return Admitted(qty, price, reduce_only=False)

    def check_balance(
        self,
        uid: Uid,
        quote: Quote,
        side: Side,
        qty: Decimal,
        price: Decimal,
        *,
        by_quote: bool = False,
    ) -> None:
        """Raises Refused 170131 where the wallet, less what open orders hold, has too little.

        A market order in the other coin is counted at the worst price it may get.
        """
        i = quote.instrument
        if side is Side.BUY:
            coin, need = i.quote, qty if by_quote else qty * price
        else:
            coin, need = i.base, qty / price if by_quote else qty
        row = value_account(self._books, self._market, uid).coin(coin)
        if row is None or need > row.free:
            raise balance_insufficient()


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
