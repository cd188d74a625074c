"""Where an order can be found, and for how long."""

from dataclasses import replace
from typing import Any

from .client import Client

DAY_MS = 86_400_000
LINEAR = "category=linear&symbol=BTCUSDT"


async def rows(carol: Client, path: str, query: str) -> list[dict[str, Any]]:
    return list((await carol.get(path, query))["result"]["list"])


async def test_history_lags_behind_realtime(carol: Client) -> None:
    made = await carol.market("Buy", "0.1", orderLinkId="lagging")
    assert made["retCode"] == 0
    await carol.paper.step(100)
    by_id = f"{LINEAR}&orderLinkId=lagging"
    (order,) = await rows(carol, "/v5/order/realtime", by_id)
    assert order["orderStatus"] == "Filled"
    assert await rows(carol, "/v5/order/realtime", LINEAR) == []
    assert len(await rows(carol, "/v5/order/realtime", f"{LINEAR}&openOnly=1")) == 1
    assert await rows(carol, "/v5/order/history", by_id) == []
    await carol.paper.step(2000)
    assert len(await rows(carol, "/v5/order/history", by_id)) == 1


async def test_an_unfilled_end_leaves_history_after_a_day_and_a_fill_does_not(
    carol: Client,
) -> None:
    await carol.market("Buy", "0.1", orderLinkId="filled")
    await carol.control("POST", "faults", kind="half_fill", share="0", count=1)
    await carol.market("Buy", "0.1", orderLinkId="empty")
    await carol.paper.step(3000)
    found = {row["orderLinkId"]: row for row in await rows(carol, "/v5/order/history", LINEAR)}
    assert (found["empty"]["orderStatus"], found["empty"]["cumExecQty"]) == ("Cancelled", "0")
    assert found["filled"]["orderStatus"] == "Filled"
    for order in list(carol.paper.books.orders.values()):
        # As if it had ended a day ago; the clock itself would take a minute for that day.
        carol.paper.books.put(replace(order, updated_ms=order.updated_ms - DAY_MS))
    left = [row["orderLinkId"] for row in await rows(carol, "/v5/order/history", LINEAR)]
    assert left == ["filled"]


async def test_realtime_keeps_the_last_500_closed_orders_of_a_category(carol: Client) -> None:
    first = carol.paper.trade(carol.account, "BTCUSDT", "Buy", "0.001")["order"]["orderId"]
    for n in range(500):
        carol.paper.trade(carol.account, "BTCUSDT", ("Sell", "Buy")[n % 2], "0.001")
    by_id = f"category=linear&orderId={first}"
    assert await rows(carol, "/v5/order/realtime", by_id) == []
    await carol.paper.step(3000)
    assert len(await rows(carol, "/v5/order/history", by_id)) == 1
