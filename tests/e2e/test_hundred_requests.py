"""A hundred requests to close one position, at once and while its fills are held back."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
from positiond.bybit.paper.server import PaperServer

from tests.e2e.exchange import books, control, fault, fired
from tests.e2e.world import Trader, World, eventually

_HOUR = 3_600_000


async def hold_fills_back(paper: PaperServer, uid: str) -> list[int]:
    """Orders arrive and are filled; neither streams nor lists tell of it until further notice."""
    lists = [
        await fault(paper.url, "late_list", where=where, account=uid, ms=_HOUR)
        for where in ("/v5/execution/list", "/v5/order/realtime", "/v5/order/history")
    ]
    return [*lists, await fault(paper.url, "frame_drop", where="*", account=uid)]


def keyed(number: int) -> dict[str, str]:
    """No key for half of them, one key for a quarter, and one each for the others."""
    if number % 2:
        return {}
    return {"Idempotency-Key": "all-alike" if number % 4 else f"its-own-{number}"}


async def test_a_hundred_requests_while_fills_are_held_back_are_one_close(
    world: World, trader: Trader, paper: PaperServer
) -> None:
    position = await trader.record(
        "wanted by many",
        world.holds(trader.paper, "BTCUSDT", "Buy", "0.5"),
        world.holds(trader.paper, "ETHUSDT", "Sell", "7"),
    )
    paper.trade(trader.paper, "BTCUSDT", "Buy", "0.3")
    held_back = await hold_fills_back(paper, trader.paper.uid)
    path = f"/api/positions/{position['id']}/close"
    headers = {"Authorization": f"Bearer {await world.token(trader.user)}"}
    async with aiohttp.ClientSession(base_url=world.url, headers=headers) as http:
        clients = trader, Trader(trader.user, trader.account, trader.paper, http)
        # The one half with the first request, the other when its orders are out.
        answers = await _ask(clients, path, range(50))
        await _until_settling(trader, answers[0])
        answers += await _ask(clients, path, range(50, 100))
    assert {status for status, *_ in answers} == {202}
    (close_id,) = {answer["close_id"] for _, answer, _ in answers}
    report = await trader.get(f"/api/closes/{close_id}")
    assert report["state"] == "SETTLING"
    assert await fired(paper.url, held_back[-1]) >= 1

    await control(paper.url, "DELETE", "faults")
    await trader.until(str(position["id"]), lambda p: p["status"] == "CLOSED", 20, "CLOSED")
    report = await trader.get(f"/api/closes/{close_id}")
    assert (report["state"], {leg["outcome"] for leg in report["legs"]}) == ("DONE", {"flat"})
    found = await books(paper.url, trader.paper)
    found.assert_each_leg_sold_once(position["components"])
    assert len(found.orders) == 2
    assert {symbol: str(size) for symbol, size in found.sizes.items()} == {"BTCUSDT": "0.3"}
    assert len(await world.sql("SELECT FROM close_requests")) == 1


async def _ask(clients: tuple[Trader, ...], path: str, numbers: range) -> list[Any]:
    asking = (clients[n // 4 % 2].post(path, **keyed(n)) for n in numbers)
    return list(await asyncio.gather(*asking))


async def _until_settling(trader: Trader, first: tuple[int, Any, Any]) -> None:
    _, answer, _ = first

    async def is_settling() -> bool:
        report = await trader.get(f"/api/closes/{answer['close_id']}")
        return bool(report["state"] == "SETTLING")

    await eventually(is_settling, 10, "both orders are out")
