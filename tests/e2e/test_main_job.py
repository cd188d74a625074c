"""The main job over real sockets and a real Postgres: track, flag, close."""

from __future__ import annotations

from decimal import Decimal

from positiond.bybit.paper.server import PaperServer

from tests.e2e.world import Trader, World, leg


async def pair(trader: Trader, paper: PaperServer) -> dict[str, object]:
    """A BTC/ETH pair, bought by hand first and then recorded at its true entry."""
    long = paper.trade(trader.paper, "BTCUSDT", "Buy", "0.5")
    short = paper.trade(trader.paper, "ETHUSDT", "Sell", "7")
    return await trader.record(
        "BTC/ETH pair",
        leg("BTCUSDT", "Buy", "0.5", long["position"]["avgPrice"]),
        leg("ETHUSDT", "Sell", "7", short["position"]["avgPrice"]),
    )


async def test_a_recorded_pair_is_tracked_flagged_and_closed(
    world: World, trader: Trader, paper: PaperServer
) -> None:
    recorded = await pair(trader, paper)
    position_id = str(recorded["id"])
    shown = await trader.until(
        position_id, lambda p: p["verdict"] == "in_sync" and p["unrealized_pnl"], 10, "in sync"
    )
    total = Decimal(0)
    for component in shown["components"]:
        sign = 1 if component["side"] == "Buy" else -1
        open_ = Decimal(component["quantity"]) - Decimal(component["closed_quantity"])
        pnl = sign * open_ * (Decimal(component["price"]) - Decimal(component["entry_price"]))
        assert Decimal(component["unrealized_pnl"]) == pnl
        total += pnl
    assert Decimal(shown["unrealized_pnl"]) == total

    paper.trade(trader.paper, "BTCUSDT", "Sell", "0.2")
    altered = await trader.until(position_id, lambda p: p["is_altered"], 10, "Altered")
    assert altered["verdict"] == "altered"
    assert altered["components"][0]["difference"] == "-0.2"
    paper.trade(trader.paper, "BTCUSDT", "Buy", "0.2")
    await trader.until(position_id, lambda p: p["verdict"] == "in_sync", 10, "in sync again")

    status, answer, headers = await trader.post(f"/api/positions/{position_id}/close")
    assert status == 202
    assert headers["Location"] == f"/api/closes/{answer['close_id']}"
    await trader.until(position_id, lambda p: p["status"] == "CLOSED", 15, "CLOSED")
    close = await trader.get(f"/api/closes/{answer['close_id']}")
    assert close["state"] == "DONE"
    assert {row["outcome"] for row in close["legs"]} == {"flat"}
