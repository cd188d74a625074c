"""A close that Bybit stands in the way of: every leg says why, and nothing is lost."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from decimal import Decimal
from typing import Any
from unittest.mock import patch

import aiohttp
import pytest
from positiond.bybit.paper.model import Order, Uid
from positiond.bybit.paper.rules import OrderRequest
from positiond.bybit.paper.server import PaperAccount, PaperServer
from positiond.bybit.vocab import Category

from tests.e2e.exchange import books, control, fault, fired
from tests.e2e.world import Trader, World, daemon, now, trading

CREATE = "/v5/order/create"
NOT_LIVE = 110074
# Of the order during which the key is revoked.
FILLED = Decimal("0.12")
Row = dict[str, Any]


async def a_pair(world: World, trader: Trader) -> Row:
    return await trader.record(
        "pair",
        world.holds(trader.paper, "BTCUSDT", "Buy", "0.5"),
        world.holds(trader.paper, "ETHUSDT", "Sell", "7"),
    )


@asynccontextmanager
async def a_daemon(world: World, **settings: str) -> AsyncIterator[Trader]:
    """A trader on a daemon that starts now, with these settings."""
    world.environ.update(settings)
    user = await world.user("alice")
    async with daemon(world), trading(world, user, "main") as trader:
        yield trader


async def close(trader: Trader, position: Row) -> str:
    status, answer, _ = await trader.post(f"/api/positions/{position['id']}/close")
    assert status == 202, answer
    return str(answer["close_id"])


async def ended(trader: Trader, position: Row, status: str, within: float = 40) -> list[Row]:
    """The legs of the close that led to the status, in the order of the position's."""
    shown = await trader.until(
        str(position["id"]),
        lambda p: p["status"] == status and p["last_close"] and p["last_close"]["ended_at"],
        within,
        status,
    )
    assert shown["last_close"]["state"] == ("DONE" if status == "CLOSED" else "FAILED")
    return list(shown["last_close"]["legs"])


async def waits_for(trader: Trader, position: Row, *words: str) -> None:
    """Until the running close says what it waits for in these words."""

    def says(shown: Row) -> bool:
        detail = (shown["last_close"] or {}).get("detail") or ""
        return shown["status"] == "CLOSING" and all(word in detail for word in words)

    await trader.until(str(position["id"]), says, 20, f"it waits for {words}")


async def assert_sold_once(trader: Trader, paper: PaperServer, position: Row) -> None:
    found = await books(paper.url, trader.paper)
    found.assert_each_leg_sold_once(position["components"])
    assert found.sizes == {}


async def assert_nothing_sent(trader: Trader, paper: PaperServer) -> None:
    found = await books(paper.url, trader.paper)
    assert found.orders == []
    assert found.sizes == {"BTCUSDT": Decimal("0.5"), "ETHUSDT": Decimal(-7)}


# --- keys -----------------------------------------------------------------------------------


async def test_a_key_that_became_read_only_sends_nothing_and_every_leg_says_so(
    world: World, trader: Trader, paper: PaperServer
) -> None:
    position = await a_pair(world, trader)
    await key_is(paper, trader, read_only=True)
    await close(trader, position)
    legs = await ended(trader, position, "ACTIVE")
    assert [leg["outcome"] for leg in legs] == ["rejected"] * 2
    assert all("10005" in leg["detail"] for leg in legs)
    await assert_nothing_sent(trader, paper)
    await key_is(paper, trader, read_only=False)
    await close(trader, position)
    await ended(trader, position, "CLOSED")
    await assert_sold_once(trader, paper, position)


async def test_a_key_known_to_be_read_only_is_refused_at_once(
    world: World, paper: PaperServer
) -> None:
    add_account = paper.add_account

    def add_read_only(label: str, **funds: Any) -> PaperAccount:
        return add_account(label, read_only=True, **funds)

    with patch.object(paper, "add_account", add_read_only):
        async with a_daemon(world) as trader:
            position = await a_pair(world, trader)
            plan = await trader.get(f"/api/positions/{position['id']}/close-plan")
            assert not plan["can_close"]
            codes = [[blocker["code"] for blocker in leg["blockers"]] for leg in plan["legs"]]
            assert codes == [["read-only-key"]] * 2
            status, problem, _ = await trader.post(f"/api/positions/{position['id']}/close")
            assert (status, problem["code"]) == (409, "read-only-key")
            await assert_nothing_sent(trader, paper)


