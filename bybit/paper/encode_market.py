"""Public rows as Bybit V5 spells them: contracts, tickers, books."""

from collections.abc import Sequence
from typing import Any

from .book import Level
from .encode import Row, text
from .instruments import Instrument
from .prices import Quote


def instrument_row(i: Instrument) -> Row:
    """As in market/instruments-info for linear contracts."""
    return {
        "symbol": i.symbol,
        "symbolId": i.symbol_id,
        "contractType": i.contract_type,
        "status": i.status,
        "baseCoin": i.base,
        "quoteCoin": i.quote,
        "launchTime": str(i.launch_ms),
        "deliveryTime": "0",
        "deliveryFeeRate": "",
        "priceScale": str(i.price_scale),
        "leverageFilter": {
            "minLeverage": "1",
            "maxLeverage": text(i.max_leverage),
            "leverageStep": "0.01",
        },
        "priceFilter": {
            "minPrice": text(i.tick),
            "maxPrice": text(i.tick * 19_999_998),
            "tickSize": text(i.tick),
        },
        "lotSizeFilter": {
            "maxOrderQty": text(i.max_order_qty),
            "minOrderQty": text(i.min_qty),
            "qtyStep": text(i.step),
            "postOnlyMaxOrderQty": text(i.max_order_qty),
            "maxMktOrderQty": text(i.max_market_qty),
            "minNotionalValue": text(i.min_notional),
        },
        "unifiedMarginTrade": True,
        "fundingInterval": i.funding_minutes,
        "settleCoin": i.settle,
        "copyTrading": "both",
        "upperFundingRate": text(i.funding_cap),
        "lowerFundingRate": text(-i.funding_cap),
        "isPreListing": False,
        "preListingInfo": None,
        "riskParameters": {
            "priceLimitRatioX": text(i.band_x),
            "priceLimitRatioY": text(i.band_y),
        },
        "symbolType": "",
    }


def next_funding_ms(i: Instrument, now_ms: int) -> int:
    """0 where nothing is funded."""
    if not i.funding_minutes:
        return 0
    interval = i.funding_minutes * 60_000
    return (now_ms // interval + 1) * interval


def ticker(quote: Quote, now_ms: int) -> Row:
    """What the REST row and the stream's snapshot have in common."""
    i = quote.instrument
    change = (quote.last - quote.prev_24h) / quote.prev_24h
    return {
        "symbol": i.symbol,
        "lastPrice": text(quote.last),
        "markPrice": text(quote.mark),
        "indexPrice": text(quote.index),
        "prevPrice24h": text(quote.prev_24h),
        "price24hPcnt": f"{change:.6f}",
        "highPrice24h": text(quote.high_24h),
        "lowPrice24h": text(quote.low_24h),
        "prevPrice1h": text(quote.prev_1h),
        "openInterest": text(quote.open_interest),
        "openInterestValue": f"{quote.open_interest * quote.mark:.2f}",
        "turnover24h": f"{quote.volume * quote.prev_24h:.4f}",
        "volume24h": f"{quote.volume:.4f}",
        "fundingIntervalHour": str(i.funding_minutes // 60),
        "fundingCap": text(i.funding_cap),
        "fundingRate": text(quote.funding_rate),
        "nextFundingTime": str(next_funding_ms(i, now_ms)),
        "bid1Price": text(quote.bid),
        "bid1Size": text(quote.bid_size),
        "ask1Price": text(quote.ask),
        "ask1Size": text(quote.ask_size),
        "preOpenPrice": "",
        "preQty": "",
        "curPreListingPhase": "",
    }


def ticker_row(quote: Quote, now_ms: int) -> Row:
    """As in market/tickers for linear contracts."""
    return {
        **ticker(quote, now_ms),
        "predictedDeliveryPrice": "",
        "basisRate": "",
        "deliveryFeeRate": "",
        "deliveryTime": "0",
        "basis": "",
        "basisRateYear": "",
    }


def ticker_frame_data(quote: Quote, now_ms: int) -> Row:
    """As in the snapshot of `tickers.{symbol}`; a delta carries what changed of it."""
    return {"tickDirection": quote.tick_direction, **ticker(quote, now_ms)}


def levels(side: Sequence[Level], limit: int) -> list[list[str]]:
    return [[text(level.price), text(level.qty)] for level in side[:limit]]


def best_quote_data(quote: Quote, update: int) -> dict[str, Any]:
    """As in `orderbook.1.{symbol}`, which is always a snapshot."""
    return {
        "s": quote.instrument.symbol,
        "b": [[text(quote.bid), text(quote.bid_size)]],
        "a": [[text(quote.ask), text(quote.ask_size)]],
        "u": update,
        "seq": quote.seq,
    }
