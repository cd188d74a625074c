"""REST paths of orders and executions."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..vocab import Category, OrderStatus, Path
from .calls import Call, Endpoint, Reply, page, time_span
from .encode import Row, execution_row, order_row
from .model import ZERO, Execution, Order, OrderId
from .refusals import Refused, bad_parameter, missing_filter, order_not_found
from .rules import read_enum, read_order

MAX_BATCH = 20
DAY_MS = 86_400_000
UNFILLED_ENDS = frozenset({OrderStatus.CANCELLED, OrderStatus.REJECTED, OrderStatus.DEACTIVATED})


def create(call: Call) -> Reply:
    """Only an ack: the order is matched later."""
    order = _place(call, call.params)
    return Reply({"orderId": order.order_id, "orderLinkId": order.link_id})


def _place(call: Call, body: Mapping[str, Any]) -> Order:
    venue = call.venue
    request = read_order(body, venue.market.listing)
    order = venue.engine.place(call.account.uid, request, venue.now_ms())
    venue.commit()
    return order


def create_batch(call: Call, granted: int = MAX_BATCH) -> Reply:
    """Each order for itself: the reply is good even where single orders are refused."""
    category = call.category()
    bodies = batch_of(call.params)
    results: list[Row] = []
    notes: list[Row] = []
    for n, body in enumerate(bodies):
        link = body.get("orderLinkId") or ""
        row = {"category": category, "symbol": body.get("symbol", ""), "orderId": ""}
        try:
            if n >= granted:
                raise Refused(10006, "Too many visits. Exceeded the API Rate Limit.")
            order = _place(call, {**body, "category": category})
        except Refused as refused:
            notes.append({"code": refused.code, "msg": refused.message})
            results.append({**row, "orderLinkId": link, "createAt": ""})
        else:
            notes.append({"code": 0, "msg": "OK"})
            made = {"orderId": order.order_id, "createAt": str(order.created_ms)}
            results.append({**row, "orderLinkId": link, **made})
    return Reply({"list": results}, ext={"list": notes})


def batch_of(params: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The orders of a batch; raises Refused where they are not 1 to 20 objects."""
    bodies = params.get("request")
    if not isinstance(bodies, list) or not 1 <= len(bodies) <= MAX_BATCH:
        raise bad_parameter(f"request invalid, must hold 1 to {MAX_BATCH} orders")
    if not all(isinstance(body, dict) for body in bodies):
        raise bad_parameter("request invalid")
    return bodies


def cancel(call: Call) -> Reply:
    venue = call.venue
    instrument = call.instrument()
    order = _by_id(call, instrument.category)
    if order is None or order.symbol != instrument.symbol:
        raise order_not_found()
    venue.engine.cancel(order, venue.now_ms())
    venue.commit()
    return Reply({"orderId": order.order_id, "orderLinkId": order.link_id})


def _by_id(call: Call, category: Category) -> Order | None:
    """By orderId, which wins, or by orderLinkId."""
    books, uid = call.venue.books, call.account.uid
    if order_id := call.text("orderId"):
        order = books.orders.get(OrderId(order_id))
        ours = order is not None and order.uid == uid and order.category is category
        return order if ours else None
    if link_id := call.text("orderLinkId"):
        return books.linked(uid, category, link_id)
    raise bad_parameter("orderId or orderLinkId is required")


def _has_id(call: Call) -> bool:
    return bool(call.text("orderId") or call.text("orderLinkId"))


def _selected(call: Call) -> Callable[[Order | Execution], bool]:
    """Precedence symbol > baseCoin > settleCoin (Bybit V5: order/realtime)."""
    listing = call.venue.market.listing
    if symbol := call.text("symbol"):
        return lambda row: row.symbol == symbol
    if base := call.text("baseCoin"):
        return lambda row: listing.get(row.category, row.symbol).base == base
    if coin := call.text("settleCoin"):
        return lambda row: listing.get(row.category, row.symbol).settle == coin
    return lambda _: True


def realtime(call: Call) -> Reply:
    """Open orders; closed ones by id or with openOnly=1, from a ring that a restart empties."""
    category = call.category()
    books, uid = call.venue.books, call.account.uid
    if _has_id(call):
        order = _by_id(call, category)
        shown = order and (order.is_open or order in books.recently_closed(uid, category))
        rows = [order] if order and shown else []
    else:
        named = any(call.text(n) for n in ("symbol", "baseCoin", "settleCoin"))
        if category is Category.LINEAR and not named:
            raise missing_filter()
        keep = _selected(call)
        closed = call.text("openOnly") == "1"
        source = books.recently_closed(uid, category) if closed else books.orders_of(uid)
        rows = [o for o in source if o.category is category and keep(o) and (closed or o.is_open)]
    return _order_page(call, category, rows)


def history(call: Call) -> Reply:
    """Closed orders from a store of its own that lags; unfilled ends for 24 hours."""
    category = call.category()
    now = call.venue.now_ms()
    if _has_id(call):
        order = _by_id(call, category)
        rows = [order] if order else []
    else:
        start, end = time_span(call)
        keep, status = _selected(call), call.text("orderStatus")
        if status:
            read_enum(OrderStatus, status, "orderStatus")
        rows = [
            o
            for o in call.venue.books.orders_of(call.account.uid)
            if o.category is category
            and keep(o)
            and start <= o.created_ms <= end
            and status in ("", o.status)
        ]
    return _order_page(call, category, [o for o in rows if _in_history(o, now)])


def _in_history(order: Order, now_ms: int) -> bool:
    if order.is_open or order.history_ms > now_ms:
        return False
    unfilled = order.status in UNFILLED_ENDS and order.cum_qty == ZERO
    return not unfilled or now_ms - order.updated_ms <= DAY_MS


def _order_page(call: Call, category: Category, rows: Sequence[Order]) -> Reply:
    found = page(call, rows, lambda o: o.order_id, default=20, most=50, eager=True)
    return Reply(
        {
            "category": category,
            "list": [order_row(o) for o in found.rows],
            "nextPageCursor": found.cursor,
        }
    )


def executions(call: Call) -> Reply:
    """Newest first; with an id the other filters are ignored (Bybit V5: order/execution)."""
    category = call.category()
    rows = [
        row
        for row in reversed(call.venue.books.executions[call.account.uid])
        if row.category is category
    ]
    if order_id := call.text("orderId"):
        rows = [row for row in rows if row.order_id == order_id]
    elif link_id := call.text("orderLinkId"):
        rows = [row for row in rows if row.link_id == link_id]
    else:
        start, end = time_span(call)
        keep, kind = _selected(call), call.text("execType")
        rows = [
            row
            for row in rows
            if keep(row) and start <= row.exec_ms <= end and kind in ("", row.exec_type)
        ]
    found = page(call, rows, lambda row: row.exec_id, default=50, most=100, eager=True)
    return Reply(
        {
            "category": category,
            "list": [execution_row(row) for row in found.rows],
            "nextPageCursor": found.cursor,
        }
    )


ENDPOINTS: Mapping[tuple[str, str], Endpoint] = {
    ("POST", Path.ORDER_CREATE): Endpoint(create, trades=True),
    ("POST", Path.ORDER_CREATE_BATCH): Endpoint(create_batch, trades=True),
    ("POST", Path.ORDER_CANCEL): Endpoint(cancel, trades=True),
    ("GET", Path.ORDERS_REALTIME): Endpoint(realtime),
    ("GET", Path.ORDER_HISTORY): Endpoint(history),
    ("GET", Path.EXECUTIONS): Endpoint(executions),
}
