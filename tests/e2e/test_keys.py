"""A key that is changed on the exchange while the daemon runs counts as it is at once."""

from __future__ import annotations

from typing import Any

from positiond.bybit.paper.server import PaperServer

from tests.e2e.exchange import books, control
from tests.e2e.world import Trader, World, eventually


async def may_trade(paper: PaperServer, trader: Trader, **rights: list[str]) -> None:
    """Change the key's rights; Bybit cuts its streams with that."""
    uid = trader.paper.uid
    await control(paper.url, "PATCH", "accounts", account=uid, permissions=rights)
    await control(paper.url, "POST", "cut", account=uid)


async def in_the_way(trader: Trader, position_id: str) -> dict[str, list[str]]:
    """The blockers' codes of each leg, by symbol."""
    plan = await trader.get(f"/api/positions/{position_id}/close-plan")
    return {leg["symbol"]: [b["code"] for b in leg["blockers"]] for leg in plan["legs"]}


async def test_a_right_that_is_taken_from_a_key_stops_all_legs_and_given_back_stops_none(
    world: World, trader: Trader, paper: PaperServer
) -> None:
    position = await trader.record(
        "two coins",
        world.holds(trader.paper, "BTCUSDT", "Buy", "0.5"),
        world.holds(trader.paper, "BTCPERP", "Sell", "0.5"),
    )
    position_id = str(position["id"])

    async def shows(codes: list[str]) -> bool:
        return await in_the_way(trader, position_id) == {"BTCUSDT": [], "BTCPERP": codes}

    assert await shows([])
    await may_trade(paper, trader, Options=[])
    await eventually(lambda: shows(["key-lacks-right"]), 20, "the right is known to be gone")
    status, problem, _ = await trader.post(f"/api/positions/{position_id}/close")
    assert (status, problem["code"]) == (409, "key-lacks-right")
    assert "Options.OptionsTrade" in problem["detail"]
    assert (await books(paper.url, trader.paper)).orders == []

    await may_trade(paper, trader, Options=["OptionsTrade"])
    await eventually(lambda: shows([]), 20, "the right is known to be back")
    status, answer, _ = await trader.post(f"/api/positions/{position_id}/close")
    assert status == 202, answer

    def is_closed(shown: dict[str, Any]) -> bool:
        return bool(shown["status"] == "CLOSED")

    await trader.until(position_id, is_closed, 40, "CLOSED")
    found = await books(paper.url, trader.paper)
    found.assert_each_leg_sold_once(position["components"])
