"""Bybit tells late, twice, in part or not at all: no verdict on doubt, and the right one after."""

from __future__ import annotations

import asyncio
from decimal import ROUND_UP, Decimal
from functools import partial
from typing import Any, Final

from positiond.bybit.paper.instruments import Instrument
from positiond.bybit.vocab import Category

from tests.e2e.exchange import sdk
from tests.e2e.scenarios import contracts as c
from tests.e2e.scenarios.contracts import Leg
from tests.e2e.scenarios.stage import Stage
from tests.e2e.scenarios.table import Row, Story
from tests.e2e.world import eventually

_BTC: Final = "BTCUSDT"
_LEG: Final = c.USDT_LONG.leg
_LIST: Final = "/v5/position/list"
_FILLS: Final = "/v5/execution/list"
# A list names no symbol, and a fault whose glob is empty hits nothing that names one.
_NO_SYMBOL: Final = ""
_OPTIONAL: Final = {
    "position": [
        *("leverage", "liqPrice", "bustPrice", "stopLoss", "takeProfit", "trailingStop"),
        *("sessionAvgPrice", "curRealisedPnl", "adlRankIndicator", "isReduceOnly", "seq"),
        *("mmrSysUpdatedTime", "leverageSysUpdatedTime", "positionBalance", "autoAddMargin"),
        *("positionMM", "positionIM", "tradeMode", "riskId", "riskLimitValue", "markPrice"),
    ],
    "execution": [
        *("createType", "closedSize", "stopOrderType", "feeCurrency", "seq", "extraFees"),
        *("execPnl", "execFeeV2", "tradeIv", "markIv", "blockTradeId", "leavesQty", "isMaker"),
        *("underlyingPrice", "indexPrice", "markPrice", "orderPrice", "feeRate"),
    ],
}


async def held_beyond_a_page(stage: Stage, category: str, number: int, place: int) -> None:
    """The list tells of it on a later page, and nothing but that page does.

    The streams are mute for the change and queries by symbol fail, so the sweep that follows the
    reconnect has to turn the pages.
    """
    listed = stage.paper.venue.market.listing.of(Category(category))
    coin = {"option": "", "linear": "USDT"}[category]
    legs = [
        Leg(category, i.symbol, "Buy", _enough_of(i))
        for i in listed
        if i.is_trading and coin in ("", i.settle)
    ][:number]
    price = "0"
    for leg in legs:
        price = stage.hold(leg)
        await asyncio.sleep(0)
    rows = await asyncio.to_thread(_listed, stage, category, coin)
    assert len(rows) == number, len(rows)
    leg = next(leg for leg in legs if leg.symbol == rows[place - 1]["symbol"])
    position_id = await stage.record(f"number {place}", leg, price=price)
    await stage.in_sync(position_id)
    async with (
        stage.fault("frame_drop", where="*"),
        stage.fault("reject", where=_LIST, symbol=leg.symbol) as asked,
    ):
        stage.trade(leg, "Sell", leg.part("0.4"))
        stage.venue("cut")
        await stage.flagged(position_id, leg.part("0.6"))
        assert stage.fired(asked) == 0, "asked by symbol: the page was not believed"


def _enough_of(instrument: Instrument) -> str:
    """Tens of steps, so that a part of it is on a step, worth more than the least order."""
    tens = instrument.step * 10
    worth = Decimal(50) / instrument.price if instrument.min_notional else Decimal(0)
    return c.plain(max((worth / tens).to_integral_value(ROUND_UP), Decimal(1)) * tens)


def _listed(stage: Stage, category: str, coin: str) -> list[dict[str, Any]]:
    """All rows in the list's own order."""
    rows, cursor = [], ""
    with sdk(stage.paper.url, stage.trader.paper) as session:
        query = {"category": category, "limit": 200} | ({"settleCoin": coin} if coin else {})
        while True:
            page = session.get_positions(**query, cursor=cursor)["result"]
            rows += page["list"]
            cursor = page["nextPageCursor"]
            if not cursor:
                return rows


async def list_leaves_it_out(stage: Stage, leg: Leg) -> None:
    """A held position is not in the list: asked for by symbol, it is there."""
    position_id = await stage.recorded(leg)
    async with (
        stage.nothing_shown(position_id),
        stage.fault("truncated_list", where=_LIST, symbol=_NO_SYMBOL, keep=0) as cut,
    ):
        stage.venue("cut")
        await stage.struck(cut)
        await stage.compared(position_id)


async def list_is_from_before(stage: Stage) -> None:
    """An old list is from before the position was opened: flat there, and held."""
    async with stage.fault("stale_list", where=_LIST, symbol=_NO_SYMBOL) as stale:
        position_id = await stage.recorded(_LEG)
        async with stage.nothing_shown(position_id):
            stage.venue("cut")
            await stage.struck(stale)
            await stage.compared(position_id)


