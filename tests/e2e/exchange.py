"""The paper exchange from outside: its control over HTTP, its books through the official SDK."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import aiohttp
import pytest
from positiond.bybit.paper.server import PaperAccount
from pybit import _http_manager, unified_trading

from tests.e2e.world import eventually

Row = dict[str, Any]


async def control(url: str, verb: str, name: str, **body: object) -> Row:
    """One request under `/_paper/`; works on an exchange in any process."""
    async with (
        aiohttp.ClientSession(base_url=url) as http,
        http.request(verb, f"/_paper/{name}", json=body) as reply,
    ):
        answer = dict(await reply.json())
        assert reply.status == 200, answer
        return answer


async def fault(url: str, kind: str, **spec: object) -> int:
    """Scripts a fault; its id."""
    return int((await control(url, "POST", "faults", kind=kind, **spec))["id"])


async def fired(url: str, fault_id: int) -> int:
    """How often the fault struck so far."""
    rows = (await control(url, "GET", "faults"))["faults"]
    return int(next(row["fired"] for row in rows if row["id"] == fault_id))


@dataclass(frozen=True)
class Books:
    """An account's books as the official SDK reads them; `orders` are the daemon's alone."""

    orders: list[Row]
    executions: list[Row]
    sizes: dict[str, Decimal]

    def sold(self, symbol: str) -> Decimal:
        """What the daemon's own orders filled in the symbol, by the execution history."""
        return sum(
            (
                Decimal(row["execQty"])
                for row in self.executions
                if row["symbol"] == symbol and row["orderLinkId"] and row["execType"] == "Trade"
            ),
            Decimal(0),
        )

    def assert_each_leg_sold_once(self, legs: Iterable[Row]) -> None:
        """Market orders of the reverse side, reduce-only, filled to the quantity and no more."""
        for leg in legs:
            orders = [order for order in self.orders if order["symbol"] == leg["symbol"]]
            assert orders, f"no order for {leg['symbol']}"
            for order in orders:
                assert order["orderType"] == "Market"
                assert order["reduceOnly"] is True
                assert order["side"] == {"Buy": "Sell", "Sell": "Buy"}[leg["side"]]
            filled = sum(Decimal(order["cumExecQty"]) for order in orders)
            assert filled == Decimal(leg["quantity"]), orders
            assert self.sold(leg["symbol"]) == filled


async def books(url: str, account: PaperAccount) -> Books:
    """With nothing of the SDK changed but its URL constant.

    The order history runs a little behind the executions, as the venue's does: read until every
    order of the daemon's that was executed is in it.
    """

    async def caught_up() -> Books | None:
        found = await asyncio.to_thread(_books, url, account)
        executed = {row["orderId"] for row in found.executions if row["orderLinkId"]}
        return found if executed <= {order["orderId"] for order in found.orders} else None

    found: Books = await eventually(caught_up, 10, "the order history has caught up", every=0.2)
    return found


@contextmanager
def sdk(url: str, account: PaperAccount) -> Iterator[Any]:
    """The official SDK's HTTP class; it blocks, so use it in a thread."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_http_manager, "HTTP_URL", url)
        session = unified_trading.HTTP(
            testnet=False, api_key=account.key, api_secret=account.secret
        )
    try:
        yield session
    finally:
        session.client.close()


def _books(url: str, account: PaperAccount) -> Books:
    with sdk(url, account) as session:
        orders = session.get_order_history(category="linear", limit=50)["result"]["list"]
        fills = session.get_executions(category="linear", limit=100)["result"]["list"]
        rows = session.get_positions(category="linear", settleCoin="USDT")["result"]["list"]
    return Books(
        [order for order in orders if order["orderLinkId"]],
        fills,
        {
            row["symbol"]: Decimal(row["size"]) * (1 if row["side"] == "Buy" else -1)
            for row in rows
            if row["side"]
        },
    )
