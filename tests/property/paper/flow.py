"""Random order flow on an exchange without edges, checked against the slow model.

A flow is a list of plain moves, so that a failing one can be made smaller and shown.
"""

import random
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Any

from positiond.bybit.paper.books import Books
from positiond.bybit.paper.engine import Engine
from positiond.bybit.paper.instruments import Instrument
from positiond.bybit.paper.listing import Listing, default_listing
from positiond.bybit.paper.model import Account, Execution, Uid, Wallet
from positiond.bybit.paper.orders import DELEVERAGING, LIQUIDATION
from positiond.bybit.paper.prices import Market
from positiond.bybit.paper.refusals import Refused
from positiond.bybit.paper.rules import read_order
from positiond.bybit.vocab import Category, Side

from tests.property.paper.slow_model import Deal, Outcome, SlowAccount

START_MS = 1_760_000_000_000
TRADERS = (Uid("100001"), Uid("100002"), Uid("100003"))
# A large price, a small one, one with a large step, and one of many decimals.
LINEAR = ("BTCUSDT", "ETHUSDT", "XRPUSDT", "1000PEPEUSDT")
DEPOSIT = {"USDT": Decimal(1_000_000)}


@dataclass(frozen=True, slots=True)
class Move:
    """One step of a flow; `size` is a share of what the symbol's book can bear."""

    what: str
    who: int
    symbol: int
    buys: bool
    size: float
    away: float


@cache
def contracts() -> tuple[Instrument, ...]:
    listed = default_listing()
    return tuple(listed.get(Category.LINEAR, symbol) for symbol in LINEAR)


class Flow:
    """An exchange of its own with a few traders and a slow account for each of them."""

    def __init__(self, seed: int) -> None:
        self.books = Books()
        self.market = Market(Listing(contracts(), START_MS), seed)
        self.engine = Engine(self.books, self.market, seed=seed, now_ms=START_MS)
        self.engine.exact = True
        self.slow = {uid: SlowAccount() for uid in TRADERS}
        self.played = dict.fromkeys(TRADERS, 0)
        self.refusals = 0
        for n, uid in enumerate(TRADERS):
            account = Account(uid, f"trader-{n}", f"key-{n}", "secret", False, START_MS)
            self.books.put(account)
            for coin, amount in DEPOSIT.items():
                self.books.put(Wallet(uid, coin, amount))
                self.slow[uid].coins[coin] += amount

    def run(self, moves: Iterable[Move]) -> None:
        """Plays the moves, and after each of them compares what it touched."""
        for move in moves:
            try:
                self._play(move)
            except Refused:
                self.refusals += 1
            self.check()

    def _play(self, move: Move) -> None:
        uid, i = TRADERS[move.who], contracts()[move.symbol]
        match move.what:
            case "wait":
                self._pass_time(round(move.size * 2000))
            case "price":
                mark = self.market.quote(*i.key).mark * Decimal(str(1 + move.away / 20))
                self.engine.set_mark(*i.key, mark.quantize(i.tick))
            case "force":
                held = self.books.position(uid, *i.key, 0)
                forced = DELEVERAGING if move.buys else LIQUIDATION
                qty = max(i.floor_qty(held.size * Decimal(str(move.size))), i.step)
                self.engine.force(held, forced, qty, self.engine.now_ms)
            case "cancel":
                for order in list(self.engine.open_orders_of(uid))[:1]:
                    self.engine.cancel(order, self.engine.now_ms)
            case _:
                self._order(move, uid, i)

    def _order(self, move: Move, uid: Uid, i: Instrument) -> None:
        quote = self.market.quote(*i.key)
        qty = i.floor_qty(Decimal(str(20_000 * move.size**2)) / quote.mark) + i.min_qty
        side = Side.BUY if move.buys else Side.SELL
        body: dict[str, Any] = {
            "category": i.category,
            "symbol": i.symbol,
            "side": side,
            "orderType": "Market",
            "qty": format(qty, "f"),
        }
        if move.what == "limit":
            near = quote.mark * Decimal(str(1 + move.away / 500))
            price = (near / i.tick).to_integral_value() * i.tick
            body |= {"orderType": "Limit", "price": format(price, "f")}
        if move.what == "reduce":
            body["reduceOnly"] = True
        request = read_order(body, self.market.listing)
        self.engine.place(uid, request, self.engine.now_ms)
        self._pass_time(round(move.size * 100))

    def _pass_time(self, milliseconds: int) -> None:
        self.engine.advance(self.engine.now_ms + milliseconds)
        self.engine.outbox.clear()
        self.books.drain()

    # Comparing

    def check(self) -> None:
        for uid, slow in self.slow.items():
            for execution in self.books.executions[uid][self.played[uid] :]:
                self._play_slowly(slow, execution)
                self.played[uid] += 1
            self._compare(uid, slow)

    def _play_slowly(self, slow: SlowAccount, execution: Execution) -> None:
        i = self.market.listing.get(execution.category, execution.symbol)
        outcome = slow.play(deal_of(execution, i))
        told = Outcome(execution.fee, execution.pnl, execution.closed_size)
        assert told == outcome, (execution, outcome)

    def _compare(self, uid: Uid, slow: SlowAccount) -> None:
        coins = {w.coin: w.balance for w in self.books.coins(uid)}
        assert {c: b for c, b in coins.items() if b} == {c: b for c, b in slow.coins.items() if b}
        shown = {
            (p.category, p.symbol, p.idx): (p.signed, p.avg_price, p.cur_realised, p.cum_realised)
            for p in self.books.positions.values()
            if p.uid == uid and p.seq >= 0
        }
        played = {key: (h.net, h.entry, h.current, h.lifetime) for key, h in slow.holdings.items()}
        assert shown == played


def deal_of(execution: Execution, i: Instrument) -> Deal:
    """The facts of an execution that the venue tells, without what it made of them."""
    return Deal(
        kind=execution.exec_type.value,
        category=execution.category.value,
        symbol=execution.symbol,
        idx=execution.idx,
        base=i.base,
        quote=i.quote,
        settle=i.settle,
        buys=execution.side is Side.BUY,
        qty=execution.qty,
        price=execution.price,
        rate=execution.fee_rate,
        index=execution.index,
    )


def random_moves(rng: random.Random, count: int) -> list[Move]:
    """A long flow, the same for the same generator."""
    whats = ["market", "limit", "reduce", "wait", "cancel", "price", "force"]
    weights = [8, 6, 4, 3, 2, 2, 1]
    return [
        Move(
            rng.choices(whats, weights)[0],
            rng.randrange(len(TRADERS)),
            rng.randrange(len(contracts())),
            rng.random() < 0.5,
            rng.random(),
            rng.uniform(-1, 1),
        )
        for _ in range(count)
    ]
