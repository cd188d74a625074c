"""What a preview asks beside the sizes: the book, what an order pays, and who locks the coin."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final, TypeVar

from .domain.errors import PositiondError
from .domain.model import AccountId, Category, InstrumentKey, Position, Side
from .domain.orders import OrderBook, RestingOrder
from .domain.ports import AccountExchange, Gateway
from .timing import Timing

T = TypeVar("T")

# None of it is worth waiting for: the reads may stand behind those of a full compare.
_PATIENCE: Final = 2.0
_FEES_GOOD_FOR: Final = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Quote:
    """None for what was not told in time."""

    book: OrderBook | None
    fee_rate: Decimal | None
    resting: tuple[RestingOrder, ...] = ()
    """Of a spot instrument alone: the open sales that lock its coin."""


class CloseQuotes:
    """Asks for all at once; nothing here fails, for an estimate may be lacking."""

    def __init__(
        self,
        gateway: Gateway,
        exchange: Callable[[Position], AccountExchange],
        timing: Timing,
    ) -> None:
        self._gateway = gateway
        self._exchange = exchange
        self._timing = timing
        self._fees: dict[tuple[AccountId, InstrumentKey], tuple[Decimal, datetime]] = {}

    async def quote(self, position: Position, key: InstrumentKey) -> Quote:
        """Within 2 s, whoever answers."""
        async with asyncio.TaskGroup() as group:
            book = group.create_task(
                _in_time(self._gateway.order_book(key.environment, key.category, key.symbol))
            )
            fee_rate = group.create_task(self._fee_rate(position, key))
            resting = group.create_task(self._sales(position, key))
        return Quote(book.result(), fee_rate.result(), resting.result())

    async def _sales(self, position: Position, key: InstrumentKey) -> tuple[RestingOrder, ...]:
        """A close never touches them, so that it does not read them either."""
        if key.category is not Category.SPOT:
            return ()
        asking = self._exchange(position).open_orders(key.category, key.symbol)
        orders = await _in_time(asking) or []
        return tuple(order for order in orders if order.side is Side.SELL)

    async def _fee_rate(self, position: Position, key: InstrumentKey) -> Decimal | None:
        whose, now = (position.account_id, key), self._timing.now()
        known = self._fees.get(whose)
        if known is not None and now - known[1] < _FEES_GOOD_FOR:
            return known[0]
        asking = self._exchange(position).taker_fee_rate(key.category, key.symbol)
        rate = await _in_time(asking)
        if rate is not None:
            aged = [k for k, (_, at) in self._fees.items() if now - at >= _FEES_GOOD_FOR]
            for old in aged:
                del self._fees[old]
            self._fees[whose] = (rate, now)
        return rate


async def _in_time(asking: Coroutine[Any, Any, T]) -> T | None:
    try:
        async with asyncio.timeout(_PATIENCE):
            return await asking
    except (PositiondError, TimeoutError):
        return None
