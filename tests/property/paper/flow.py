"""Random order flow on an exchange without edges, checked against the slow model.

A flow is a list of plain moves, so that a failing one can be made smaller and shown. What the
venue refuses is part of the game; what it accepts has to add up.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Any

from positiond.bybit.paper.amendment import Amendment
from positiond.bybit.paper.books import Books
from positiond.bybit.paper.engine import Engine
from positiond.bybit.paper.instruments import Instrument
from positiond.bybit.paper.listing import Listing, default_listing
from positiond.bybit.paper.model import FEES, HOUSE, Account, Execution, Uid
from positiond.bybit.paper.orders import DELEVERAGING, LIQUIDATION
from positiond.bybit.paper.prices import Market
from positiond.bybit.paper.refusals import Refused
from positiond.bybit.paper.rules import read_order
from positiond.bybit.vocab import Category, OptionsType, PositionMode, Side

from tests.property.paper.slow_model import Deal, Outcome, SlowAccount

START_MS = 1_760_000_000_000  # 2025-10-09 08:53 UTC: 23 hours before an expiry
HOUR_MS = 3_600_000
TRADERS = (Uid("100001"), Uid("100002"), Uid("100003"))
RICH = {"USDT": "1000000", "USDC": "1000000", "BTC": "20", "ETH": "200"}
# The last of the traders is poor enough to be liquidated.
DEPOSITS = (RICH, RICH, {"USDT": "4000", "BTC": "0.01"})
SYMBOLS = {
    Category.LINEAR: ("BTCUSDT", "ETHUSDT", "1000PEPEUSDT", "ETHPERP", "BTCUSDT-10OCT25"),
    Category.INVERSE: ("BTCUSD", "ETHUSDZ25"),
    Category.SPOT: ("BTCUSDT", "ETHUSDT"),
    Category.OPTION: ("BTC-10OCT25-100000-C-USDT", "ETH-10OCT25-3800-P"),
}
# What happens in a flow, and how often.
WHATS = {
    "market": 10,
    "limit": 6,
    "reduce": 4,  # at market
    "rest": 4,  # reduce-only too, at a limit
    "cancel": 2,
    "amend": 2,
    "wait": 3,
    "price": 3,
    "force": 1,
    "move": 1,
    "mode": 2,
    "fund": 1,
    "settle": 1,
    "hours": 0.5,
    "deliver": 0.3,
}
REDUCING = ("reduce", "rest")


@dataclass(frozen=True, slots=True)
class Move:
    """One step of a flow; `size` is a share of what a symbol can bear, from 0 to 1, `away` a
    direction and its strength, from -1 to 1."""

    what: str
    who: int
    symbol: int
    buys: bool
    size: float
    away: float


@cache
def contracts() -> tuple[Instrument, ...]:
    listed = default_listing()
    return tuple(
        listed.get(category, name) for category, names in SYMBOLS.items() for name in names
    )


class FewContracts(Listing):
    """Nothing new is ever listed."""

    def roll(self, now_ms: int) -> list[Instrument]:
        del now_ms
        return []


class Flow:
    """An exchange of its own with a few traders and a slow account for each of them."""

    def __init__(self, seed: int) -> None:
        self.books = Books()
        self.market = Market(FewContracts(contracts(), START_MS), seed)
        self.engine = Engine(self.books, self.market, seed=seed, now_ms=START_MS)
        self.engine.exact = True
        self.slow = {uid: SlowAccount() for uid in TRADERS}
        self.played = dict.fromkeys(TRADERS, 0)
        self.net_of: defaultdict[str, Decimal] = defaultdict(Decimal)
        self.deposited: defaultdict[str, Decimal] = defaultdict(Decimal)
        self.seen: Counter[str] = Counter()
        self._links = 0
        for n, (uid, coins) in enumerate(zip(TRADERS, DEPOSITS, strict=True)):
            self.books.put(Account(uid, f"trader-{n}", f"key-{n}", "secret", False, START_MS))
            for coin, amount in coins.items():
                self._deposit(uid, coin, Decimal(amount))

    def _deposit(self, uid: Uid, coin: str, amount: Decimal) -> None:
        self.engine.deposit(uid, coin, amount, START_MS)
        self.slow[uid].coins[coin] += amount
        self.deposited[coin] += amount

    def run(self, moves: Iterable[Move]) -> None:
        """Plays the moves and compares: balances after each of them, the records at the end."""
        for move in moves:
            try:
                self._play(move)
            except Refused as refused:
                self.seen[f"refused {refused.code}"] += 1
            self.check()
        for uid in TRADERS:
            self._compare_records(uid)

    # Playing

    def _play(self, move: Move) -> None:
        uid, i = TRADERS[move.who], contracts()[move.symbol]
        match move.what:
            case "market" | "limit" | "reduce" | "rest":
                self._order(move, uid, i)
            case "cancel" | "amend":
                self._change_order(move, uid)
            case "mode":
                mode = PositionMode.HEDGE if move.buys else PositionMode.ONE_WAY
                self.engine.switch_mode(uid, mode, symbol=i.symbol)
            case "force" | "move":
                self._intervene(move, uid)
            case _:
                self._of_the_venue(move, i)

    def _of_the_venue(self, move: Move, i: Instrument) -> None:
        now = self.engine.now_ms
        match move.what:
            case "wait":
                self._pass_time(round(move.size * 2000))
            case "hours":
                self._leap(round(1 + move.size * 8) * HOUR_MS)
            case "fund":
                self.engine.fund(now, rate=Decimal(str(round(move.away / 100, 6))))
            case "settle":
                self.engine.settle_sessions(now)
            case "deliver" if i.delivery_ms and self._trades(i):
                self.engine.deliver(*i.key, now)
            case "price" if self._trades(i):
                mark = self.market.quote(*i.key).mark * Decimal(str(1 + move.away / 20))
                self.engine.set_mark(*i.key, max(mark.quantize(i.tick), i.tick))

    def _trades(self, i: Instrument) -> bool:
        return self.market.quote(*i.key).instrument.is_trading

    def _order(self, move: Move, uid: Uid, i: Instrument) -> None:
        quote = self.market.quote(*i.key)
        dollars = Decimal(str(20_000 * move.size**2))
        per_unit = {Category.INVERSE: Decimal(1), Category.OPTION: quote.index}
        qty = i.floor_qty(dollars / per_unit.get(i.category, quote.mark)) + i.min_qty
        self._links += 1
        body: dict[str, Any] = {
            "category": i.category,
            "symbol": i.symbol,
            "side": Side.BUY if move.buys else Side.SELL,
            "orderType": "Market",
            "qty": format(qty, "f"),
            "positionIdx": self._idx(move, uid, i),
            "orderLinkId": f"flow-{self._links}",
        }
        if move.what in ("limit", "rest"):
            near = quote.mark * Decimal(str(1 + move.away / 500))
            price = max((near / i.tick).to_integral_value() * i.tick, i.tick)
            body |= {"orderType": "Limit", "price": format(price, "f")}
        elif i.is_spot and move.buys and move.away > 0:
            body["qty"] = format((dollars + 10).quantize(i.quote_step), "f")
        elif i.is_spot:
            body["marketUnit"] = "baseCoin"
        if move.what in REDUCING:
            body["reduceOnly"] = True
        self.engine.place(uid, read_order(body, self.market.listing), self.engine.now_ms)
        if move.away < 0.5:
            # Else the next move finds it accepted and not yet matched.
            self._pass_time(round(move.size * 100))

    def _idx(self, move: Move, uid: Uid, i: Instrument) -> int:
        hedged = i.can_hedge and self.books.mode(uid, i.symbol) is PositionMode.HEDGE
        opens = move.what not in REDUCING
        return (1 if move.buys is opens else 2) if hedged else 0

    def _change_order(self, move: Move, uid: Uid) -> None:
        for order in list(self.engine.open_orders_of(uid))[:1]:
            if move.what == "cancel":
                self.engine.cancel(order, self.engine.now_ms)
                continue
            i = self.market.listing.get(order.category, order.symbol)
            qty = i.floor_qty(order.qty * Decimal(str(0.5 + move.size))) + i.min_qty
            price = order.price * Decimal(str(1 + move.away / 500))
            changes = Amendment(qty, (price / i.tick).to_integral_value() * i.tick)
            self.engine.amend(order, changes, self.engine.now_ms)

    def _intervene(self, move: Move, uid: Uid) -> None:
        """Takes part of a position away, or hands it to the next trader."""
        positions = self.books.held(uid)
        for held in positions and [positions[int(move.size * 997) % len(positions)]]:
            i = self.market.listing.get(held.category, held.symbol)
            qty = max(i.floor_qty(held.size * Decimal(str(move.size))), i.step)
            now = self.engine.now_ms
            if move.what == "force":
                forced = DELEVERAGING if move.buys else LIQUIDATION
                self.engine.force(held, forced, qty, now)
            else:
                other = TRADERS[(move.who + 1) % len(TRADERS)]
                self.engine.move(held, other, now, qty=qty)

    def _pass_time(self, milliseconds: int) -> None:
        self.engine.advance(self.engine.now_ms + milliseconds)
        self.engine.outbox.clear()
        self.books.drain()

    def _leap(self, milliseconds: int) -> None:
        """Hours, without the ticks between; what happens at full hours does happen."""
        self.engine.exact = False
        end = self.engine.now_ms + milliseconds
        while self.engine.now_ms < end:
            self._pass_time(min(HOUR_MS // 4, end - self.engine.now_ms))
        self.engine.exact = True

    # Comparing

    def check(self) -> None:
        for uid, slow in self.slow.items():
            for execution in self.books.executions[uid][self.played[uid] :]:
                self._play_slowly(slow, execution)
                self.played[uid] += 1
            self._compare(uid, slow)
        self._compare_the_other_side()
        self._check_sides()

    def _check_sides(self) -> None:
        """The rows of hedge mode keep their sides, and reduce-only orders only ever reduce."""
        for position in self.books.positions.values():
            hedged = self.books.mode(position.uid, position.symbol) is PositionMode.HEDGE
            if position.side is None:
                continue
            assert hedged is (position.idx > 0), position
            assert position.idx in (0, 1 if position.side is Side.BUY else 2), position
        room: defaultdict[tuple[object, ...], Decimal] = defaultdict(Decimal)
        for order in self.books.open_orders.values():
            if order.reduce_only and order.matched:
                key = order.uid, order.category, order.symbol, order.idx
                room[key] += order.leaves
                held = self.books.position(*key)
                assert held.side not in (None, order.side), order
                assert room[key] <= held.size, order

    def _play_slowly(self, slow: SlowAccount, execution: Execution) -> None:
        i = self.market.listing.get(execution.category, execution.symbol)
        outcome = slow.play(deal_of(execution, i))
        told = Outcome(execution.fee, execution.pnl, execution.closed_size, outcome.net)
        assert told == outcome, (execution, outcome)
        order = self.books.orders.get(execution.order_id)
        if order is not None and order.reduce_only:
            assert outcome.closed == execution.qty, execution
        self.seen[f"{execution.category} {execution.exec_type}"] += 1
        if outcome.closed or execution.exec_type == "SessionSettlePnL":
            self.net_of[execution.order_id] += outcome.net

    def _compare(self, uid: Uid, slow: SlowAccount) -> None:
        coins = {w.coin: w.balance for w in self.books.coins(uid)}
        assert _not_zero(coins) == _not_zero(slow.coins)
        shown = {
            (p.category, p.symbol, p.idx): (p.signed, p.avg_price, p.cur_realised, p.cum_realised)
            for p in self.books.positions.values()
            if p.uid == uid and p.seq >= 0
        }
        played = {key: (h.net, h.entry, h.current, h.lifetime) for key, h in slow.holdings.items()}
        assert shown == played

    def _compare_records(self, uid: Uid) -> None:
        """What was closed, and the log of every change, add up to the same."""
        closed: defaultdict[str, Decimal] = defaultdict(Decimal)
        for row in self.books.closed[uid]:
            closed[row.order_id] += row.pnl
        assert {order: self.net_of[order] for order in closed} == closed
        logged: defaultdict[str, Decimal] = defaultdict(Decimal)
        for entry in self.books.entries[uid]:
            logged[entry.coin] += entry.change
            assert entry.change == entry.cash + entry.funding - entry.fee
            assert entry.balance == logged[entry.coin]
        assert _not_zero(logged) == _not_zero(self.slow[uid].coins)

    def _compare_the_other_side(self) -> None:
        """What traders lost, the book won, but for the fees: no coin is made or destroyed."""
        total: defaultdict[str, Decimal] = defaultdict(Decimal)
        for wallet in self.books.wallets.values():
            total[wallet.coin] += wallet.balance
        assert _not_zero(total) == _not_zero(self.deposited)
        for coin in total:
            paid = sum((slow.paid[coin] for slow in self.slow.values()), Decimal(0))
            kept = sum((slow.coins[coin] for slow in self.slow.values()), Decimal(0))
            assert self.books.wallet(FEES, coin).balance == paid
            won = self.deposited[coin] - kept - paid
            assert self.books.wallet(HOUSE, coin).balance == won


def _not_zero(amounts: dict[str, Decimal]) -> dict[str, Decimal]:
    return {coin: amount for coin, amount in amounts.items() if amount}


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
        maker=execution.is_maker,
        strike=i.option.strike if i.option else Decimal(0),
        is_call=i.option is not None and i.option.kind is OptionsType.CALL,
    )


def random_moves(rng: random.Random, count: int, whats: Sequence[str] = tuple(WHATS)) -> list[Move]:
    """A long flow, the same for the same generator."""
    weights = [WHATS[what] for what in whats]
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
