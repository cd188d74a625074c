"""The exchange without its edges: orders in, events out. Synchronous, seeded, no I/O.

Time is handed in. An accepted order is matched a few milliseconds after its acceptance, and
its frames are told up to 50 ms after that in a seeded order, so a client sees an ack first,
the fills later, and now and then the fills before the ack. Whatever `place` accepted is in
the books before it returns; a restart matches what was accepted and not yet matched.

| part | does |
|---|---|
| `admission.py` | whether an order is accepted |
| `matching.py` | fills, resting orders, reduce-only bounds |
| `interventions.py` | liquidation, deleveraging, delivery, moves |
| `timetable.py` | funding, periodic settlement, expiries at full hours |
| `desk.py` | books, market, clock and outbox they share; every change of a wallet |
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from decimal import Decimal

from ..vocab import CancelType, Category, OrderType, PositionMode, RejectReason, Side
from .admission import Admission, LinkRule
from .amendment import Amendment, amended
from .book import Book
from .books import Books
from .desk import Desk
from .events import QuotesChanged, Told
from .interventions import Interventions
from .leverage import checked_leverage
from .matching import Matching
from .model import Execution, Order, Position, Uid
from .modes import chosen_modes
from .orders import Forced, ordered
from .prices import PARTS, Market
from .quotes import Quote
from .refusals import order_not_found
from .rules import OrderRequest
from .schedule import Deed
from .timetable import Timetable
from .valuation import liquidation_price, value_account

TICK_MS = 100
PART_MS = TICK_MS // PARTS
MAX_LAG_MS = 1000  # a clock that jumped further than this skips the ticks between
MARGIN_SHARES = 1000 // PART_MS  # each account's margin is checked once a second, in its turn


class Engine:
    """Orders, matching, positions and wallets of all accounts over one market.

    Methods that take `now_ms` do nothing that is due before it: advance first. They raise
    Refused with the venue's code.
    """

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
        self.paused = False
        self.exact = False
        self.auto_liquidation = True
        self._desk = Desk(books, market, seed, now_ms)
        self._admission = Admission(books, market, link_rule)
        self._matching = Matching(self._desk)
        self._interventions = Interventions(self._desk, self._matching)
        self._timetable = Timetable(self._desk, self._interventions)
        self._recall()
        self._desk.schedule.at(_next_part(now_ms), self._tick)
        for order in sorted(books.open_orders.values(), key=lambda order: order.serial):
            if not order.matched:
                self._matching.later(order)
        self._timetable.start()

    # What the edges set and read

    @property
    def now_ms(self) -> int:
        return self._desk.now_ms

    @property
    def outbox(self) -> list[Told]:
        return self._desk.outbox

    @outbox.setter
    def outbox(self, told: list[Told]) -> None:
        self._desk.outbox = told

    @property
    def depth_for(self) -> Callable[[Order], Decimal | None]:
        """Asked before each match: how much of the book the order may see; None is all of it."""
        return self._matching.depth_for

    @depth_for.setter
    def depth_for(self, asked: Callable[[Order], Decimal | None]) -> None:
        self._matching.depth_for = asked

    # Time

    def advance(self, now_ms: int) -> None:
        """Does everything that is due by `now_ms`, in order; the clock never goes back."""
        desk = self._desk
        while due := desk.schedule.pop_due(now_ms):
            due_ms, deed = due
            desk.now_ms = max(desk.now_ms, due_ms)
            if not self.exact and now_ms - due_ms > MAX_LAG_MS:
                desk.now_ms = now_ms
            deed()
        desk.now_ms = max(desk.now_ms, now_ms)

    def next_ms(self) -> int | None:
        return self._desk.schedule.next_ms()

    def later(self, milliseconds: int, deed: Deed) -> None:
        """Plans a deed of another part of the exchange on the same clock."""
        self._desk.schedule.at(self.now_ms + milliseconds, deed)

    def _arrive(self, now_ms: int) -> None:
        self._desk.now_ms = max(self._desk.now_ms, now_ms)

    # Prices

    def set_mark(self, category: Category, symbol: str, mark: Decimal) -> None:
        """Pins the price and tells it at once; everything on the same coin follows."""
        self.show(self.market.pin(category, symbol, mark))

    def show(self, quotes: Iterable[Quote]) -> None:
        """Tells quotes that changed outside of a tick, and fills what they came to."""
        shown = tuple(quotes)
        self._desk.tell(QuotesChanged(shown))
        self._matching.fill_resting(shown)

    def book_of(self, category: Category, symbol: str) -> Book:
        """The book as it stands: what was taken since the last quote is gone."""
        return self._matching.book_of(self.market.quote(category, symbol))

    # Orders

    def place(self, uid: Uid, request: OrderRequest, now_ms: int) -> Order:
        """Accepts an order, to be matched soon; raises Refused where the venue answers at once."""
        self._arrive(now_ms)
        order = self._accept(uid, request)
        self._matching.later(order)
        if order.order_type is OrderType.LIMIT:
            self._desk.tell_order(order)
        return order

    def trade(self, uid: Uid, request: OrderRequest, now_ms: int) -> Order:
        """Accepts and matches at once, for a hand trade; only its frames come later."""
        self._arrive(now_ms)
        order = self._accept(uid, request)
        return self._matching.match(order.order_id)

    def amend(self, order: Order, changes: Amendment, now_ms: int) -> Order:
        """Changes an open limit order; it takes what its new price crosses. 110001 when it is
        too late, 10001 where nothing would change."""
        self._arrive(now_ms)
        order = self._open(order)
        order = amended(order, changes, self._admission, self.market, self.now_ms)
        self.books.put(order)
        self._desk.tell_order(order)
        return self._matching.cross(order)

    def cancel(self, order: Order, now_ms: int) -> Order:
        """Cancels an open order; raises Refused 110001 (spot 170213) when it is too late."""
        self._arrive(now_ms)
        order = self._open(order)
        return self._desk.cancel(order, CancelType.BY_USER, RejectReason.PER_CANCEL_REQUEST)

    def cancel_all(self, uid: Uid, wanted: Callable[[Order], bool], now_ms: int) -> list[Order]:
        """Cancels every open order of the account that is wanted; returns them as they ended."""
        self._arrive(now_ms)
        ended = []
        for order in self.books.open_of(uid):
            if wanted(order) and self._matching.match(order.order_id).is_open:
                ended.append(self.cancel(order, now_ms))
        return ended

    def open_orders_of(self, uid: Uid) -> Iterator[Order]:
        return iter(self.books.open_of(uid))

    def _accept(self, uid: Uid, request: OrderRequest) -> Order:
        admitted = self._admission.admit(uid, request, self.now_ms)
        quote = self.market.quote(request.instrument.category, request.instrument.symbol)
        serial, order_id = self._desk.next_order(request.instrument.category)
        order = ordered(serial, order_id, uid, request, admitted, quote.last, self.now_ms)
        self.books.put(order)
        return order

    def _open(self, order: Order) -> Order:
        """The order once its turn has come, as a venue that takes requests one by one has it."""
        order = self._matching.match(order.order_id)
        if not order.is_open:
            raise order_not_found(spot=order.category is Category.SPOT)
        return order

    # Accounts

    def deposit(self, uid: Uid, coin: str, amount: Decimal, now_ms: int) -> None:
        """Money from outside: the only thing that changes the sum over all owners."""
        self._arrive(now_ms)
        self._desk.deposit(uid, coin, amount)
        self._desk.tell(self._desk.wallet_of(uid))

    def switch_mode(
        self, uid: Uid, mode: PositionMode, *, symbol: str = "", coin: str = ""
    ) -> None:
        """One-way or hedge for a USDT perpetual, or for all of them by coin. 110029 where there
        is no hedge mode, 110025 unchanged, 110024 and 110028 with a position or an order."""
        for choice in chosen_modes(self.books, self.market, uid, mode, symbol, coin):
            self.books.put(choice)

    def set_leverage(
        self, uid: Uid, category: Category, symbol: str, buy: Decimal, sell: Decimal, now_ms: int
    ) -> list[Position]:
        """110043 where nothing changes, 110013 outside the contract's range. One-way takes one
        leverage for both sides."""
        self._arrive(now_ms)
        i = self.market.listing.get(category, symbol)
        changed = [
            replace(position, updated_ms=self.now_ms)
            for position in checked_leverage(self.books, uid, i, buy, sell)
        ]
        for position in changed:
            self.books.put(position)
            self._desk.tell(self._desk.shown(position))
        return changed

    def positions_of(self, uid: Uid, category: Category, symbol: str) -> list[Position]:
        """The rows of a symbol, flat ones too: one in one-way mode, two in hedge mode."""
        hedged = category is Category.LINEAR and (
            self.books.mode(uid, symbol) is PositionMode.HEDGE
        )
        return [
            self.books.position(uid, category, symbol, idx) for idx in ((1, 2) if hedged else (0,))
        ]

    def liquidation_price(self, position: Position) -> Decimal | None:
        """An estimate; None where it is too far away to say."""
        quote = self.market.quote(position.category, position.symbol)
        value = value_account(self.books, self.market, position.uid)
        return liquidation_price(value, position, quote)

    # What the venue does

    def force(self, position: Position, forced: Forced, qty: Decimal | None, now_ms: int) -> Order:
        """Takes `qty` (all of it without one) off a position at its mark, as the venue would."""
        self._arrive(now_ms)
        return self._interventions.force(position, forced, qty)

    def move(
        self,
        position: Position,
        to: Uid,
        now_ms: int,
        *,
        qty: Decimal | None = None,
        price: Decimal | None = None,
    ) -> Sequence[Position]:
        """Hands (part of) a position to another account, at the mark unless a price is given."""
        self._arrive(now_ms)
        return self._interventions.move(position, to, qty, price)

    def impose(
        self,
        position: Position,
        forced: Forced,
        side: Side,
        qty: Decimal,
        now_ms: int,
        price: Decimal | None = None,
    ) -> Sequence[Execution]:
        """Books an execution that no order of the account's made."""
        self._arrive(now_ms)
        return self._interventions.impose(position, forced, side, qty, price)

    def deliver(
        self, category: Category, symbol: str, now_ms: int, price: Decimal | None = None
    ) -> Quote:
        """Ends a contract now, for everybody: at its index unless a price is given."""
        self._arrive(now_ms)
        return self._interventions.deliver((category, symbol), price)

    def fund(
        self, now_ms: int, *, symbol: str = "", rate: Decimal | None = None
    ) -> list[Execution]:
        """Funding now, of all perpetuals or one symbol's; by the quoted rate unless given."""
        self._arrive(now_ms)
        return self._timetable.fund(lambda q: symbol in ("", q.instrument.symbol), rate)

    def settle_sessions(self, now_ms: int, *, symbol: str = "") -> list[Execution]:
        """The periodic settlement of USDC contracts, now."""
        self._arrive(now_ms)
        return self._timetable.settle_sessions(symbol)

    # The clock's own deeds

    def _tick(self) -> None:
        desk = self._desk
        part = desk.now_ms // PART_MS % PARTS
        desk.schedule.at(_next_part(desk.now_ms), self._tick)
        if self.paused:
            desk.tell(QuotesChanged(()))
            return
        changed = tuple(self.market.tick(TICK_MS, desk.now_ms, part))
        self._matching.refill(None if part == 0 else changed)
        desk.tell(QuotesChanged(changed))
        self._matching.fill_resting(changed)
        if self.auto_liquidation:
            share = desk.now_ms // PART_MS % MARGIN_SHARES
            self._interventions.check_margins(share, MARGIN_SHARES)

    def _recall(self) -> None:
        """Knows every contract the books speak of, those of earlier days too; what was
        delivered stays closed."""
        spoken = {(p.category, p.symbol) for p in self.books.positions.values()}
        spoken |= {(o.category, o.symbol) for o in self.books.orders.values()}
        spoken |= {(e.category, e.symbol) for rows in self.books.executions.values() for e in rows}
        for key in sorted(spoken):
            self.market.recall(*key)
        for key, ended in sorted(self.books.ended.items()):
            if self.market.recall(*key) and self.market.quote(*key).instrument.is_trading:
                self.market.end(key, ended.price)


def _next_part(now_ms: int) -> int:
    """On the grid of the clock, so that a restart ticks when it would have ticked without one."""
    return (now_ms // PART_MS + 1) * PART_MS