async def list_is_older_than_the_fill(stage: Stage) -> None:
    """The list still tells the size from before a loss: the flag stays."""
    position_id = await stage.recorded(_LEG)
    async with stage.fault("stale_list", where=_LIST, symbol=_NO_SYMBOL) as stale:
        stage.trade(_LEG, "Sell", "0.2")
        await stage.flagged(position_id, "0.3")
        told = len(stage.watch.verdicts[position_id])
        stage.venue("cut")
        await stage.struck(stale)
        await stage.compared(position_id)
        assert stage.watch.verdicts[position_id][told:] == []


async def list_fails(stage: Stage) -> None:
    """Without the list each symbol speaks for itself."""
    position_id = await stage.recorded(_LEG)
    async with (
        stage.nothing_shown(position_id),
        stage.fault("http", where=_LIST, symbol=_NO_SYMBOL, status=502) as broken,
    ):
        stage.venue("cut")
        await stage.struck(broken)
        await stage.compared(position_id)


async def nothing_can_be_read(stage: Stage, leg: Leg, where: str) -> None:
    """Unverified with the reason, the flags as they were, and right again without a restart."""
    good = await stage.recorded(leg, name="good")
    flagged_leg = Leg("linear", "ETHUSDT", "Sell", "5")
    bad = await stage.recorded(flagged_leg, name="bad")
    stage.trade(flagged_leg, "Buy", "2")
    await stage.flagged(bad, "3")
    async with stage.fault("reject", where=where, code=10016):
        stage.venue("cut")
        await stage.until(good, lambda p: p["verdict"] == "unverified", "Unverified")
        shown = await stage.detail(good)
        assert shown["verdict_reason"], shown
        assert not shown["is_altered"]
        if where == _LIST:
            await stage.until(bad, lambda p: p["verdict"] == "unverified", "Unverified, too")
        assert (await stage.detail(bad))["is_altered"], "doubt clears no flag"
    await stage.in_sync(good)
    await stage.until(bad, lambda p: p["verdict"] == "altered", "Altered again")


async def rows_without_optional_keys(stage: Stage, leg: Leg) -> None:
    position_id = await stage.recorded(leg)
    async with (
        stage.fault("missing_keys", where="position*", keys=_OPTIONAL["position"]),
        stage.fault("missing_keys", where=_LIST, keys=_OPTIONAL["position"]) as lists,
        stage.fault("missing_keys", where="execution*", keys=_OPTIONAL["execution"]) as told,
        stage.fault("missing_keys", where=_FILLS, keys=_OPTIONAL["execution"]),
    ):
        stage.trade(leg, c.OTHER[leg.side], leg.part("0.4"))
        await stage.flagged(position_id, leg.part("0.6"))
        await stage.explained(position_id, leg, leg.part("0.6"), "by-hand", "by hand")
        assert stage.fired(told) >= 1
        assert stage.fired(lists) >= 1
        stage.trade(leg, leg.side, leg.part("0.4"))
        await stage.in_sync(position_id)


async def rows_without_a_side(stage: Stage, leg: Leg) -> None:
    """A flat row has `side: ""`; an empty side of hedge mode, too. It is the leg's size: 0."""
    if leg.idx:
        stage.venue("mode", symbol=leg.symbol, mode="hedge")
    position_id = await stage.recorded(leg)
    stage.trade(leg, c.OTHER[leg.side], leg.quantity)
    rows = await asyncio.to_thread(_asked, stage, leg)
    assert [row["side"] for row in rows if row["positionIdx"] == leg.idx] == [""], rows
    await stage.flagged(position_id, "0")
    await stage.explained(position_id, leg, "0", "by-hand", "closed by hand")
    stage.trade(leg, leg.side, leg.quantity)
    await stage.in_sync(position_id)


def _asked(stage: Stage, leg: Leg) -> list[dict[str, Any]]:
    with sdk(stage.paper.url, stage.trader.paper) as session:
        found = session.get_positions(category=leg.category, symbol=leg.symbol)
    return list(found["result"]["list"])


async def pushes_get_lost(stage: Stage, topic: str) -> None:
    """One of the two topics is silent: the other is enough."""
    position_id = await stage.recorded(_LEG)
    async with stage.fault("frame_drop", where=f"{topic}*") as lost:
        stage.trade(_LEG, "Sell", "0.2")
        await stage.flagged(position_id, "0.3")
        assert stage.fired(lost) >= 1
        await stage.explained(position_id, _LEG, "0.3", "by-hand", "reduced by hand", "0.2 BTC")


