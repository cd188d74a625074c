"""What every part of the engine works on: books, market, clock, outbox, and how money is booked.

Every change of a balance goes through `move`, which books the other side to the house or to
the fees: summed over all owners, a coin only ever changes by deposits.
"""

import random
import uuid
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from ..vocab import CancelType, Category, ExecType, OrderStatus, RejectReason
from .books import Books
from .events import (
    Event,
    OrderChanged,
    PositionChanged,
    PrivateEvent,
    Told,
    WalletChanged,
)
from .model import FEES, HOUSE, ZERO, Entry, EntryKind, Order, OrderId, Position, Uid
from .prices import Market
from .schedule import Schedule
from .settlement import Move, Settlement
from .valuation import value_account

FRAME_DELAY_MS = (1, 50)
HISTORY_LAG_MS = (500, 2000)  # order/history is a store of its own and lags

ENTRY_KINDS = {
    ExecType.FUNDING: EntryKind.SETTLEMENT,
    ExecType.SESSION_SETTLE_PNL: EntryKind.SETTLEMENT,
    ExecType.DELIVERY: EntryKind.DELIVERY,
    ExecType.SETTLE: EntryKind.DELIVERY,
    ExecType.BUST_TRADE: EntryKind.LIQUIDATION,
    ExecType.ADL_TRADE: EntryKind.ADL,
    ExecType.MOVE_POSITION: EntryKind.MOVE,
}


