"""Small builders of the domain's values: every test states only what it is about."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from positiond.daemon.domain.buckets import SymbolKey
from positiond.daemon.domain.model import (
    Account,
    AccountId,
    Category,
    CloseId,
    CloseOrderId,
    Component,
    ComponentId,
    Environment,
    Fill,
    Holding,
    Instrument,
    InstrumentKey,
    OrderReport,
    OrderStatus,
    Position,
    PositionId,
    PositionStatus,
    Side,
    UserId,
)
from positiond.daemon.domain.orders import CloseOrder, CloseRequest, OrderState, RequestState
from positiond.daemon.domain.records import BucketClaims

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
BTC, ETH = "BTCUSDT", "ETHUSDT"
LONG, SHORT = Side.BUY, Side.SELL


def uuid_of(text: str) -> UUID:
    """The same id for the same words."""
    return UUID(bytes=hashlib.sha256(text.encode()).digest()[:16])


EXPIRY = NOON + timedelta(minutes=15)

ALICE = UserId(uuid_of("alice"))
BOB = UserId(uuid_of("bob"))
ACCOUNT = AccountId(uuid_of("account"))
OTHER_ACCOUNT = AccountId(uuid_of("other account"))


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def account(account_id: AccountId = ACCOUNT, user_id: UserId = ALICE) -> Account:
    return Account(account_id, user_id, "main", Environment.PAPER, "key")


def key_of(symbol: str, category: Category = Category.LINEAR) -> InstrumentKey:
    return InstrumentKey(Environment.PAPER, category, symbol)


def symbol_key(symbol: str = BTC, account_id: AccountId = ACCOUNT) -> SymbolKey:
    return SymbolKey(account_id, Category.LINEAR, symbol)


def instrument(
    symbol: str = BTC,
    *,
    step: str = "0.001",
    least: str | None = None,
    most: str = "1000",
    status: str = "Trading",
    settle_coin: str = "USDT",
    category: Category = Category.LINEAR,
) -> Instrument:
    return Instrument(
        key=key_of(symbol, category),
        base_coin=symbol.removesuffix("USDT"),
        quote_coin="USDT",
        settle_coin=settle_coin,
        status=status,
        tick_size=Decimal("0.1"),
        quantity_step=Decimal(step),
        min_quantity=Decimal(least or step),
        max_market_quantity=Decimal(most),
        min_notional=Decimal(5),
    )


def component(
    quantity: str | Decimal = "1",
    side: Side = LONG,
    symbol: str = BTC,
    *,
    of: str = "pair",
    closed: str | Decimal = "0",
    entry: str | Decimal = "100",
    category: Category = Category.LINEAR,
    name: str | None = None,
) -> Component:
    """A leg of the position called `of`; its id follows from that name, symbol and side."""
    return Component(
        id=ComponentId(uuid_of(name or f"{of} {category} {symbol} {side}")),
        position_id=PositionId(uuid_of(of)),
        category=category,
        symbol=symbol,
        side=side,
        quantity=Decimal(quantity),
        closed_quantity=Decimal(closed),
        entry_price=Decimal(entry),
    )


def position(
    *components: Component,
    name: str = "pair",
    account_id: AccountId = ACCOUNT,
    user_id: UserId = ALICE,
    status: PositionStatus = PositionStatus.ACTIVE,
    is_altered: bool = False,
) -> Position:
    """The position with the components, which were built with `of=name`."""
    return Position(
        id=PositionId(uuid_of(name)),
        account_id=account_id,
        user_id=user_id,
        environment=Environment.PAPER,
        name=name,
        external_id=None,
        note="",
        tags=(),
        status=status,
        is_altered=is_altered,
        opened_at=NOON,
        closed_at=None,
        verified_at=None,
        unrealized_pnl=None,
        pnl_at=None,
        booked=(),
        components=components or (component(of=name),),
    )


def holding(
    signed: str | Decimal = "1",
    symbol: str = BTC,
    *,
    idx: int = 0,
    seq: int | None = None,
    updated_at: datetime | None = None,
    read_at: datetime = NOON,
) -> Holding:
    size = Decimal(signed)
    side = None if size == 0 else LONG if size > 0 else SHORT
    return Holding(
        category=Category.LINEAR,
        symbol=symbol,
        position_idx=idx,
        side=side,
        size=abs(size),
        entry_price=None if size == 0 else Decimal(100),
        updated_at=updated_at,
        seq=seq,
        read_at=read_at,
    )


def claims(
    *components: Component, unassigned: str | Mapping[int, Decimal] | None = None
) -> BucketClaims:
    """What is recorded in a symbol; a plain `unassigned` is that of positionIdx 0."""
    if isinstance(unassigned, str):
        unassigned = {0: Decimal(unassigned)}
    return BucketClaims(components, unassigned or {})


def fill(
    quantity: str | Decimal = "1",
    side: Side = SHORT,
    symbol: str = BTC,
    *,
    exec_id: str = "exec-1",
    link_id: str = "link-1",
    price: str = "110",
    at: datetime = NOON,
    seq: int | None = None,
    exec_type: str = "Trade",
    changes_size: bool = True,
) -> Fill:
    return Fill(
        exec_id=exec_id,
        category=Category.LINEAR,
        symbol=symbol,
        order_id=f"of-{link_id}",
        link_id=link_id,
        side=side,
        price=Decimal(price),
        quantity=Decimal(quantity),
        fee=Decimal("0.01"),
        fee_coin="USDT",
        exec_type=exec_type,
        create_type="CreateByUser",
        changes_size=changes_size,
        executed_at=at,
        seq=seq,
    )


def report(
    quantity: str | Decimal = "1",
    filled: str | Decimal = "1",
    side: Side = SHORT,
    symbol: str = BTC,
    *,
    link_id: str = "link-1",
    status: OrderStatus = OrderStatus.FILLED,
    reduce_only: bool = True,
    category: Category = Category.LINEAR,
    created_at: datetime = NOON,
) -> OrderReport:
    return OrderReport(
        category=category,
        symbol=symbol,
        order_id=f"of-{link_id}",
        link_id=link_id,
        side=side,
        quantity=Decimal(quantity),
        filled=Decimal(filled),
        average_price=Decimal(110) if Decimal(filled) else None,
        reduce_only=reduce_only,
        status=status,
        status_text=status.value,
        reason="",
        create_type="CreateByUser",
        created_at=created_at,
        updated_at=created_at,
    )


def close_order(
    quantity: str | Decimal = "1",
    filled: str | Decimal = "0",
    *,
    leg: Component | None = None,
    attempt: int = 1,
    state: OrderState = OrderState.TERMINAL,
    status: str | None = "cancelled",
    detail: str | None = None,
    average: str | None = None,
    link_id: str | None = None,
) -> CloseOrder:
    leg = leg or component()
    return CloseOrder(
        id=CloseOrderId(uuid_of(f"order {attempt} of {leg.id}")),
        close_id=CloseId(uuid_of("close")),
        component_id=leg.id,
        bucket=symbol_key(leg.symbol).bucket(0),
        attempt=attempt,
        link_id=link_id or f"link-{attempt}",
        side=leg.side.reverse,
        quantity=Decimal(quantity),
        state=state,
        order_id=None,
        signed_at=NOON,
        dies_at=after(5),
        filled=Decimal(filled),
        average_price=None if average is None else Decimal(average),
        status=status,
        detail=detail,
        created_at=NOON,
    )


def close_request(
    of: Position, *, created_at: datetime = NOON, expires_at: datetime = EXPIRY
) -> CloseRequest:
    """A freshly accepted request to close all that is open of the position."""
    return CloseRequest(
        id=CloseId(uuid_of(f"close of {of.name} at {created_at}")),
        position_id=of.id,
        account_id=of.account_id,
        requested_by=of.user_id,
        state=RequestState.ACCEPTED,
        code=None,
        detail=None,
        open_at_acceptance={c.id: c.open for c in of.components if c.open > 0},
        legs=(),
        created_at=created_at,
        expires_at=expires_at,
        ended_at=None,
    )