async def key_is(paper: PaperServer, trader: Trader, **terms: object) -> None:
    await control(paper.url, "PATCH", "accounts", account=trader.paper.uid, **terms)


@contextmanager
def revoked_with_the_second_order(paper: PaperServer, trader: Trader) -> Iterator[list[Order]]:
    """The second order fills in part, and from then on the key is none; yields what was placed.

    Whichever leg is the second: the rest of an earlier one could be sent before the key is gone.
    """
    place: Callable[[Uid, OrderRequest, int], Order] = paper.engine.place
    placed: list[Order] = []

    def place_and_revoke(uid: Uid, request: OrderRequest, now_ms: int) -> Order:
        second = len(placed) == 1
        if second:
            symbol = request.instrument.symbol
            paper.control("faults", kind="thin_book", where=symbol, depth=str(FILLED), count=1)
        placed.append(place(uid, request, now_ms))
        if second:
            paper.control("accounts", "PATCH", account=trader.paper.uid, expires_ms=now_ms)
        return placed[-1]

    with patch.object(paper.engine, "place", place_and_revoke):
        yield placed


async def test_a_key_revoked_half_way_and_given_back_ends_what_was_begun(
    world: World, trader: Trader, paper: PaperServer
) -> None:
    position = await a_pair(world, trader)
    with revoked_with_the_second_order(paper, trader) as placed:
        await close(trader, position)
        await waits_for(trader, position, "33004")
        assert len(placed) == 2
        await key_is(paper, trader, expires_ms=None)
        legs = await ended(trader, position, "CLOSED")
    assert [leg["outcome"] for leg in legs] == ["flat"] * 2
    assert len(placed) == 3
    await assert_sold_once(trader, paper, position)


@pytest.mark.thorough
async def test_a_key_revoked_for_good_ends_the_close_with_what_was_filled_on_record(
    world: World, trader: Trader, paper: PaperServer
) -> None:
    position = await a_pair(world, trader)
    with revoked_with_the_second_order(paper, trader):
        await close(trader, position)
        legs = await ended(trader, position, "ACTIVE", within=60)
        shown = await trader.position(str(position["id"]))
        sizes = {leg["id"]: Decimal(leg["quantity"]) for leg in shown["components"]}
        sold, cut = sorted(legs, key=lambda leg: leg["outcome"] != "flat")
        assert Decimal(sold["filled"]) == sizes[sold["component_id"]]
        assert (cut["outcome"], cut["filled"]) == ("rejected", str(FILLED))
        assert "33004" in cut["detail"]
        assert f"{sizes[cut['component_id']] - FILLED} is still open" in cut["detail"]
        closed = {leg["id"]: leg["closed_quantity"] for leg in shown["components"]}
        assert closed == {leg["component_id"]: leg["filled"] for leg in legs}
        # With a key that works again, the rest and no more than the rest is sold.
        await key_is(paper, trader, expires_ms=None)
        await close(trader, position)
        await ended(trader, position, "CLOSED")
    await assert_sold_once(trader, paper, position)


# --- instruments ----------------------------------------------------------------------------


async def test_an_instrument_known_not_to_trade_keeps_every_leg_from_being_sent(
    world: World, paper: PaperServer
) -> None:
    async with a_daemon(world) as trader:
        held = await a_pair(world, trader)
    paper.venue.market.listing.end((Category.LINEAR, "ETHUSDT"))
    headers = {"Authorization": f"Bearer {await world.token(trader.user)}"}
    async with daemon(world), aiohttp.ClientSession(base_url=world.url, headers=headers) as http:
        trader = Trader(trader.user, trader.account, trader.paper, http)
        await trader.until(str(held["id"]), lambda p: p["verdict"] == "in_sync", 15, "in sync")
        plan = await trader.get(f"/api/positions/{held['id']}/close-plan")
        codes = [[blocker["code"] for blocker in leg["blockers"]] for leg in plan["legs"]]
        assert codes == [[], ["instrument-not-trading"]]
        await close(trader, held)
        legs = await ended(trader, held, "ACTIVE")
        assert [leg["outcome"] for leg in legs] == ["residual", "rejected"]
        assert "ETHUSDT" in legs[1]["detail"]
        await assert_nothing_sent(trader, paper)