class Desk:
    """Shared state of the engine's parts; the engine alone moves its clock."""

    def __init__(self, books: Books, market: Market, seed: int, now_ms: int) -> None:
        self.books = books
        self.market = market
        self.seed = seed
        self.now_ms = now_ms
        self.schedule = Schedule()
        self.outbox: list[Told] = []

    # Telling

    def tell(self, event: Event) -> None:
        self.outbox.append(Told(self.now_ms, event))

    def tell_later(self, name: str, events: Sequence[PrivateEvent]) -> None:
        """Plans the frames, each after a delay of its own: their order is not the deeds'."""
        rng = self.draw("frames", name)
        for event in events:
            due = self.now_ms + rng.randint(*FRAME_DELAY_MS)
            self.schedule.at(due, lambda event=event: self.tell(event))  # type: ignore[misc]  # a default binds the loop variable

    def tell_order(self, order: Order, more: Sequence[PrivateEvent] = ()) -> None:
        """An order and its position: pushed with every change of the order, even without one."""
        events: list[PrivateEvent] = [OrderChanged(order.uid, order)]
        if order.category is not Category.SPOT:
            held = self.books.position(order.uid, order.category, order.symbol, order.idx)
            events.append(self.shown(held))
        name = f"{order.serial}/{order.cum_qty}/{order.status}/{order.updated_ms}"
        self.tell_later(name, [*events, *more])

    def shown(self, position: Position) -> PositionChanged:
        quote = self.market.quote(position.category, position.symbol)
        return PositionChanged(position.uid, position, quote.mark)

    def wallet_of(self, uid: Uid) -> WalletChanged:
        return WalletChanged(uid, value_account(self.books, self.market, uid))

    # Numbers and ids

    def draw(self, purpose: str, which: object) -> random.Random:
        """A generator of its own per purpose and serial: a restart draws the same again."""
        return random.Random(f"{self.seed}/{purpose}/{which}")

    def next_order(self, category: Category) -> tuple[int, OrderId]:
        """A UUID, for spot a numeric string (Bybit V5: order/create)."""
        serial = self.books.count("order")
        if category is Category.SPOT:
            return serial, OrderId(str(1_800_000_000_000_000_000 + serial))
        return serial, OrderId(self._uuid("order-id", serial))

    def next_execution(self) -> tuple[int, str]:
        serial = self.books.count("execution")
        return serial, self._uuid("execution-id", serial)

    def synthetic_id(self, serial: int) -> OrderId:
        """The order id of an event that no order made."""
        return OrderId(self._uuid("event-id", serial))

    def _uuid(self, purpose: str, serial: int) -> str:
        bits = self.draw(purpose, serial).getrandbits(128)
        return str(uuid.UUID(int=bits, version=4))

    # Booking

    def record(self, done: Settlement) -> None:
        """Puts what a settlement made into the books."""
        if done.position is not None:
            self.books.put(done.position)
        for execution in done.executions:
            self.books.put(execution)
        if done.closed is not None:
            self.books.put(done.closed)
        size_after = done.position.signed if done.position is not None else ZERO
        for move in done.moves:
            self.move(done.order.uid, move, size_after)
        self.keep_count()

    def move(self, uid: Uid, move: Move, size_after: Decimal = ZERO) -> None:
        """Books one change of a wallet, its other side, and the transaction-log entry."""
        wallet = self.books.wallet(uid, move.coin)
        wallet = replace(
            wallet,
            balance=wallet.balance + move.change,
            realised=wallet.realised + move.realised,
        )
        self.books.put(wallet)
        self._counter(HOUSE, move.coin, -(move.cash + move.funding))
        self._counter(FEES, move.coin, move.fee)
        e = move.execution
        entry = Entry(
            serial=self.books.count("entry"),
            uid=uid,
            coin=move.coin,
            kind=ENTRY_KINDS.get(e.exec_type, EntryKind.TRADE),
            category=e.category,
            symbol=e.symbol,
            side=e.side,
            qty=e.qty,
            price=e.price,
            size_after=size_after,
            cash=move.cash,
            funding=move.funding,
            fee=move.fee,
            fee_rate=e.fee_rate,
            change=move.change,
            balance=wallet.balance,
            order_id=e.order_id,
            link_id=e.link_id,
            exec_id=e.exec_id,
            at_ms=e.exec_ms,
        )
        self.books.put(entry)

    def deposit(self, uid: Uid, coin: str, amount: Decimal) -> None:
        """Money from outside, which nobody in the books loses."""
        wallet = self.books.wallet(uid, coin)
        wallet = replace(wallet, balance=wallet.balance + amount)
        self.books.put(wallet)
        entry = Entry(
            serial=self.books.count("entry"),
            uid=uid,
            coin=coin,
            kind=EntryKind.DEPOSIT,
            category=None,
            symbol="",
            side=None,
            qty=ZERO,
            price=ZERO,
            size_after=ZERO,
            cash=amount,
            funding=ZERO,
            fee=ZERO,
            fee_rate=ZERO,
            change=amount,
            balance=wallet.balance,
            order_id="",
            link_id="",
            exec_id="",
            at_ms=self.now_ms,
        )
        self.books.put(entry)

    def _counter(self, owner: Uid, coin: str, amount: Decimal) -> None:
        if amount:
            wallet = self.books.wallet(owner, coin)
            self.books.put(replace(wallet, balance=wallet.balance + amount))

    def keep_count(self) -> None:
        """Keeps the sequence and the clock with the records that used them."""
        counters = replace(self.books.counters, seq=self.market.seq, now_ms=self.now_ms)
        self.books.put(counters)

    # Ends of orders

    def end(
        self,
        order: Order,
        status: OrderStatus,
        cancel: CancelType = CancelType.UNKNOWN,
        reason: RejectReason = RejectReason.NO_ERROR,
    ) -> Order:
        """Closes an order; telling it is the caller's."""
        lag = self.draw("history", order.serial).randint(*HISTORY_LAG_MS)
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

    def cancel(
        self, order: Order, cancel: CancelType, reason: RejectReason = RejectReason.NO_ERROR
    ) -> Order:
        """Ends an order that was not filled to the end, and tells it."""
        part = order.category is Category.SPOT and order.cum_qty > 0
        status = OrderStatus.PARTIALLY_FILLED_CANCELED if part else OrderStatus.CANCELLED
        closed = self.end(order, status, cancel, reason)
        self.tell_order(closed)
        return closed
