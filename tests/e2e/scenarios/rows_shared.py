"""Buckets that several share: other positions, the trader himself, both sides of hedge mode."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Final

from tests.e2e.scenarios import contracts as c
from tests.e2e.scenarios.contracts import Leg
from tests.e2e.scenarios.machine import Moment, moment
from tests.e2e.scenarios.stage import Stage, leg_of
from tests.e2e.scenarios.table import Row, Story

_BTC: Final = "BTCUSDT"
_HALF: Final = Leg("linear", _BTC, "Buy", "0.5")
_FIFTH: Final = Leg("linear", _BTC, "Buy", "0.2")
_SHORT: Final = Leg("linear", _BTC, "Sell", "0.2")


async def same_direction(stage: Stage) -> None:
    """What is missing is missing to both: nobody can know whose it was."""
    first, second = await stage.recorded(_HALF), await stage.recorded(_FIFTH)
    stage.trade(_HALF, "Sell", "0.1")
    await stage.flagged(first, "0.4")
    await stage.flagged(second, "0.1")
    row = await stage.explained(first, _HALF, "0.6", "by-hand", "reduced by hand", "0.1 BTC")
    stage.changed_at.clear()
    stage.trade(_HALF, "Buy", "0.1")
    await stage.settled(first, row["id"])
    await stage.in_sync(second)


async def opposite_directions(stage: Stage) -> None:
    """One-way mode nets them: 0.3 is held for 0.5 long and 0.2 short."""
    first = await stage.recorded(_HALF, name="long")
    second = await stage.recorded(_SHORT, name="short")
    stage.trade(_HALF, "Sell", "0.1")
    await stage.flagged(first, "0.4")
    # The short leg's own direction: the same shift is more of it.
    await stage.flagged(second, "0.3")
    await stage.explained(first, _HALF, "0.2", "by-hand", "reduced by hand", "0.1 BTC")


async def surplus_for_both(stage: Stage) -> None:
    first, second = await stage.recorded(_HALF), await stage.recorded(_FIFTH)
    stage.trade(_HALF, "Buy", "0.3")
    await stage.flagged(first, "0.8")
    await stage.flagged(second, "0.5")
    row = await stage.explained(first, _HALF, "1", "by-hand", "increased by hand", "0.3 BTC")
    status, answer = await stage.resolve(first, "accept")
    assert status == 200, answer
    over = await stage.settled(first, row["id"])
    assert over["resolution"] == "accept"
    await stage.in_sync(second)


async def liquidated_for_both(stage: Stage) -> None:
    first, second = await stage.recorded(_HALF), await stage.recorded(_FIFTH)
    stage.change("liquidate", _HALF)
    await stage.flagged(first, "-0.2")
    await stage.flagged(second, "-0.5")
    await stage.explained(second, _HALF, "0", "liquidation", "closed by liquidation", "0.7 BTC")


async def loss_is_assigned(stage: Stage) -> None:
    """0.6 of 0.7 are gone: the trader says that one lost all of its own, the other the rest."""
    first, second = await stage.recorded(_HALF), await stage.recorded(_FIFTH)
    stage.change("adl", _HALF, qty="0.6")
    await stage.flagged(first, "-0.1")
    await stage.flagged(second, "-0.4")
    row = await stage.explained(first, _HALF, "0.1", "adl", "reduced by ADL", "0.6 BTC")
    status, answer = await stage.resolve(first, "mark_closed")
    assert (status, answer.get("status")) == (200, "CLOSED"), answer
    rest = await stage.explained(second, _HALF, "0.1", "adl", "by ADL")
    assert Decimal(rest["difference"]) == Decimal("-0.1"), rest
    assert rest["id"] == row["id"]
    status, answer = await stage.resolve(second, "rebase")
    assert (status, answer.get("is_altered")) == (200, False), answer
    assert Decimal(leg_of(answer)["quantity"]) == Decimal("0.1"), answer


async def inverse_shared(stage: Stage) -> None:
    leg, other = Leg("inverse", "BTCUSD", "Sell", "5000"), Leg("inverse", "BTCUSD", "Sell", "700")
    first, second = await stage.recorded(leg), await stage.recorded(other)
    stage.change("adl", leg, qty="900")
    await stage.flagged(first, "4100")
    await stage.flagged(second, "-200")
    await stage.explained(first, leg, "4800", "adl", "reduced by ADL", "900 USD")


async def two_legs_of_one_position(stage: Stage) -> None:
    """One leg is off, and only it is said to be; the position is Altered."""
    eth = Leg("linear", "ETHUSDT", "Sell", "5")
    position_id = await stage.recorded(_HALF, eth, name="pair")
    stage.trade(eth, "Buy", "2")
    shown = await stage.flagged(position_id, "3", symbol="ETHUSDT")
    whole = leg_of(shown, _BTC)
    assert (Decimal(whole["difference"]), whole["deviates"]) == (0, False), whole
    shown = await stage.detail(position_id)
    assert [row["symbol"] for row in shown["deviations"]] == ["ETHUSDT"]


async def across_categories(stage: Stage) -> None:
    """Long spot, short perpetual: the hedge is liquidated and the coins stay."""
    spot, short = Leg("spot", "SOLUSDT", "Buy", "50"), Leg("linear", "SOLUSDT", "Sell", "50")
    position_id = await stage.recorded(spot, short, name="carry")
    stage.change("liquidate", short)

    def sees(shown: dict[str, object]) -> bool:
        legs = {one["category"]: one for one in shown["components"]}  # type: ignore[attr-defined]
        return bool(shown["is_altered"]) and legs["linear"]["actual"] == "0"

    await stage.until(position_id, sees, "the short leg is gone")
    legs = {one["category"]: one for one in (await stage.detail(position_id))["components"]}
    assert (legs["spot"]["deviates"], legs["linear"]["deviates"]) == (False, True), legs
    await stage.explained(position_id, short, "0", "liquidation", "Short leg closed by liquidation")


async def own_part_sold(stage: Stage) -> None:
    """The trader sells of what is his: still a deviation by hand, until he accepts it."""
    stage.hold(Leg("linear", _BTC, "Buy", "0.3"))
    position_id = await stage.recorded(_HALF)
    stage.trade(_HALF, "Sell", "0.1")
    await stage.flagged(position_id, "0.4")
    row = await stage.explained(position_id, _HALF, "0.7", "by-hand", "reduced by hand", "0.1 BTC")
    assert Decimal(row["expected"]) == Decimal("0.8")
    status, answer = await stage.resolve(position_id, "accept")
    assert (status, answer.get("is_altered")) == (200, False), answer
    over = await stage.settled(position_id, row["id"])
    assert over["resolution"] == "accept"
    # He sells the rest of his own, too; then nothing is left to accept from.
    stage.changed_at.clear()
    stage.trade(_HALF, "Sell", "0.2")
    await stage.flagged(position_id, "0.3")
    status, answer = await stage.resolve(position_id, "accept")
    assert status == 200, answer
    stage.changed_at.clear()
    stage.trade(_HALF, "Sell", "0.1")
    await stage.flagged(position_id, "0.4")
    status, answer = await stage.resolve(position_id, "accept")
    assert (status, answer["code"]) == (409, "opposite-unassigned"), answer


async def own_part_opposite(stage: Stage) -> None:
    """The trader is short himself where a long leg is recorded: he holds what nets to it."""
    stage.hold(Leg("linear", _BTC, "Buy", "0.3"))
    position_id = await stage.recorded(_HALF)
    stage.trade(_HALF, "Buy", "0.4")
    await stage.flagged(position_id, "0.9")
    status, answer = await stage.resolve(position_id, "accept")
    assert status == 200, answer
    holdings = await stage.trader.get(f"/api/accounts/{stage.trader.account.id}/holdings")
    (found,) = (one for one in holdings["holdings"] if one["symbol"] == _BTC)
    parts = tuple(Decimal(found[name]) for name in ("total", "tracked", "unassigned"))
    assert parts == (Decimal("1.2"), Decimal("0.5"), Decimal("0.7")), found


async def hedge_one_side(stage: Stage) -> None:
    """The long side loses; the short side of the same symbol is another bucket."""
    stage.venue("mode", symbol=_BTC, mode="hedge")
    long_leg, short_leg = c.HEDGE_LONG.leg, Leg("linear", _BTC, "Sell", "0.3", 2)
    long = await stage.recorded(long_leg, name="long")
    short = await stage.recorded(short_leg, name="short")
    async with stage.nothing_shown(short):
        stage.trade(long_leg, "Sell", "0.2")
        await stage.flagged(long, "0.3")
        await stage.explained(long, long_leg, "0.3", "by-hand", "Long leg reduced", "0.2 BTC")
        stage.venue("cut")
        await stage.compared(short)


async def hedge_both_sides(stage: Stage) -> None:
    stage.venue("mode", symbol=_BTC, mode="hedge")
    long_leg, short_leg = c.HEDGE_LONG.leg, Leg("linear", _BTC, "Sell", "0.3", 2)
    long = await stage.recorded(long_leg, name="long")
    short = await stage.recorded(short_leg, name="short")
    stage.trade(long_leg, "Sell", "0.2")
    stage.trade(short_leg, "Sell", "0.2")
    await stage.flagged(long, "0.3")
    await stage.flagged(short, "0.5")
    await stage.explained(long, long_leg, "0.3", "by-hand", "Long leg reduced by hand", "0.2 BTC")
    await stage.explained(
        short, short_leg, "0.5", "by-hand", "Short leg increased by hand", "0.2 BTC"
    )


async def hedge_surplus_is_accepted(stage: Stage) -> None:
    stage.venue("mode", symbol=_BTC, mode="hedge")
    leg = c.HEDGE_SHORT.leg
    position_id = await stage.recorded(leg)
    stage.trade(leg, "Sell", "0.2")
    await stage.flagged(position_id, "0.7")
    status, answer = await stage.resolve(position_id, "accept")
    assert (status, answer.get("is_altered")) == (200, False), answer
    rows = (await stage.trader.get(f"/api/accounts/{stage.trader.account.id}/holdings"))["holdings"]
    (found,) = (one for one in rows if (one["symbol"], one["position_idx"]) == (_BTC, 2))
    assert Decimal(found["unassigned"]) == Decimal("-0.2"), found


async def switched_to_hedge(stage: Stage) -> None:
    """The leg is gone, the mode is switched, and the leg is opened again in the other mode."""
    position_id = await stage.recorded(_HALF)
    stage.trade(_HALF, "Sell", "0.5")
    await stage.flagged(position_id, "0")
    hedged = Leg("linear", _BTC, "Buy", "0.5", 1)
    await _switched(stage, position_id, "hedge", hedged)
    shown = await stage.detail(position_id)
    assert all(row["ended_at"] for row in shown["deviations"]), shown["deviations"]
    stage.changed_at.clear()
    stage.trade(hedged, "Sell", "0.2")
    await stage.flagged(position_id, "0.3")
    await stage.explained(position_id, hedged, "0.3", "by-hand", "Long leg reduced", "0.2 BTC")


async def _switched(stage: Stage, position_id: str, mode: str, leg: Leg) -> None:
    """Opened again in the other mode: Unverified until that is read, while the flag waits.

    A switch of a flat symbol is told by nothing but the first row of the other mode.
    """
    stage.venue("mode", symbol=_BTC, mode=mode)
    async with stage.fault("hang", where="/v5/position/list", ms=6000, count=1):
        stage.trade(leg, "Buy", "0.5")
        await stage.until(position_id, lambda p: p["verdict"] == "unverified", "Unverified")
        shown = await stage.detail(position_id)
        assert "the position mode of BTCUSDT changed" in shown["verdict_reason"], shown
        assert shown["is_altered"], "doubt clears no flag"
    await stage.in_sync(position_id)


async def switched_to_one_way(stage: Stage) -> None:
    stage.venue("mode", symbol=_BTC, mode="hedge")
    hedged = c.HEDGE_LONG.leg
    position_id = await stage.recorded(hedged)
    stage.trade(hedged, "Sell", "0.5")
    await stage.flagged(position_id, "0")
    await _switched(stage, position_id, "one_way", _HALF)
    stage.changed_at.clear()
    stage.trade(_HALF, "Buy", "0.1")
    await stage.flagged(position_id, "0.6")


async def burst(stage: Stage, leg: Leg, step: str, number: int = 14) -> None:
    """A change each second for longer than anybody waits: flagged by 12 s, right at the end."""
    position_id = await stage.recorded(leg)
    left = Decimal(leg.quantity)

    async def flagged_at() -> Moment:
        during = "Altered during the burst"
        return moment(await stage.until(position_id, lambda p: p["is_altered"], during))

    first_seen = asyncio.create_task(flagged_at())
    for _ in range(number):
        stage.trade(leg, c.OTHER[leg.side], step)
        left -= Decimal(step)
        await asyncio.sleep(0.95)
    flagged = (await first_seen).since(stage.changed_at[0])
    assert flagged <= 12, f"flagged {flagged:.2f} s after the first change"
    # Only the last stretch is new: the flag itself has been judged above.
    del stage.changed_at[:-1]
    await stage.flagged(position_id, c.plain(left))
    total = c.plain(Decimal(leg.quantity) - left)
    await stage.explained(position_id, leg, c.plain(left), "by-hand", "by hand", total)


async def burst_linear(stage: Stage) -> None:
    await burst(stage, _HALF, "0.01")


async def burst_option(stage: Stage) -> None:
    await burst(stage, c.CALL.leg, "0.01")


async def two_causes(stage: Stage) -> None:
    """Reduced by hand and then by ADL: both are told, in order."""
    position_id = await stage.recorded(_HALF)
    stage.trade(_HALF, "Sell", "0.1")
    stage.change("adl", _HALF, qty="0.2")
    await stage.flagged(position_id, "0.2")
    row = await stage.explained(position_id, _HALF, "0.2", "several", "by hand", "by ADL")
    assert row["cause"].index("by hand") < row["cause"].index("by ADL"), row["cause"]


async def grows_later(stage: Stage) -> None:
    """A deviation that is on record grows by another cause: one row, with both."""
    position_id = await stage.recorded(_HALF)
    stage.trade(_HALF, "Sell", "0.1")
    await stage.flagged(position_id, "0.4")
    first = await stage.explained(position_id, _HALF, "0.4", "by-hand", "0.1 BTC")
    stage.changed_at.clear()
    stage.change("liquidate", _HALF)
    await stage.flagged(position_id, "0")
    row = await stage.explained(position_id, _HALF, "0", "several", "by hand", "by liquidation")
    assert (row["id"], row["first_seen"]) == (first["id"], first["first_seen"])


def rows() -> list[Row]:
    one_way: dict[str, Story] = {
        "two positions of one direction lose": same_direction,
        "two positions of opposite directions are off": opposite_directions,
        "two positions see a surplus, and one accepts it": surplus_for_both,
        "a bucket of two positions is liquidated": liquidated_for_both,
        "a loss beyond either of two positions is assigned": loss_is_assigned,
        "one of two legs is off": two_legs_of_one_position,
        "the trader trades his own part, and accepts it": own_part_sold,
        "the trader adds to his own part": own_part_opposite,
        "the mode is switched to hedge with a tracked leg": switched_to_hedge,
        "a change each second for 13 s": burst_linear,
        "two causes in one deviation": two_causes,
        "a deviation grows by another cause": grows_later,
    }
    hedge: dict[str, Story] = {
        "the long side loses beside a short one": hedge_one_side,
        "both sides are off": hedge_both_sides,
        "a surplus of the short side is accepted": hedge_surplus_is_accepted,
        "the mode is switched to one-way with a tracked leg": switched_to_one_way,
    }
    return [
        *(Row("linear USDT", "one-way", name, story) for name, story in one_way.items()),
        *(Row("linear USDT", "hedge", name, story) for name, story in hedge.items()),
        Row("inverse perpetual", "one-way", "two positions lose by ADL", inverse_shared),
        Row("spot and linear", "one-way", "the hedge of coins is liquidated", across_categories),
        Row("option call", "one-way", "a change each second for 13 s", burst_option),
    ]