async def test_an_instrument_that_was_halted_just_now_is_waited_for(
    world: World, trader: Trader, paper: PaperServer
) -> None:
    position = await a_pair(world, trader)
    halt = await halted(paper)
    await close(trader, position)
    await waits_for(trader, position, "ETHUSDT", "not live")
    assert await fired(paper.url, halt) >= 1
    await control(paper.url, "DELETE", "faults")
    legs = await ended(trader, position, "CLOSED")
    assert [leg["outcome"] for leg in legs] == ["flat"] * 2
    await assert_sold_once(trader, paper, position)


async def test_an_instrument_that_stays_halted_ends_the_close_with_its_leg_named(
    world: World, paper: PaperServer
) -> None:
    async with a_daemon(world, POSITIOND_CLOSE_EXPIRY="10") as trader:
        position = await a_pair(world, trader)
        await halted(paper)
        await close(trader, position)
        sold, left = await ended(trader, position, "ACTIVE")
        assert (sold["outcome"], sold["filled"]) == ("flat", "0.5")
        assert (left["outcome"], left["filled"]) == ("residual", "0")
        assert "not live" in left["detail"]
        assert "expired" in left["detail"]
        found = await books(paper.url, trader.paper)
        assert found.sizes == {"ETHUSDT": Decimal(-7)}


async def halted(paper: PaperServer) -> int:
    return await fault(
        paper.url,
        "reject",
        where=CREATE,
        symbol="ETHUSDT",
        code=NOT_LIVE,
        message="This contract is not live",
    )


# --- limits and clocks ----------------------------------------------------------------------


async def test_an_exhausted_rate_limit_is_waited_out_and_named(
    world: World, trader: Trader, paper: PaperServer
) -> None:
    position = await a_pair(world, trader)
    limit = await fault(paper.url, "rate_limit", where=CREATE, account=trader.paper.uid)
    await close(trader, position)
    await waits_for(trader, position, "BTCUSDT", "ETHUSDT", "Rate Limit")
    assert await fired(paper.url, limit) >= 2
    await control(paper.url, "DELETE", "faults")
    legs = await ended(trader, position, "CLOSED")
    assert [leg["outcome"] for leg in legs] == ["flat"] * 2
    await assert_sold_once(trader, paper, position)


async def test_a_rate_limit_that_stays_exhausted_ends_the_close_with_nothing_sent(
    world: World, paper: PaperServer
) -> None:
    async with a_daemon(world, POSITIOND_CLOSE_EXPIRY="10") as trader:
        position = await a_pair(world, trader)
        await fault(paper.url, "rate_limit", where=CREATE, account=trader.paper.uid)
        await close(trader, position)
        legs = await ended(trader, position, "ACTIVE")
        assert [leg["outcome"] for leg in legs] == ["residual"] * 2
        assert all("10006" in leg["detail"] for leg in legs), legs
        await assert_nothing_sent(trader, paper)


@pytest.mark.parametrize("milliseconds", [2_000, -2_000])
async def test_a_clock_off_by_two_seconds_is_measured_anew_and_every_leg_sold_once(
    world: World, trader: Trader, paper: PaperServer, milliseconds: int
) -> None:
    position = await a_pair(world, trader)
    await fault(paper.url, "clock_skew", ms=milliseconds)
    async with aiohttp.ClientSession(paper.url) as http, http.get("/v5/market/time") as reply:
        ahead = (await reply.json())["time"] - now().timestamp() * 1000
    assert abs(ahead - milliseconds) < 1_000
    await close(trader, position)
    legs = await ended(trader, position, "CLOSED")
    assert [leg["outcome"] for leg in legs] == ["flat"] * 2
    # The SDK, which reads the books, knows no clock but its own.
    await control(paper.url, "DELETE", "faults")
    await assert_sold_once(trader, paper, position)
