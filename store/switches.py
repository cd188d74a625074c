"""Operator switches kept in the database, so that a restart keeps them."""

from __future__ import annotations

from .pool import Database
from .sql import SQL

_TRADING_PAUSED = "trading-paused"


class Switches:
    """The port `Switches` on Postgres."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def trading_paused(self) -> bool:
        row = await self._database.row(SQL["switch"], _TRADING_PAUSED)
        # A switch that is gone was tampered with: not trading is the safe answer.
        return row is None or row["is_on"]

    async def set_trading_paused(self, paused: bool) -> None:
        await self._database.fetch(SQL["set_switch"], _TRADING_PAUSED, paused)
