"""Public rows as Bybit V5 spells them, category by category: contracts, tickers, books."""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, assert_never

from ..vocab import Category
from .book import Level
from .encode import Row, text
from .instruments import Instrument
from .quotes import Greeks, Quote

YEAR_MS = 365 * 86_400_000
NO_GREEKS = Greeks(*[Decimal(0)] * 8)


def instrument_row(i: Instrument) -> Row:
    """As in market/instruments-info."""
    match i.category:
        case Category.LINEAR | Category.INVERSE:
            return _contract_row(i)
        case Category.SPOT:
            return _spot_row(i)
        case Category.OPTION:
            return _option_row(i)
        case _:
            assert_never(i.category)


def _contract_row(i: Instrument) -> Row:
    lots = {
        "maxOrderQty": text(i.max_order_qty),
        "minOrderQty": text(i.min_qty),
        "qtyStep": text(i.step),
        "postOnlyMaxOrderQty": text(i.max_order_qty),
        "maxMktOrderQty": text(i.max_market_qty),
        "minNotionalValue": text(i.min_notional),
    }
    return {
        "symbol": i.symbol,
        "symbolId": i.symbol_id,
        "contractType": i.contract_type,
        "status": i.status,
        "baseCoin": i.base,
        "quoteCoin": i.quote,
        "launchTime": str(i.launch_ms),
        "deliveryTime": str(i.delivery_ms),
        "deliveryFeeRate": text(i.delivery_fee) if i.delivery_ms else "",
        "priceScale": str(i.price_scale),
        "leverageFilter": {
            "minLeverage": "1",
            "maxLeverage": text(i.max_leverage),
            "leverageStep": "0.01",
        },
        "priceFilter": _price_filter(i),
        "lotSizeFilter": lots,
        "unifiedMarginTrade": True,
        "fundingInterval": i.funding_minutes,
        "settleCoin": i.settle,
        "copyTrading": "both" if i.can_hedge else "none",
        "upperFundingRate": text(i.funding_cap),
        "lowerFundingRate": text(-i.funding_cap),
        "isPreListing": False,
        "preListingInfo": None,
        "riskParameters": _risk(i),
        "symbolType": "",
    }


def _spot_row(i: Instrument) -> Row:
    lots = {
        "basePrecision": text(i.step),
        "quotePrecision": text(i.quote_step),
        "minOrderQty": text(i.min_qty),
        "maxOrderQty": text(i.max_order_qty),
        "minOrderAmt": text(i.min_notional),
        "maxOrderAmt": text(i.max_amount),
        "maxLimitOrderQty": text(i.max_order_qty),
        "maxMarketOrderQty": text(i.max_market_qty),
        "postOnlyMaxLimitOrderSize": text(i.max_order_qty),
    }
    return {
        "symbolId": i.symbol_id,
        "symbol": i.symbol,
        "baseCoin": i.base,
        "quoteCoin": i.quote,
        "innovation": "0",
        "status": i.status,
        # No loans here: spot can never be short.
        "marginTrading": "none",
        "stTag": "0",
        "lotSizeFilter": lots,
        "priceFilter": {"tickSize": text(i.tick)},
        "riskParameters": _risk(i),
        "symbolType": "",
    }


def _option_row(i: Instrument) -> Row:
    lots = {
        "maxOrderQty": text(i.max_order_qty),
        "minOrderQty": text(i.min_qty),
        "qtyStep": text(i.step),
    }
    base, day, strike, kind = i.symbol.split("-")[:4]
    return {
        "symbol": i.symbol,
        "status": i.status,
        "baseCoin": i.base,
        "quoteCoin": i.quote,
        "settleCoin": i.settle,
        "optionsType": i.option.kind if i.option else "",
        "launchTime": str(i.launch_ms),
        "deliveryTime": str(i.delivery_ms),
        "deliveryFeeRate": text(i.delivery_fee),
        "priceFilter": _price_filter(i),
        "lotSizeFilter": lots,
        "displayName": f"{base}{i.settle}-{day}-{strike}-{kind}",
    }


