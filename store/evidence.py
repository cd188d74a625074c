"""What happened: deviations, the journal, funding and P&L over time."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime

from ..daemon.domain.buckets import SymbolKey
from ..daemon.domain.deviations import DeviationRow
from ..daemon.domain.funding import FundingClaim, FundingPayment, FundingShare
from ..daemon.domain.history import PnlPoint
from ..daemon.domain.model import AccountId, ComponentId, PositionId, Side
from ..daemon.domain.orders import CloseRequest
from ..daemon.domain.records import JournalEvent
from . import close_rows, rows
from .pool import Database
from .sql import SQL
from .thinning import thin


class Evidence:
    """The port `Evidence` on Postgres."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def open_deviations(self) -> list[DeviationRow]:
        return [rows.deviation(row) for row in await self._database.fetch(SQL["open_deviations"])]

    async def deviations_of(self, position_id: PositionId, limit: int) -> list[DeviationRow]:
        found = await self._database.fetch(SQL["deviations_of_position"], position_id, limit)
        return [rows.deviation(row) for row in found]

    async def events_of(self, position_id: PositionId, limit: int) -> list[JournalEvent]:
        # An event is younger than its deviation: of as many deviations, the newest ones' suffice.
        deviations = [row.id for row in await self.deviations_of(position_id, limit)]
        found = await self._database.fetch(
            SQL["events_of_position"], position_id, deviations, limit
        )
        return [
            JournalEvent(row["id"], row["at"], row["kind"], row["actor"], json.loads(row["data"]))
            for row in found
        ]

    async def closes_of(self, position_id: PositionId, limit: int) -> list[CloseRequest]:
        found = await self._database.fetch(SQL["requests_of_position"], position_id, limit)
        return close_rows.requests(found)

    async def owners_of(self, link_ids: Sequence[str]) -> Mapping[str, tuple[PositionId, str]]:
        found = await self._database.fetch(SQL["owners_of_orders"], list(link_ids))
        return {row["link_id"]: (PositionId(row["id"]), row["name"]) for row in found}

    # --- funding ----------------------------------------------------------------------------

    async def funding_claims(self, symbol: SymbolKey, at: datetime) -> list[FundingClaim]:
        found = await self._database.fetch(
            SQL["funding_claims"], symbol.account_id, symbol.category, symbol.symbol, at
        )
        return [
            FundingClaim(
                ComponentId(row["component_id"]),
                PositionId(row["position_id"]),
                Side(row["side"]).sign * row["open"],
            )
            for row in found
            # A fill beyond what was open leaves nothing, not less.
            if row["open"] > 0
        ]

    async def book_funding(
        self, payment: FundingPayment, shares: Sequence[FundingShare]
    ) -> frozenset[PositionId]:
        found = await self._database.fetch(
            SQL["book_funding"],
            payment.symbol.account_id,
            payment.exec_id,
            payment.symbol.category,
            payment.symbol.symbol,
            payment.coin,
            payment.paid_at,
            [share.position_id for share in shares],
            [share.amount for share in shares],
        )
        return frozenset(PositionId(row["position_id"]) for row in found)

    async def funding_read_until(self, account_id: AccountId) -> datetime | None:
        row = await self._database.row(SQL["funding_read_until"], account_id)
        until: datetime | None = row and row["read_until"]
        return until

    async def note_funding_read(self, account_id: AccountId, until: datetime) -> None:
        await self._database.fetch(SQL["note_funding_read"], account_id, until)

    # --- P&L over time ----------------------------------------------------------------------

    async def write_history(self, points: Sequence[PnlPoint]) -> None:
        if points:
            await self._database.fetch(
                SQL["write_history"],
                [point.position_id for point in points],
                [point.at for point in points],
                [point.unrealized for point in points],
                [point.net for point in points],
                [point.currency for point in points],
            )

    async def history(
        self, position_id: PositionId, start: datetime, end: datetime, limit: int
    ) -> list[PnlPoint]:
        return [
            PnlPoint(
                PositionId(row["position_id"]),
                row["at"],
                row["unrealized_pnl"],
                row["net_pnl"],
                row["currency"],
            )
            for row in await self._database.fetch(SQL["history"], position_id, start, end, limit)
        ]

    async def thin_history(self, now: datetime) -> int:
        return await thin(self._database, now)
