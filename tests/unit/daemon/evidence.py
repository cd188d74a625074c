"""What happened, kept in memory: a stand-in for the store's evidence, as far as loops use it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from positiond.daemon.domain.buckets import SymbolKey
from positiond.daemon.domain.errors import StoreUnavailable
from positiond.daemon.domain.funding import FundingClaim, FundingPayment, FundingShare
from positiond.daemon.domain.history import PnlPoint
from positiond.daemon.domain.model import ZERO, AccountId, Booked, Position, PositionId
from positiond.daemon.domain.verdict import symbol_of

from .ledger import Ledger


class Memory:
    """Implements the part of Evidence that is written by loops; `fails` while the database is away.

    Claims are told from the positions of the ledger, as if nothing was ever closed.
    """

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.fails = False
        self.shares: dict[tuple[AccountId, str, PositionId], Decimal] = {}
        self.payments: list[FundingPayment] = []
        self.asked: list[SymbolKey] = []
        self.read_until: dict[AccountId, datetime] = {}
        self.points: list[tuple[datetime, list[PnlPoint]]] = []
        self.old_rows: list[int] = []
        self.thinned: list[datetime] = []

    def _answer(self) -> None:
        if self.fails:
            raise StoreUnavailable("store-unavailable", "connection lost")

    async def funding_claims(self, symbol: SymbolKey, at: datetime) -> list[FundingClaim]:
        self._answer()
        self.asked.append(symbol)
        return [
            FundingClaim(component.id, position.id, component.signed_open)
            for position in self.ledger.positions.values()
            for component in position.components
            if symbol_of(position, component) == symbol and position.opened_at <= at
        ]

    async def book_funding(
        self, payment: FundingPayment, shares: Sequence[FundingShare]
    ) -> frozenset[PositionId]:
        self._answer()
        self.payments.append(payment)
        risen = set()
        for share in shares:
            key = (payment.symbol.account_id, payment.exec_id, share.position_id)
            if key not in self.shares:
                self.shares[key] = share.amount
                self._add(share, payment.coin)
                risen.add(share.position_id)
        return frozenset(risen)

    def _add(self, share: FundingShare, coin: str) -> None:
        position = self.ledger.positions[share.position_id]
        booked = {sums.coin: sums for sums in position.booked}
        sums = booked.get(coin, Booked(coin))
        booked[coin] = replace(sums, funding=sums.funding + share.amount)
        self.ledger.positions[position.id] = replace(position, booked=tuple(booked.values()))

    def funding_of(self, position: Position) -> Decimal:
        return sum(
            (amount for (_, _, holder), amount in self.shares.items() if holder == position.id),
            ZERO,
        )

    async def funding_read_until(self, account_id: AccountId) -> datetime | None:
        self._answer()
        return self.read_until.get(account_id)

    async def note_funding_read(self, account_id: AccountId, until: datetime) -> None:
        self._answer()
        self.read_until[account_id] = until

    async def write_history(self, points: Sequence[PnlPoint]) -> None:
        self._answer()
        self.points.append((points[0].at, list(points)))

    async def thin_history(self, now: datetime) -> int:
        self._answer()
        self.thinned.append(now)
        return self.old_rows.pop() if self.old_rows else 0
