"""The exchange without its edges: orders in, events out. Synchronous, seeded, no I/O.

Time is handed in. An accepted order is matched a few milliseconds after its acceptance, and
its frames are told up to 50 ms after that in a seeded order, so a client sees an ack first,
the fills later, and now and then the fills before the ack. Whatever `place` accepted is in
the books before it returns; a restart matches what was accepted and not yet matched.
"""

import random
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from decimal import Decimal

from ..vocab import (
    CancelType,
    Category,
    ExecType,
    OrderStatus,
    OrderType,
    RejectReason,
    Side,
    TimeInForce,
)
from .admission import Admission, LinkRule
from .book import Book, Level, book_around, sweep, within, without
from .books import Books
from .events import (
    Event,
    Executed,
    OrderChanged,
    PositionChanged,
    PrivateEvent,
    QuotesChanged,
    Told,
    WalletChanged,
)
from .instruments import MAKER_FEE, TAKER_FEE
from .model import ZERO, Order, OrderId, Position, Uid
from .orders import Forced, forced_order, ordered
from .prices import Market, Quote
from .refusals import nothing_to_reduce, order_not_found
from .rules import OrderRequest
from .schedule import Deed, Schedule
from .settlement import Settlement, Terms, settle
from .valuation import value_account

TICK_MS = 100
MAX_LAG_MS = 1000  # a clock that jumped further than this skips the ticks between
MATCH_DELAY_MS = (1, 12)
FRAME_DELAY_MS = (1, 50)
HISTORY_LAG_MS = (500, 2000)  # order/history is a store of its own and lags

NO_QUOTE_FILL = RejectReason.NO_IMMEDIATE_QTY


