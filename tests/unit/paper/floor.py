"""An engine on its own: no sockets, no files, a clock that moves when told."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from positiond.bybit.paper.admission import LinkRule
from positiond.bybit.paper.books import Books
from positiond.bybit.paper.engine import Engine
from positiond.bybit.paper.events import Told
from positiond.bybit.paper.listing import default_listing
from positiond.bybit.paper.model import Account, Order, Position, Uid, Wallet
from positiond.bybit.paper.prices import Market
from positiond.bybit.paper.rules import read_order
from positiond.bybit.vocab import Category

START_MS = 1_760_000_000_000
ALICE = Uid("100001")


class Floor:
    """An engine with one account, driven by hand; `told` collects what it told."""

    def __init__(self, link_rule: LinkRule = LinkRule.DAY) -> None:
        self.books = Books()
        self.books.put(Account(ALICE, "alice", "key", "secret", False, START_MS))
        self.books.put(Wallet(ALICE, "USDT", Decimal(1_000_000)))
        self.market = Market(default_listing(), seed=1)
        self.engine = Engine(self.books, self.market, seed=1, now_ms=START_MS, link_rule=link_rule)
        self.engine.exact = True
        self.engine.paused = True

    def request(self, **changes: Any) -> Order:
        """Places BTCUSDT market orders unless told otherwise; not yet matched."""
        body: Mapping[str, Any] = {
            "category": "linear",
            "symbol": "BTCUSDT",
            "side": "Buy",
            "orderType": "Market",
            "qty": "0.5",
            **changes,
        }
        request = read_order(body, self.market.listing)
        return self.engine.place(ALICE, request, self.engine.now_ms)

    def order(self, **changes: Any) -> Order:
        """Places an order and lets it be matched."""
        order = self.request(**changes)
        self.pass_time(200)
        return self.books.orders[order.order_id]

    def pass_time(self, milliseconds: int) -> list[Told]:
        self.engine.advance(self.engine.now_ms + milliseconds)
        told, self.engine.outbox = self.engine.outbox, []
        return told

    def position(self, symbol: str = "BTCUSDT") -> Position:
        return self.books.position(ALICE, Category.LINEAR, symbol, 0)

    def balance(self) -> Decimal:
        return self.books.wallet(ALICE, "USDT").balance
