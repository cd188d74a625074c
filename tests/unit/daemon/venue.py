"""A scripted exchange for one account: nets, keeps to reduce-only, and answers as it is told."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from positiond.daemon.close_inbox import Inboxes
from positiond.daemon.domain.errors import ExchangeUnreachable
from positiond.daemon.domain.events import FillSeen, OrderSeen
from positiond.daemon.domain.model import (
    ZERO,
    Account,
    AccountId,
    Category,
    Credentials,
    Delivery,
    Environment,
    Fill,
    Holding,
    Instrument,
    KeyInfo,
    OrderReport,
    OrderStatus,
    Side,
)
from positiond.daemon.domain.orders import (
    Acked,
    MarketOrder,
    NotExecuted,
    OrderBook,
    OutcomeUnknown,
    Refused,
    RestingOrder,
    SendOutcome,
    SignedOrder,
)
from positiond.daemon.domain.ports import AccountExchange, AccountFeed, MarketFeed

from ...builders import ACCOUNT, fill, holding, instrument, report
from .fake_time import now
from .gate import Gate

RECV_WINDOW = timedelta(seconds=5)
# How long a request hangs until the client gives it up.
HANGS = 10.0


@dataclass(frozen=True)
class Reaction:
    """What becomes of one order. By default it arrives, fills at once and is acknowledged."""

    fills: str | None = None
    """At most this quantity; the rest is cancelled (a banded IOC)."""
    is_lost: bool = False
    """It never arrives, and the sender hears nothing."""
    hangs: bool = False
    """It arrives, and the sender hears nothing."""
    refused: tuple[int, str] | None = None
    of_key: bool = False
    """It is refused for the key, whatever the order is."""
    busy: float | None = None
    """Not executed; come back in so many seconds."""
    before: Callable[[], None] | None = None
    """Happens at the venue just before the order is matched."""
    shows_after: float = 0.05
    """Seconds until lists and streams know of it."""
    altered: Callable[[OrderReport], OrderReport] | None = None
    """The order that stands under our id is another than the one we wrote."""


@dataclass(frozen=True)
class _Size:
    at: datetime
    signed: Decimal
    seq: int


class Venue:
    """Implements AccountExchange."""

    def __init__(self, gate: Gate, account_id: AccountId = ACCOUNT) -> None:
        self.gate = gate
        self.account_id = account_id
        self.inboxes = Inboxes()
        self.script: deque[Reaction] = deque()
        self.sent: list[MarketOrder] = []
        self.arrived: list[tuple[datetime, MarketOrder]] = []
        self.fills: list[Fill] = []
        self.stream_up = True
        self.lookups_fail_until: datetime | None = None
        self.rows_lag = timedelta(0)
        self.executions_lag = timedelta(0)
        self._frozen: tuple[datetime, int] | None = None
        self.has_sequence = True
        self.reads: list[str] = []
        self.hurried: list[bool] = []
        self._sizes: dict[tuple[str, int], list[_Size]] = {}
        self.orders: dict[str, tuple[datetime, OrderReport]] = {}
        self.resting: list[RestingOrder] = []
        self.cancels_take = 0.1
        self.refuses_reads: Exception | None = None
        self.slow: dict[str, float] = {}
        self.locked: dict[str, Decimal] = {}
        self._seq = 100

    # --- the venue's own side ---------------------------------------------------------------

    def size(self, symbol: str, idx: int = 0) -> Decimal:
        history = self._sizes.get((symbol, idx))
        return history[-1].signed if history else ZERO

    def trade(self, symbol: str, signed: str | Decimal, idx: int = 0) -> None:
        """A trade by hand: the bucket moves by `signed`."""
        self._seq += 1
        moved = _Size(now(), self.size(symbol, idx) + Decimal(signed), self._seq)
        self._sizes.setdefault((symbol, idx), []).append(moved)

    def traded(self, symbol: str, signed: str | Decimal) -> Fill:
        """A trade by hand, as the stream tells of it."""
        self.trade(symbol, signed)
        side = Side.BUY if Decimal(signed) > 0 else Side.SELL
        size = abs(Decimal(signed))
        return fill(size, side, symbol, exec_id=f"hand-{self._seq}", at=now(), seq=self._seq)

    def filled(self, symbol: str) -> Decimal:
        """What our orders closed of the symbol, by the venue's own account."""
        return sum((f.quantity for f in self.fills if f.symbol == symbol), ZERO)

    def quantities(self, symbol: str) -> list[Decimal]:
        """Those of our orders that arrived, in their order."""
        return [order.quantity for _, order in self.arrived if order.symbol == symbol]

    def link_ids(self) -> list[str]:
        """Of every sending, in their order; an order sent twice stands here twice."""
        return [order.link_id for order in self.sent]

    def freeze_rows(self, *, before: Fill, seconds: float) -> None:
        """For so long, position rows are as they were just before the fill."""
        self._frozen = (now() + timedelta(seconds=seconds), before.seq or 0)

    def late_fill(self, order: MarketOrder, quantity: str, exec_id: str) -> None:
        """An execution that the venue reports after the order's end."""
        self.trade(order.symbol, Decimal(quantity) * order.side.sign)
        self._execute(order, Decimal(quantity), exec_id)

    # --- AccountExchange --------------------------------------------------------------------

    async def holdings(self, category: Category, *, settle_coin: str) -> list[Holding]:
        raise NotImplementedError("a close reads by symbol")

    async def holdings_in(
        self, category: Category, symbol: str, *, urgent: bool = True
    ) -> list[Holding]:
        self.reads.append(symbol)
        asked_at = now()
        await asyncio.sleep(0.01)
        if self.refuses_reads is not None:
            raise self.refuses_reads
        if not any(name == symbol for name, _ in self._sizes):
            self._sizes[symbol, 0] = [_Size(asked_at, ZERO, 1)]
        rows = [
            self._row(symbol, idx, history, asked_at)
            for (name, idx), history in sorted(self._sizes.items())
            if name == symbol
        ]
        return [self._as_coin(row) for row in rows] if category is Category.SPOT else rows

    def _as_coin(self, row: Holding) -> Holding:
        """A wallet has neither a sequence nor a time of its own."""
        locked = self.locked.get(row.symbol, ZERO)
        return replace(row, category=Category.SPOT, seq=None, updated_at=None, locked=locked)

    def _row(self, symbol: str, idx: int, history: list[_Size], asked_at: datetime) -> Holding:
        until, seq = self._frozen or (asked_at, 0)
        known = [
            size
            for size in history
            if size.at <= asked_at - self.rows_lag and (until <= asked_at or size.seq < seq)
        ] or history[:1]
        row = holding(known[-1].signed, symbol, idx=idx, updated_at=known[-1].at, read_at=asked_at)
        return replace(row, seq=known[-1].seq) if self.has_sequence else row

    def sign(self, order: MarketOrder) -> SignedOrder:
        return SignedOrder(order, now(), now() + RECV_WINDOW, "signature")

    async def send(self, signed: SignedOrder) -> SendOutcome:
        await self.gate("before send")
        self.sent.append(signed.order)
        await asyncio.sleep(0.02)
        await asyncio.sleep(self.slow.get(signed.order.symbol, 0.0))
        reaction = self.script.popleft() if self.script else Reaction()
        outcome = self._take(signed, reaction)
        await self.gate("after send")
        if reaction.is_lost or reaction.hangs:
            await asyncio.sleep(HANGS)
            return OutcomeUnknown("no answer")
        return outcome

    async def find_order(self, order: MarketOrder) -> OrderReport | None:
        await self._answer()
        visible_from, found = self.orders.get(order.link_id, (None, None))
        return found if visible_from is not None and now() >= visible_from else None

    async def fills_of(self, order: MarketOrder, order_id: str | None) -> list[Fill]:
        await self._answer()
        return [f for f in self._shown_fills() if f.link_id == order.link_id]

    async def fills_since(
        self,
        category: Category,
        since: datetime,
        *,
        symbol: str | None = None,
        base_coin: str | None = None,
        urgent: bool = False,
    ) -> list[Fill]:
        self.hurried.append(urgent)
        await self._answer()
        return [f for f in self._shown_fills() if f.executed_at >= since]

    async def deliveries_since(
        self, category: Category, symbol: str, since: datetime
    ) -> list[Delivery]:
        raise NotImplementedError("a close does not ask")

    async def open_orders(self, category: Category, symbol: str) -> list[RestingOrder]:
        await asyncio.sleep(0.01)
        return [o for o in self.resting if (o.category, o.symbol) == (category, symbol)]

    async def cancel_order(self, category: Category, symbol: str, order_id: str) -> None:
        await asyncio.sleep(0.01)
        loop = asyncio.get_running_loop()
        loop.call_later(self.cancels_take, lambda: self._cancelled(order_id))

    async def taker_fee_rate(self, category: Category, symbol: str) -> Decimal:
        raise NotImplementedError("a close does not ask")

    async def key_info(self) -> KeyInfo:
        raise NotImplementedError("a close does not ask")

    async def server_now(self) -> datetime:
        return now()

    # --- inside -----------------------------------------------------------------------------

    def _cancelled(self, order_id: str) -> None:
        self.resting = [o for o in self.resting if o.order_id != order_id]

    async def _answer(self) -> None:
        await asyncio.sleep(0.01)
        if self.lookups_fail_until is not None and now() < self.lookups_fail_until:
            raise ExchangeUnreachable("timeout", "Bybit does not answer")

    def _shown_fills(self) -> list[Fill]:
        return [f for f in self.fills if f.executed_at <= now() - self.executions_lag]

    def _take(self, signed: SignedOrder, reaction: Reaction) -> SendOutcome:
        order = signed.order
        if reaction.before is not None:
            reaction.before()
        if reaction.is_lost:
            return OutcomeUnknown("no answer")
        if reaction.busy is not None:
            return NotExecuted(10006, "too many visits", now() + timedelta(seconds=reaction.busy))
        if now() >= signed.dies_at:
            return NotExecuted(10002, "the signature has expired", now())
        if reaction.refused is not None:
            return Refused(*reaction.refused, of_key=reaction.of_key)
        held = self.size(place_of_order(order), order.position_idx)
        if order.category is Category.SPOT:
            if order.quantity > held - self.locked.get(place_of_order(order), ZERO):
                return Refused(170131, "insufficient balance")
        elif held * order.side.sign >= 0:
            return Refused(110017, "current position is zero or on the same side")
        if order.link_id in self.orders:
            return OutcomeUnknown("the order link id exists")
        self.arrived.append((now(), order))
        self._match(order, min(order.quantity, abs(held)), reaction)
        return Acked(f"of-{order.link_id}")

    def _match(self, order: MarketOrder, quantity: Decimal, reaction: Reaction) -> None:
        done = quantity if reaction.fills is None else min(quantity, Decimal(reaction.fills))
        if done:
            self.trade(place_of_order(order), done * order.side.sign, order.position_idx)
            self._execute(order, done, f"exec-{len(self.fills)}", reaction.shows_after)
        status = OrderStatus.FILLED if done == quantity else OrderStatus.CANCELLED
        found = report(
            quantity,
            done,
            order.side,
            order.symbol,
            link_id=order.link_id,
            status=status,
            created_at=now(),
            category=order.category,
            reduce_only=order.category is not Category.SPOT,
        )
        if reaction.altered is not None:
            found = reaction.altered(found)
        self.orders[order.link_id] = (now() + timedelta(seconds=reaction.shows_after), found)
        self._push(OrderSeen(self.account_id, found), reaction.shows_after + 0.01)

    def _execute(
        self, order: MarketOrder, quantity: Decimal, exec_id: str, shows_after: float = 0.0
    ) -> None:
        done = fill(
            quantity,
            order.side,
            order.symbol,
            exec_id=exec_id,
            link_id=order.link_id,
            at=now(),
            seq=self._seq if self.has_sequence else None,
        )
        done = replace(done, category=order.category)
        self.fills.append(done)
        self._push(FillSeen(self.account_id, done), shows_after)

    def _push(self, event: FillSeen | OrderSeen, delay: float) -> None:
        if self.stream_up:
            asyncio.get_running_loop().call_later(delay, lambda: self.inboxes.deliver(event))


