"""Public REST paths: time, contracts, tickers, books."""

from collections.abc import Mapping

from ..vocab import Category, InstrumentStatus, Path
from .calls import Call, Endpoint, Reply, page
from .encode import text
from .encode_market import instrument_row, levels, ticker_row
from .instruments import Instrument
from .refusals import bad_parameter

BOOK_LIMITS = {
    Category.LINEAR: (25, 500),
    Category.INVERSE: (25, 500),
    Category.SPOT: (1, 200),
    Category.OPTION: (1, 25),
}


def time(call: Call) -> Reply:
    now = call.venue.server_ms()
    return Reply({"timeSecond": str(now // 1000), "timeNano": str(now * 1_000_000)})


def instruments_info(call: Call) -> Reply:
    category = call.category()
    status = call.text("status") or InstrumentStatus.TRADING
    wanted = [i for i in _chosen(call, category) if i.status == status]
    found = page(call, wanted, lambda i: i.symbol, default=500, most=1000)
    result = {"category": category, "list": [instrument_row(i) for i in found.rows]}
    # Spot has no pages (Bybit V5: market/instrument).
    if category is not Category.SPOT:
        result["nextPageCursor"] = found.cursor
    return Reply(result)


def _chosen(call: Call, category: Category) -> list[Instrument]:
    listing = call.venue.market.listing
    if symbol := call.text("symbol"):
        return [listing.get(category, symbol)]
    base = call.text("baseCoin")
    return [i for i in listing.of(category) if not base or i.base == base]


def tickers(call: Call) -> Reply:
    category = call.category()
    if category is Category.OPTION and not (call.text("symbol") or call.text("baseCoin")):
        raise bad_parameter("symbol or baseCoin is required")
    market, now = call.venue.market, call.venue.now_ms()
    rows = [ticker_row(market.quote(i.category, i.symbol), now) for i in _chosen(call, category)]
    return Reply({"category": category, "list": rows})


def orderbook(call: Call) -> Reply:
    category, symbol = call.category(), call.required("symbol")
    book = call.venue.engine.book_of(category, symbol)
    quote = call.venue.market.quote(category, symbol)
    default, most = BOOK_LIMITS[category]
    limit = call.number("limit") or default
    if limit > most:
        raise bad_parameter(f"limit invalid, must be in [1, {most}]")
    return Reply(
        {
            "s": symbol,
            "b": levels(book.bids, limit),
            "a": levels(book.asks, limit),
            "ts": call.venue.now_ms(),
            "u": quote.seq,
            "seq": quote.seq,
            "cts": call.venue.now_ms(),
        }
    )


def price_limit(call: Call) -> Reply:
    category = call.category() if call.text("category") else Category.LINEAR
    quote = call.venue.market.quote(category, call.required("symbol"))
    low, high = quote.instrument.band(quote.mark)
    return Reply(
        {
            "symbol": quote.instrument.symbol,
            "buyLmt": text(high),
            "sellLmt": text(low),
            "ts": str(call.venue.now_ms()),
        }
    )


ENDPOINTS: Mapping[tuple[str, str], Endpoint] = {
    ("GET", Path.TIME): Endpoint(time, signed=False),
    ("GET", Path.INSTRUMENTS): Endpoint(instruments_info, signed=False),
    ("GET", Path.TICKERS): Endpoint(tickers, signed=False),
    ("GET", Path.ORDERBOOK): Endpoint(orderbook, signed=False),
    ("GET", Path.PRICE_LIMIT): Endpoint(price_limit, signed=False),
}
