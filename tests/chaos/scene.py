"""A run as it might have gone, for tests of the judge."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from positiond.bybit.paper.model import Uid
from positiond.bybit.paper.server import PaperAccount
from positiond.daemon.domain.model import Side

from tests.builders import account, component, position
from tests.chaos.journal import Answer, Row, RunRecord
from tests.chaos.plan import Holding, RunPlan

START = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp() * 1000)
CLOSE = "c0000000-0000-0000-0000-000000000001"
OTHER_CLOSE = "c0000000-0000-0000-0000-000000000002"
SYMBOL = "BTCUSDT"


def stamp(ms: int) -> str:
    return datetime.fromtimestamp((START + ms) / 1000, UTC).isoformat()


def order_row(link_id: str, *parts: tuple[str, str, str]) -> Row:
    names = ("component_id", "close_id", "quantity")
    return {
        "order_link_id": link_id,
        "parts": [dict(zip(names, part, strict=True)) for part in parts],
    }


class Scene:
    """Two positions of 3 and 2 in one bucket, 1 beside them of the trader's own; the first is
    closed by one order of 3. What is changed afterwards is what went wrong.

    `second`, signed, is what the second position holds.
    """

    def __init__(self, second: int = 2) -> None:
        own = Holding("linear", SYMBOL, "Buy", Decimal(1))
        side, size = Side.BUY if second > 0 else Side.SELL, str(abs(second))
        legs = (
            (Holding("linear", SYMBOL, "Buy", Decimal(3)),),
            (Holding("linear", SYMBOL, side.value, Decimal(size)),),
        )
        plan = RunPlan(0, "linear", False, (own,), legs, (), (), (), ())
        paper = PaperAccount(Uid("1"), "key", "secret")
        self.positions = [
            position(component("3", of="first"), name="first"),
            position(component(size, side, of="second"), name="second"),
        ]
        self.record = RunRecord(plan, account(), paper, self.positions, START)
        self.record.books = {name: [] for name in ("orders", "executions", "positions", "wallets")}
        self.by_hand("Buy", "1", 0)
        self.by_hand("Buy", "3", 0)
        self.by_hand(side.value, size, 0)
        self.ours("3", 60_000, link_id="link-1")
        self.size(str(1 + second))
        self.record.closes[CLOSE] = self.close()
        self.record.answers.append(Answer(0, 0, "key", 202, CLOSE, None, False))
        for one, (status, closed) in zip(
            self.positions, (("CLOSED", "3"), ("ACTIVE", "0")), strict=True
        ):
            leg = {"id": str(one.components[0].id), "closed_quantity": closed}
            self.record.shown[str(one.id)] = {"status": status, "components": [leg]}

    @property
    def told(self) -> Row:
        return self.record.closes[CLOSE]

    def close(self) -> Row:
        component_id = str(self.positions[0].components[0].id)
        return {
            "close_id": CLOSE,
            "position_id": str(self.positions[0].id),
            "state": "DONE",
            "code": None,
            "detail": None,
            "created_at": stamp(59_000),
            "ended_at": stamp(62_000),
            "legs": [{"component_id": component_id, "outcome": "flat", "filled": "3"}],
            "orders": [order_row("link-1", (component_id, CLOSE, "3"))],
        }

    def size(self, size: str) -> None:
        side = "Sell" if size.startswith("-") else "Buy"
        row = {"category": "linear", "symbol": SYMBOL, "idx": 0, "side": side}
        self.record.books["positions"] = [{**row, "size": size.lstrip("-")}]

    def by_hand(self, side: str, quantity: str, at: int) -> None:
        order = self._order("", side, quantity, at, reduce_only=False)
        row = {"orderId": order["order_id"], "symbol": SYMBOL, "positionIdx": 0}
        fill = {"side": side, "execQty": quantity, "execFee": "0", "feeCurrency": "USDT"}
        self.record.by_hand({"order": row, "executions": [fill]}, "linear")

    def ours(self, quantity: str, at: int, *, link_id: str, side: str = "Sell") -> Row:
        return self._order(link_id, side, quantity, at, reduce_only=True)

    def _order(self, link_id: str, side: str, quantity: str, at: int, *, reduce_only: bool) -> Row:
        orders, executions = self.record.books["orders"], self.record.books["executions"]
        place = {"category": "linear", "symbol": SYMBOL, "idx": 0, "side": side, "qty": quantity}
        order = {
            **place,
            "serial": len(orders),
            "order_id": f"order-{len(orders)}",
            "link_id": link_id,
            "order_type": "Market",
            "cum_qty": quantity,
            "reduce_only": reduce_only,
            "close_on_trigger": False,
            "created_ms": START + at,
        }
        orders.append(order)
        executions.append(
            {
                **place,
                "serial": len(executions),
                "order_id": order["order_id"],
                "fee": "0",
                "fee_coin": "USDT",
                "exec_ms": START + at + 5,
            }
        )
        return order


def netted(second: int) -> Scene:
    """Both positions are closed as a set, by one order of their net or, where that is 0, none."""
    scene, net = Scene(second), 3 + second
    record, ids = scene.record, [str(one.components[0].id) for one in scene.positions]
    for name in ("orders", "executions"):
        record.books[name].pop()
    closed = ("3", str(abs(second)))
    orders = []
    if net:
        scene.ours(str(abs(net)), 60_000, link_id="link-1", side="Sell" if net > 0 else "Buy")
        orders = [order_row("link-1", (ids[0], CLOSE, closed[0]), (ids[1], OTHER_CLOSE, closed[1]))]
    scene.size("1")
    record.answers.clear()
    for number, close_id in enumerate((CLOSE, OTHER_CLOSE)):
        leg = {"component_id": ids[number], "outcome": "flat", "filled": closed[number]}
        record.closes[close_id] = {
            **scene.close(),
            "close_id": close_id,
            "position_id": str(scene.positions[number].id),
            "set_id": "set",
            "legs": [leg],
            "orders": orders,
        }
        record.answers.append(Answer(number, 0, "key", 202, close_id, None, False, "set"))
        record.shown[str(scene.positions[number].id)] = {
            "status": "CLOSED",
            "components": [{"id": ids[number], "closed_quantity": closed[number]}],
        }
    return scene
