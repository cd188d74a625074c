"""REST paths of positions."""

from collections.abc import Mapping

from ..vocab import Category, Path, PositionMode
from .books import Books
from .calls import DAY_MS, Call, Endpoint, Reply, page, time_span
from .encode import closed_pnl_row
from .encode_records import closed_position_row
from .model import Position, Uid
from .private_rows import listed_row
from .refusals import Refused, bad_parameter, missing_filter
from .rights import check_trade


def positions(call: Call) -> Reply:
    """By symbol flat rows too, by settleCoin only what is held (Bybit V5: position/list)."""
    category = call.category()
    if category is Category.SPOT:
        raise bad_parameter("Category invalid")
    found = page(
        call, _chosen(call, category), lambda p: f"{p.symbol}-{p.idx}", default=20, most=200
    )
    return Reply(
        {
            "category": category,
            "list": [listed_row(call.venue, p) for p in found.rows],
            "nextPageCursor": found.cursor,
        }
    )


def _chosen(call: Call, category: Category) -> list[Position]:
    books, uid, market = call.books, call.account.uid, call.venue.market
    if symbol := call.text("symbol"):
        market.listing.get(category, symbol)
        return positions_on(books, uid, category, symbol)
    coin, base = call.text("settleCoin"), call.text("baseCoin")
    if category is Category.LINEAR and not coin:
        raise missing_filter()
    held = [p for p in books.held(uid) if p.category is category]
    if category is not Category.OPTION:
        base = ""  # a filter of options alone
    return sorted(
        (
            p
            for p in held
            if coin in ("", market.listing.get(category, p.symbol).settle)
            and base in ("", market.listing.get(category, p.symbol).base)
        ),
        key=lambda p: (p.symbol, p.idx),
    )


def positions_on(books: Books, uid: Uid, category: Category, symbol: str) -> list[Position]:
    """The rows of one symbol: one in one-way mode, a long and a short in hedge mode."""
    hedged = category is Category.LINEAR and books.mode(uid, symbol) is PositionMode.HEDGE
    return [books.position(uid, category, symbol, idx) for idx in ((1, 2) if hedged else (0,))]


def switch_mode(call: Call) -> Reply:
    """For one symbol, or for all perpetuals of a coin (Bybit V5: position/switch-mode)."""
    symbol, coin = call.text("symbol"), call.text("coin")
    if call.category() not in (Category.LINEAR, Category.INVERSE):
        raise bad_parameter("Category invalid")
    if call.category() is Category.INVERSE:
        raise Refused(110029, "Hedge mode is not supported for this symbol")
    if symbol:
        check_trade(call.account, call.instrument(), "ContractTrade.Position")
    wanted = call.number("mode")
    if wanted not in (PositionMode.ONE_WAY, PositionMode.HEDGE):
        raise bad_parameter("mode invalid")
    mode = PositionMode(wanted)
    call.venue.engine.switch_mode(call.account.uid, mode, symbol=symbol, coin=coin)
    call.venue.commit()
    return Reply({})


def set_leverage(call: Call) -> Reply:
    i = call.instrument()
    check_trade(call.account, i, "ContractTrade.Position")
    buy, sell = call.decimal("buyLeverage"), call.decimal("sellLeverage")
    venue = call.venue
    venue.engine.set_leverage(call.account.uid, i.category, i.symbol, buy, sell, venue.now_ms())
    venue.commit()
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
