"""What the trader decides: accept, rebase, mark closed; each leaves expected = actual or is 409."""

from __future__ import annotations

from decimal import Decimal
from functools import partial
from typing import Any, Final

from tests.e2e.scenarios import contracts as c
from tests.e2e.scenarios.contracts import Contract
from tests.e2e.scenarios.stage import Stage, leg_of
from tests.e2e.scenarios.table import Row

_CONTRACTS: Final = (c.USDT_LONG, c.USDC, c.INVERSE, c.CALL)


async def _refused(stage: Stage, position_id: str, action: str, code: str) -> None:
    status, answer = await stage.resolve(position_id, action)
    assert (status, answer["code"]) == (409, code), answer


async def _taken(stage: Stage, position_id: str, action: str, row: dict[str, Any]) -> None:
    """The answer itself has no flag any more, and the deviation names what ended it."""
    status, answer = await stage.resolve(position_id, action)
    assert status == 200, answer
    assert not answer["is_altered"], answer
    shown = await stage.detail(position_id)
    (over,) = (one for one in shown["deviations"] if one["id"] == row["id"])
    assert over["resolution"] == action, over
    assert over["ended_at"] is not None, over
    (resolved,) = (one for one in shown["events"] if one["kind"] == "resolved")
    assert resolved["data"]["action"] == action, resolved
    assert resolved["actor"], resolved


async def accepted(stage: Stage, contract: Contract) -> None:
    """A surplus becomes the trader's own; nothing is left to resolve."""
    leg = contract.leg
    position_id = await stage.recorded(leg)
    await _refused(stage, position_id, "accept", "nothing-to-resolve")
    stage.trade(leg, leg.side, leg.part("0.4"))
    await stage.flagged(position_id, leg.part("1.4"))
    row = await stage.explained(position_id, leg, leg.part("1.4"), "by-hand", "increased by hand")
    await _refused(stage, position_id, "mark_closed", "not-gone")
    await _taken(stage, position_id, "accept", row)
    shown = leg_of(await stage.detail(position_id))
    assert Decimal(shown["quantity"]) == Decimal(leg.quantity), shown
    assert (Decimal(shown["actual"]), Decimal(shown["difference"])) == (Decimal(leg.quantity), 0)


async def rebased(stage: Stage, contract: Contract) -> None:
    """A loss that the trader means: the leg is what is left, its record as it was."""
    leg = contract.leg
    position_id = await stage.recorded(leg)
    stage.trade(leg, c.OTHER[leg.side], leg.part("0.4"))
    await stage.flagged(position_id, leg.part("0.6"))
    row = await stage.explained(position_id, leg, leg.part("0.6"), "by-hand", "reduced by hand")
    await _refused(stage, position_id, "accept", "opposite-unassigned")
    await _refused(stage, position_id, "mark_closed", "not-gone")
    await _taken(stage, position_id, "rebase", row)
    shown = leg_of(await stage.detail(position_id))
    assert Decimal(shown["quantity"]) == Decimal(leg.part("0.6")), shown
    assert Decimal(shown["recorded_quantity"]) == Decimal(leg.quantity), shown
    # From here on the smaller leg is what is expected.
    await stage.in_sync(position_id)
    async with stage.nothing_shown(position_id):
        stage.venue("cut")
        await stage.compared(position_id)


async def marked_closed(stage: Stage, contract: Contract) -> None:
    """The leg is gone; the position has nothing open any more, and ends."""
    leg = contract.leg
    position_id = await stage.recorded(leg)
    stage.change("liquidate", leg)
    await stage.flagged(position_id, "0")
    row = await stage.explained(position_id, leg, "0", "liquidation", "closed by liquidation")
    await _taken(stage, position_id, "mark_closed", row)
    shown = await stage.detail(position_id)
    assert shown["status"] == "CLOSED", shown
    await _refused(stage, position_id, "rebase", "already-closed")


async def flipped(stage: Stage, contract: Contract) -> None:
    """Turned past the leg: what is there is the trader's own, and the leg is gone."""
    leg = contract.leg
    position_id = await stage.recorded(leg)
    stage.trade(leg, c.OTHER[leg.side], leg.part("1.4"))
    await stage.flagged(position_id, leg.part("-0.4"))
    row = await stage.explained(position_id, leg, leg.part("-0.4"), "by-hand", "flipped by hand")
    await _refused(stage, position_id, "accept", "opposite-unassigned")
    await _taken(stage, position_id, "mark_closed", row)


async def closing_meanwhile(stage: Stage) -> None:
    """While a close is at work in the bucket nothing is resolved there."""
    leg = c.USDT_LONG.leg
    position_id = await stage.recorded(leg)
    stage.trade(leg, leg.side, leg.part("0.4"))
    await stage.flagged(position_id, leg.part("1.4"))
    async with stage.fault("hang", where="/v5/order/create", when="before", ms=3000):
        status, answer, _ = await stage.trader.post(f"/api/positions/{position_id}/close")
        assert status == 202, answer
        await _refused(stage, position_id, "accept", "close-open")


async def unread_meanwhile(stage: Stage) -> None:
    """What cannot be read now is not resolved by what was read before."""
    leg = c.USDT_LONG.leg
    position_id = await stage.recorded(leg)
    stage.trade(leg, leg.side, leg.part("0.4"))
    await stage.flagged(position_id, leg.part("1.4"))
    async with stage.fault("reject", where="/v5/position/list", code=10016):
        status, answer = await stage.resolve(position_id, "accept")
        assert status in (409, 503), answer
    assert (await stage.detail(position_id))["is_altered"]


def rows() -> list[Row]:
    deeds = {
        "a surplus is accepted": accepted,
        "a loss is rebased": rebased,
        "a liquidated leg is marked closed": marked_closed,
        "a flipped leg is marked closed": flipped,
    }
    return [
        *(
            Row(contract.label, contract.mode, happened, partial(deed, contract=contract))
            for contract in _CONTRACTS
            for happened, deed in deeds.items()
        ),
        Row("linear USDT", "one-way", "a close is open where it is resolved", closing_meanwhile),
        Row("linear USDT", "one-way", "the bucket cannot be read to resolve it", unread_meanwhile),
    ]
