"""What happened in one account: its executions and its delivered contracts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from ..daemon.domain.errors import InvalidInput
from ..daemon.domain.model import Category, Delivery, Fill
from . import translate, vocab
from .clock import to_ms
from .rest import Query
from .signed import SignedLists
from .wire_account import DeliveryRow, ExecutionRow, read_delivery, read_execution

# The largest page and the longest span of each list. (Bybit V5: execution/list, delivery-record)
_EXECUTIONS_PAGE: Final = "100"
_EXECUTIONS_SPAN: Final = timedelta(days=7)
_DELIVERIES_PAGE: Final = "50"
_DELIVERIES_SPAN: Final = timedelta(days=30)
# A row may carry a stamp a little later than the clock that we measured.
_AHEAD: Final = timedelta(seconds=10)


class AccountHistory:
    """The past of one account, oldest first."""

    def __init__(self, lists: SignedLists) -> None:
        self._lists = lists

    async def executions(self, query: Query, *, urgent: bool = True) -> list[ExecutionRow]:
        return await self._lists.rows(
            vocab.Path.EXECUTIONS,
            [*query, ("limit", _EXECUTIONS_PAGE)],
            read_execution,
            urgent=urgent,
        )

    async def fills_since(
        self,
        category: Category,
        since: datetime,
        symbol: str | None,
        base_coin: str | None,
        *,
        urgent: bool,
    ) -> list[Fill]:
        """Each execution once; InvalidInput for options of no symbol and no coin."""
        if category is Category.OPTION and symbol is not None:
            # Bybit's default coin would leave a symbol of another one out.
            base_coin = base_coin or symbol.partition("-")[0]
        if category is Category.OPTION and base_coin is None:
            # Without a coin Bybit lists BTC options only, and says so nowhere in the answer.
            raise InvalidInput("option-fills", "executions of options need their base coin")
        filters = [("category", category.value)]
        filters += [("symbol", symbol)] if symbol is not None else []
        filters += [("baseCoin", base_coin)] if base_coin is not None else []
        now = await self._lists.now()
        rows: list[ExecutionRow] = []
        for span in _spans(since, now, _EXECUTIONS_SPAN):
            rows += await self.executions([*filters, *span], urgent=urgent)
        wanted = [row for row in rows if symbol in (None, row.symbol)]
        for row in wanted:
            if not translate.is_known_exec_type(row.exec_type):
                self._lists.note(f"execType {row.exec_type[:40]}", row.symbol)
        return translate.fills_in_order(wanted, category)

    async def deliveries_since(
        self, category: Category, symbol: str, since: datetime
    ) -> list[Delivery]:
        """InvalidInput for spot, which delivers nothing."""
        if category is Category.SPOT:
            raise InvalidInput("spot-deliveries", "nothing expires on spot")
        now = await self._lists.now()
        rows: list[DeliveryRow] = []
        for span in _spans(since, now, _DELIVERIES_SPAN):
            query = [
                ("category", category.value),
                ("symbol", symbol),
                *span,
                ("limit", _DELIVERIES_PAGE),
            ]
            rows += await self._lists.rows(
                vocab.Path.DELIVERIES, query, read_delivery, urgent=False
            )
        found = {
            translate.delivery(row, category)
            for row in rows
            if row.symbol == symbol and row.delivered_at >= since
        }
        return sorted(found, key=lambda one: (one.delivered_at, one.side))


def _spans(since: datetime, now: datetime, longest: timedelta) -> Iterator[list[tuple[str, str]]]:
    """The time filters that together cover `since` until a little after now."""
    start, last = min(since, now), now + _AHEAD
    while start < last:
        end = min(start + longest, last)
        yield [("startTime", str(to_ms(start))), ("endTime", str(to_ms(end)))]
        start = end
