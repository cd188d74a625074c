"""From a close request to the exchange's receipt of the last leg's order."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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

# Two accounts for each kind of position, so that the orders stay below Bybit's ten a second.
_LEGS = (2, 2, 4, 4)
_WITHIN = 20.0


async def run() -> Table:
    async with a_stage(len(_LEGS)) as stage:
        positions = await _hold(stage)
        await stage.until_in_sync(len(positions))
        arrivals = _Arrivals(stage.paper.engine)
        ours: dict[int, list[float]] = {2: [], 4: []}
        peers: dict[int, list[float]] = {2: [], 4: []}
        with (
            patch.object(stage.paper.engine, "place", arrivals.place),
            _sdks(stage.paper) as sdks,
        ):
            for position, sdk in zip(positions, sdks, strict=False):
                legs = len(position.components)
                ours[legs].append(await _close(stage, position, arrivals))
                peers[legs].append(await sdk.buy(stage.listed[:legs], arrivals))
        await stage.until_closed(positions, within=30)
    return Table(
        f"close sent: request to the last order's arrival, {len(positions)} closes one by one",
        ("p50 ms", "p99 ms"),
        tuple(row for legs in ours for row in _rows(legs, ours[legs], peers[legs])),
        (
            "positiond commits the request, re-reads every size, signs and stores every order, "
            "then sends all legs at once; pybit sends one order after another and stores nothing.",
            "every close ended flat with one order per leg; of so few closes p99 is the slowest.",
        ),
    )


def _rows(legs: int, ours: Sequence[float], peers: Sequence[float]) -> tuple[Row, Row]:
    peer = f"pybit place_order, {legs} legs"
    ratio = quantile(ours, 0.5) / quantile(peers, 0.5)
    return Row(f"positiond, {legs} legs", p50_p99(ours), "pybit", ratio), Row(peer, p50_p99(peers))


async def _hold(stage: Stage) -> list[Position]:
    """Positions that share no bucket, of each kind in turn."""
    listed, most = stage.listed, max(_LEGS)
    return [
        await stage.hold(trader, listed[n : n + legs])
        for n in range(0, len(listed) - most + 1, most)
        for trader, legs in zip(stage.traders, _LEGS, strict=True)
    ]


async def _close(stage: Stage, position: Position, arrivals: _Arrivals) -> float:
    (trader,) = [t for t in stage.traders if t.account.id == position.account_id]
    arrived = arrivals.of(trader.paper.uid)
    began = time.perf_counter()
    async with stage.http.post(f"/api/positions/{position.id}/close") as reply:
        assert reply.status == 202, await reply.text()
    last = await arrivals.last(trader.paper.uid, len(position.components))
    # Its fills and its verification are over before the next close begins.
    await stage.until_ended(position)
    assert len(arrived) == len(position.components), "one order per leg"
    return last - began


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

    async def last(self, uid: Uid, count: int) -> float:
        """When the order number `count` came; TimeoutError if it does not."""
        async with asyncio.timeout(_WITHIN):
            while len(self._at[uid]) < count:
                self._news.clear()
                await self._news.wait()
        return self._at[uid][count - 1]


class _Sdk:
    """The official SDK with an account of its own, in a thread because it blocks."""

    def __init__(self, account: PaperAccount) -> None:
        self._uid = account.uid
        self._session: Any = unified_trading.HTTP(
            testnet=False, api_key=account.key, api_secret=account.secret
        )

    async def buy(self, instruments: Sequence[Instrument], arrivals: _Arrivals) -> float:
        """Seconds from the first call to the arrival of the last order."""
        arrived = arrivals.of(self._uid)
        began = time.perf_counter()
        await asyncio.to_thread(self._place, instruments)
        assert len(arrived) == len(instruments)
        return arrived[-1] - began

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
