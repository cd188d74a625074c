"""Control of the market and of what the venue does to positions."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from ..vocab import Category, CreateType, OrderType, PositionMode, TimeInForce
from .control_body import BadBody, Body, category, flag, number, side, text, whole
from .encode import execution_row, order_row
from .model import Execution, Order, Position
from .orders import DELEVERAGING, IMPOSED, LIQUIDATION, Forced
from .private_rows import listed_row
from .rules import OrderRequest, check_size, read_order
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
            ("POST", "order"): self.order,
            ("POST", "mode"): self.mode,
            ("POST", "deposit"): self.deposit,
            ("POST", "move"): self.move,
            ("POST", "execution"): self.execution,
            ("POST", "deliver"): self.deliver,
            ("POST", "fund"): self.fund,
            ("POST", "settle"): self.settle,
            ("POST", "auto_liquidation"): self.auto_liquidation,
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

    def order(self, body: Body) -> Answer:
        """A limit order; what it takes at once is in the reply."""
        uid = self._venue.account(text(body, "account")).uid
        spec = {
            "category": category(body),
            "symbol": text(body, "symbol"),
            "side": side(body),
            "orderType": OrderType.LIMIT,
            "qty": _plain(body["qty"]),
            "price": _plain(body["price"]),
            "timeInForce": body.get("tif", TimeInForce.GTC),
            "positionIdx": whole(body, "position_idx", 0),
            "reduceOnly": flag(body, "reduce_only"),
            "orderLinkId": body.get("order_link_id", ""),
        }
        request = read_order(spec, self._venue.market.listing)
        return self._done(self._venue.engine.trade(uid, request, self._venue.now_ms()))

    def mode(self, body: Body) -> Answer:
        account = self._venue.account(text(body, "account"))
        hedge = body["mode"] == "hedge"
        self._venue.engine.switch_mode(
            account.uid,
            PositionMode.HEDGE if hedge else PositionMode.ONE_WAY,
            symbol=str(body.get("symbol", "")),
            coin=str(body.get("coin", "")),
        )
        self._venue.commit()
        return {"mode": body["mode"]}

    def deposit(self, body: Body) -> Answer:
        venue, coin = self._venue, text(body, "coin")
        uid = venue.account(text(body, "account")).uid
        venue.engine.deposit(uid, coin, number(body["amount"]), venue.now_ms())
        venue.commit()
        return {"coin": coin, "balance": format(venue.books.wallet(uid, coin).balance, "f")}

    def move(self, body: Body) -> Answer:
        venue, held = self._venue, self._held(body)
        to = venue.account(text(body, "to")).uid
        both = venue.engine.move(
            held, to, venue.now_ms(), qty=_number_of(body, "qty"), price=_number_of(body, "price")
        )
        venue.commit()
        return {"positions": [listed_row(venue, position) for position in both]}

    def execution(self, body: Body) -> Answer:
        venue, held, qty = self._venue, self._held(body), number(body["qty"])
        if qty <= 0:
            raise BadBody("qty must be above 0")
        made = venue.engine.impose(
            held,
            IMPOSED[text(body, "exec_type")],
            side(body),
            qty,
            venue.now_ms(),
            _number_of(body, "price"),
        )
        venue.commit()
        now = venue.held(held.uid, held.category, held.symbol, held.idx)
        return {
            "executions": [execution_row(one) for one in made],
            "position": listed_row(venue, now),
        }

    def deliver(self, body: Body) -> Answer:
        venue, symbol = self._venue, text(body, "symbol")
        price = _number_of(body, "price")
        quote = venue.engine.deliver(category(body), symbol, venue.now_ms(), price)
        venue.commit()
        return {"symbol": symbol, "price": format(quote.index, "f")}

    def fund(self, body: Body) -> Answer:
        venue = self._venue
        paid = venue.engine.fund(
            venue.now_ms(), symbol=str(body.get("symbol", "")), rate=_number_of(body, "rate")
        )
        return self._paid(paid)

    def settle(self, body: Body) -> Answer:
        symbol = str(body.get("symbol", ""))
        return self._paid(self._venue.engine.settle_sessions(self._venue.now_ms(), symbol=symbol))

    def _paid(self, executions: Sequence[Execution]) -> Answer:
        self._venue.commit()
        return {"executions": [execution_row(made) for made in executions]}

    def auto_liquidation(self, body: Body) -> Answer:
        self._venue.engine.auto_liquidation = flag(body, "on")
        return {"on": self._venue.engine.auto_liquidation}

    def _force(self, body: Body, forced: Forced) -> Answer:
        held = self._held(body)
        qty = _number_of(body, "qty")
        return self._done(self._venue.engine.force(held, forced, qty, self._venue.now_ms()))

    def _held(self, body: Body) -> Position:
        account = self._venue.account(text(body, "account"))
        idx = whole(body, "position_idx", 0)
        return self._venue.held(account.uid, category(body), text(body, "symbol"), idx)

    def _done(self, order: Order) -> Answer:
        venue = self._venue
        venue.commit()
        held = venue.held(order.uid, order.category, order.symbol, order.idx)
        fills = [e for e in venue.books.executions[order.uid] if e.order_id == order.order_id]
        return {
            "order": order_row(order),
            "executions": [execution_row(fill) for fill in fills],
            "position": None if order.category is Category.SPOT else listed_row(venue, held),
        }


def _number_of(body: Body, name: str) -> Decimal | None:
    """None where the field is absent."""
    return number(body[name]) if body.get(name) is not None else None


def _plain(value: Any) -> str:
    """As an order's body has it, where control takes JSON numbers too."""
    return format(number(value), "f")
