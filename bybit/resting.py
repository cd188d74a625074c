"""The open orders of one account that may stand in the way of a close, and cancelling one."""

from __future__ import annotations

from typing import Final

import orjson

from ..daemon.domain.errors import ExchangeRefused
from ..daemon.domain.model import Category
from ..daemon.domain.orders import RestingOrder
from . import outcomes, translate, vocab
from .rest import RestClient, reading
from .signed import SignedLists
from .signing import Signer
from .wire_account import read_order

_ORDERS_PAGE: Final = "50"
# A spot cancel finds only the kind of order that it names, plain ones by default.
# (Bybit V5: order/cancel, orderFilter)
_SPOT_KINDS: Final = ("Order", "tpslOrder", "StopOrder")


class RestingOrders:
    """Reads and cancels open orders; urgent, since only closing asks."""

    def __init__(self, rest: RestClient, signer: Signer, lists: SignedLists) -> None:
        self._rest = rest
        self._signer = signer
        self._lists = lists

    async def of(self, category: Category, symbol: str) -> list[RestingOrder]:
        """Every open order of the symbol, all pages; one that ended meanwhile is left out."""
        rows = await self._lists.rows(
            vocab.Path.ORDERS_REALTIME,
            [("category", category.value), ("symbol", symbol), ("limit", _ORDERS_PAGE)],
            read_order,
            urgent=True,
        )
        # An order that moves to a later page while we read is seen twice: the later one counts.
        by_id = {row.order_id: row for row in rows if row.symbol == symbol}
        with reading(vocab.Path.ORDERS_REALTIME):
            found = [translate.resting_order(row, category) for row in by_id.values()]
        return [order for order in found if order is not None]

    async def cancel(self, category: Category, symbol: str, order_id: str) -> None:
        """As the port says: gone already is as good as cancelled."""
        named = {"category": category.value, "symbol": symbol, "orderId": order_id}
        if category is not Category.SPOT:
            await self._cancelled(category, named)
            return
        for kind in _SPOT_KINDS:
            if await self._cancelled(category, {**named, "orderFilter": kind}):
                return

    async def _cancelled(self, category: Category, named: dict[str, str]) -> bool:
        """Whether Bybit took it; False where it knows no such open order."""
        try:
            # A cancel may be repeated without harm, unlike an order.
            await self._rest.repeatable(
                vocab.Path.ORDER_CANCEL, orjson.dumps(named), self._signer, category.value
            )
        except ExchangeRefused as refusal:
            if refusal.ret_code not in outcomes.NO_OPEN_ORDER:
                raise
            return False
        return True
