"""Values for tests of the store, made with as few words as possible."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

from positiond.daemon.domain.errors import Conflict
from positiond.daemon.domain.model import (
    Account,
    BucketKey,
    Category,
    CloseId,
    CloseOrderId,
    Component,
    ComponentId,
    Credentials,
    Environment,
    Fill,
    NewComponent,
    NewPosition,
    Position,
    Side,
)
from positiond.daemon.domain.orders import (
    AcceptedClose,
    AcceptedSet,
    CloseEnding,
    CloseOrder,
    CloseTerms,
    LegOutcome,
    LegResult,
    OrderPart,
    OrderState,
    RequestState,
)
from positiond.daemon.domain.resolving import Change, Resolution, ResolveAction
from positiond.store.store import Store

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
WHOLE = CloseTerms()


def leg(
    symbol: str, side: Side = Side.BUY, quantity: str = "1", entry: str = "100"
) -> NewComponent:
    return NewComponent(Category.LINEAR, symbol, side, Decimal(quantity), Decimal(entry))


def spot(symbol: str, quantity: str = "1", entry: str = "100") -> NewComponent:
    return NewComponent(Category.SPOT, symbol, Side.BUY, Decimal(quantity), Decimal(entry))


async def add_account(store: Store, name: str = "ann") -> Account:
    user = await store.people.add_user(name, "a hash")
    credentials = Credentials(f"key-of-{name}", "the secret")
    return await store.accounts.add(user.id, "main", Environment.PAPER, credentials)


async def add_position(
    store: Store, account: Account, *legs: NewComponent, external_id: str | None = None
) -> Position:
    new = NewPosition(account.id, "a pair", external_id, legs or (leg("BTCUSDT"),))
    position, _ = await store.positions.record(new, {})
    return position


async def accept(
    store: Store,
    position: Position,
    key: str | None = None,
    fingerprint: str = "close",
    terms: CloseTerms = WHOLE,
    refusal: Conflict | None = None,
) -> AcceptedClose:
    return await store.closes.accept(
        position.user_id,
        position.id,
        terms=terms,
        idempotency_key=key,
        fingerprint=fingerprint,
        expires_at=NOW + 15 * MINUTE,
        now=NOW,
        refusal=refusal,
    )


async def accept_set(
    store: Store,
    *positions: Position,
    key: str | None = None,
    fingerprint: str = "close",
    terms: CloseTerms = WHOLE,
    refusal: Conflict | None = None,
) -> AcceptedSet:
    return await store.closes.accept_set(
        positions[0].user_id,
        [position.id for position in positions],
        terms=terms,
        idempotency_key=key,
        fingerprint=fingerprint,
        expires_at=NOW + 15 * MINUTE,
        now=NOW,
        refusal=refusal,
    )


def order_of(close_id: CloseId, position: Position, component: Component) -> CloseOrder:
    return CloseOrder(
        id=store_order_id(),
        close_id=close_id,
        component_id=component.id,
        bucket=BucketKey(position.account_id, component.category, component.symbol, 0),
        attempt=1,
        link_id=secrets.token_hex(12),
        side=component.side.reverse,
        quantity=component.open,
        state=OrderState.PLANNED,
        order_id=None,
        signed_at=NOW,
        dies_at=NOW + timedelta(seconds=5),
        filled=Decimal(0),
        average_price=None,
        status=None,
        detail=None,
        created_at=NOW,
    )


def store_order_id() -> CloseOrderId:
    return CloseOrderId(uuid4())


def fill_of(
    order: CloseOrder, exec_id: str, quantity: str, price: str = "110", fee: str = "0.1"
) -> Fill:
    return Fill(
        exec_id=exec_id,
        category=order.bucket.category,
        symbol=order.bucket.symbol,
        order_id="order-1",
        link_id=order.link_id,
        side=order.side,
        price=Decimal(price),
        quantity=Decimal(quantity),
        fee=Decimal(fee),
        fee_coin="USDT",
        exec_type="Trade",
        create_type="CreateByUser",
        changes_size=True,
        executed_at=NOW,
        seq=1,
    )


async def sent_order(store: Store, position: Position, terms: CloseTerms = WHOLE) -> CloseOrder:
    """An order of the position's first leg, written ahead. Needs leadership."""
    accepted = await accept(store, position, terms=terms)
    order = order_of(accepted.close_id, position, position.components[0])
    await to_preflight(store, accepted.close_id)
    await write_ahead(store, order)
    return order