def place_of_order(order: MarketOrder) -> str:
    """What the order moves: its contract, or for spot the coin of its pair."""
    is_spot = order.category is Category.SPOT
    return order.symbol.removesuffix("USDT") if is_spot else order.symbol


class Door:
    """A Gateway that knows instruments only: any symbol, by usual rules or by `rules`."""

    def __init__(self) -> None:
        self.rules: dict[str, Instrument] = {}
        self.hurried: list[bool] = []

    def account(self, account: Account, credentials: Credentials) -> AccountExchange:
        raise NotImplementedError

    def account_feed(self, account: Account, credentials: Credentials) -> AccountFeed:
        raise NotImplementedError

    def market_feed(self, environment: Environment, category: Category) -> MarketFeed:
        raise NotImplementedError

    def ban_left(self, environment: Environment) -> float:
        return 0.0

    async def order_book(
        self, environment: Environment, category: Category, symbol: str
    ) -> OrderBook:
        raise NotImplementedError("a close looks at no book")

    async def instruments(
        self,
        environment: Environment,
        category: Category,
        symbol: str | None = None,
        *,
        urgent: bool = False,
    ) -> list[Instrument]:
        self.hurried.append(urgent)
        usual = instrument(symbol or "", category=category)
        known = self.rules.get(symbol or "", usual)
        return [known if known.key.category is category else usual]
