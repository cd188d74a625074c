"""REST paths of batches: each order for itself, refused ones beside good ones."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..vocab import Category, Path
from .calls import Call, Endpoint, Reply
from .encode import Row
from .faults import FaultKind
from .order_calls import place, withdraw
from .refusals import Refused, bad_parameter, rate_limited

MAX_BATCH = 20
MAX_SPOT_BATCH = 10

Body = Mapping[str, Any]


def create_batch(call: Call) -> Reply:
    def made(body: Body) -> Row:
        _check_fault(call, body)
        order = place(call, body)
        return {
            "orderId": order.order_id,
            "orderLinkId": order.link_id,
            "createAt": str(order.created_ms),
        }

    return _each(call, made, {"orderId": "", "createAt": ""})


def cancel_batch(call: Call) -> Reply:
    def gone(body: Body) -> Row:
        order = withdraw(replace(call, params=body))
        return {"orderId": order.order_id, "orderLinkId": order.link_id}

    return _each(call, gone, {"orderId": ""})


def _each(call: Call, do: Callable[[Body], Row], failed: Row) -> Reply:
    """Each order for itself: the reply is good even where single orders are refused."""
    category = call.category()
    rows: list[Row] = []
    notes: list[Row] = []
    for n, body in enumerate(batch_of(call.params)):
        named = {"category": category, "symbol": body.get("symbol", "")}
        try:
            if call.granted is not None and n >= call.granted:
                raise rate_limited()
            row = do({**body, "category": category})
        except Refused as refused:
            row = {"orderLinkId": body.get("orderLinkId") or "", **failed}
            notes.append({"code": refused.code, "msg": refused.message})
        else:
            notes.append({"code": 0, "msg": "OK"})
        rows.append({**named, **row})
    return Reply({"list": rows}, ext={"list": notes})


def _check_fault(call: Call, body: Body) -> None:
    symbol = str(body.get("symbol", ""))
    kinds = frozenset({FaultKind.REJECT_ITEM})
    uid = call.account.uid
    fault = call.venue.faults.take(kinds, Path.ORDER_CREATE_BATCH, uid, symbol=symbol)
    if fault is not None:
        raise Refused(fault.code, fault.message)


def batch_of(params: Body) -> Sequence[Body]:
    """The orders of a batch; raises Refused where they are not 1 to 20 objects, spot 1 to 10."""
    bodies = params.get("request")
    most = MAX_SPOT_BATCH if params.get("category") == Category.SPOT else MAX_BATCH
    if not isinstance(bodies, list) or not 1 <= len(bodies) <= most:
        raise bad_parameter(f"request invalid, must hold 1 to {most} orders")
    if not all(isinstance(body, dict) for body in bodies):
        raise bad_parameter("request invalid")
    return bodies


ENDPOINTS: Mapping[tuple[str, str], Endpoint] = {
    ("POST", Path.ORDER_CREATE_BATCH): Endpoint(create_batch, trades=True),
    ("POST", Path.ORDER_CANCEL_BATCH): Endpoint(cancel_batch, trades=True),
}
