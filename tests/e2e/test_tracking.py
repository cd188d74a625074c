"""Live P&L: equal to an independent script's, pushed as it moves, honest while prices are cut."""

from __future__ import annotations

from decimal import Decimal, localcontext
from functools import partial
from typing import Any

import aiohttp
from positiond.bybit.paper.server import PaperServer

from tests.e2e.exchange import control
from tests.e2e.gate import PUBLIC, Gate
from tests.e2e.live import Live, following
from tests.e2e.world import Trader, World, daemon, eventually, trading

SHAPES = {
    "pair": (("BTCUSDT", "Buy", "0.5"), ("ETHUSDT", "Sell", "7")),
    "shares BTCUSDT": (("BTCUSDT", "Buy", "0.123"), ("LINKUSDT", "Sell", "41.7")),
    "three legs": (
        ("XRPUSDT", "Buy", "4000.1"),
        ("ADAUSDT", "Buy", "9001"),
        ("DOGEUSDT", "Sell", "60007"),
    ),
    "single short": (("SOLUSDT", "Sell", "31.3"),),
}


async def record_all(world: World, trader: Trader) -> None:
    for name, legs in SHAPES.items():
        await trader.record(name, *(world.holds(trader.paper, *each) for each in legs))


async def positions(trader: Trader) -> list[dict[str, Any]]:
    return list((await trader.get("/api/positions"))["positions"])


def pnl_of(component: dict[str, Any]) -> Decimal:
    """s·q·(price − entry), from nothing but the reply's own values."""
    sign = {"Buy": 1, "Sell": -1}[component["side"]]
    open_ = Decimal(component["quantity"]) - Decimal(component["closed_quantity"])
    return sign * open_ * (Decimal(component["price"]) - Decimal(component["entry_price"]))


def assert_adds_up(position: dict[str, Any]) -> None:
    with localcontext(prec=80):
        legs = [pnl_of(component) for component in position["components"]]
        shown = [Decimal(component["unrealized_pnl"]) for component in position["components"]]
        assert shown == legs
        assert Decimal(position["unrealized_pnl"]) == sum(legs)
        parts = sum(Decimal(position[name]) for name in ("unrealized_pnl", "realized_pnl"))
        assert Decimal(position["net_pnl"]) == parts + Decimal(position["funding"]) - Decimal(
            position["fees"]
        )


async def marks(paper: PaperServer) -> dict[str, str]:
    """markPrice by symbol, as the exchange's REST spells it."""
    async with (
        aiohttp.ClientSession(base_url=paper.url) as http,
        http.get("/v5/market/tickers?category=linear") as reply,
    ):
        rows = (await reply.json())["result"]["list"]
    return {row["symbol"]: row["markPrice"] for row in rows}


async def test_paused_prices_are_the_exchange_s_own_and_the_pnl_follows_to_the_last_digit(
    world: World, trader: Trader, paper: PaperServer
) -> None:
    await record_all(world, trader)
    await control(paper.url, "POST", "pause")
    expected = await marks(paper)

    async def shown() -> list[dict[str, Any]] | None:
        found = await positions(trader)
        legs = [leg for position in found for leg in position["components"]]
        is_so = len(found) == len(SHAPES) and all(
            leg["price"] == expected[leg["symbol"]] for leg in legs
        )
        return found if is_so else None

    found = await eventually(shown, 5, f"every leg's price is its mark of {expected}")
    for position in found:
        assert position["pnl_incomplete"] is None
        assert position["pnl_currency"] == "USDT"
        assert {leg["price_basis"] for leg in position["components"]} == {"mark"}
        assert_adds_up(position)
    assert await marks(paper) == expected


async def test_the_pnl_of_each_leg_and_total_adds_up_while_prices_move(
    world: World, trader: Trader
) -> None:
    await record_all(world, trader)
    seen: set[str] = set()

    async def moved() -> bool:
        for position in await positions(trader):
            if position["pnl_incomplete"] is None:
                assert_adds_up(position)
                seen.add(position["unrealized_pnl"])
        return len(seen) >= 5 * len(SHAPES)

    await eventually(moved, 10, "prices move")


async def test_the_stream_gives_a_snapshot_and_then_numbered_deltas_with_moving_pnl(
    world: World, trader: Trader
) -> None:
    first = await trader.record("first", world.holds(trader.paper, "BTCUSDT", "Buy", "0.5"))
    async with following(trader.http) as live:
        assert live.frames[0].event == "snapshot"
        assert first["id"] in live.page.positions
        second = await trader.record("second", world.holds(trader.paper, "ETHUSDT", "Sell", "3"))
        # The page refuses a gap in the numbers, so every delta until then has come.
        for position in (first, second):
            await live.until(
                partial(moves, live, str(position["id"])),
                10,
                f"the P&L of {position['name']} moves",
            )
        await live.until(lambda: any(f.event == "feed" for f in live.frames), 5, "the feed")
        numbers = [f.data["seq"] for f in live.frames if f.event == "positions"]
        assert len(numbers) > 5
        shown = live.page.positions[second["id"]]
        assert_adds_up(shown)


def moves(live: Live, position_id: str) -> bool:
    return len(set(live.changes(position_id, "unrealized_pnl"))) > 5


async def test_the_start_up_sweep_writes_the_pnl_of_all_active_positions(
    world: World, paper: PaperServer
) -> None:
    user = await world.user("alice")
    async with daemon(world), trading(world, user, "main") as trader:
        await record_all(world, trader)
    await control(paper.url, "POST", "pause")
    await world.sql("UPDATE synthetic_positions SET unrealized_pnl = NULL, pnl_at = NULL")
    async with daemon(world):

        async def written() -> list[Any] | None:
            rows = await world.sql(
                "SELECT id, unrealized_pnl FROM synthetic_positions"
                " WHERE unrealized_pnl IS NOT NULL"
            )
            return rows if len(rows) == len(SHAPES) else None

        rows = await eventually(written, 5, "the sweep wrote every position")
    expected = await marks(paper)
    legs = await world.sql("SELECT * FROM position_components")
    with localcontext(prec=80):
        for row in rows:
            total = sum(
                {"Buy": 1, "Sell": -1}[leg["side"]]
                * leg["expected_quantity"]
                * (Decimal(expected[leg["symbol"]]) - leg["entry_price"])
                for leg in legs
                if leg["position_id"] == row["id"]
            )
            assert row["unrealized_pnl"] == total


async def test_totals_are_incomplete_with_a_reason_while_prices_are_cut_and_live_again_after(
    gated: World, gate: Gate, gated_trader: Trader
) -> None:
    world, trader = gated, gated_trader
    recorded = await trader.record("pair", world.holds(trader.paper, "BTCUSDT", "Buy", "0.5"))
    position_id = str(recorded["id"])
    await trader.until(position_id, lambda p: p["unrealized_pnl"], 5, "live")
    gate.shut(PUBLIC)
    cut = await trader.until(position_id, lambda p: p["pnl_incomplete"], 5, "incomplete")
    assert cut["unrealized_pnl"] is None
    assert cut["net_pnl"] is None
    assert cut["components"][0]["unrealized_pnl"] is None
    assert "BTCUSDT" in cut["pnl_incomplete"]
    async with trader.http.get("/readyz") as reply:
        assert reply.status == 503
        assert any("prices of paper linear" in r for r in (await reply.json())["reasons"])
    gate.open()
    mended = await trader.until(position_id, lambda p: p["unrealized_pnl"], 15, "live again")
    assert mended["pnl_incomplete"] is None
    assert_adds_up(mended)
