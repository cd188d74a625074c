"""What Bybit holds against what is recorded: flagged in time, cleared in time, never on doubt."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from positiond.bybit.paper.events import Executed, Told
from positiond.bybit.paper.server import PaperServer
from positiond.bybit.vocab import ExecType

from tests.e2e.exchange import control, fault, fired, sdk
from tests.e2e.gate import Gate
from tests.e2e.live import following
from tests.e2e.scenarios.machine import moment
from tests.e2e.world import Trader, World, eventually

FLAGGED_WITHIN = 10
# Two tries to connect again are up to half a minute apart.
_BACK = 45
# symbol: (side, recorded, what the hand trade does, the difference it makes, what is left)
HAND_TRADES = {
    "BTCUSDT": ("Buy", "0.5", ("Sell", "0.2"), "-0.2", "0.3"),
    "ETHUSDT": ("Sell", "7", ("Sell", "1.5"), "1.5", "8.5"),
    "SOLUSDT": ("Buy", "30", ("Sell", "45"), "-45", "-15"),
    "XRPUSDT": ("Sell", "4000", ("Buy", "4000"), "-4000", "0"),
}
OTHER = {"Buy": "Sell", "Sell": "Buy"}


async def in_sync(trader: Trader, position: dict[str, Any]) -> dict[str, Any]:
    return await trader.until(
        str(position["id"]), lambda p: p["verdict"] == "in_sync", FLAGGED_WITHIN, "in sync"
    )


async def altered(trader: Trader, position: dict[str, Any]) -> dict[str, Any]:
    found = await trader.until(
        str(position["id"]), lambda p: p["is_altered"], FLAGGED_WITHIN, "Altered"
    )
    assert found["verdict"] == "altered"
    return found


async def test_reduced_increased_flipped_and_closed_legs_are_altered_until_traded_back(
    world: World, trader: Trader, paper: PaperServer
) -> None:
    recorded = {
        symbol: await trader.record(symbol, world.holds(trader.paper, symbol, side, quantity))
        for symbol, (side, quantity, *_) in HAND_TRADES.items()
    }
    for position in recorded.values():
        await in_sync(trader, position)

    for symbol, (*_, (side, quantity), _, _) in HAND_TRADES.items():
        paper.trade(trader.paper, symbol, side, quantity)
    started = time.monotonic()
    for symbol, (*_, difference, left) in HAND_TRADES.items():
        (leg,) = (await altered(trader, recorded[symbol]))["components"]
        assert (Decimal(leg["difference"]), Decimal(leg["actual"])) == (
            Decimal(difference),
            Decimal(left),
        )
    assert time.monotonic() - started < FLAGGED_WITHIN
    rows = await world.sql("SELECT symbol, difference FROM deviations WHERE ended_at IS NULL")
    signs = {symbol: {"Buy": 1, "Sell": -1}[row[0]] for symbol, row in HAND_TRADES.items()}
    assert {row["symbol"]: row["difference"] for row in rows} == {
        symbol: signs[symbol] * Decimal(row[3]) for symbol, row in HAND_TRADES.items()
    }

    for symbol, (*_, (side, quantity), _, _) in HAND_TRADES.items():
        paper.trade(trader.paper, symbol, OTHER[side], quantity)
    started = time.monotonic()
    for position in recorded.values():
        shown = await in_sync(trader, position)
        assert shown["is_altered"] is False
        assert Decimal(shown["components"][0]["difference"]) == 0
    assert time.monotonic() - started < FLAGGED_WITHIN
    assert await world.sql("SELECT FROM deviations WHERE ended_at IS NULL") == []


async def test_what_the_trader_held_before_is_unassigned_and_no_deviation(
    world: World, trader: Trader, paper: PaperServer
) -> None:
    paper.trade(trader.paper, "BTCUSDT", "Buy", "0.3")
    position = await trader.record("on top", world.holds(trader.paper, "BTCUSDT", "Buy", "0.5"))
    shown = await in_sync(trader, position)
    assert Decimal(shown["components"][0]["actual"]) == Decimal("0.5")
    rows = await world.sql("SELECT symbol, quantity FROM unassigned_quantities")
    assert [tuple(row) for row in rows] == [("BTCUSDT", Decimal("0.3"))]


async def test_rows_written_straight_into_the_tables_are_live_within_two_seconds_and_compared(
    world: World, trader: Trader, paper: PaperServer
) -> None:
    leg = world.holds(trader.paper, "BTCUSDT", "Buy", "0.5")
    wrong = world.holds(trader.paper, "ETHUSDT", "Sell", "3")
    started = moment()
    ids = [
        await _insert(world, trader, leg["symbol"], "Buy", Decimal("0.5"), leg["entry_price"]),
        await _insert(world, trader, wrong["symbol"], "Sell", Decimal(4), wrong["entry_price"]),
    ]

    async def live() -> bool:
        found = {p["id"]: p for p in (await trader.get("/api/positions"))["positions"]}
        return all(id_ in found and found[id_]["unrealized_pnl"] for id_ in ids)

    await eventually(live, 10, "both rows are live")
    assert moment().since(started) < 2.5
    await in_sync(trader, {"id": ids[0]})
    (shown,) = (await altered(trader, {"id": ids[1]}))["components"]
    assert (Decimal(shown["difference"]), Decimal(shown["actual"])) == (-1, 3)


async def _insert(
    world: World, trader: Trader, symbol: str, side: str, quantity: Decimal, price: str
) -> str:
    """The minimal INSERTs, as another program would write them: two statements, two commits."""
    ((position_id,),) = await world.sql(
        "INSERT INTO synthetic_positions (account_id, name) VALUES ($1, $2) RETURNING id",
        trader.account.id,
        f"written straight: {symbol}",
    )
    await world.sql(
        "INSERT INTO position_components"
        " (position_id, category, symbol, side, expected_quantity, entry_price)"
        " VALUES ($1, 'linear', $2, $3, $4, $5)",
        position_id,
        symbol,
        side,
        quantity,
        Decimal(price),
    )
    return str(position_id)


async def test_pushes_without_a_change_of_size_flag_nothing(
    world: World, trader: Trader, paper: PaperServer
) -> None:
    position = await trader.record("quiet", world.holds(trader.paper, "BTCUSDT", "Buy", "0.5"))
    witness = await trader.record("witness", world.holds(trader.paper, "ETHUSDT", "Buy", "1"))
    await in_sync(trader, position)
    await in_sync(trader, witness)
    async with following(trader.http) as live:
        await asyncio.to_thread(_place_and_cancel, paper, trader)
        _pay_funding(paper, trader)
        # Flagged after the pushes, so whatever those could have caused has happened by then.
        paper.trade(trader.paper, "ETHUSDT", "Buy", "1")
        await live.until(
            lambda: live.page.positions[str(witness["id"])]["is_altered"],
            FLAGGED_WITHIN,
            "the witness is flagged",
        )
        assert {row.get("id") or row["position_id"] for row in live.alarms()} == {witness["id"]}
        told = live.changes(str(position["id"]), "verdict")
        assert set(told) == {"in_sync"}


def _place_and_cancel(paper: PaperServer, trader: Trader) -> None:
    """A resting order comes and goes: order and position pushes of an unchanged size."""
    with sdk(paper.url, trader.paper) as session:
        order = {"category": "linear", "symbol": "BTCUSDT", "orderType": "Limit", "qty": "0.1"}
        made = session.place_order(**order, side="Sell", price="101900.00", reduceOnly=True)
        while not session.get_open_orders(category="linear", symbol="BTCUSDT")["result"]["list"]:
            pass  # the exchange acknowledges before it books; the test's own timeout ends this
        session.cancel_order(category="linear", symbol="BTCUSDT", orderId=made["result"]["orderId"])
        session.set_leverage(category="linear", symbol="BTCUSDT", buyLeverage="7", sellLeverage="7")


def _pay_funding(paper: PaperServer, trader: Trader) -> None:
    """An execution of type Funding, which is no fill however much it looks like one."""
    (bought,) = [e for e in paper.books.executions[trader.paper.uid] if e.symbol == "BTCUSDT"][-1:]
    paid = replace(bought, exec_id="funding-1", exec_type=ExecType.FUNDING)
    paper.venue.listener(Told(paper.venue.now_ms(), Executed(trader.paper.uid, (paid,))))


async def test_an_unreachable_exchange_makes_unverified_leaves_the_flags_and_recovers(
    gated: World, gate: Gate, gated_trader: Trader, paper: PaperServer
) -> None:
    world, trader = gated, gated_trader
    good = await trader.record("good", world.holds(trader.paper, "BTCUSDT", "Buy", "0.5"))
    bad = await trader.record("bad", world.holds(trader.paper, "ETHUSDT", "Sell", "3"))
    await in_sync(trader, bad)
    paper.trade(trader.paper, "ETHUSDT", "Buy", "1")
    await altered(trader, bad)
    await in_sync(trader, good)
    flags = await _flags(world)

    gate.shut()
    for position in (good, bad):
        shown = await trader.until(
            str(position["id"]), lambda p: p["verdict"] == "unverified", 10, "Unverified"
        )
        assert shown["verdict_reason"]
    assert await _flags(world) == flags
    # What happens behind the cut is found out afterwards.
    paper.trade(trader.paper, "BTCUSDT", "Sell", "0.1")
    paper.trade(trader.paper, "ETHUSDT", "Sell", "1")
    gate.open()
    await trader.until(str(good["id"]), lambda p: p["verdict"] == "altered", _BACK, "Altered")
    await trader.until(str(bad["id"]), lambda p: p["verdict"] == "in_sync", _BACK, "in sync")


async def _flags(world: World) -> dict[str, bool]:
    rows = await world.sql("SELECT name, is_altered FROM synthetic_positions")
    return {row["name"]: row["is_altered"] for row in rows}


async def test_position_reads_that_fail_make_unverified_leave_the_flag_and_recover(
    world: World, trader: Trader, paper: PaperServer
) -> None:
    position = await trader.record("held", world.holds(trader.paper, "BTCUSDT", "Buy", "0.5"))
    await in_sync(trader, position)
    broken = await fault(paper.url, "http", where="/v5/position/list", status=502)
    paper.trade(trader.paper, "BTCUSDT", "Sell", "0.1")
    shown = await trader.until(
        str(position["id"]), lambda p: p["verdict"] == "unverified", 20, "Unverified"
    )
    assert shown["is_altered"] is False
    assert "BTCUSDT" in shown["verdict_reason"]
    assert await fired(paper.url, broken) >= 1
    await control(paper.url, "DELETE", "faults")
    (leg,) = (await altered(trader, position))["components"]
    assert leg["difference"] == "-0.1"


@pytest.mark.parametrize("is_held_up", [False, True])
async def test_a_close_of_our_own_is_never_shown_as_altered(
    world: World, trader: Trader, paper: PaperServer, is_held_up: bool
) -> None:
    closing = await trader.record(
        "closing",
        world.holds(trader.paper, "BTCUSDT", "Buy", "0.5"),
        world.holds(trader.paper, "ETHUSDT", "Sell", "7"),
    )
    beside = await trader.record("beside", world.holds(trader.paper, "BTCUSDT", "Buy", "0.2"))
    await in_sync(trader, closing)
    await in_sync(trader, beside)
    if is_held_up:
        # Sold, and not known to be sold for longer than a compare waits after a change of size.
        hang = {"where": "/v5/order/create", "when": "after", "ms": 20_000}
        await fault(paper.url, "hang", **hang)
        await fault(paper.url, "frame_drop", where="order")
    async with following(trader.http) as live:
        status, _, _ = await trader.post(f"/api/positions/{closing['id']}/close")
        assert status == 202
        await live.until(lambda: closing["id"] not in live.page.positions, 25, "it left")
        ended = (await trader.position(str(closing["id"])))["closed_at"]
        # The compare that follows the close has seen the bucket, too.
        await live.until(
            lambda: live.page.positions[str(beside["id"])]["verified_at"] > ended,
            FLAGGED_WITHIN,
            "the other position is compared again",
        )
        assert live.alarms() == []
        assert set(live.changes(str(beside["id"]), "verdict")) == {"in_sync"}
