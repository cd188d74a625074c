"""Public REST paths: time, contracts, tickers, books."""

from collections.abc import Mapping
from decimal import ROUND_DOWN, ROUND_UP

from ..vocab import Category, InstrumentStatus, Path
from .calls import Call, Endpoint, Reply, page
from .encode import text
from .encode_market import instrument_row, levels, ticker_row
from .instruments import Instrument
from .refusals import bad_parameter
from .rules import read_enum

FUTURES = (Category.LINEAR, Category.INVERSE)
SHOWN = frozenset({InstrumentStatus.TRADING})
SHOWN_OPTIONS = frozenset(
    {InstrumentStatus.PRE_LAUNCH, InstrumentStatus.TRADING, InstrumentStatus.DELIVERING}
)
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
    wanted = [i for i in _chosen(call, category) if i.status in _statuses(call, category)]
    if category is Category.SPOT:
        # Spot has no pages (Bybit V5: market/instrument).
        return Reply({"category": category, "list": [instrument_row(i) for i in wanted]})
    found = page(call, wanted, lambda i: i.symbol, default=500, most=1000)
    return Reply(
        {
            "category": category,
            "list": [instrument_row(i) for i in found.rows],
            "nextPageCursor": found.cursor,
        }
    )


def _statuses(call: Call, category: Category) -> frozenset[str]:
    """What is shown unless asked otherwise: contracts that trade; options before and after."""
    if status := call.text("status"):
        return frozenset({read_enum(InstrumentStatus, status, "status")})
    return SHOWN_OPTIONS if category is Category.OPTION else SHOWN


def _chosen(call: Call, category: Category) -> list[Instrument]:
    listing = call.venue.market.listing
    if symbol := call.text("symbol"):
        return [listing.get(category, symbol)]
    base = call.text("baseCoin")
    if category is Category.OPTION:
        base = base or "BTC"
    if base and category in FUTURES:
        # With a base coin both kinds come back, whichever was asked for.
        return [i for kind in FUTURES for i in listing.of(kind) if i.base == base]
    return [i for i in listing.of(category) if not base or i.base == base]


def tickers(call: Call) -> Reply:
    category = call.category()
    market, now = call.venue.market, call.venue.now_ms()
    if symbol := call.text("symbol"):
        chosen = [market.listing.get(category, symbol)]
    else:
        base, day = call.text("baseCoin"), call.text("expDate")
        if category is Category.OPTION and not base:
            raise bad_parameter("symbol or baseCoin is required")
        chosen = [
            i
            for i in market.listing.of(category)
            if i.is_trading and base in ("", i.base) and (not day or f"-{day}-" in i.symbol)
        ]
    rows = [ticker_row(market.quote(i.category, i.symbol), now) for i in chosen]
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
    tick = quote.instrument.tick
    low, high = quote.instrument.limits(quote.mark)
    return Reply(
        {
            "symbol": quote.instrument.symbol,
            "buyLmt": text((high / tick).to_integral_value(ROUND_DOWN) * tick),
            "sellLmt": text((low / tick).to_integral_value(ROUND_UP) * tick),
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
