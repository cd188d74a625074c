"""Control of the market and of what the venue does to positions."""

from collections.abc import Callable, Mapping
from typing import Any

from ..vocab import CreateType, OrderType, TimeInForce
from .control_body import BadBody, Body, category, flag, number, side, text, whole
from .encode import execution_row, order_row, position_row
from .model import Order, Position
from .orders import DELEVERAGING, LIQUIDATION, Forced
from .rules import OrderRequest, check_size
from .venue import Venue

Answer = Mapping[str, Any]


class MarketControl:
    """Hand trades, prices, liquidations: what a test or a demo does in the venue's place."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue

    def deeds(self) -> dict[tuple[str, str], Callable[[Body], Answer]]:
        return {
            ("POST", "trade"): self.trade,
            ("POST", "price"): self.price,
            ("POST", "liquidate"): lambda body: self._force(body, LIQUIDATION),
            ("POST", "adl"): lambda body: self._force(body, DELEVERAGING),
        }

    def trade(self, body: Body) -> Answer:
        """A market order without an orderLinkId, filled at once."""
        account = self._venue.account(text(body, "account"))
        request = OrderRequest(
            instrument=self._venue.market.listing.get(category(body), text(body, "symbol")),
            side=side(body),
            order_type=OrderType.MARKET,
            tif=TimeInForce.IOC,
            qty=number(body.get("qty")),
            price=None,
            idx=whole(body, "position_idx", 0),
            reduce_only=flag(body, "reduce_only"),
            close_on_trigger=False,
            link_id="",
            create_type=str(body.get("create_type", CreateType.BY_USER)),
        )
        check_size(request)
        order = self._venue.engine.trade(account.uid, request, self._venue.now_ms())
        return self._done(order)

    def price(self, body: Body) -> Answer:
        mark = number(body.get("mark"))
        if mark <= 0:
            raise BadBody("mark must be above 0")
        symbol = text(body, "symbol")
        self._venue.set_mark(category(body), symbol, mark)
        return {"symbol": symbol, "mark": format(mark, "f")}

    def _force(self, body: Body, forced: Forced) -> Answer:
        held = self._held(body)
        qty = number(body["qty"]) if "qty" in body else None
        return self._done(self._venue.engine.force(held, forced, qty, self._venue.now_ms()))

    def _held(self, body: Body) -> Position:
        account = self._venue.account(text(body, "account"))
        idx = whole(body, "position_idx", 0)
        return self._venue.held(account.uid, category(body), text(body, "symbol"), idx)

    def _done(self, order: Order) -> Answer:
        venue = self._venue
        venue.commit()
        held = venue.held(order.uid, order.category, order.symbol, order.idx)
        mark = venue.market.quote(order.category, order.symbol).mark
        fills = [e for e in venue.books.executions[order.uid] if e.order_id == order.order_id]
        return {
            "order": order_row(order),
            "executions": [execution_row(fill) for fill in fills],
            "position": position_row(held, mark),
        }