def _price_filter(i: Instrument) -> Row:
    return {
        "minPrice": text(i.tick),
        "maxPrice": text(i.tick * 19_999_998),
        "tickSize": text(i.tick),
    }


def _risk(i: Instrument) -> Row:
    return {"priceLimitRatioX": text(i.band_x), "priceLimitRatioY": text(i.band_y)}


def next_funding_ms(i: Instrument, now_ms: int) -> int:
    """0 where nothing is funded."""
    if not i.funding_minutes:
        return 0
    interval = i.funding_minutes * 60_000
    return (now_ms // interval + 1) * interval


def ticker_row(quote: Quote, now_ms: int) -> Row:
    """As in market/tickers."""
    match quote.instrument.category:
        case Category.LINEAR | Category.INVERSE:
            return {**_contract_ticker(quote, now_ms), **_delivery(quote, now_ms)}
        case Category.SPOT:
            return {**_spot_ticker(quote), **_best(quote)}
        case Category.OPTION:
            return _option_ticker(quote)
        case _:
            assert_never(quote.instrument.category)


def ticker_frame_data(quote: Quote, now_ms: int) -> Row:
    """As in a snapshot of `tickers.{symbol}`; a contract's deltas carry what changed of it."""
    match quote.instrument.category:
        case Category.LINEAR | Category.INVERSE:
            return _contract_frame(quote, now_ms)
        case Category.SPOT:
            return _spot_ticker(quote)
        case Category.OPTION:
            return _option_frame(quote)
        case _:
            assert_never(quote.instrument.category)


def _day(quote: Quote) -> Row:
    """The statistics of 24 hours that every category has."""
    i = quote.instrument
    before, volume = quote.prev_24h, quote.volume
    turnover = volume / before if i.is_inverse else volume * before
    return {
        "lastPrice": text(quote.last),
        "highPrice24h": text(quote.high_24h),
        "lowPrice24h": text(quote.low_24h),
        "volume24h": f"{volume:.4f}",
        "turnover24h": f"{turnover:.4f}",
    }


def _change(quote: Quote) -> str:
    return f"{(quote.last - quote.prev_24h) / quote.prev_24h:.6f}"


def _best(quote: Quote) -> Row:
    return {
        "bid1Price": text(quote.bid),
        "bid1Size": text(quote.bid_size),
        "ask1Price": text(quote.ask),
        "ask1Size": text(quote.ask_size),
    }


def _contract_ticker(quote: Quote, now_ms: int) -> Row:
    i = quote.instrument
    held = quote.open_interest
    funding = next_funding_ms(i, now_ms)
    funded = {
        "fundingIntervalHour": str(i.funding_minutes // 60) if funding else "",
        "fundingCap": text(i.funding_cap) if funding else "",
        "fundingRate": text(quote.funding_rate) if funding else "",
        "nextFundingTime": str(funding) if funding else "",
    }
    return {
        "symbol": i.symbol,
        "markPrice": text(quote.mark),
        "indexPrice": text(quote.index),
        "prevPrice24h": text(quote.prev_24h),
        "price24hPcnt": _change(quote),
        "prevPrice1h": text(quote.prev_1h),
        "openInterest": text(held),
        "openInterestValue": f"{held / quote.mark if i.is_inverse else held * quote.mark:.2f}",
        **_day(quote),
        **funded,
        **_best(quote),
        "preOpenPrice": "",
        "preQty": "",
        "curPreListingPhase": "",
    }


def _delivery(quote: Quote, now_ms: int) -> Row:
    """What REST adds of a future; empty for a perpetual."""
    i = quote.instrument
    if not i.delivery_ms:
        names = ("predictedDeliveryPrice", "basisRate", "deliveryFeeRate", "basis", "basisRateYear")
        return {**dict.fromkeys(names, ""), "deliveryTime": "0"}
    basis, rate, yearly = _basis(quote, now_ms)
    return {
        "predictedDeliveryPrice": text(quote.predicted),
        "basisRate": rate,
        "deliveryFeeRate": text(i.delivery_fee),
        "deliveryTime": str(i.delivery_ms),
        "basis": basis,
        "basisRateYear": yearly,
    }


def _basis(quote: Quote, now_ms: int) -> tuple[str, str, str]:
    """Last less index, its rate and the rate on a year; the last two to eight decimals."""
    basis = quote.last - quote.index
    rate = basis / quote.index
    left = max(quote.instrument.delivery_ms - now_ms, 1)
    return text(basis), f"{rate:.8f}", f"{rate * YEAR_MS / left:.8f}"


def _contract_frame(quote: Quote, now_ms: int) -> Row:
    i = quote.instrument
    shown = {"tickDirection": quote.tick_direction, **_contract_ticker(quote, now_ms)}
    if not i.delivery_ms:
        return shown
    # Dated futures show their delivery as ISO text here, and nothing of a pre-market.
    for name in ("preOpenPrice", "preQty", "curPreListingPhase", "fundingIntervalHour"):
        del shown[name]
    del shown["fundingCap"]
    delivered = datetime.fromtimestamp(i.delivery_ms / 1000, UTC)
    return {
        **shown,
        **_delivery(quote, now_ms),
        "deliveryTime": delivered.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def _spot_ticker(quote: Quote) -> Row:
    return {
        "symbol": quote.instrument.symbol,
        "prevPrice24h": text(quote.prev_24h),
        "price24hPcnt": _change(quote),
        **_day(quote),
        "usdIndexPrice": text(quote.usd_index),
    }


def _option_both(quote: Quote) -> Row:
    greeks = quote.greeks or NO_GREEKS
    day = _day(quote)
    return {
        "symbol": quote.instrument.symbol,
        **day,
        "markPrice": text(quote.mark),
        "indexPrice": text(quote.index),
        "underlyingPrice": text(greeks.underlying),
        "openInterest": text(quote.open_interest),
        "totalVolume": day["volume24h"],
        "totalTurnover": day["turnover24h"],
        "delta": text(greeks.delta),
        "gamma": text(greeks.gamma),
        "vega": text(greeks.vega),
        "theta": text(greeks.theta),
        "predictedDeliveryPrice": text(quote.predicted),
        "change24h": _change(quote),
    }


def _option_ticker(quote: Quote) -> Row:
    greeks = quote.greeks or NO_GREEKS
    ivs = {"bid1Iv": greeks.bid_iv, "ask1Iv": greeks.ask_iv, "markIv": greeks.mark_iv}
    return {
        **_option_both(quote),
        **_best(quote),
        **{name: text(iv) for name, iv in ivs.items()},
    }


def _option_frame(quote: Quote) -> Row:
    """The names differ from those of REST (Bybit V5: websocket/public/ticker)."""
    greeks = quote.greeks or NO_GREEKS
    return {
        **_option_both(quote),
        "bidPrice": text(quote.bid),
        "bidSize": text(quote.bid_size),
        "bidIv": text(greeks.bid_iv),
        "askPrice": text(quote.ask),
        "askSize": text(quote.ask_size),
        "askIv": text(greeks.ask_iv),
        "markPriceIv": text(greeks.mark_iv),
    }


def levels(side: Sequence[Level], limit: int) -> list[list[str]]:
    return [[text(level.price), text(level.qty)] for level in side[:limit]]


def best_quote_data(quote: Quote, update: int) -> dict[str, Any]:
    """As in `orderbook.1.{symbol}`, which is always a snapshot; a side may be empty."""
    return {
        "s": quote.instrument.symbol,
        "b": [[text(quote.bid), text(quote.bid_size)]] if quote.bid else [],
        "a": [[text(quote.ask), text(quote.ask_size)]] if quote.ask else [],
        "u": update,
        "seq": quote.seq,
    }