async def net_order(
    store: Store, heavy: Sequence[Position], light: Sequence[Position], step: str = "0.001"
) -> CloseOrder:
    """One order of the net of all first legs, closed as a set, written ahead."""
    closes = (await accept_set(store, *heavy, *light)).closes
    parts = tuple(
        OrderPart(leg.id, close.close_id, leg.open, position in light)
        for close, position in zip(closes, (*heavy, *light), strict=True)
        for leg in position.components[:1]
    )
    net = sum((-p.quantity if p.is_light else p.quantity for p in parts), Decimal(0))
    order = order_of(closes[0].close_id, heavy[0], heavy[0].components[0])
    order = replace(order, quantity=net, parts=parts, step=Decimal(step))
    await to_preflight(store, *(close.close_id for close in closes))
    await write_ahead(store, order)
    return order


async def write_ahead(store: Store, *orders: CloseOrder) -> None:
    close_ids = list({part.close_id for order in orders for part in order.shares})
    await store.closes.write_ahead(close_ids, RequestState.PREFLIGHT, RequestState.SENDING, orders)


async def to_preflight(store: Store, *close_ids: CloseId) -> None:
    await store.closes.move_requests(close_ids, RequestState.ACCEPTED, RequestState.WAITING)
    await store.closes.move_requests(close_ids, RequestState.WAITING, RequestState.PREFLIGHT)


async def end(
    store: Store,
    *close_ids: CloseId,
    new: RequestState = RequestState.DONE,
    old: RequestState = RequestState.ACCEPTED,
    code: str | None = None,
    legs: Sequence[LegResult] = (),
    dust: Mapping[BucketKey, Decimal] | None = None,
    now: datetime = NOW,
) -> None:
    """End closes alike; legs and dust are the first one's."""
    first, *others = close_ids
    endings = [CloseEnding(first, new, code, None, tuple(legs), dust or {})]
    endings += [CloseEnding(close_id, new, code, None, ()) for close_id in others]
    await store.closes.finish(endings, old, now)


def flat(component: Component) -> LegResult:
    return LegResult(component.id, LegOutcome.FLAT, component.open, Decimal(110), "flat")


def change(before: str, after: str) -> Change:
    return Change(Decimal(before), Decimal(after))


def bucket_of(position: Position, component: Component | None = None, idx: int = 0) -> BucketKey:
    of = component or position.components[0]
    return BucketKey(position.account_id, of.category, of.coin or of.symbol, idx)


def resolution(
    position: Position,
    action: ResolveAction,
    *,
    opens: Mapping[ComponentId, Change] | None = None,
    unassigned: Mapping[BucketKey, Change] | None = None,
    actual: Mapping[BucketKey, str],
    lacking: Mapping[BucketKey, str] | None = None,
) -> Resolution:
    return Resolution(
        position.id,
        position.account_id,
        action,
        position.user_id,
        position.opened_at + MINUTE,
        opens or {},
        unassigned or {},
        {key: Decimal(quantity) for key, quantity in actual.items()},
        {key: Decimal(quantity) for key, quantity in (lacking or {}).items()},
    )


def rebased(position: Position, before: str, after: str) -> Resolution:
    component = position.components[0]
    return resolution(
        position,
        ResolveAction.REBASE,
        opens={component.id: change(before, after)},
        actual={bucket_of(position): str(component.side.sign * Decimal(after))},
    )


def accepted(position: Position, before: str, after: str, actual: str) -> Resolution:
    key = bucket_of(position)
    return resolution(
        position,
        ResolveAction.ACCEPT,
        unassigned={key: change(before, after)},
        actual={key: actual},
    )
