"""Public frames as each category's channel spells them."""

from collections.abc import Mapping
from typing import Any

import orjson

from ..vocab import Category
from .encode_market import best_quote_data
from .quotes import Quote

# Every push is whole here; the others send a snapshot first and then what changed.
SNAPSHOT_ONLY = frozenset({Category.SPOT, Category.OPTION})


def ticker_frame(topic: str, kind: str, data: Mapping[str, Any], quote: Quote, at_ms: int) -> str:
    """Of `tickers.{symbol}`: option has an id and no cross sequence."""
    frame: dict[str, Any] = {"topic": topic, "type": kind, "ts": at_ms, "data": data}
    if quote.instrument.category is Category.OPTION:
        frame["id"] = f"{topic}-{quote.seq}-{at_ms}"
    else:
        frame["cs"] = quote.seq
    return orjson.dumps(frame).decode()


def book_frame(topic: str, quote: Quote, update: int, at_ms: int) -> str:
    """Of `orderbook.1.{symbol}`."""
    frame = {
        "topic": topic,
        "ts": at_ms,
        "type": "snapshot",
        "data": best_quote_data(quote, update),
        "cts": at_ms,
    }
    return orjson.dumps(frame).decode()
