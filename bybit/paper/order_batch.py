"""REST paths of batches: each order for itself, refused ones beside good ones."""

from collections.abc import Mapping, Sequence
from typing import Any

from ..vocab import Path
from .calls import Call, Endpoint, Reply
from .encode import Row
from .faults import FaultKind
from .order_calls import place
from .refusals import Refused, bad_parameter, rate_limited

MAX_BATCH = 20


def create_batch(call: Call) -> Reply:
    """Each order for itself: the reply is good even where single orders are refused."""
    category = call.category()
    bodies = batch_of(call.params)
    results: list[Row] = []
    notes: list[Row] = []
    for n, body in enumerate(bodies):
        link = body.get("orderLinkId") or ""
        row = {"category": category, "symbol": body.get("symbol", ""), "orderId": ""}
        try:
            if call.granted is not None and n >= call.granted:
                raise rate_limited()
            _check_fault(call, body)
            order = place(call, {**body, "category": category})
        except Refused as refused:
            notes.append({"code": refused.code, "msg": refused.message})
            results.append({**row, "orderLinkId": link, "createAt": ""})
        else:
            notes.append({"code": 0, "msg": "OK"})
            made = {"orderId": order.order_id, "createAt": str(order.created_ms)}
            results.append({**row, "orderLinkId": link, **made})
    return Reply({"list": results}, ext={"list": notes})


def _check_fault(call: Call, body: Mapping[str, Any]) -> None:
    symbol = str(body.get("symbol", ""))
    kinds = frozenset({FaultKind.REJECT_ITEM})
    uid = call.account.uid
    fault = call.venue.faults.take(kinds, Path.ORDER_CREATE_BATCH, uid, symbol=symbol)
    if fault is not None:
        raise Refused(fault.code, fault.message)


def batch_of(params: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The orders of a batch; raises Refused where they are not 1 to 20 objects."""
    bodies = params.get("request")
    if not isinstance(bodies, list) or not 1 <= len(bodies) <= MAX_BATCH:
        raise bad_parameter(f"request invalid, must hold 1 to {MAX_BATCH} orders")
    if not all(isinstance(body, dict) for body in bodies):
        raise bad_parameter("request invalid")
    return bodies


ENDPOINTS: Mapping[tuple[str, str], Endpoint] = {
    ("POST", Path.ORDER_CREATE_BATCH): Endpoint(create_batch, trades=True),
}
