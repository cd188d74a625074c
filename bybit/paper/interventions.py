"""What the venue itself does to positions: liquidation, deleveraging, delivery, moves.

Each closes (or opens) by an order of the venue's own, at a price of its own, after it
cancelled the account's orders that were in the way.
"""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from zlib import crc32

from ..vocab import CancelType, Category, PositionIdx, PositionMode, Side
from .book import Level
from .desk import Desk
from .events import Executed, PrivateEvent, QuotesChanged
from .instruments import Instrument, Key
from .matching import Matching
from .model import ZERO, Delivery, Ended, Execution, Order, Position, Uid
from .netting import money
from .orders import (
    DELIVERY,
    INVERSE_DELIVERY,
    LIQUIDATION,
    MOVE,
    OPTION_DELIVERY,
    Forced,
    forced_order,
)
from .quotes import Quote
from .refusals import bad_parameter, nothing_to_reduce
from .settlement import Charge, Settlement, Terms, settle
from .valuation import maintenance_margin, value_account


def _free(qty: Decimal, price: Decimal) -> Decimal:
    del qty, price
    return ZERO


class Interventions:
    """The venue's own hand on its books."""

    def __init__(self, desk: Desk, matching: Matching) -> None:
        self._desk = desk
        self._matching = matching

    def force(self, position: Position, forced: Forced, qty: Decimal | None) -> Order:
        """Takes `qty` (all of it without one) off a position at its mark, as the venue would."""
        desk = self._desk
        if position.side is None:
            raise nothing_to_reduce()
        self._clear(position, forced.cancel_type)
        quote = desk.market.quote(position.category, position.symbol)
        warned = replace(position, status=forced.status, updated_ms=desk.now_ms)
        desk.tell(desk.shown(warned))
        size = min(qty or position.size, position.size)
        order = self._order(position, forced, size, quote.instrument)
        desk.books.put(order)
        return self._matching.book(order, [Level(quote.mark, size)], self._terms(quote, forced))

    def check_margins(self, share: int, shares: int) -> None:
        """Liquidates each account of this share of them whose margin no longer covers its
        maintenance: hundreds at once would hold up everybody's frames."""
        for uid in self._desk.books.holders():
            if crc32(uid.encode()) % shares == share:
                self.check_margin(uid)

    def check_margin(self, uid: Uid) -> None:
        """Cancels the account's orders, then takes its largest positions until it holds."""
        desk = self._desk
        value = value_account(desk.books, desk.market, uid)
        if value.maintenance == 0 or value.margin_balance >= value.maintenance:
            return
        for order in desk.books.open_of(uid):
            if order.category is not Category.SPOT:
                desk.cancel(order, CancelType.BY_PREPARE_LIQUIDATION)
        for position in self._by_margin(uid):
            self.force(position, LIQUIDATION, None)
            value = value_account(desk.books, desk.market, uid)
            if value.margin_balance >= value.maintenance:
                return

    def _by_margin(self, uid: Uid) -> list[Position]:
        """The account's positions, the one that binds the most margin first."""
        market = self._desk.market

        def bound(position: Position) -> Decimal:
            quote = market.quote(position.category, position.symbol)
            i = quote.instrument
            return maintenance_margin(i, position, quote) * market.usd(i.settle)

        held = [p for p in self._desk.books.held(uid) if bound(p) > 0]
        return sorted(held, key=lambda p: (-bound(p), p.symbol, p.idx))

    # Delivery

    def deliver(self, key: Key, price: Decimal | None = None) -> Quote:
        """Ends a contract at a price (its index without one): orders are cancelled, positions
        vanish, an option pays what it is worth there. A perpetual is delisted this way."""
        desk = self._desk
        quote = desk.market.quote(*key)
        if quote.instrument.is_spot:
            raise bad_parameter("a spot pair is not delivered")
        at = quote.index if price is None else price
        forced = _delivery_of(quote.instrument)
        for order in desk.books.open_on(*key):
            desk.cancel(order, forced.cancel_type)
        for uid in desk.books.holders():
            for position in desk.books.held(uid):
                if (position.category, position.symbol) == key:
                    self._deliver(position, quote, at, forced)
        desk.books.put(Ended(*key, at, desk.now_ms))
        ended = desk.market.end(key, at)
        desk.tell(QuotesChanged((ended,)))
        return ended

    def _deliver(self, position: Position, quote: Quote, at: Decimal, forced: Forced) -> None:
        i, desk = quote.instrument, self._desk
        if position.side is None:
            return
        worth = at if i.option is None else i.option.payoff(at)
        order = self._order(position, forced, position.size, i)
        terms = self._terms(quote, forced, lambda qty, _: i.delivery_cost(qty, at))
        terms = replace(terms, fee_rate=i.delivery_fee)
        done = settle(order, position, [Level(worth, position.size)], terms, desk.next_execution)
        if done.closed is not None and i.option is not None:
            # Bybit V5: position/get-closed-positions shows the underlying's delivery price.
            done = replace(done, closed=replace(done.closed, avg_exit=at))
        self._book_unordered(done)
        (made,) = done.executions
        desk.books.put(
            Delivery(
                serial=desk.books.count("record"),
                uid=position.uid,
                category=position.category,
                symbol=position.symbol,
                side=position.side,
                size=position.size,
                entry=position.avg_price,
                price=at,
                strike=ZERO if i.option is None else i.option.strike,
                fee=made.fee,
                pnl=made.pnl,
                # Delivered by hand before its time, it is over now.
                delivery_ms=min(i.delivery_ms or desk.now_ms, desk.now_ms),
            )
        )

    def overdue(self) -> list[Key]:
        """Contracts whose time is over and that were not delivered yet, listed or held."""
        desk = self._desk
        due = {
            i.key
            for i in desk.market.listing.all()
            if i.is_trading and 0 < i.delivery_ms <= desk.now_ms
        }
        for uid in desk.books.holders():
            for position in desk.books.held(uid):
                key = (position.category, position.symbol)
                if 0 < desk.market.listing.get(*key).delivery_ms <= desk.now_ms:
                    due.add(key)
        return sorted(due)

    # Moves

    def move(
        self, position: Position, to: Uid, qty: Decimal | None, price: Decimal | None
    ) -> Sequence[Position]:
        """Hands (part of) a position over to another account, without a fee; at the mark
        unless a price is given. Returns both positions as they are then."""
        desk = self._desk
        if position.side is None:
            raise nothing_to_reduce()
        quote = desk.market.quote(position.category, position.symbol)
        size = min(qty or position.size, position.size)
        fills = [Level(price or quote.mark, size)]
        idx = self._row_of(to, quote.instrument, position.side)
        taker = desk.books.position(to, position.category, position.symbol, idx)
        moved = []
        for side, one in ((_opposite(position.side), position), (position.side, taker)):
            order = self._order(one, MOVE, size, quote.instrument, side)
            done = settle(order, one, fills, self._terms(quote, MOVE), desk.next_execution)
            self._book_unordered(done)
            moved.append(desk.books.position(one.uid, one.category, one.symbol, one.idx))
        for one in moved:
            self._matching.trim_resting(one)
        return moved

    def impose(
        self, position: Position, forced: Forced, side: Side, qty: Decimal, price: Decimal | None
    ) -> Sequence[Execution]:
        """Books an execution that no order of the account's made, at the mark unless a price is
        given; in hedge mode never more than is held."""
        desk = self._desk
        quote = desk.market.quote(position.category, position.symbol)
        if quote.instrument.is_spot:
            raise bad_parameter("spot has no positions")
        is_hedged = position.idx != PositionIdx.ONE_WAY
        if is_hedged and side is not _opener(position.idx) and qty > position.size:
            raise nothing_to_reduce()
        order = self._order(position, forced, qty, quote.instrument, side)
        fills = [Level(price or quote.mark, qty)]
        done = settle(order, position, fills, self._terms(quote, forced), desk.next_execution)
        self._book_unordered(done)
        if done.position is not None:
            self._matching.trim_resting(done.position)
        return done.executions

    def _row_of(self, uid: Uid, i: Instrument, side: Side) -> int:
        """Where a position of this side stands in the account's own mode."""
        if not i.can_hedge or self._desk.books.mode(uid, i.symbol) is PositionMode.ONE_WAY:
            return PositionIdx.ONE_WAY
        return PositionIdx.HEDGE_LONG if side is Side.BUY else PositionIdx.HEDGE_SHORT

    # Inside

    def _book_unordered(self, done: Settlement) -> None:
        """Books executions that no order of the books made: querying it finds nothing."""
        desk, uid = self._desk, done.order.uid
        desk.record(done)
        if done.position is not None:
            told: list[PrivateEvent] = [
                Executed(uid, done.executions),
                desk.shown(done.position),
                desk.wallet_of(uid),
            ]
            desk.tell_later(f"event/{done.executions[0].serial}", told)

    def _order(
        self,
        position: Position,
        forced: Forced,
        size: Decimal,
        i: Instrument,
        side: Side | None = None,
    ) -> Order:
        serial, order_id = self._desk.next_order(position.category)
        now = self._desk.now_ms
        return forced_order(serial, order_id, position, forced, size, i.settle, now, side)

    def _terms(self, quote: Quote, forced: Forced, charge: Charge | None = None) -> Terms:
        i = quote.instrument
        rate = i.taker_fee if forced.takes_fee else ZERO
        if charge is None:
            charge = _free
            if forced.takes_fee:
                charge = _taker(i, quote.index)
        return Terms(
            exec_type=forced.exec_type,
            quote=quote,
            fee_rate=rate,
            charge=charge,
            is_maker=False,
            seq=self._desk.market.next_seq(),
            now_ms=self._desk.now_ms,
        )

    def _clear(self, position: Position, cancel: CancelType) -> None:
        for order in self._matching.resting(position):
            self._desk.cancel(order, cancel)


def _taker(i: Instrument, index: Decimal) -> Charge:
    return lambda qty, price: money(i.fee(qty, price, index, i.taker_fee))


def _delivery_of(i: Instrument) -> Forced:
    if i.option is not None:
        return OPTION_DELIVERY
    return INVERSE_DELIVERY if i.is_inverse else DELIVERY


def _opener(idx: int) -> Side:
    """The side that opens a row of hedge mode."""
    return Side.BUY if idx == PositionIdx.HEDGE_LONG else Side.SELL


def _opposite(side: Side) -> Side:
    return Side.SELL if side is Side.BUY else Side.BUY
