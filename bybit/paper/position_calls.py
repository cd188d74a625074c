"""REST paths of positions."""

from collections.abc import Mapping
from decimal import Decimal

from ..vocab import Category, Path, PositionMode
from .calls import DAY_MS, Call, Endpoint, Reply, page, time_span
from .encode import closed_pnl_row, position_row
from .encode_records import closed_position_row
from .model import Position
from .refusals import Refused, bad_parameter, missing_filter
from .rights import check_trade


def positions(call: Call) -> Reply:
    """By symbol flat rows too, by settleCoin only what is held (Bybit V5: position/list)."""
    category = call.category()
    if category is Category.SPOT:
        raise bad_parameter("Category invalid")
    rows = _position_rows(call, category)
    found = page(call, rows, lambda p: f"{p.symbol}-{p.idx}", default=20, most=200)
    market = call.venue.market
    return Reply(
        {
            "category": category,
            "list": [position_row(p, market.quote(p.category, p.symbol).mark) for p in found.rows],
            "nextPageCursor": found.cursor,
        }
    )


def _position_rows(call: Call, category: Category) -> list[Position]:
    venue, uid = call.venue, call.account.uid
    held = call.books.positions
    if symbol := call.text("symbol"):
        venue.market.listing.get(category, symbol)
        flat = Position(uid, category, symbol, 0)
        return [held.get((uid, category, symbol, 0), flat)]
    coin = call.text("settleCoin")
    if category is Category.LINEAR and not coin:
        raise missing_filter()
    listing = venue.market.listing
    rows = [
        p
        for p in held.values()
        if p.uid == uid and p.category is category and p.side is not None
        if coin in ("", listing.get(p.category, p.symbol).settle)
    ]
    return sorted(rows, key=lambda p: (p.symbol, p.idx))


def switch_mode(call: Call) -> Reply:
    """One-way is the only mode so far; asking for it again is 110025."""
    if not (call.text("symbol") or call.text("coin")):
        raise bad_parameter("symbol or coin is required")
    if call.text("symbol"):
        call.instrument()
    mode = call.number("mode")
    if mode == PositionMode.ONE_WAY:
        raise Refused(110025, "Position mode is not modified")
    if mode == PositionMode.HEDGE:
        raise Refused(110029, "Hedge mode is not supported for this symbol")
    raise bad_parameter("mode invalid")


def set_leverage(call: Call) -> Reply:
    instrument = call.instrument()
    buy, sell = call.decimal("buyLeverage"), call.decimal("sellLeverage")
    if buy != sell or not Decimal(1) <= buy <= instrument.max_leverage:
        raise Refused(110013, "cannot set leverage due to risk limit")
    check_trade(call.account, instrument, "ContractTrade.Position")
    venue = call.venue
    held = venue.held(call.account.uid, instrument.category, instrument.symbol)
    venue.set_leverage(held, buy)
    return Reply({})


def closed_pnl(call: Call) -> Reply:
    category = call.category()
    if category not in (Category.LINEAR, Category.INVERSE):
        raise bad_parameter("Category invalid")
    start, end = time_span(call)
    symbol = call.text("symbol")
    rows = [
        row
        for row in reversed(call.books.closed[call.account.uid])
        if row.category is category
        and symbol in ("", row.symbol)
        and start <= row.updated_ms <= end
    ]
    found = page(call, rows, lambda row: str(row.serial), default=50, most=100, eager=True)
    return Reply(
        {
            "category": category,
            "list": [closed_pnl_row(row) for row in found.rows],
            "nextPageCursor": found.cursor,
        }
    )


def closed_positions(call: Call) -> Reply:
    """The options' counterpart of closed-pnl, of the last day unless asked for more."""
    category = call.category()
    if category is not Category.OPTION:
        raise bad_parameter("Category invalid")
    start, end = time_span(call, DAY_MS)
    symbol = call.text("symbol")
    rows = [
        row
        for row in reversed(call.books.closed[call.account.uid])
        if row.category is category
        and symbol in ("", row.symbol)
        and start <= row.updated_ms <= end
    ]
    found = page(call, rows, lambda row: str(row.serial), default=50, most=100)
    return Reply(
        {
            "category": category,
            "list": [closed_position_row(row) for row in found.rows],
            "nextPageCursor": found.cursor,
        }
    )


ENDPOINTS: Mapping[tuple[str, str], Endpoint] = {
    ("GET", Path.POSITIONS): Endpoint(positions),
    ("POST", Path.SWITCH_MODE): Endpoint(switch_mode, trades=True),
    ("POST", Path.SET_LEVERAGE): Endpoint(set_leverage, trades=True),
    ("GET", Path.CLOSED_PNL): Endpoint(closed_pnl),
    ("GET", Path.CLOSED_POSITIONS): Endpoint(closed_positions),
}