class Engine:
    """Orders, matching, positions and wallets of all accounts over one market."""

    def __init__(
        self,
        books: Books,
        market: Market,
        *,
        seed: int,
        now_ms: int,
        link_rule: LinkRule = LinkRule.DAY,
    ) -> None:
        self.books = books
        self.market = market
        self.now_ms = now_ms
        self.paused = False
        self.exact = False
        self.outbox: list[Told] = []
        # Asked before each match: how much of the book the order may see; None is all of it.
        self.depth_for: Callable[[Order], Decimal | None] = lambda _: None
        self._seed = seed
        self._admission = Admission(books, market, link_rule)
        self._schedule = Schedule()
        self._taken: dict[tuple[Category, str, Side], Decimal] = {}
        self._schedule.at(now_ms + TICK_MS, self._tick)
        for order in books.open_orders.values():
            if not order.matched:
                self._match_later(order)

    # Time

    def advance(self, now_ms: int) -> None:
        """Does everything that is due by `now_ms`, in order; the clock never goes back."""
        while due := self._schedule.pop_due(now_ms):
            due_ms, deed = due
            self.now_ms = max(self.now_ms, due_ms)
            if not self.exact and now_ms - due_ms > MAX_LAG_MS:
                self.now_ms = now_ms
            deed()
        self.now_ms = max(self.now_ms, now_ms)

    def next_ms(self) -> int | None:
        return self._schedule.next_ms()

    def later(self, milliseconds: int, deed: Deed) -> None:
        """Plans a deed of another part of the exchange on the same clock."""
        self._schedule.at(self.now_ms + milliseconds, deed)

    def set_mark(self, category: Category, symbol: str, mark: Decimal) -> None:
        """Pins the price and tells it at once."""
        quotes = self.market.pin(category, symbol, mark)
        self._tell(QuotesChanged(tuple(quotes)))
        self._fill_resting({quote.instrument.key for quote in quotes})

    def show(self, quotes: Iterable[Quote]) -> None:
        """Tells quotes that another source put into the market, and fills what they reach."""
        shown = tuple(quotes)
        self._tell(QuotesChanged(shown))
        self._fill_resting({quote.instrument.key for quote in shown})

    # Orders

    def place(self, uid: Uid, request: OrderRequest, now_ms: int) -> Order:
        """Accepts an order, to be matched soon; raises Refused where the venue answers at once."""
        self.now_ms = max(self.now_ms, now_ms)
        order = self._accept(uid, request)
        self._match_later(order)
        if order.order_type is OrderType.LIMIT:
            self._tell_later(order, self._told_of(order))
        return order

    def trade(self, uid: Uid, request: OrderRequest, now_ms: int) -> Order:
        """Accepts and matches at once, for a hand trade; only its frames come later."""
        self.now_ms = max(self.now_ms, now_ms)
        order = self._accept(uid, request)
        self._match(order.order_id)
        return self.books.orders[order.order_id]

    def cancel(self, order: Order, now_ms: int) -> Order:
        """Cancels an open order; raises Refused 110001 when it is too late."""
        self.now_ms = max(self.now_ms, now_ms)
        if not order.is_open or not order.matched:
            raise order_not_found()
        closed = self._close(
            order, OrderStatus.CANCELLED, CancelType.BY_USER, RejectReason.PER_CANCEL_REQUEST
        )
        self._tell_later(closed, self._told_of(closed))
        return closed

    def force(self, position: Position, forced: Forced, qty: Decimal | None, now_ms: int) -> Order:
        """Takes `qty` (all of it without one) off a position at its mark, as the venue would."""
        self.now_ms = max(self.now_ms, now_ms)
        if position.side is None:
            raise nothing_to_reduce()
        for order in self._resting(position):
            closed = self._close(
                order, OrderStatus.CANCELLED, forced.cancel_type, RejectReason.NO_ERROR
            )
            self._tell_later(closed, [OrderChanged(closed.uid, closed)])
        quote = self.market.quote(position.category, position.symbol)
        warned = replace(position, status=forced.status, updated_ms=self.now_ms)
        self._tell(PositionChanged(position.uid, warned, quote.mark))
        size = min(qty or position.size, position.size)
        serial, order_id = self._next_order()
        coin = self.market.listing.get(position.category, position.symbol).settle
        order = forced_order(serial, order_id, position, forced, size, coin, self.now_ms)
        self.books.put(order)
        fill = [Level(quote.mark, size)]
        self._book(order, fill, self._terms(order, forced.exec_type, forced.fee_rate, maker=False))
        return self.books.orders[order.order_id]

    def book_of(self, category: Category, symbol: str) -> Book:
        """The book as it stands: what was taken since the last quote is gone."""
        quote = self.market.quote(category, symbol)
        book = book_around(quote, self._seed)
        return Book(
            bids=tuple(self._left(category, symbol, Side.SELL, book)),
            asks=tuple(self._left(category, symbol, Side.BUY, book)),
        )

    # Inside

    def _accept(self, uid: Uid, request: OrderRequest) -> Order:
        admitted = self._admission.admit(uid, request, self.now_ms)
        quote = self.market.quote(request.instrument.category, request.instrument.symbol)
        serial, order_id = self._next_order()
        order = ordered(serial, order_id, uid, request, admitted, quote.last, self.now_ms)
        self.books.put(order)
        return order

    def _match_later(self, order: Order) -> None:
        delay = self._draw("match", order.serial).randint(*MATCH_DELAY_MS)
        self._schedule.at(self.now_ms + delay, lambda: self._match(order.order_id))

    def _match(self, order_id: OrderId) -> None:
        order = self.books.orders[order_id]
        if order.matched or not order.is_open:
            return
        order = self._trimmed(replace(order, matched=True))
        if order.qty == 0:
            # The position went between the ack and the match.
            order = replace(order, qty=self.books.orders[order_id].qty)
            self._end_unfilled(order, CancelType.BY_REDUCE_ONLY, RejectReason.NO_ERROR)
            return
        fills = sweep(self._levels_for(order), order.side, order.qty, order.price)
        filled = sum((level.qty for level in fills), ZERO)
        if order.tif is TimeInForce.POST_ONLY and fills:
            self._end_unfilled(order, CancelType.UNKNOWN, RejectReason.POST_ONLY_WOULD_TAKE)
        elif order.tif is TimeInForce.FOK and filled < order.qty:
            self._end_unfilled(order, CancelType.UNKNOWN, RejectReason.NOT_ENOUGH_TO_FILL)
        elif fills:
            key = (order.category, order.symbol, order.side)
            self._taken[key] = self._taken.get(key, ZERO) + filled
            terms = self._terms(order, ExecType.TRADE, TAKER_FEE, maker=False)
            self._book(order, fills, terms)
        elif order.tif is TimeInForce.IOC:
            self._end_unfilled(order, CancelType.UNKNOWN, NO_QUOTE_FILL)
        else:
            self.books.put(order)

    def _trimmed(self, order: Order) -> Order:
        """Cuts a reduce-only order down to the position; it never flips it."""
        if not order.reduce_only:
            return order
        held = self.books.position(order.uid, order.category, order.symbol, order.idx)
        room = held.size if held.side is not None and held.side is not order.side else ZERO
        return replace(order, qty=min(order.qty, order.cum_qty + room))

    def _levels_for(self, order: Order) -> list[Level]:
        book = book_around(self.market.quote(order.category, order.symbol), self._seed)
        levels = self._left(order.category, order.symbol, order.side, book)
        depth = self.depth_for(order)
        return levels if depth is None else within(levels, depth)

    def _left(self, category: Category, symbol: str, side: Side, book: Book) -> list[Level]:
        return without(book.against(side), self._taken.get((category, symbol, side), ZERO))

    def _terms(self, order: Order, kind: ExecType, rate: Decimal, *, maker: bool) -> Terms:
        quote = self.market.quote(order.category, order.symbol)
        seq = self.market.next_seq()
        return Terms(kind, rate, order.fee_coin, maker, quote.mark, quote.index, seq, self.now_ms)

    def _book(self, order: Order, fills: list[Level], terms: Terms) -> None:
        """Puts the fills into the books and plans what is told of them."""
        held = self.books.position(order.uid, order.category, order.symbol, order.idx)
        done = settle(order, held, fills, terms, self._next_execution)
        self._put_settlement(done, order.fee_coin)
        last = fills[-1].price
        traded = sum((level.qty for level in fills), ZERO)
        self._tell(QuotesChanged((self.market.traded(order.category, order.symbol, last, traded),)))
        order = self._after_fill(done.order)
        events: list[PrivateEvent] = [
            Executed(order.uid, done.executions),
            WalletChanged(order.uid, value_account(self.books, self.market, order.uid)),
        ]
        self._tell_later(order, [*self._told_of(order), *events])
        self._trim_resting(done.position)

    def _put_settlement(self, done: Settlement, coin: str) -> None:
        self.books.put(done.position)
        for execution in done.executions:
            self.books.put(execution)
        if done.closed:
            self.books.put(done.closed)
        wallet = self.books.wallet(done.order.uid, coin)
        self.books.put(
            replace(
                wallet,
                balance=wallet.balance + done.gained,
                realised=wallet.realised + done.gained,
            )
        )
        self.books.put(replace(self.books.counters, seq=self.market.seq, now_ms=self.now_ms))

    def _after_fill(self, order: Order) -> Order:
        if order.cum_qty == order.qty:
            return self._close(order, OrderStatus.FILLED)
        if order.tif in (TimeInForce.IOC, TimeInForce.FOK):
            return self._close(
                order, OrderStatus.CANCELLED, CancelType.UNKNOWN, RejectReason.NO_FULL_FILL
            )
        order = replace(order, status=OrderStatus.PARTIALLY_FILLED)
        self.books.put(order)
        return order

    def _end_unfilled(self, order: Order, cancel: CancelType, reason: RejectReason) -> None:
        closed = self._close(order, OrderStatus.CANCELLED, cancel, reason)
        self._tell_later(closed, self._told_of(closed))

    def _close(
        self,
        order: Order,
        status: OrderStatus,
        cancel: CancelType = CancelType.UNKNOWN,
        reason: RejectReason = RejectReason.NO_ERROR,
    ) -> Order:
        lag = self._draw("history", order.serial).randint(*HISTORY_LAG_MS)
        order = replace(
            order,
            status=status,
            matched=True,
            cancel_type=cancel,
            reject_reason=reason,
            updated_ms=self.now_ms,
            history_ms=self.now_ms + lag,
        )
        self.books.put(order)
        return order

    def _resting(self, position: Position) -> list[Order]:
        key = (position.uid, position.category, position.symbol, position.idx)
        return [
            order
            for order in self.books.open_orders.values()
            if order.matched and (order.uid, order.category, order.symbol, order.idx) == key
        ]

    def _trim_resting(self, position: Position) -> None:
        """Resting reduce-only orders never add up to more than the position, oldest first."""
        room = position.size
        for order in self._resting(position):
            if not order.reduce_only:
                continue
            keeps = ZERO if position.side is order.side else min(order.leaves, room)
            room -= keeps
            if keeps == order.leaves:
                continue
            if keeps == 0:
                self._end_unfilled(order, CancelType.BY_REDUCE_ONLY, RejectReason.NO_ERROR)
            else:
                cut = replace(order, qty=order.cum_qty + keeps, updated_ms=self.now_ms)
                self.books.put(cut)
                self._tell_later(cut, self._told_of(cut))

    def _tick(self) -> None:
        self._schedule.at(self.now_ms + TICK_MS, self._tick)
        if self.paused:
            self._tell(QuotesChanged(()))
            return
        self._taken.clear()
        changed = tuple(self.market.tick(TICK_MS, self.now_ms))
        self._tell(QuotesChanged(changed))
        self._fill_resting({(q.instrument.category, q.instrument.symbol) for q in changed})

    def _fill_resting(self, moved: set[tuple[Category, str]]) -> None:
        for order in list(self.books.open_orders.values()):
            if not order.matched or (order.category, order.symbol) not in moved:
                continue
            quote = self.market.quote(order.category, order.symbol)
            buys = order.side is Side.BUY
            if quote.ask <= order.price if buys else quote.bid >= order.price:
                current = self.books.orders[order.order_id]
                if current.leaves:
                    terms = self._terms(current, ExecType.TRADE, MAKER_FEE, maker=True)
                    self._book(current, [Level(current.price, current.leaves)], terms)

    def _told_of(self, order: Order) -> list[PrivateEvent]:
        """An order and its position: pushed with every change of the order, even without one."""
        held = self.books.position(order.uid, order.category, order.symbol, order.idx)
        mark = self.market.quote(order.category, order.symbol).mark
        return [OrderChanged(order.uid, order), PositionChanged(order.uid, held, mark)]

    def _tell(self, event: Event) -> None:
        self.outbox.append(Told(self.now_ms, event))

    def _tell_later(self, order: Order, events: list[PrivateEvent]) -> None:
        rng = self._draw("frames", f"{order.serial}/{order.cum_qty}/{order.status}")
        for event in events:
            due = self.now_ms + rng.randint(*FRAME_DELAY_MS)
            self._schedule.at(due, lambda event=event: self._tell(event))  # type: ignore[misc]  # a default binds the loop variable

    def _next_order(self) -> tuple[int, OrderId]:
        serial = self.books.count("order")
        return serial, OrderId(str(_uuid(self._draw("order-id", serial))))

    def _next_execution(self) -> tuple[int, str]:
        serial = self.books.count("execution")
        return serial, str(_uuid(self._draw("execution-id", serial)))

    def _draw(self, purpose: str, which: object) -> random.Random:
        """A generator of its own per purpose and serial: a restart draws the same again."""
        return random.Random(f"{self._seed}/{purpose}/{which}")

    def open_orders_of(self, uid: Uid) -> Iterator[Order]:
        return (order for order in self.books.open_orders.values() if order.uid == uid)


def _uuid(rng: random.Random) -> uuid.UUID:
    return uuid.UUID(int=rng.getrandbits(128), version=4)
