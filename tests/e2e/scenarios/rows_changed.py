"""A held leg changes by every cause there is: Altered in time, by how much, and why in words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Final

from tests.e2e.scenarios import contracts as c
from tests.e2e.scenarios.contracts import OTHER, Contract, Leg
from tests.e2e.scenarios.stage import Stage
from tests.e2e.scenarios.table import Row

Deed = Callable[[Stage, Leg], None]


@dataclass(frozen=True, slots=True)
class Happening:
    """What is done to a leg, what part is left, and the words of the cause (… is anything)."""

    name: str
    deed: Deed
    left: str
    kind: str
    words: str
    undo: Deed | None = None
    tells_amount: bool = True


def traded(share: str, *, same: bool = False, **terms: object) -> Deed:
    """A part of the leg by a market order: against it, or with it (`same`)."""

    def deed(stage: Stage, leg: Leg) -> None:
        side = leg.side if same else OTHER[leg.side]
        stage.trade(leg, side, leg.part(share), **terms)

    return deed


def forced(name: str, share: str) -> Deed:
    def deed(stage: Stage, leg: Leg) -> None:
        stage.change(name, leg, qty=leg.part(share))

    return deed


def imposed(exec_type: str, share: str) -> Deed:
    def deed(stage: Stage, leg: Leg) -> None:
        terms = {"side": OTHER[leg.side], "qty": leg.part(share), "exec_type": exec_type}
        stage.change("execution", leg, **terms)

    return deed


def moved(share: str) -> Deed:
    """Part of it to an account that nobody here follows."""

    def deed(stage: Stage, leg: Leg) -> None:
        taker = stage.paper.add_account("taker").uid
        stage.change("move", leg, to=taker, qty=leg.part(share))

    return deed


def by_order(kind: str, share: str = "0.4") -> Deed:
    return traded(share, create_type=kind, reduce_only=True)


REDUCED: Final = Happening(
    "reduced by hand", traded("0.4"), "0.6", "by-hand", "reduced by hand", traded("0.4", same=True)
)
INCREASED: Final = Happening(
    "increased by hand",
    traded("0.4", same=True),
    "1.4",
    "by-hand",
    "increased by hand",
    traded("0.4"),
)
CLOSED: Final = Happening("closed by hand", traded("1"), "0", "by-hand", "closed by hand")
FLIPPED: Final = Happening(
    "flipped by hand",
    traded("1.4"),
    "-0.4",
    "by-hand",
    "flipped by hand",
    traded("1.4", same=True),
)
LIQUIDATED: Final = Happening(
    "liquidated", forced("liquidate", "1"), "0", "liquidation", "closed by liquidation"
)
ADL_PART: Final = Happening("reduced by ADL", forced("adl", "0.4"), "0.6", "adl", "reduced by ADL")
ADL_FULL: Final = Happening("closed by ADL", forced("adl", "1"), "0", "adl", "closed by ADL")
TAKE_PROFIT: Final = Happening(
    "reduced by a take-profit",
    by_order("CreateByPartialTakeProfit"),
    "0.6",
    "take-profit",
    "reduced by take-profit",
)
STOP_LOSS: Final = Happening(
    "closed by a stop-loss",
    by_order("CreateByStopLoss", "1"),
    "0",
    "stop-loss",
    "closed by stop-loss",
)
TRAILING: Final = Happening(
    "closed by a trailing stop",
    by_order("CreateByTrailingStop", "1"),
    "0",
    "trailing-stop",
    "closed by trailing stop",
)
BLOCK: Final = Happening(
    "reduced by a block trade",
    imposed("BlockTrade", "0.4"),
    "0.6",
    "block-trade",
    "reduced by a block trade",
)
SPREAD: Final = Happening(
    "reduced by a spread trade",
    imposed("FutureSpread", "0.4"),
    "0.6",
    "by-hand",
    "reduced by a spread trade",
)
MOVED: Final = Happening(
    "moved away in part",
    moved("0.4"),
    "0.6",
    "move-position",
    "reduced by a position move",
)
CORPORATE: Final = Happening(
    "changed by a corporate action",
    imposed("CorporateAction", "0.4"),
    "0.6",
    "corporate-action",
    "changed by a corporate action at",
    tells_amount=False,
)
UNHEARD: Final = Happening(
    "changed by an execution of a type that nobody knows",
    imposed("UNKNOWN", "0.4"),
    "0.6",
    "unknown",
    "reduced by 0.2 BTC; no trade explains it … unknown type: UNKNOWN",
)
UNLISTED: Final = Happening(
    "reduced by a kind of order that nobody knows",
    by_order("CreateByUnlisted"),
    "0.6",
    "unknown",
    "reduced by an order of the unknown kind CreateByUnlisted",
)
GRID: Final = Happening(
    "reduced by a grid bot",
    by_order("CreateByFGridBot"),
    "0.6",
    "bot",
    "reduced by a grid bot",
)

TABLE: Final[dict[Contract, tuple[Happening, ...]]] = {
    c.USDT_LONG: (
        REDUCED,
        INCREASED,
        CLOSED,
        FLIPPED,
        LIQUIDATED,
        ADL_PART,
        ADL_FULL,
        TAKE_PROFIT,
        STOP_LOSS,
        TRAILING,
        BLOCK,
        SPREAD,
        MOVED,
        CORPORATE,
        UNHEARD,
        UNLISTED,
        GRID,
    ),
    c.USDT_SHORT: (REDUCED, INCREASED, FLIPPED, LIQUIDATED, ADL_PART),
    c.HEDGE_LONG: (REDUCED, INCREASED, CLOSED, LIQUIDATED, ADL_PART, TAKE_PROFIT, MOVED),
    c.HEDGE_SHORT: (REDUCED, INCREASED, CLOSED, ADL_FULL, STOP_LOSS),
    c.USDC: (REDUCED, INCREASED, CLOSED, FLIPPED, LIQUIDATED, ADL_PART, STOP_LOSS),
    c.FUTURE: (REDUCED, FLIPPED, SPREAD),
    c.INVERSE: (REDUCED, INCREASED, CLOSED, FLIPPED, LIQUIDATED, ADL_PART, TAKE_PROFIT, TRAILING),
    c.INVERSE_FUTURE: (REDUCED, INCREASED, FLIPPED, ADL_FULL),
    c.CALL: (REDUCED, INCREASED, CLOSED, FLIPPED, LIQUIDATED, BLOCK),
    c.PUT: (REDUCED, INCREASED, LIQUIDATED),
}


async def change(stage: Stage, contract: Contract, happening: Happening) -> None:
    leg = contract.leg
    if leg.idx:
        stage.venue("mode", symbol=leg.symbol, mode="hedge")
    position_id = await stage.recorded(leg)
    happening.deed(stage, leg)
    left = leg.part(happening.left)
    await stage.flagged(position_id, left)
    size = abs(Decimal(leg.quantity) - Decimal(left))
    words = [contract.subject, *happening.words.split(" … "), "UTC"]
    if happening.tells_amount:
        words.append(f"{c.plain(size)} {contract.unit}")
    row = await stage.explained(position_id, leg, left, happening.kind, *words)
    if happening.undo is None:
        return
    happening.undo(stage, leg)
    await stage.settled(position_id, row["id"])


def rows() -> list[Row]:
    return [
        Row(
            contract.label,
            contract.mode,
            f"a {'long' if contract.leg.side == 'Buy' else 'short'} leg is {happening.name}",
            partial(change, contract=contract, happening=happening),
        )
        for contract, happenings in TABLE.items()
        for happening in happenings
    ]
