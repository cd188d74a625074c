"""An engine on its own: no sockets, no files, a clock that moves when told."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest
from positiond.bybit.paper.admission import LinkRule
from positiond.bybit.paper.books import Books
from positiond.bybit.paper.engine import Engine
from positiond.bybit.paper.events import Told
from positiond.bybit.paper.listing import default_listing
from positiond.bybit.paper.model import Account, Execution, Order, Position, Uid, Wallet
from positiond.bybit.paper.prices import Market
from positiond.bybit.paper.quotes import Quote
from positiond.bybit.paper.refusals import Refused
from positiond.bybit.paper.rules import read_order
from positiond.bybit.vocab import Category

START_MS = 1_760_000_000_000
ALICE = Uid("100001")


class Floor:
    """An engine with one account, driven by hand; `told` collects what it told."""

    def __init__(self, link_rule: LinkRule = LinkRule.DAY, balance: int = 1_000_000) -> None:
        self.books = Books()
        self.books.put(Account(ALICE, "alice", "key", "secret", False, START_MS))
        self.books.put(Wallet(ALICE, "USDT", Decimal(balance)))
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

    def position(
        self, symbol: str = "BTCUSDT", category: Category = Category.LINEAR, idx: int = 0
    ) -> Position:
        return self.books.position(ALICE, category, symbol, idx)

    def balance(self, coin: str = "USDT") -> Decimal:
        return self.books.wallet(ALICE, coin).balance

    def add(self, label: str) -> Uid:
        """Another account, with as much as the first had."""
        uid = Uid(f"{label}-uid")
        self.books.put(Account(uid, label, f"key-{label}", "secret", False, START_MS))
        self.books.put(Wallet(uid, "USDT", Decimal(1_000_000)))
        return uid

    def deposit(self, coin: str, amount: int | str) -> None:
        self.engine.deposit(ALICE, coin, Decimal(amount), self.engine.now_ms)

    def quote(self, symbol: str = "BTCUSDT", category: Category = Category.LINEAR) -> Quote:
        return self.market.quote(category, symbol)

    def refusal(self, **changes: Any) -> Refused:
        """What an order is refused with."""
        with pytest.raises(Refused) as refused:
            self.order(**changes)
        return refused.value

    def last_fill(self) -> Execution:
        return self.books.executions[ALICE][-1]

    def total(self, coin: str) -> Decimal:
        """A coin over all owners, the house and the fees among them."""
        return sum((w.balance for w in self.books.wallets.values() if w.coin == coin), Decimal(0))
