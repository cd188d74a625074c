"""The README's INSERT, word for word, on a running daemon."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import asyncpg

from tests.e2e.scenarios.machine import moment
from tests.e2e.world import Trader, World, eventually

README = (Path(__file__).parents[2] / "README.md").read_text()
INSERT = README.partition("<!-- minimal inserts -->\n```sql\n")[2].partition("```")[0]


async def test_rows_written_straight_into_the_tables_are_live_within_two_seconds(
    world: World, trader: Trader
) -> None:
    connection = await asyncpg.connect(world.database_url)
    try:
        await connection.execute(INSERT)
    finally:
        await connection.close()

    inserted = moment()

    async def listed() -> list[dict[str, Any]]:
        return list((await trader.get("/api/positions"))["positions"])

    (position,) = await eventually(listed, 10, "the position written into the tables is listed")
    assert moment().since(inserted) < 2
    legs = {row["symbol"]: (row["side"], row["quantity"]) for row in position["components"]}
    assert legs == {"BTCUSDT": ("Buy", "0.5"), "ETHUSDT": ("Sell", "7")}
    # Nothing of it is held on the exchange, and rows like these claim nothing else.
    await trader.until(position["id"], lambda shown: shown["is_altered"], 15, "flagged")
