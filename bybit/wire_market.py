"""Market data as Bybit V5 sends it over REST: server time, instruments, tickers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from .fields import (
    Raw,
    WireError,
    integer,
    mapping_or_empty,
    moment,
    moment_or_none,
    number,
    number_if_given,
    number_or_none,
    text,
    text_or_empty,
)


def read_server_time(row: Raw) -> datetime:
    """Bybit V5: market/time."""
    return moment({"timeNano": integer(row, "timeNano") // 1_000_000}, "timeNano")


@dataclass(frozen=True, slots=True)
class InstrumentRow:
    """Bybit V5: market/instruments-info, all categories; None where the category has no such field.

    Spot has `basePrecision` for its step and counts limits in the base coin.
    """

    symbol: str
    status: str
    base_coin: str
    quote_coin: str
    settle_coin: str
    tick_size: Decimal | None
    quantity_step: Decimal | None
    min_quantity: Decimal | None
    max_quantity: Decimal | None
    max_market_quantity: Decimal | None
    min_value: Decimal | None
    delivery_time: datetime | None


def read_instrument(row: Raw) -> InstrumentRow:
    lots = mapping_or_empty(row.get("lotSizeFilter"))
    step = number_or_none(lots, "qtyStep")
    market_maximum = number_or_none(lots, "maxMktOrderQty")
    if market_maximum is None:
        market_maximum = number_or_none(lots, "maxMarketOrderQty")
    value = number_or_none(lots, "minNotionalValue")
    return InstrumentRow(
        symbol=text(row, "symbol"),
        status=text(row, "status"),
        base_coin=text_or_empty(row, "baseCoin"),
        quote_coin=text_or_empty(row, "quoteCoin"),
        settle_coin=text_or_empty(row, "settleCoin"),
        tick_size=number_or_none(mapping_or_empty(row.get("priceFilter")), "tickSize"),
        quantity_step=step if step is not None else number_or_none(lots, "basePrecision"),
        min_quantity=number_or_none(lots, "minOrderQty"),
        max_quantity=number_or_none(lots, "maxOrderQty"),
        max_market_quantity=market_maximum,
        min_value=value if value is not None else number_or_none(lots, "minOrderAmt"),
        delivery_time=moment_or_none(row, "deliveryTime"),
    )


@dataclass(frozen=True, slots=True)
class TickerRow:
    """Bybit V5: market/tickers; also the body of a stream's ticker, where None means unchanged.

    `index` is `indexPrice` of a derivative and `usdIndexPrice` of a spot pair. All else that a
    ticker says is left unread: this is done for every frame of the stream.
    """

    symbol: str
    last: Decimal | None
    mark: Decimal | None
    index: Decimal | None


def read_ticker(row: Raw) -> TickerRow:
    """Prices are strict when present: a wrong one must not pass for an unchanged one."""
    index = number_if_given(row, "indexPrice")
    return TickerRow(
        symbol=text(row, "symbol"),
        last=number_if_given(row, "lastPrice"),
        mark=number_if_given(row, "markPrice"),
        index=index if index is not None else number_if_given(row, "usdIndexPrice"),
    )


@dataclass(frozen=True, slots=True)
class BookRow:
    """Bybit V5: market/orderbook; (price, quantity), best first, a side may be empty."""

    symbol: str
    bids: tuple[tuple[Decimal, Decimal], ...]
    asks: tuple[tuple[Decimal, Decimal], ...]
    at: datetime


def read_book(row: Raw) -> BookRow:
    return BookRow(text(row, "s"), _levels(row, "b"), _levels(row, "a"), moment(row, "ts"))


def _levels(row: Raw, side: str) -> tuple[tuple[Decimal, Decimal], ...]:
    found = row.get(side)
    if not isinstance(found, list):
        raise WireError(f"{side} is not a list")
    return tuple(_level(level) for level in found)


def _level(level: object) -> tuple[Decimal, Decimal]:
    if not isinstance(level, list) or len(level) != 2:
        raise WireError("a level of the book is no pair")
    named = {"price": level[0], "size": level[1]}
    return number(named, "price"), number(named, "size")
