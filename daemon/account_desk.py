"""What is asked of an account as a whole: all that it holds, and a full compare now."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Final

from .domain.buckets import SymbolKey, place_of, position_idx_for
from .domain.errors import ExchangeUnreachable, NotFound, PositiondError, Throttled
from .domain.model import (
    ZERO,
    AccountId,
    BucketKey,
    Category,
    Component,
    Holding,
    PositionId,
    UserId,
)
from .domain.people import AccountBook
from .domain.portfolio import AccountState, Portfolio
from .domain.ports import AccountExchange
from .domain.views import Holdings, HoldingView, PositionView
from .timing import Timing
from .together import together

# Bybit lists derivatives by settle coin or by category (V5: position/list), coins by wallet.
_LISTS: Final = (
    (Category.LINEAR, "USDT"),
    (Category.LINEAR, "USDC"),
    (Category.INVERSE, ""),
    (Category.OPTION, ""),
    (Category.SPOT, ""),
)
_READ_AGAIN: Final = timedelta(seconds=2)
_COMPARE_AGAIN: Final = timedelta(seconds=10)


@dataclass(slots=True)
class _Desk:
    """One account's part: whoever reads holds `reading`, and the others take the answer."""

    reading: asyncio.Lock = field(default_factory=asyncio.Lock)
    answer: Holdings | None = None
    compared_at: float | None = None


class AccountDesk:
    """Implements services.AccountDesk; `resync` asks for a full compare of an account."""

    def __init__(
        self,
        portfolio: Portfolio,
        exchanges: Mapping[AccountId, AccountExchange],
        accounts: AccountBook,
        timing: Timing,
        live_view: Callable[[PositionId], PositionView],
        resync: Callable[[AccountId], None],
    ) -> None:
        self._portfolio = portfolio
        self._live_view = live_view
        self._resync = resync
        self._exchanges = exchanges
        self._accounts = accounts
        self._timing = timing
        self._desks: dict[AccountId, _Desk] = {}

    async def holdings(self, user_id: UserId, account_id: AccountId) -> Holdings:
        """Read now, at most once in 2 s per account: whoever asks in between gets that answer."""
        exchange = await self._exchange(user_id, account_id)
        desk = self._desks.setdefault(account_id, _Desk())
        async with desk.reading:
            answer = desk.answer
            if answer is None or self._timing.now() - answer.read_at >= _READ_AGAIN:
                answer = desk.answer = await self._read(account_id, exchange)
        return answer

    async def reconcile(self, user_id: UserId, account_id: AccountId) -> None:
        """Ask for it, at most once in 10 s per account."""
        await self._exchange(user_id, account_id)
        desk, now = self._desks.setdefault(account_id, _Desk()), self._timing.monotonic()
        if desk.compared_at is not None:
            left = _COMPARE_AGAIN.total_seconds() - (now - desk.compared_at)
            if left > 0:
                raise Throttled(
                    "reconciled-just-now",
                    "A full compare of this account was asked for a moment ago.",
                    retry_after=left,
                )
        desk.compared_at = now
        self._resync(account_id)

    async def _exchange(self, user_id: UserId, account_id: AccountId) -> AccountExchange:
        state = self._portfolio.accounts.get(account_id)
        if state is None or state.account.user_id != user_id:
            mine = await self._accounts.of_user(user_id)
            if not any(account.id == account_id for account in mine):
                raise NotFound("unknown-account", "There is no such account.")
        exchange = self._exchanges.get(account_id)
        if exchange is None:
            raise ExchangeUnreachable("account-not-connected", _trouble(state))
        return exchange

    # --- holdings ---------------------------------------------------------------------------

    async def _read(self, account_id: AccountId, exchange: AccountExchange) -> Holdings:
        """All lists at once; ExchangeUnreachable (or its like) only where not one was read."""
        lists = await together(_listed(exchange, *which) for which in _LISTS)
        failures = {
            which: answer
            for which, answer in zip(_LISTS, lists, strict=True)
            if isinstance(answer, PositiondError)
        }
        if len(failures) == len(_LISTS):
            raise next(iter(failures.values()))
        rows = [row for answer in lists if not isinstance(answer, PositiondError) for row in answer]
        unread = {category for category, _ in failures}
        shown = self._shown(account_id, rows, unread)
        incomplete = "; ".join(
            f"{' '.join(filter(None, which))}: {error.detail}" for which, error in failures.items()
        )
        return Holdings(tuple(shown), self._timing.now(), incomplete or None)

    def _shown(
        self, account_id: AccountId, rows: Sequence[Holding], unread: set[Category]
    ) -> Iterator[HoldingView]:
        """Every bucket with anything in it, held or recorded, in the order of their keys.

        What is recorded in a category that was not read in full is not shown as held at zero.
        """
        held: dict[SymbolKey, list[Holding]] = {}
        for row in rows:
            held.setdefault(SymbolKey(account_id, row.category, row.symbol), []).append(row)
        by_bucket = {
            symbol.bucket(row.position_idx): row
            for symbol, symbol_rows in held.items()
            for row in symbol_rows
            if row.size
        }
        tracked = self._tracked(account_id, held)
        prices = self._prices(account_id)
        unassigned = self._portfolio.unassigned
        recorded = tracked.keys() | {
            bucket
            for bucket, size in unassigned.items()
            if bucket.account_id == account_id and size
        }
        wanted = by_bucket.keys() | {b for b in recorded if b.category not in unread}
        for bucket in sorted(wanted):
            holding = by_bucket.get(bucket)
            yield HoldingView(
                bucket=bucket,
                total=ZERO if holding is None else holding.signed,
                tracked=tracked.get(bucket, ZERO),
                unassigned=unassigned.get(bucket, ZERO),
                entry_price=None if holding is None else holding.entry_price,
                price=prices.get((bucket.category, bucket.symbol)),
            )

    def _tracked(
        self, account_id: AccountId, held: Mapping[SymbolKey, Sequence[Holding]]
    ) -> dict[BucketKey, Decimal]:
        sums: dict[BucketKey, Decimal] = {}
        for component in self._open_legs(account_id):
            symbol = place_of(account_id, component)
            # A list leaves out what is flat: then the last reading tells the symbol's mode.
            reading = self._portfolio.readings.get(symbol)
            rows = held.get(symbol) or (reading.holdings if reading else ())
            bucket = symbol.bucket(position_idx_for(component.side, rows))
            sums[bucket] = sums.get(bucket, ZERO) + component.signed_open
        return sums

    def _open_legs(self, account_id: AccountId) -> Iterator[Component]:
        for position in self._portfolio.of_account(account_id):
            yield from (component for component in position.components if component.open > 0)

    def _prices(self, account_id: AccountId) -> dict[tuple[Category, str], Decimal]:
        """Prices are known of what positions hold."""
        return {
            (leg.component.category, place_of(account_id, leg.component).symbol): leg.price
            for position in self._portfolio.of_account(account_id)
            for leg in self._live_view(position.id).legs
            if leg.price is not None
        }


async def _listed(
    exchange: AccountExchange, category: Category, coin: str
) -> list[Holding] | PositiondError:
    """One list, or why it was not read: the others are shown all the same."""
    try:
        return await exchange.holdings(category, settle_coin=coin)
    except PositiondError as error:
        return error


def _trouble(state: AccountState | None) -> str:
    return (state.trouble if state else None) or "the account is still connecting"
