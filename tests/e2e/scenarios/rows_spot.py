"""Spot: a wallet holds coins for many reasons, so only what is short of the tracked sum counts."""

from __future__ import annotations

from decimal import Decimal
from functools import partial
from typing import Final

from tests.e2e.scenarios import contracts as c
from tests.e2e.scenarios.contracts import Leg
from tests.e2e.scenarios.stage import Stage, leg_of
from tests.e2e.scenarios.table import Row, Story

_LEG: Final = c.SPOT.leg
_COIN: Final = "SOL"


async def sold_by_hand(stage: Stage) -> None:
    position_id = await stage.recorded(_LEG)
    stage.trade(_LEG, "Sell", "20")
    await stage.flagged(position_id, "30")
    row = await stage.explained(position_id, _LEG, "30", "by-hand", "SOL sold by hand", "20 SOL")
    stage.venue("deposit", coin=_COIN, amount="20")
    stage.note_change()
    await stage.settled(position_id, row["id"])


async def sold_out_by_hand(stage: Stage) -> None:
    position_id = await stage.recorded(_LEG)
    stage.trade(_LEG, "Sell", "50")
    await stage.flagged(position_id, "0")
    await stage.explained(position_id, _LEG, "0", "by-hand", "SOL", "by hand", "50 SOL")


async def withdrawn(stage: Stage) -> None:
    """No execution tells of it: a wallet push, and a cause that says what it could be."""
    position_id = await stage.recorded(_LEG)
    stage.venue("deposit", coin=_COIN, amount="-20")
    stage.note_change()
    await stage.flagged(position_id, "30")
    row = await stage.explained(
        position_id, _LEG, "30", "unknown", "20 SOL less than recorded", "a withdrawal"
    )
    assert row["cause_order_ids"] == []
    stage.venue("deposit", coin=_COIN, amount="20")
    stage.note_change()
    await stage.settled(position_id, row["id"])


async def short_of_the_fee(stage: Stage) -> None:
    """Bought with the fee taken in the coin: 0.1 % less than ordered, and in sync with a note."""
    bought = stage.trade(_LEG, "Buy", "50")["order"]
    position_id = await stage.record("fresh", _LEG, price=bought["avgPrice"])
    await stage.in_sync(position_id)
    leg = leg_of(await stage.detail(position_id))
    assert (Decimal(leg["difference"]), leg["deviates"]) == (Decimal("-0.05"), False)
    assert "fee of the purchase" in leg["note"], leg
    assert "0.05 SOL" in leg["note"], leg


async def short_to_the_limit(stage: Stage) -> None:
    """Exactly 0.2 % is in order, the smallest step more is not."""
    position_id = await stage.recorded(_LEG)
    async with stage.nothing_shown(position_id):
        stage.venue("deposit", coin=_COIN, amount="-0.1")
        await stage.compared(position_id)
    stage.venue("deposit", coin=_COIN, amount="-0.0001")
    stage.note_change()
    await stage.flagged(position_id, "49.8999")
    leg = leg_of(await stage.detail(position_id))
    assert Decimal(leg["difference"]) == Decimal("-0.1001")


async def surplus(stage: Stage) -> None:
    position_id = await stage.recorded(_LEG)
    async with stage.nothing_shown(position_id):
        stage.trade(_LEG, "Buy", "20")
        await stage.compared(position_id)
        stage.venue("deposit", coin=_COIN, amount="100")
        await stage.compared(position_id)
    leg = leg_of(await stage.detail(position_id))
    assert (Decimal(leg["actual"]), Decimal(leg["difference"])) == (50, 0)


async def sold_from_the_surplus(stage: Stage) -> None:
    """The wallet's own part goes first; only what then lacks is missing."""
    position_id = await stage.recorded(_LEG)
    stage.venue("deposit", coin=_COIN, amount="10")
    await stage.compared(position_id)
    async with stage.nothing_shown(position_id):
        stage.trade(_LEG, "Sell", "6")
        await stage.compared(position_id)
    stage.changed_at.clear()
    stage.trade(_LEG, "Sell", "9")
    await stage.flagged(position_id, "45")
    words = ("SOL sold by hand", "9 SOL", "5 SOL of it is missing here")
    await stage.explained(position_id, _LEG, "45", "by-hand", *words)


