"""The paper exchange's tickers to three subscribers: how late, and whether any frame is lost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import orjson
from positiond.bybit.paper.instruments import Instrument
from positiond.bybit.paper.listing import Listing
from positiond.bybit.paper.prices import PARTS
from positiond.bybit.paper.quotes import Quote
from positiond.bybit.paper.server import PaperServer
from positiond.bybit.vocab import Category, InstrumentStatus

from tests.bench.bare import Broadcast, serving
from tests.bench.crowd import Heard, Target, listening
from tests.bench.table import Row, Table, p50_p99, quantile

_SUBSCRIBERS = 3
# The exchange tells the parts of a round one after the other; so does its peer.
_EVERY = 0.1 / PARTS
_FEW = 40
_SECONDS_FEW, _SECONDS_ALL = 3.0, 8.0
# So long after the last price every frame has come.
_DRAIN = 0.7
# Bybit takes ten topics at once on the spot stream.
_TOPICS_AT_ONCE = 10
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
    symbols: int

    @property
    def frames_a_round(self) -> int:
        return round(self.frames / self.rounds / _SUBSCRIBERS)

    @property
    def cells(self) -> tuple[str, ...]:
        counts = (self.rounds, self.frames, self.dropped)
        return (*p50_p99(self.lags), *map(str, counts))


async def run() -> Table:
    rows: list[Row] = []
    for chosen, seconds in ((_few, _SECONDS_FEW), (_all, _SECONDS_ALL)):
        ours = await _exchange(chosen, seconds)
        peer = await _bare(ours.frames_a_round, seconds)
        ratio = quantile(ours.lags, 0.5) / quantile(peer.lags, 0.5)
        rows.append(Row(f"paper exchange, {ours.symbols} symbols", ours.cells, "bare", ratio))
        rows.append(Row("bare aiohttp broadcast, as many frames", peer.cells))
    return Table(
        f"paper exchange: tickers every 100 ms to {_SUBSCRIBERS} subscribers",
        ("lag p50 ms", "p99 ms", "parts", "frames", "dropped"),
        tuple(rows),
        (
            "lag from the due time of a part of a round to the subscriber, in a process of its "
            "own; all that is listed moves in both runs. The bare peer sends as many texts of the "
            "same form, encoded beforehand.",
            "after the last price, what every subscriber merged equals the exchange's quotes.",
        ),
    )


def _all(listing: Listing) -> list[Instrument]:
    return [i for i in listing.all() if i.status is InstrumentStatus.TRADING]


def _few(listing: Listing) -> list[Instrument]:
    return listing.of(Category.LINEAR)[:_FEW]


async def _exchange(choose: Callable[[Listing], Sequence[Instrument]], seconds: float) -> _Result:
    async with PaperServer(seed=5) as paper:
        instruments = choose(paper.venue.market.listing)
        targets = _targets(paper, instruments)
        async with listening(targets * _SUBSCRIBERS) as crowd:
            began, ended = await _let_run(seconds)
            paper.engine.paused = True
            await asyncio.sleep(_DRAIN)
            quotes = _by_category(paper, instruments).values()
    # A subscriber has one connection for each category.
    each = len(targets)
    subscribers = [crowd.heard[start : start + each] for start in range(0, len(crowd.heard), each)]
    for connections in subscribers:
        for heard, shown in zip(connections, quotes, strict=True):
            _merged_is_right(heard, shown)
    return _result(subscribers, began, ended)


def _targets(paper: PaperServer, instruments: Sequence[Instrument]) -> list[Target]:
    return [
        Target(f"{paper.ws_url}/v5/public/{category}", says=_subscribing(list(quotes)))
        for category, quotes in _by_category(paper, instruments).items()
    ]


def _by_category(
    paper: PaperServer, instruments: Sequence[Instrument]
) -> dict[Category, dict[str, Quote]]:
    """The quotes of now by category and symbol."""
    found: dict[Category, dict[str, Quote]] = {}
    for i in instruments:
        quote = paper.venue.market.quote(i.category, i.symbol)
        found.setdefault(i.category, {})[i.symbol] = quote
    return found


def _subscribing(symbols: Sequence[str]) -> list[str]:
    topics = [f"tickers.{symbol}" for symbol in symbols]
    return [
        orjson.dumps({"op": "subscribe", "args": topics[n : n + _TOPICS_AT_ONCE]}).decode()
        for n in range(0, len(topics), _TOPICS_AT_ONCE)
    ]


async def _bare(frames_a_round: int, seconds: float) -> _Result:
    broadcast = Broadcast()
    async with serving(broadcast.add_to) as url:
        target = Target(url.replace("http", "ws"))
        async with listening([target] * _SUBSCRIBERS) as crowd, asyncio.TaskGroup() as group:
            sending = group.create_task(broadcast.run(_round(frames_a_round), _EVERY))
            began, ended = await _let_run(seconds)
            await asyncio.sleep(_DRAIN)
            sending.cancel()
    return _result([[heard] for heard in crowd.heard], began, ended)


async def _let_run(seconds: float) -> tuple[float, float]:
    """Begin and end, in milliseconds of the wall clock, after a moment to settle."""
    await asyncio.sleep(0.5)
    began = time.time()
    await asyncio.sleep(seconds)
    return began * 1000, time.time() * 1000


def _round(frames: int) -> Callable[[int], list[str]]:
    """A round's texts for a time: deltas with the fields of a usual one."""
    data = {"indexPrice": "101290.44", "markPrice": "101248.73", "lastPrice": "101250.10"}
    data |= {"bid1Price": "101250.00", "bid1Size": "4.212", "ask1Price": "101250.10"}
    data |= {"ask1Size": "7.018", "openInterestValue": "5276218943.50", "volume24h": "69712.4410"}
    heads = [
        f'{{"topic":"tickers.C{n}USDT","type":"delta","cs":{n},"data":'
        f'{orjson.dumps({"symbol": f"C{n}USDT", **data}).decode()},"ts":'
        for n in range(frames)
    ]
    return lambda at_ms: [f"{head}{at_ms}}}" for head in heads]


