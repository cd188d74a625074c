"""Rows of closing turned into values of the domain, and orders into columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from operator import itemgetter

from ..daemon.domain.model import (
    AccountId,
    CloseId,
    CloseOrderId,
    ComponentId,
    PositionId,
    Side,
    UserId,
)
from ..daemon.domain.orders import (
    CloseOrder,
    CloseRequest,
    CloseTerms,
    LegOutcome,
    LegResult,
    Netting,
    OrderPart,
    OrderState,
    RequestState,
)
from .pool import Row
from .rows import bucket


def requests(rows: Iterable[Row]) -> list[CloseRequest]:
    """Requests from rows of one leg each; a request's rows follow one another."""
    return [_request(list(group)) for _, group in groupby(rows, key=itemgetter("id"))]


def _request(rows: Sequence[Row]) -> CloseRequest:
    row = rows[0]
    legs = [leg for leg in rows if leg["component_id"]]
    return CloseRequest(
        id=CloseId(row["id"]),
        position_id=PositionId(row["position_id"]),
        account_id=AccountId(row["account_id"]),
        requested_by=UserId(row["requested_by"]),
        state=RequestState(row["state"]),
        code=row["code"],
        detail=row["detail"],
        open_at_acceptance={
            ComponentId(leg["component_id"]): leg["open_at_acceptance"] for leg in legs
        },
        legs=tuple(_leg(leg) for leg in legs if leg["outcome"]),
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        ended_at=row["ended_at"],
        terms=CloseTerms(
            row["fraction"], row["slippage"], row["cancel_resting"], row["expected_plan"]
        ),
        set_id=row["set_id"],
        targets={ComponentId(leg["component_id"]): leg["target"] for leg in legs},
    )


def _leg(row: Row) -> LegResult:
    return LegResult(
        component_id=ComponentId(row["component_id"]),
        outcome=LegOutcome(row["outcome"]),
        filled=row["filled"],
        average_price=row["average_price"],
        detail=row["leg_detail"],
    )


def order(row: Row) -> CloseOrder:
    return CloseOrder(
        id=CloseOrderId(row["id"]),
        close_id=CloseId(row["close_id"]),
        component_id=ComponentId(row["component_id"]),
        bucket=bucket(row),
        attempt=row["attempt"],
        link_id=row["link_id"],
        side=Side(row["side"]),
        quantity=row["quantity"],
        state=OrderState(row["state"]),
        order_id=row["order_id"],
        signed_at=row["signed_at"],
        dies_at=row["dies_at"],
        filled=row["filled"],
        average_price=row["average_price"],
        status=row["status"],
        detail=row["detail"],
        created_at=row["created_at"],
        settle_coin=row["settle_coin"],
        symbol=row["instrument_symbol"],
        slippage=row["slippage"],
        parts=_parts(row),
        step=row["step"],
    )


def _parts(row: Row) -> tuple[OrderPart, ...]:
    """None where all of it is one leg's: its row says whose."""
    if len(row["parts"]) == 1:
        return ()
    return tuple(
        OrderPart(
            ComponentId(part["component_id"]),
            CloseId(part["close_id"]),
            part["quantity"],
            part["is_light"],
        )
        for part in row["parts"]
    )


def netting(row: Row) -> Netting:
    return Netting(
        close_id=CloseId(row["close_id"]),
        component_id=ComponentId(row["component_id"]),
        quantity=row["quantity"],
        price=row["price"],
        settle_coin=row["settle_coin"],
    )


def order_columns(order: CloseOrder, epoch: int) -> tuple[object, ...]:
    """For the query `insert_order`; a new order has no fills."""
    return (
        order.id,
        order.close_id,
        order.component_id,
        order.bucket.account_id,
        order.bucket.category,
        order.bucket.symbol,
        order.bucket.position_idx,
        order.attempt,
        order.link_id,
        order.side,
        order.quantity,
        order.state,
        order.order_id,
        order.signed_at,
        order.dies_at,
        order.status,
        order.detail,
        epoch,
        order.created_at,
        order.settle_coin,
        order.symbol,
        order.slippage,
        order.step,
    )


def part_columns(order: CloseOrder) -> tuple[object, ...]:
    """For the query `insert_order_parts`."""
    return (
        order.id,
        [part.component_id for part in order.shares],
        [part.close_id for part in order.shares],
        [part.quantity for part in order.shares],
        [part.is_light for part in order.shares],
    )
