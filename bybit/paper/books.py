"""The exchange's books in memory, and which records changed since they were last stored."""

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any, assert_never

from ..vocab import Category, PositionMode
from .model import (
    Account,
    ClosedPnl,
    Counters,
    Delivery,
    Ended,
    Entry,
    Execution,
    ModeChoice,
    Order,
    OrderId,
    Position,
    Record,
    SessionSettlement,
    Uid,
    Wallet,
)

CLOSED_RING = 500

PositionKey = tuple[Uid, Category, str, int]
Row = Execution | ClosedPnl | Entry | Delivery | SessionSettlement
KINDS_OF_ROWS: Mapping[type[Record], str] = {
    ClosedPnl: "closed_pnl",
    Entry: "entry",
    Delivery: "delivery",
    SessionSettlement: "settlement",
}


class Books:
    """Every record by its key. `put` is the only way in; `drain` hands out what changed."""

    def __init__(self) -> None:
        self.accounts: dict[Uid, Account] = {}
        self.by_api_key: dict[str, Account] = {}
        self.wallets: dict[tuple[Uid, str], Wallet] = {}
        self.positions: dict[PositionKey, Position] = {}
        self.orders: dict[OrderId, Order] = {}
        self.open_orders: dict[OrderId, Order] = {}
        self.executions: dict[Uid, list[Execution]] = defaultdict(list)
        self.closed: dict[Uid, list[ClosedPnl]] = defaultdict(list)
        self.modes: dict[tuple[Uid, str], PositionMode] = {}
        self.entries: dict[Uid, list[Entry]] = defaultdict(list)
        self.deliveries: dict[Uid, list[Delivery]] = defaultdict(list)
        self.settlements: dict[Uid, list[SessionSettlement]] = defaultdict(list)
        self.ended: dict[tuple[Category, str], Ended] = {}
        self.counters = Counters()
        self._held: dict[Uid, dict[PositionKey, Position]] = defaultdict(dict)
        self._open: dict[tuple[Category, str], dict[OrderId, Order]] = defaultdict(dict)
        self._open_of: dict[Uid, dict[OrderId, Order]] = defaultdict(dict)
        self._orders_of: dict[Uid, list[OrderId]] = defaultdict(list)
        self._by_link: dict[tuple[Uid, Category, str], OrderId] = {}
        self._ring: dict[tuple[Uid, Category], deque[OrderId]] = defaultdict(
            lambda: deque(maxlen=CLOSED_RING)
        )
        self._changed: dict[tuple[str, str], Record] = {}

    def put(self, record: Record) -> None:
        """Takes over a new or changed record, to be stored by whoever drains."""
        if isinstance(record, Order) and not record.is_open:
            known = self.orders.get(record.order_id)
            if known is None or known.is_open:
                self._ring[record.uid, record.category].appendleft(record.order_id)
        self._take(record)
        self._changed[key_of(record)] = record

    def load(self, records: Iterable[Record]) -> None:
        """Takes over stored records. The ring of closed orders starts empty, as at the venue."""
        for record in records:
            self._take(record)
        lists: tuple[dict[Uid, list[Any]], ...] = (
            self.executions,
            self.closed,
            self.entries,
            self.deliveries,
            self.settlements,
        )
        for by_uid in lists:
            for rows in by_uid.values():
                rows.sort(key=lambda row: row.serial)
        self._orders_of.clear()
        for order in sorted(self.orders.values(), key=lambda order: order.serial):
            self._index(order)

    def drain(self) -> list[tuple[tuple[str, str], Record]]:
        changed = list(self._changed.items())
        self._changed.clear()
        return changed

    def count(self, counter: str) -> int:
        """Raises one of the counters and returns its new value."""
        value: int = getattr(self.counters, counter) + 1
        self.put(replace(self.counters, **{counter: value}))
        return value

    def position(self, uid: Uid, category: Category, symbol: str, idx: int) -> Position:
        """The position under this key, flat if there never was one."""
        return self.positions.get((uid, category, symbol, idx)) or Position(
            uid, category, symbol, idx
        )

    def wallet(self, uid: Uid, coin: str) -> Wallet:
        return self.wallets.get((uid, coin)) or Wallet(uid, coin, Decimal(0))

    def coins(self, uid: Uid) -> list[Wallet]:
        return [wallet for (owner, _), wallet in self.wallets.items() if owner == uid]

    def positions_of(self, uid: Uid, category: Category) -> list[Position]:
        rows = [p for p in self.positions.values() if p.uid == uid and p.category is category]
        return sorted(rows, key=lambda p: (p.symbol, p.idx))

    def mode(self, uid: Uid, symbol: str) -> PositionMode:
        return self.modes.get((uid, symbol), PositionMode.ONE_WAY)

    def held(self, uid: Uid) -> list[Position]:
        """The account's positions that are not flat, in the order of their keys."""
        return [position for _, position in sorted(self._held[uid].items())]

    def holders(self) -> list[Uid]:
        """The accounts that hold anything, in a fixed order."""
        return sorted(uid for uid, held in self._held.items() if held)

    def open_on(self, category: Category, symbol: str) -> list[Order]:
        """Everybody's open orders on one contract, oldest first."""
        return sorted(self._open[category, symbol].values(), key=lambda order: order.serial)

    def open_of(self, uid: Uid) -> list[Order]:
        """One account's open orders, oldest first."""
        return sorted(self._open_of[uid].values(), key=lambda order: order.serial)

    def orders_of(self, uid: Uid) -> Iterator[Order]:
        """Newest first."""
        return (self.orders[order_id] for order_id in reversed(self._orders_of[uid]))

    def linked(self, uid: Uid, category: Category, link_id: str) -> Order | None:
        """The latest order under this orderLinkId."""
        order_id = self._by_link.get((uid, category, link_id))
        return self.orders[order_id] if order_id else None

    def recently_closed(self, uid: Uid, category: Category) -> list[Order]:
        """Newest first, at most 500, emptied by a restart (Bybit V5: order/open-order)."""
        return [self.orders[order_id] for order_id in self._ring[uid, category]]

    def _index(self, order: Order) -> None:
        self._orders_of[order.uid].append(order.order_id)
        if order.link_id:
            self._by_link[order.uid, order.category, order.link_id] = order.order_id

    def _take(self, record: Record) -> None:
        match record:
            case Order():
                self._take_order(record)
            case Account():
                self.accounts[record.uid] = record
                self.by_api_key[record.key] = record
            case Wallet():
                self.wallets[record.uid, record.coin] = record
            case Position():
                self._take_position(record)
            case ModeChoice():
                self.modes[record.uid, record.symbol] = record.mode
            case Ended():
                self.ended[record.category, record.symbol] = record
            case Counters():
                self.counters = record
            case _:
                self._append(record)

    def _append(self, row: Row) -> None:
        match row:
            case Execution():
                self.executions[row.uid].append(row)
            case ClosedPnl():
                self.closed[row.uid].append(row)
            case Entry():
                self.entries[row.uid].append(row)
            case Delivery():
                self.deliveries[row.uid].append(row)
            case SessionSettlement():
                self.settlements[row.uid].append(row)
            case _:
                assert_never(row)

    def _take_position(self, position: Position) -> None:
        key = (position.uid, position.category, position.symbol, position.idx)
        self.positions[key] = position
        if position.side is None:
            self._held[position.uid].pop(key, None)
        else:
            self._held[position.uid][key] = position

    def _take_order(self, order: Order) -> None:
        if order.order_id not in self.orders:
            self._index(order)
        self.orders[order.order_id] = order
        shelves = (
            self.open_orders,
            self._open[order.category, order.symbol],
            self._open_of[order.uid],
        )
        for shelf in shelves:
            if order.is_open:
                shelf[order.order_id] = order
            else:
                shelf.pop(order.order_id, None)


def key_of(record: Record) -> tuple[str, str]:
    """(kind, key) of a record, under which the ledger stores it."""
    match record:
        case Order():
            return "order", record.order_id
        case Account():
            return "account", record.uid
        case Wallet():
            return "wallet", f"{record.uid}:{record.coin}"
        case Position():
            return "position", f"{record.uid}:{record.category}:{record.symbol}:{record.idx}"
        case Execution():
            return "execution", record.exec_id
        case ClosedPnl() | Entry() | Delivery() | SessionSettlement():
            return KINDS_OF_ROWS[type(record)], f"{record.serial:012d}"
        case ModeChoice():
            return "mode", f"{record.uid}:{record.symbol}"
        case Ended():
            return "ended", f"{record.category}:{record.symbol}"
        case Counters():
            return "counters", ""
        case _:
            assert_never(record)
