"""Contracts with an end: delivered or settled by the venue, named so, closed out on our side."""

from __future__ import annotations

from decimal import Decimal
from functools import partial
from typing import Final

from tests.e2e.scenarios import contracts as c
from tests.e2e.scenarios.contracts import Leg
from tests.e2e.scenarios.stage import Stage
from tests.e2e.scenarios.table import Row

# Each row ends a contract for everybody, so each has one of its own.
_CALL: Final = c.CALLS[1]
_PUT: Final = c.PUTS[1]
_SHORT_CALL: Final = c.CALLS[2]
_FUTURE: Final = c.FUTURES[2]
_HELD_BY_TWO: Final = c.FUTURES[1]
_INVERSE: Final = c.INVERSE_FUTURES[1]


def _strike(symbol: str) -> Decimal:
    return Decimal(symbol.split("-")[2])


async def ended(stage: Stage, leg: Leg, price: Decimal, cause: tuple[str, str, str]) -> None:
    """Delivered at a price; the cause says so, and marking the leg closed settles it."""
    kind, *words = cause
    position_id = await stage.recorded(leg)
    stage.paper.control("deliver", category=leg.category, symbol=leg.symbol, price=str(price))
    stage.note_change()
    await stage.flagged(position_id, "0")
    row = await stage.explained(position_id, leg, "0", kind, *words)
    status, answer = await stage.resolve(position_id, "accept")
    assert (status, answer["code"]) == (409, "opposite-unassigned"), answer
    status, answer = await stage.resolve(position_id, "mark_closed")
    assert status == 200, answer
    shown = await stage.detail(position_id)
    assert not shown["is_altered"], shown
    (leg_shown,) = shown["components"]
    left = Decimal(leg_shown["quantity"]) - Decimal(leg_shown["closed_quantity"])
    assert left == 0, leg_shown
    assert leg_shown["recorded_quantity"] == leg.quantity, leg_shown
    (over,) = (one for one in shown["deviations"] if one["id"] == row["id"])
    assert over["ended_at"] is not None
    assert over["resolution"] == "mark_closed"


async def ended_for_two(stage: Stage) -> None:
    """Two positions in one contract: both lose it and say why, and both can be closed out."""
    leg = Leg("linear", _HELD_BY_TWO, "Buy", "0.5")
    other = Leg("linear", _HELD_BY_TWO, "Buy", "0.3")
    first, second = await stage.record("first", leg), await stage.record("second", other)
    await stage.in_sync(first)
    await stage.in_sync(second)
    stage.paper.control("deliver", category="linear", symbol=_HELD_BY_TWO, price="3900")
    stage.note_change()
    await stage.until(first, lambda p: p["is_altered"], "the first is Altered")
    await stage.until(second, lambda p: p["is_altered"], "the second is Altered")
    for one in (first, second):
        await stage.explained(one, leg, "0", "delivery", "delivered", "0.8 ETH")
    # Nobody can trade it back: one is marked closed while the other still lacks its own.
    for one in (first, second):
        status, answer = await stage.resolve(one, "mark_closed")
        assert (status, answer.get("status")) == (200, "CLOSED"), answer
    shown = await stage.detail(second)
    assert not shown["is_altered"], shown
    assert all(row["ended_at"] for row in shown["deviations"]), shown["deviations"]


def rows() -> list[Row]:
    ends = (
        (
            "option call",
            "a long call is delivered in the money",
            Leg("option", _CALL, "Buy", "0.5"),
            _strike(_CALL) + 5000,
            ("delivery", "Long leg delivered", "0.5 BTC"),
        ),
        (
            "option put",
            "a long put is delivered out of the money",
            Leg("option", _PUT, "Buy", "0.5"),
            _strike(_PUT) + 5000,
            ("delivery", "Long leg delivered", "0.5 BTC"),
        ),
        (
            "option call",
            "a short call is delivered in the money",
            Leg("option", _SHORT_CALL, "Sell", "0.5"),
            _strike(_SHORT_CALL) + 5000,
            ("delivery", "Short leg delivered", "0.5 BTC"),
        ),
        (
            "linear future",
            "a short leg is delivered",
            Leg("linear", _FUTURE, "Sell", "0.5"),
            Decimal(101000),
            ("delivery", "Short leg delivered", "0.5 BTC"),
        ),
        (
            "inverse future",
            "a long leg is settled",
            Leg("inverse", _INVERSE, "Buy", "5000"),
            Decimal(101000),
            ("settlement", "Long leg settled", "5000 USD"),
        ),
    )
    return [
        *(
            Row(category, "one-way", happened, partial(ended, leg=leg, price=price, cause=cause))
            for category, happened, leg, price, cause in ends
        ),
        Row("linear future", "one-way", "a contract of two positions is delivered", ended_for_two),
    ]