async def executions_lag(stage: Stage) -> None:
    """Flagged by the size alone; the cause follows once executions tell it."""
    position_id = await stage.recorded(_LEG)
    async with (
        stage.fault("frame_drop", where="execution*"),
        stage.fault("late_list", where=_FILLS, ms=3_600_000),
    ):
        stage.trade(_LEG, "Sell", "0.2")
        await stage.flagged(position_id, "0.3")
        row = (await stage.detail(position_id))["deviations"][0]
        assert row["cause_kind"] in (None, "unknown"), row
    await stage.explained(position_id, _LEG, "0.3", "by-hand", "reduced by hand", "0.2 BTC")


async def away(stage: Stage, leg: Leg, deed: str) -> None:
    """The private stream is gone for longer than 5 s, and the loss happens meanwhile."""
    position_id = await stage.recorded(leg)
    async with stage.fault("frame_drop", where="op/auth") as kept_out:
        stage.venue("cut")
        await stage.until(position_id, lambda p: p["verdict"] == "unverified", "Unverified")
        assert not (await stage.detail(position_id))["is_altered"]
        if deed == "trade":
            stage.trade(leg, c.OTHER[leg.side], leg.part("0.4"))
        else:
            stage.change(deed, leg, qty=leg.part("0.4"))
        assert stage.fired(kept_out) >= 1
    left = leg.part("0.6")

    def sees(shown: dict[str, Any]) -> bool:
        return shown["verdict"] == "altered" and Decimal(shown["components"][0]["actual"]) == (
            Decimal(left)
        )

    async def is_back() -> bool:
        shown = stage.watch.page.positions[position_id]
        return sees(shown)

    await eventually(is_back, 40, "Altered after the stream is back", every=0.1)
    kind, words = {"trade": ("by-hand", "by hand"), "adl": ("adl", "by ADL")}[deed]
    row = await stage.explained(position_id, leg, left, kind, "While we were away: ", words)
    assert row["while_away"] is True


async def away_for_a_moment(stage: Stage) -> None:
    """A cut of a second hides a trade: found by the read that follows."""
    position_id = await stage.recorded(_LEG)
    stage.venue("cut")
    stage.trade(_LEG, "Sell", "0.2")
    await stage.flagged(position_id, "0.3")
    await stage.explained(position_id, _LEG, "0.3", "by-hand", "reduced by hand", "0.2 BTC")


def rows() -> list[Row]:
    stories: list[tuple[c.Contract, str, Story]] = [
        (
            c.USDT_LONG,
            "the 21st position changes, told by the list alone",
            partial(held_beyond_a_page, category="linear", number=21, place=21),
        ),
        (
            c.CALL,
            "the 201st position changes, told by the list alone",
            partial(held_beyond_a_page, category="option", number=201, place=201),
        ),
        *(
            (contract, "the list leaves out a held position", partial(list_leaves_it_out, leg=leg))
            for contract in (c.USDT_LONG, c.USDC, c.INVERSE, c.CALL)
            for leg in (contract.leg,)
        ),
        (c.USDT_LONG, "the list is from before it was opened", list_is_from_before),
        (c.USDT_LONG, "the list is older than a loss", list_is_older_than_the_fill),
        (c.USDT_LONG, "the list fails, and symbols answer", list_fails),
        (
            c.USDT_LONG,
            "no position can be read",
            partial(nothing_can_be_read, leg=_LEG, where=_LIST),
        ),
        (
            c.SPOT,
            "the wallet cannot be read",
            partial(nothing_can_be_read, leg=c.SPOT.leg, where="/v5/account/wallet-balance"),
        ),
        *(
            (
                contract,
                "rows come without their optional keys",
                partial(rows_without_optional_keys, leg=contract.leg),
            )
            for contract in (c.USDT_LONG, c.INVERSE, c.CALL)
        ),
        *(
            (
                contract,
                "the leg is flat, and its row has no side",
                partial(rows_without_a_side, leg=contract.leg),
            )
            for contract in (c.USDT_LONG, c.HEDGE_SHORT, c.INVERSE)
        ),
        (c.USDT_LONG, "position pushes get lost", partial(pushes_get_lost, topic="position")),
        (c.USDT_LONG, "execution pushes get lost", partial(pushes_get_lost, topic="execution")),
        (c.USDT_LONG, "executions lag behind the size", executions_lag),
        (
            c.USDT_LONG,
            "reduced by hand while the stream is down",
            partial(away, leg=_LEG, deed="trade"),
        ),
        (
            c.INVERSE,
            "reduced by ADL while the stream is down",
            partial(away, leg=c.INVERSE.leg, deed="adl"),
        ),
        (c.USDT_LONG, "reduced while the stream is cut for a moment", away_for_a_moment),
    ]
    return [Row(one.label, one.mode, happened, story) for one, happened, story in stories]