def _result(
    subscribers: Sequence[Sequence[Sequence[Heard]]], began: float, ended: float
) -> _Result:
    """Of each subscriber what its connections heard; a symbol may stand in two categories."""
    lags: list[float] = []
    seen: list[set[tuple[int, str, int]]] = []
    for connections in subscribers:
        mine = set()
        for connection, heard in enumerate(connections):
            for at, frame in _tickers(heard):
                if began < frame["ts"] <= ended:
                    lags.append(at - frame["ts"] / 1000)
                    mine.add((connection, frame["topic"], frame["ts"]))
        seen.append(mine)
    told = set.union(*seen)
    assert told, "nobody heard anything"
    return _Result(
        lags,
        rounds=len({at_ms for _, _, at_ms in told}),
        frames=sum(map(len, seen)),
        dropped=sum(len(told - mine) for mine in seen),
        symbols=len({(connection, topic) for connection, topic, _ in told}),
    )


def _merged_is_right(heard: Sequence[Heard], quotes: Mapping[str, Quote]) -> None:
    state: dict[str, dict[str, str]] = {}
    for _, frame in _tickers(heard):
        state.setdefault(frame["data"]["symbol"], {}).update(frame["data"])
    assert state.keys() == quotes.keys()
    for symbol, merged in state.items():
        told = {name for name in _SHOWN if merged.get(name)}
        assert "lastPrice" in told or "markPrice" in told, merged
        for name in told:
            assert Decimal(merged[name]) == getattr(quotes[symbol], _SHOWN[name]), (name, merged)


def _tickers(heard: Sequence[Heard]) -> Iterator[tuple[float, dict[str, Any]]]:
    for one in heard:
        frame = orjson.loads(one.text)
        if "topic" in frame:
            yield one.at, frame
