"""REST paths that list orders and executions."""

from collections.abc import Callable, Mapping, Sequence

from ..vocab import Category, OrderStatus, Path
from .calls import Call, Endpoint, Reply, page, time_span
from .encode import Row, closed_order_row, execution_row, order_row
from .model import ZERO, Order
from .order_lookup import has_id, order_by_id, selected
from .refusals import missing_filter
from .rules import read_enum

DAY_MS = 86_400_000
UNFILLED_ENDS = frozenset({OrderStatus.CANCELLED, OrderStatus.REJECTED, OrderStatus.DEACTIVATED})


def realtime(call: Call) -> Reply:
    """Open orders; closed ones by id or with openOnly=1, from a ring that a restart empties."""
    category = call.category()
    books, uid = call.books, call.account.uid
    if has_id(call):
        order = order_by_id(call, category)
        shown = order and (order.is_open or order in books.recently_closed(uid, category))
        rows = [order] if order and shown else []
    else:
        named = any(call.text(n) for n in ("symbol", "baseCoin", "settleCoin"))
        if category is Category.LINEAR and not named:
            raise missing_filter()
        keep = selected(call)
        closed = call.text("openOnly") == "1"
        source = books.recently_closed(uid, category) if closed else books.orders_of(uid)
        rows = [o for o in source if o.category is category and keep(o) and (closed or o.is_open)]
    return _order_page(call, category, rows, order_row)


def history(call: Call) -> Reply:
    """Closed orders from a store of its own that lags; unfilled ends for 24 hours."""
    category = call.category()
    now = call.venue.now_ms()
    if has_id(call):
        order = order_by_id(call, category)
        rows = [order] if order else []
    else:
        start, end = time_span(call)
        keep, status = selected(call), call.text("orderStatus")
        if status:
            read_enum(OrderStatus, status, "orderStatus")
        rows = [
            o
            for o in call.books.orders_of(call.account.uid)
            if o.category is category
            and keep(o)
            and start <= o.created_ms <= end
            and status in ("", o.status)
        ]
    return _order_page(call, category, [o for o in rows if _in_history(o, now)], closed_order_row)


def _in_history(order: Order, now_ms: int) -> bool:
    if order.is_open or order.history_ms > now_ms:
        return False
    unfilled = order.status in UNFILLED_ENDS and order.cum_qty == ZERO
    return not unfilled or now_ms - order.updated_ms <= DAY_MS


def _order_page(
    call: Call, category: Category, rows: Sequence[Order], encode: Callable[[Order], Row]
) -> Reply:
    found = page(call, rows, lambda o: o.order_id, default=20, most=50, eager=True)
    return Reply(
        {
            "category": category,
            "list": [encode(o) for o in found.rows],
            "nextPageCursor": found.cursor,
        }
    )


def executions(call: Call) -> Reply:
    """Newest first; with an id the other filters are ignored (Bybit V5: order/execution)."""
    category, until = call.category(), call.told_until(Path.EXECUTIONS)
    rows = [
        row
        for row in reversed(call.books.executions[call.account.uid])
        if row.category is category and row.exec_ms <= until
    ]
    if order_id := call.text("orderId"):
        rows = [row for row in rows if row.order_id == order_id]
    elif link_id := call.text("orderLinkId"):
        rows = [row for row in rows if row.link_id == link_id]
    else:
        start, end = time_span(call)
        keep, kind = selected(call), call.text("execType")
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
    ("GET", Path.ORDERS_REALTIME): Endpoint(realtime),
    ("GET", Path.ORDER_HISTORY): Endpoint(history),
    ("GET", Path.EXECUTIONS): Endpoint(executions),
}
