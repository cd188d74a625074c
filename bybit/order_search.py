"""What became of one order of ours: the places where Bybit may know it, in their order."""

from __future__ import annotations

from typing import Final

from ..daemon.domain.model import Fill, OrderReport
from ..daemon.domain.orders import MarketOrder
from . import translate, vocab
from .history import AccountHistory
from .rest import Query, RestClient, reading
from .signing import Signer
from .wire_account import read_order

# The largest page that the lists allow. (Bybit V5: order/realtime, order/history)
_ORDERS_PAGE: Final = "50"


class OrderSearch:
    """Looks up orders of one account; all of it urgent, since only closing asks."""

    def __init__(self, rest: RestClient, signer: Signer, history: AccountHistory) -> None:
        self._rest = rest
        self._signer = signer
        self._history = history

    async def find(self, order: MarketOrder) -> OrderReport | None:
        """The order under the link id: realtime, closed realtime, history, executions."""
        category, link_id = order.category.value, order.link_id
        symbol = [("category", category), ("symbol", order.symbol), ("limit", _ORDERS_PAGE)]
        by_id = [*symbol, ("orderLinkId", link_id)]
        ladder: tuple[tuple[str, Query], ...] = (
            (vocab.Path.ORDERS_REALTIME, by_id),
            # An id makes Bybit ignore openOnly: the closed ring is searched by symbol.
            (vocab.Path.ORDERS_REALTIME, [*symbol, ("openOnly", "1")]),
            (vocab.Path.ORDER_HISTORY, by_id),
        )
        for path, query in ladder:
            found = await self._named(path, query, order)
            if found:
                # An id that was used twice: the newest speaks.
                return max(found, key=lambda report: report.created_at)
        rows = await self._history.executions([("category", category), ("orderLinkId", link_id)])
        named = [row for row in rows if row.link_id == link_id]
        return translate.report_from_executions(order, named)

    async def _named(self, path: str, query: Query, order: MarketOrder) -> list[OrderReport]:
        raw = await self._rest.pages(path, query, signer=self._signer, urgent=True)
        # Others' orders are not ours to judge: an odd one among them must not hide ours.
        with reading(path):
            return [
                translate.order_report(read_order(row), order.category)
                for row in raw
                if row.get("orderLinkId") == order.link_id
            ]

    async def fills(self, order: MarketOrder, order_id: str | None) -> list[Fill]:
        """Its executions, oldest first."""
        name = ("orderLinkId", order.link_id) if order_id is None else ("orderId", order_id)
        rows = await self._history.executions([("category", order.category.value), name])
        ours = [row for row in rows if row.link_id == order.link_id or row.order_id == order_id]
        return translate.fills_in_order(ours, order.category)