async def two_in_one_coin(stage: Stage) -> None:
    """Two positions backed by one balance: what is missing is missing to both."""
    first = await stage.record("first", _LEG)
    stage.venue("deposit", coin=_COIN, amount="30")
    other = Leg("spot", "SOLUSDT", "Buy", "30")
    second = await stage.record("second", other, price="186")
    await stage.in_sync(first)
    await stage.in_sync(second)
    stage.trade(_LEG, "Sell", "8")
    await stage.flagged(first, "42")
    await stage.flagged(second, "22")


async def by_another_pair(stage: Stage) -> None:
    """The coin is sold for USDC; the leg names the USDT pair."""
    position_id = await stage.recorded(_LEG)
    stage.trade(Leg("spot", "SOLUSDC", "Buy", "50"), "Sell", "20")
    await stage.flagged(position_id, "30")
    await stage.explained(position_id, _LEG, "30", "by-hand", "SOL sold by hand", "20 SOL")


async def a_resting_order_locks_it(stage: Stage) -> None:
    """Coin that is locked in the trader's own order is still there."""
    position_id = await stage.recorded(_LEG)
    async with stage.nothing_shown(position_id):
        terms = {"side": "Sell", "qty": "20", "price": "195", "category": "spot"}
        stage.venue("order", symbol="SOLUSDT", **terms)
        stage.venue("cut")
        await stage.compared(position_id)


async def refused_actions(stage: Stage) -> None:
    """Spot knows no unassigned part; what is held cannot be marked closed; a rebase settles it."""
    position_id = await stage.recorded(_LEG)
    status, answer = await stage.resolve(position_id, "rebase")
    assert (status, answer["code"]) == (409, "nothing-to-resolve"), answer
    stage.trade(_LEG, "Sell", "20")
    await stage.flagged(position_id, "30")
    status, answer = await stage.resolve(position_id, "accept")
    assert (status, answer["code"]) == (422, "spot-has-no-unassigned"), answer
    status, answer = await stage.resolve(position_id, "mark_closed")
    assert (status, answer["code"]) == (409, "not-gone"), answer
    status, answer = await stage.resolve(position_id, "rebase")
    assert status == 200, answer
    leg = leg_of(answer)
    assert (Decimal(leg["quantity"]), Decimal(leg["recorded_quantity"])) == (30, 50), leg
    assert (answer["verdict"], answer["is_altered"]) == ("in_sync", False), answer


async def gone_and_marked(stage: Stage) -> None:
    position_id = await stage.recorded(_LEG)
    stage.venue("deposit", coin=_COIN, amount="-50")
    stage.note_change()
    await stage.flagged(position_id, "0")
    status, answer = await stage.resolve(position_id, "mark_closed")
    assert status == 200, answer
    assert not answer["is_altered"]


def rows() -> list[Row]:
    stories: dict[str, Story] = {
        "coin is sold by hand": sold_by_hand,
        "all of the coin is sold by hand": sold_out_by_hand,
        "coin is withdrawn, which no execution tells": withdrawn,
        "the wallet lacks the fee of the purchase": short_of_the_fee,
        "the wallet is short by the tolerance, then by more": short_to_the_limit,
        "the wallet holds more than is tracked": surplus,
        "the trader's own part is sold, then some of the leg": sold_from_the_surplus,
        "two positions share one balance that shrinks": two_in_one_coin,
        "the coin is sold by another pair": by_another_pair,
        "coin is locked in an order of the trader's": a_resting_order_locks_it,
        "a shortage is rebased, and is neither accepted nor marked closed": refused_actions,
        "a leg that is gone is marked closed": gone_and_marked,
    }
    return [Row("spot", "one-way", name, partial(story)) for name, story in stories.items()]
