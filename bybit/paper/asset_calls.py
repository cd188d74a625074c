"""REST paths of coins, deliveries and periodic settlements."""

from collections.abc import Mapping, Sequence
from typing import Any

from ..vocab import Category, Path
from .calls import DAY_MS, Call, Endpoint, Reply, page, time_span
from .encode_records import delivery_row, settlement_row
from .refusals import bad_parameter

MONTH_MS = 30 * DAY_MS


def coin_info(call: Call) -> Reply:
    """No coin can be moved in or out of here; clients read this list while connecting."""
    coins = sorted({coin for i in call.venue.market.listing.all() for coin in (i.base, i.settle)})
    wanted = call.text("coin")
    rows = [
        {"name": coin, "coin": coin, "remainAmount": "0", "chains": []}
        for coin in coins
        if wanted in ("", coin)
    ]
    return Reply({"rows": rows}, message="success")


def deliveries(call: Call) -> Reply:
    """Newest first, of 30 days (Bybit V5: asset/delivery)."""
    category = call.category()
    if category is Category.SPOT:
        raise bad_parameter("Category invalid")
    start, end = time_span(call, MONTH_MS, MONTH_MS)
    end = min(end, call.told_until(Path.DELIVERIES))
    symbol = call.text("symbol")
    rows = [
        row
        for row in reversed(call.books.deliveries[call.account.uid])
        if row.category is category
        and symbol in ("", row.symbol)
        and start <= row.delivery_ms <= end
    ]
    return _page(call, category, rows, delivery_row)


def settlements(call: Call) -> Reply:
    """Of USDC contracts alone, newest first (Bybit V5: asset/settlement)."""
    category = call.category()
    if category is not Category.LINEAR:
        raise bad_parameter("Category invalid")
    start, end = time_span(call, MONTH_MS, MONTH_MS)
    symbol = call.text("symbol")
    rows = [
        row
        for row in reversed(call.books.settlements[call.account.uid])
        if symbol in ("", row.symbol) and start <= row.at_ms <= end
    ]
    return _page(call, category, rows, settlement_row)


def _page(call: Call, category: Category, rows: Sequence[Any], encode: Any) -> Reply:
    found = page(call, rows, lambda row: str(row.serial), default=20, most=50)
    return Reply(
        {
            "category": category,
            "list": [encode(row) for row in found.rows],
            "nextPageCursor": found.cursor,
        }
    )


ENDPOINTS: Mapping[tuple[str, str], Endpoint] = {
    ("GET", Path.COIN_INFO): Endpoint(coin_info),
    ("GET", Path.DELIVERIES): Endpoint(deliveries),
    ("GET", Path.SETTLEMENTS): Endpoint(settlements),
}
