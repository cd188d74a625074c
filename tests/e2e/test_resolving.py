"""What a trader decides of a deviation, and the money beside the price, in the whole product."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from positiond.bybit.paper.server import PaperServer

from tests.e2e.exchange import control, fault, fired
from tests.e2e.world import Trader, World, eventually

FLAGGED_WITHIN = 10
SHOWN_WITHIN = 5


async def altered(
    world: World, trader: Trader, side: str, quantity: str
) -> tuple[str, dict[str, Any]]:
    """A position of 30 SOL that somebody then traded in by hand; with its cause."""
    position = await trader.record("SOL", world.holds(trader.paper, "SOLUSDT", "Buy", "30"))
    position_id = str(position["id"])
    await trader.until(position_id, lambda p: p["verdict"] == "in_sync", FLAGGED_WITHIN, "in sync")
    world.paper.trade(trader.paper, "SOLUSDT", side, quantity)

    def is_explained(shown: dict[str, Any]) -> bool:
        return any(deviation["cause"] for deviation in shown["deviations"])

    return position_id, await trader.until(
        position_id, is_explained, FLAGGED_WITHIN, "Altered with its cause"
    )


async def resolved(trader: Trader, position_id: str, action: str) -> dict[str, Any]:
    status, answer, _ = await trader.post(
        f"/api/positions/{position_id}/resolve", {"action": action}
    )
    assert status == 200, answer
    return dict(answer)


async def test_a_leg_cut_by_hand_says_why_and_is_rebased_with_one_request(
    world: World, trader: Trader
) -> None:
    position_id, shown = await altered(world, trader, "Sell", "12")
    (deviation,) = shown["deviations"]
    assert deviation["cause_kind"] == "by-hand"
    assert deviation["cause"].startswith("Long leg reduced by hand")
    answer = await resolved(trader, position_id, "rebase")
    assert (answer["verdict"], answer["is_altered"]) == ("in_sync", False)
    (leg,) = answer["components"]
    assert (Decimal(leg["quantity"]), Decimal(leg["recorded_quantity"])) == (18, 30)
    detail = await trader.position(position_id)
    assert [row["resolution"] for row in detail["deviations"]] == ["rebase"]
    assert "resolved" in {event["kind"] for event in detail["events"]}


async def test_an_accepted_surplus_is_the_traders_own_and_stays_in_sync(
    world: World, trader: Trader
) -> None:
    position_id, _ = await altered(world, trader, "Buy", "5")
    assert (await resolved(trader, position_id, "accept"))["verdict"] == "in_sync"
    answer = await trader.get(f"/api/accounts/{trader.account.id}/holdings")
    (row,) = [row for row in answer["holdings"] if row["symbol"] == "SOLUSDT"]
    shares = [Decimal(row[name]) for name in ("total", "tracked", "unassigned", "free")]
    assert shares == [35, 30, 5, 0]
    status, _, _ = await trader.post(f"/api/accounts/{trader.account.id}/reconcile")
    assert status == 202
    status, answer, headers = await trader.post(f"/api/accounts/{trader.account.id}/reconcile")
    assert (status, answer["code"]) == (429, "reconciled-just-now")
    assert "Retry-After" in headers
    assert (await trader.position(position_id))["verdict"] == "in_sync"


async def test_what_is_gone_on_bybit_is_marked_closed_without_any_order(
    world: World, trader: Trader
) -> None:
    position_id, _ = await altered(world, trader, "Sell", "30")
    answer = await resolved(trader, position_id, "mark_closed")
    assert (answer["status"], answer["verdict"]) == ("CLOSED", "in_sync")
    assert await world.sql("SELECT FROM close_orders") == []


async def test_funding_is_shown_by_share_within_seconds(
    world: World, trader: Trader, paper: PaperServer
) -> None:
    one = await trader.record("one", world.holds(trader.paper, "SOLUSDT", "Buy", "10"))
    three = await trader.record("three", world.holds(trader.paper, "SOLUSDT", "Buy", "30"))
    told = await control(paper.url, "POST", "fund", symbol="SOLUSDT", rate="0.001")
    (execution,) = told["executions"]
    fee = Decimal(execution["execFee"])
    assert fee > 0

    async def funding() -> list[Decimal]:
        shown = [await trader.position(str(row["id"])) for row in (one, three)]
        return [Decimal(row["funding"]) for row in shown]

    async def is_booked() -> bool:
        return all(await funding())

    await eventually(is_booked, SHOWN_WITHIN, "funding is booked")
    assert await funding() == [-fee / 4, -fee * 3 / 4]


async def test_funding_that_the_stream_did_not_tell_is_read_after_a_reconnect(
    world: World, trader: Trader, paper: PaperServer
) -> None:
    position = await trader.record("SOL", world.holds(trader.paper, "SOLUSDT", "Buy", "10"))
    position_id = str(position["id"])
    # The frames of the trade itself are out by then.
    await trader.until(position_id, lambda p: p["verdict"] == "in_sync", 10, "in sync")
    dropped = await fault(
        paper.url, "frame_drop", where="execution", account=trader.paper.uid, count=1
    )
    told = await control(paper.url, "POST", "fund", symbol="SOLUSDT", rate="0.001")
    (execution,) = told["executions"]

    async def is_dropped() -> bool:
        return await fired(paper.url, dropped) > 0

    await eventually(is_dropped, SHOWN_WITHIN, "the stream's frame is dropped")
    await control(paper.url, "POST", "cut", kind="private", account=trader.paper.uid)
    shown = await trader.until(
        position_id, lambda p: Decimal(p["funding"]) != 0, 15, "funding is read by REST"
    )
    assert Decimal(shown["funding"]) == -Decimal(execution["execFee"])
