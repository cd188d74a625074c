"""From a close request to its 202, and to the exchange's receipt of every leg's order."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any
from unittest.mock import patch

from positiond.bybit.paper.engine import Engine
from positiond.bybit.paper.instruments import Instrument
from positiond.bybit.paper.model import Order, Uid
from positiond.bybit.paper.rules import OrderRequest
from positiond.bybit.paper.server import PaperAccount, PaperServer
from positiond.daemon.domain.model import Position
from pybit import _http_manager, unified_trading

from tests.bench.stage import LINEAR, Stage, a_stage, small_quantity
from tests.bench.table import Row, Table, p50_p99, quantile

# Legs of each account's positions. Those of ten fill Bybit's ten orders a second to the brim, so
# that many accounts take turns with them.
_LEGS = (2, 2, 4, 4, 10, 10, 10, 10, 10)
_PER_ACCOUNT = 10
_WITHIN = 20.0


@dataclass
class _Race:
    """Seconds from the request on: to its answer, to the first order's arrival, to the last's."""

    answered: list[float] = field(default_factory=list)
    first: list[float] = field(default_factory=list)
    last: list[float] = field(default_factory=list)

    def note(self, began: float, arrived: Sequence[float], answered: float | None = None) -> None:
        if answered is not None:
            self.answered.append(answered - began)
        self.first.append(arrived[0] - began)
        self.last.append(arrived[-1] - began)

    def cells(self) -> tuple[str, ...]:
        spread = [last - first for first, last in zip(self.first, self.last, strict=True)]
        answered = p50_p99(self.answered) if self.answered else ("", "")
        return (*answered, *p50_p99(self.last), p50_p99(spread)[0])


async def run() -> Table:
    async with a_stage(len(_LEGS)) as stage:
        positions = await _hold(stage)
        await stage.until_in_sync(len(positions))
        arrivals = _Arrivals(stage.paper.engine)
        ours: dict[int, _Race] = defaultdict(_Race)
        peers: dict[int, _Race] = defaultdict(_Race)
        with (
            patch.object(stage.paper.engine, "place", arrivals.place),
            _sdks(stage.paper) as sdks,
        ):
            for position, sdk in zip(positions, sdks, strict=False):
                legs = len(position.components)
                await _close(stage, position, arrivals, ours[legs])
                await sdk.buy(stage.listed[:legs], arrivals, peers[legs])
        await stage.until_closed(positions, within=30)
    return Table(
        f"close sent: request to 202 and to the last order's arrival, {len(positions)} closes "
        "one by one",
        ("202 p50 ms", "p99 ms", "orders p50 ms", "p99 ms", "first to last p50 ms"),
        tuple(row for legs in sorted(ours) for row in _rows(legs, ours[legs], peers[legs])),
        (
            "positiond commits the request, re-reads every size, signs and stores every order, "
            "then sends all legs at once; pybit sends one order after another and stores nothing.",
            "every close ended flat with one order per leg; of so few closes p99 is the slowest.",
        ),
    )


def _rows(legs: int, ours: _Race, peers: _Race) -> tuple[Row, Row]:
    peer = f"pybit place_order, {legs} legs"
    ratio = quantile(ours.last, 0.5) / quantile(peers.last, 0.5)
    name = f"positiond, {legs} legs, {len(ours.last)} closes"
    return Row(name, ours.cells(), "pybit", ratio), Row(peer, peers.cells())


async def _hold(stage: Stage) -> list[Position]:
    """Positions that share no bucket; the accounts take turns."""
    listed = stage.listed
    return [
        await stage.hold(trader, listed[n * legs : (n + 1) * legs])
        for n in range(_PER_ACCOUNT)
        for trader, legs in zip(stage.traders, _LEGS, strict=True)
        if (n + 1) * legs <= len(listed)
    ]


async def _close(stage: Stage, position: Position, arrivals: _Arrivals, race: _Race) -> None:
    (trader,) = [t for t in stage.traders if t.account.id == position.account_id]
    arrived = arrivals.of(trader.paper.uid)
    began = time.perf_counter()
    async with stage.http.post(f"/api/positions/{position.id}/close") as reply:
        text = await reply.text()
    answered = time.perf_counter()
    assert reply.status == 202, text
    await arrivals.last(trader.paper.uid, len(position.components))
    # Its fills and its verification are over before the next close begins.
    await stage.until_ended(position)
    assert len(arrived) == len(position.components), "one order per leg"
    race.note(began, arrived, answered)


class _Arrivals:
    """When the exchange accepted each account's orders, since last asked for."""

    def __init__(self, engine: Engine) -> None:
        self._at: dict[Uid, list[float]] = {}
        self._news = asyncio.Event()
        self._place = engine.place

    def place(self, uid: Uid, request: OrderRequest, now_ms: int) -> Order:
        """Stands before the engine's own."""
        order = self._place(uid, request, now_ms)
        self._at.setdefault(uid, []).append(time.perf_counter())
        self._news.set()
        return order

    def of(self, uid: Uid) -> list[float]:
        """A new list for the account's next orders."""
        self._at[uid] = []
        return self._at[uid]

    async def last(self, uid: Uid, count: int) -> None:
        """Until so many orders came; TimeoutError if they do not."""
        async with asyncio.timeout(_WITHIN):
            while len(self._at[uid]) < count:
                self._news.clear()
                await self._news.wait()


class _Sdk:
    """The official SDK with an account of its own, in a thread because it blocks."""

    def __init__(self, account: PaperAccount) -> None:
        self._uid = account.uid
        self._session: Any = unified_trading.HTTP(
            testnet=False, api_key=account.key, api_secret=account.secret
        )

    async def buy(
        self, instruments: Sequence[Instrument], arrivals: _Arrivals, race: _Race
    ) -> None:
        arrived = arrivals.of(self._uid)
        began = time.perf_counter()
        await asyncio.to_thread(self._place, instruments)
        assert len(arrived) == len(instruments)
        race.note(began, arrived)

    def close(self) -> None:
        self._session.client.close()

    def _place(self, instruments: Sequence[Instrument]) -> None:
        for instrument in instruments:
            self._session.place_order(
                category=LINEAR.value,
                symbol=instrument.symbol,
                side="Buy",
                orderType="Market",
                qty=str(small_quantity(instrument)),
            )


@contextmanager
def _sdks(paper: PaperServer) -> Iterator[Iterator[_Sdk]]:
    """As many as we have accounts, in turn for ever."""
    with patch.object(_http_manager, "HTTP_URL", paper.url):
        made = [_Sdk(paper.add_account(f"sdk {n}")) for n in range(len(_LEGS))]
    try:
        yield cycle(made)
    finally:
        for sdk in made:
            sdk.close()
