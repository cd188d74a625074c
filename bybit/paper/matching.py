"""Orders against the book: market orders sweep it, limit orders rest and fill as makers."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from decimal import Decimal

from ..vocab import CancelType, Category, ExecType, OrderStatus, RejectReason, Side, TimeInForce
from .book import Book, Level, book_around, sweep, sweep_value, within, without
from .desk import Desk
from .events import Executed, QuotesChanged
from .instruments import Key
from .model import ZERO, Order, OrderId, Position
from .quotes import Quote
from .settlement import Terms, settle, settle_spot

MATCH_DELAY_MS = (1, 12)


class Matching:
    """Gives orders their turn, books their fills, keeps resting reduce-only orders in bounds."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._taken: dict[tuple[Category, str, Side], Decimal] = {}
        # Asked before each match: how much of the book the order may see; None is all of it.
        self.depth_for: Callable[[Order], Decimal | None] = lambda _: None

    def later(self, order: Order) -> None:
        """Plans the order's turn, a few milliseconds after it came: the same before a restart
        and after one."""
        desk = self._desk
        delay = desk.draw("match", order.serial).randint(*MATCH_DELAY_MS)
        due_ms = max(order.created_ms + delay, desk.now_ms)
        desk.schedule.at(due_ms, lambda: self._take_turn(order.order_id))

    def _take_turn(self, order_id: OrderId) -> None:
        self.match(order_id)

    def match(self, order_id: OrderId) -> Order:
        """The order's turn, if it is still to come; returns the order as it stands then."""
        order = self._desk.books.orders[order_id]
        if order.matched or not order.is_open:
            return order
        return self.cross(replace(order, matched=True))

    def cross(self, order: Order) -> Order:
        """Fills what the book gives inside the order's limit; the rest rests, or ends."""
        desk = self._desk
        trimmed = self._trimmed(order)
        if trimmed.qty == trimmed.cum_qty:
            # The position went between the ack and the match.
            return desk.cancel(order, CancelType.BY_REDUCE_ONLY)
        order = trimmed
        fills = self._sweep(order)
        filled = sum((level.qty for level in fills), ZERO)
        if order.tif is TimeInForce.POST_ONLY and fills:
            return desk.cancel(order, CancelType.UNKNOWN, RejectReason.POST_ONLY_WOULD_TAKE)
        if order.tif is TimeInForce.FOK and filled < order.leaves:
            return desk.cancel(order, CancelType.UNKNOWN, RejectReason.NOT_ENOUGH_TO_FILL)
        if fills:
            key = (order.category, order.symbol, order.side)
            self._taken[key] = self._taken.get(key, ZERO) + filled
            return self.fill(order, fills, maker=False)
        if order.tif is TimeInForce.IOC:
            return desk.cancel(order, CancelType.UNKNOWN, RejectReason.NO_IMMEDIATE_QTY)
        desk.books.put(order)
        if order.reduce_only:
            held = desk.books.position(order.uid, order.category, order.symbol, order.idx)
            self.trim_resting(held)
        return desk.books.orders[order.order_id]

    def fill(self, order: Order, fills: list[Level], *, maker: bool) -> Order:
        """Books fills as the venue's own trades, by the instrument's rates."""
        quote = self._desk.market.quote(order.category, order.symbol)
        i = quote.instrument
        rate = i.maker_fee if maker else i.taker_fee
        terms = Terms(
            exec_type=ExecType.TRADE,
            quote=quote,
            fee_rate=rate,
            charge=lambda qty, price: i.fee(qty, price, quote.index, rate),
            is_maker=maker,
            seq=self._desk.market.next_seq(),
            now_ms=self._desk.now_ms,
        )
        return self.book(order, fills, terms)

    def book(self, order: Order, fills: list[Level], terms: Terms) -> Order:
        """Puts the fills into the books and plans what is told of them."""
        desk = self._desk
        if terms.instrument.is_spot:
            done = settle_spot(order, fills, terms, desk.next_execution)
        else:
            held = desk.books.position(order.uid, order.category, order.symbol, order.idx)
            done = settle(order, held, fills, terms, desk.next_execution)
        desk.record(done)
        traded = sum((level.qty for level in fills), ZERO)
        quote = desk.market.traded(order.category, order.symbol, fills[-1].price, traded)
        desk.tell(QuotesChanged((quote,)))
        order = self._after_fill(done.order)
        desk.tell_order(order, [Executed(order.uid, done.executions), desk.wallet_of(order.uid)])
        if done.position is not None:
            self.trim_resting(done.position)
        return order

    def _after_fill(self, order: Order) -> Order:
        done = order.cum_value == order.qty if order.by_quote else order.cum_qty == order.qty
        if done:
            return self._desk.end(order, OrderStatus.FILLED)
        if order.tif in (TimeInForce.IOC, TimeInForce.FOK):
            spot = order.category is Category.SPOT
            status = OrderStatus.PARTIALLY_FILLED_CANCELED if spot else OrderStatus.CANCELLED
            return self._desk.end(order, status, CancelType.UNKNOWN, RejectReason.NO_FULL_FILL)
        order = replace(order, status=OrderStatus.PARTIALLY_FILLED)
        self._desk.books.put(order)
        return order

    # The book

    def book_of(self, quote: Quote) -> Book:
        """The book as it stands: what was taken since the last quote is gone."""
        book = book_around(quote, self._desk.seed)
        key = quote.instrument.key
        return Book(
            bids=tuple(self._left(key, Side.SELL, book)),
            asks=tuple(self._left(key, Side.BUY, book)),
        )

    def refill(self, quotes: Iterable[Quote] | None) -> None:
        """A new quote brings new orders of everybody else, and a new round (None) to all."""
        if quotes is None:
            self._taken.clear()
            return
        for quote in quotes:
            for side in Side:
                self._taken.pop((*quote.instrument.key, side), None)

    def _sweep(self, order: Order) -> list[Level]:
        quote = self._desk.market.quote(order.category, order.symbol)
        book = book_around(quote, self._desk.seed)
        levels = self._left(quote.instrument.key, order.side, book)
        depth = self.depth_for(order)
        if depth is not None:
            levels = within(levels, depth)
        if order.by_quote:
            value, i = order.leaves_value, quote.instrument
            return sweep_value(levels, order.side, value, order.price, i)
        return sweep(levels, order.side, order.leaves, order.price)

    def _left(self, key: Key, side: Side, book: Book) -> list[Level]:
        return without(book.against(side), self._taken.get((*key, side), ZERO))

    # Resting orders

    def fill_resting(self, quotes: tuple[Quote, ...]) -> None:
        """Fills what a price came to: all of it when the price went through, what stands
        there when it just touched."""
        for quote in quotes:
            i = quote.instrument
            for order in self._desk.books.open_on(i.category, i.symbol):
                if order.matched:
                    self._touch(order, quote)

    def _touch(self, order: Order, quote: Quote) -> None:
        buys = order.side is Side.BUY
        best, size = (quote.ask, quote.ask_size) if buys else (quote.bid, quote.bid_size)
        if best <= 0 or (best > order.price if buys else best < order.price):
            return
        # An earlier fill of this round may have trimmed it.
        current = self._desk.books.orders[order.order_id]
        qty = min(current.leaves, size) if best == order.price else current.leaves
        if qty > 0:
            self.fill(current, [Level(current.price, qty)], maker=True)

    def resting(self, position: Position) -> list[Order]:
        """Open orders of one position, oldest first, that had their turn."""
        return [
            order
            for order in self._desk.books.open_on(position.category, position.symbol)
            if order.matched and (order.uid, order.idx) == (position.uid, position.idx)
        ]

    def trim_resting(self, position: Position) -> None:
        """Resting reduce-only orders never add up to more than the position, oldest first."""
        room = position.size
        for order in self.resting(position):
            if not order.reduce_only:
                continue
            keeps = ZERO if position.side in (None, order.side) else min(order.leaves, room)
            room -= keeps
            if keeps == order.leaves:
                continue
            if keeps == 0:
                self._desk.cancel(order, CancelType.BY_REDUCE_ONLY)
            else:
                now = self._desk.now_ms
                cut = replace(order, qty=order.cum_qty + keeps, updated_ms=now)
                self._desk.books.put(cut)
                self._desk.tell_order(cut)

    def _trimmed(self, order: Order) -> Order:
        """Cuts a reduce-only order down to the position; it never flips it."""
        if not order.reduce_only:
            return order
        books = self._desk.books
        held = books.position(order.uid, order.category, order.symbol, order.idx)
        room = held.size if held.side is not None and held.side is not order.side else ZERO
        return replace(order, qty=min(order.qty, order.cum_qty + room))
