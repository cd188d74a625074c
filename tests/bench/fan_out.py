"""The paper exchange's tickers to three subscribers: how late, and whether any frame is lost."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any
from unittest.mock import patch

import orjson
from positiond.bybit.paper import venue
from positiond.bybit.paper.instruments import Listing, default_listing
from positiond.bybit.paper.prices import Quote
from positiond.bybit.paper.server import PaperServer

from tests.bench.bare import Broadcast, serving
from tests.bench.crowd import Crowd, Heard, Target, listening
from tests.bench.stage import LINEAR
from tests.bench.table import Row, Table, p50_p99, quantile

_SUBSCRIBERS = 3
_EVERY = 0.1
_SECONDS = {40: 3.0, 500: 8.0}
# So long after the last price every frame has come.
_DRAIN = 0.7
# The share of symbols whose quote changes in a round, as on the exchange.
_MOVING = 0.6
_SHOWN = {
    "markPrice": "mark",
    "indexPrice": "index",
    "lastPrice": "last",
    "bid1Price": "bid",
    "ask1Price": "ask",
}


@dataclass(frozen=True, slots=True)
class _Result:
    lags: list[float]
    """Seconds from a frame's own stamp, of whole milliseconds, to its receipt."""
    rounds: int
    frames: int
    dropped: int

    @property
    def cells(self) -> tuple[str, ...]:
        counts = (self.rounds, self.frames, self.dropped)
        return (*p50_p99(self.lags), *map(str, counts))


async def run() -> Table:
    rows: list[Row] = []
    for symbols, seconds in _SECONDS.items():
        listing = _listing(symbols)
        ours = await _exchange(listing, seconds)
        peer = await _bare(listing, seconds)
        ratio = quantile(ours.lags, 0.5) / quantile(peer.lags, 0.5)
        rows.append(Row(f"paper exchange, {symbols} symbols", ours.cells, "bare", ratio))
        rows.append(Row(f"bare aiohttp broadcast, {symbols} symbols", peer.cells))
    return Table(
        f"paper exchange: tickers every 100 ms to {_SUBSCRIBERS} subscribers",
        ("lag p50 ms", "p99 ms", "rounds", "frames", "dropped"),
        tuple(rows),
        (
            "lag from the round's due time to the subscriber, in a process of its own; the bare "
            "peer sends as many texts of the same form, encoded beforehand.",
            "after the last price, what every subscriber merged equals the exchange's quotes.",
        ),
    )


def _listing(symbols: int) -> Listing:
    """The exchange's own contracts, repeated under new names."""
    listed = default_listing().of(LINEAR)
    made = [
        replace(listed[n % len(listed)], symbol=f"C{n}USDT", symbol_id=n) for n in range(symbols)
    ]
    return Listing(made)


async def _exchange(listing: Listing, seconds: float) -> _Result:
    topics = [f"tickers.{instrument.symbol}" for instrument in listing.all()]
    subscribe = orjson.dumps({"op": "subscribe", "args": topics}).decode()
    # The exchange lists what its file lists; here it lists more.
    with patch.object(venue, "default_listing", lambda: listing):
        async with PaperServer(seed=5) as paper:
            target = Target(f"{paper.ws_url}/v5/public/linear", says=[subscribe])
            async with listening([target] * _SUBSCRIBERS) as crowd:
                began, ended = await _let_run(seconds)
                paper.engine.paused = True
                await asyncio.sleep(_DRAIN)
                quotes = paper.venue.market.quotes(LINEAR)
    _merged_is_right(crowd, quotes)
    return _result(crowd, began, ended)


async def _bare(listing: Listing, seconds: float) -> _Result:
    broadcast = Broadcast()
    async with serving(broadcast.add_to) as url:
        target = Target(url.replace("http", "ws"))
        async with listening([target] * _SUBSCRIBERS) as crowd, asyncio.TaskGroup() as group:
            sending = group.create_task(broadcast.run(_rounds(listing), _EVERY))
            began, ended = await _let_run(seconds)
            await asyncio.sleep(_DRAIN)
            sending.cancel()
    return _result(crowd, began, ended)


async def _let_run(seconds: float) -> tuple[float, float]:
    """Begin and end, in milliseconds of the wall clock, after a moment to settle."""
    await asyncio.sleep(0.5)
    began = time.time()
    await asyncio.sleep(seconds)
    return began * 1000, time.time() * 1000


def _rounds(listing: Listing) -> Iterator[Callable[[int], list[str]]]:
    """Deltas with the fields of a usual one; only their number and their time are new."""
    rng, seq = random.Random(3), 0
    data = {"indexPrice": "101290.44", "markPrice": "101248.73", "lastPrice": "101250.10"}
    data |= {"bid1Price": "101250.00", "bid1Size": "4.212", "ask1Price": "101250.10"}
    data |= {"ask1Size": "7.018", "openInterestValue": "5276218943.50", "volume24h": "69712.4410"}
    encoded = {i.symbol: orjson.dumps({"symbol": i.symbol, **data}).decode() for i in listing.all()}

    def texts(symbols: Sequence[str], first: int, at_ms: int) -> list[str]:
        return [
            f'{{"topic":"tickers.{symbol}","type":"delta","data":{encoded[symbol]},'
            f'"cs":{first + n},"ts":{at_ms}}}'
            for n, symbol in enumerate(symbols)
        ]

    while True:
        moving = [symbol for symbol in encoded if rng.random() < _MOVING]
        yield lambda at_ms, moving=moving, first=seq: texts(moving, first, at_ms)  # type: ignore[misc]  # defaults bind the round
        seq += len(moving)


def _result(crowd: Crowd, began: float, ended: float) -> _Result:
    lags: list[float] = []
    seen: list[set[tuple[str, int]]] = []
    rounds: set[int] = set()
    for heard in crowd.heard:
        mine = set()
        for at, frame in _tickers(heard):
            if began < frame["ts"] <= ended:
                lags.append(at - frame["ts"] / 1000)
                mine.add((frame["topic"], frame["cs"]))
                rounds.add(frame["ts"])
        seen.append(mine)
    told = set.union(*seen)
    assert told, "nobody heard anything"
    dropped = sum(len(told - mine) for mine in seen)
    return _Result(lags, len(rounds), sum(map(len, seen)), dropped)


def _merged_is_right(crowd: Crowd, quotes: Sequence[Quote]) -> None:
    for heard in crowd.heard:
        state: dict[str, dict[str, str]] = {}
        for _, frame in _tickers(heard):
            state.setdefault(frame["data"]["symbol"], {}).update(frame["data"])
        for quote in quotes:
            merged = state[quote.instrument.symbol]
            for name, attribute in _SHOWN.items():
                assert Decimal(merged[name]) == getattr(quote, attribute), (merged, quote)


def _tickers(heard: Sequence[Heard]) -> Iterator[tuple[float, dict[str, Any]]]:
    for one in heard:
        frame = orjson.loads(one.text)
        if "topic" in frame:
            yield one.at, frame
