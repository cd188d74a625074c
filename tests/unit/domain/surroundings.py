"""What was read around a leg, as tests of plans and outcomes need it."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from positiond.daemon.domain.bucket_plan import Around
from positiond.daemon.domain.buckets import place_of
from positiond.daemon.domain.model import Category, CloseId, Component, Holding
from positiond.daemon.domain.orders import RestingOrder

from ...builders import ACCOUNT, BTC, SHORT, claims, holding, instrument, uuid_of

CLOSE = CloseId(uuid_of("close"))


def around(
    leg: Component,
    held: str | Decimal,
    *others: Component,
    unassigned: str | None = None,
    step: str = "0.001",
    least: str | None = None,
    most: str = "1000",
    status: str = "Trading",
    resting: tuple[RestingOrder, ...] = (),
) -> Around:
    return Around(
        place_of(ACCOUNT, leg),
        instrument(step=step, least=least, most=most, status=status),
        claims(leg, *others, unassigned=unassigned),
        (holding(held),),
        resting,
    )


def wallet(
    leg: Component, balance: str, *others: Component, locked: str = "0", price: str | None = None
) -> Around:
    """Around a spot leg of BTC: what the wallet holds, and what of it rests in orders."""
    row: Holding = replace(holding(balance, "BTC"), category=Category.SPOT, locked=Decimal(locked))
    return Around(
        place_of(ACCOUNT, leg),
        instrument(category=Category.SPOT),
        claims(leg, *others),
        (row,),
        price=Decimal(price) if price else None,
        fee_tolerance=Decimal("0.002"),
    )


def resting(
    left: str, *, side: str = "Sell", kind: str = "Limit", reduce_only: bool = True, idx: int = 0
) -> RestingOrder:
    """An open order on BTCUSDT."""
    return RestingOrder(
        category=Category.LINEAR,
        symbol=BTC,
        order_id=f"resting {left}",
        link_id="",
        side=SHORT if side == "Sell" else SHORT.reverse,
        position_idx=idx,
        left=Decimal(left),
        price=Decimal(120),
        reduce_only=reduce_only,
        kind=kind,
    )
