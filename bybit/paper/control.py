"""Control of the exchange under `/_paper/`: JSON in and out, loopback only.

| request | does |
|---|---|
| `POST accounts` `{label?, key?, secret?, read_only?, balances?}` | new account → `{uid, label, key, secret}`; a known key gives its account |
| `GET accounts` | `{"accounts": [{uid, label, key, read_only}]}` |
| `POST trade` `{account, category?, symbol, side, qty, reduce_only?, create_type?}` | hand trade at market, filled before the reply → `{order, executions, position}` |
| `POST price` `{category?, symbol, mark}` | sets mark (and index) to exactly this |
| `POST liquidate` `{account, category?, symbol, qty?}` | takes the position over at mark (BustTrade) |
| `POST adl` `{account, category?, symbol, qty?}` | deleverages it at mark, without a fee (AdlTrade) |
| `POST faults` `{kind, where?, account?, when?, count?, skip?, chance?, seed?, code?, message?, status?, ms?, depth?, keep?}` | scripts a fault → `{"id"}` |
| `GET faults` | each with how often it fired |
| `DELETE faults` or `faults?id=` | takes them back |
| `POST step` `{ms}` | moves the clock (manual only), in steps of 100 ms; frames go out in order |
| `POST pause`, `POST resume` | stops prices and lets them move again; time and streams go on |
| `POST cut` | cuts every WebSocket now → `{"cut": n}` |
| `GET state` | the books as plain JSON, without secrets |

`account` is a UID, a key or a label. Fault kinds: `reject` (code, message), `rate_limit`,
`http` (status), `hang` (ms, then the line drops), `reset`, each `when` `before` or `after` the
request took effect, `where` a glob over the REST path; `frame_drop`, `frame_delay` (ms),
`frame_duplicate`, `frame_corrupt`, `frame_reorder`, `cut`, `where` a glob over the topic;
`thin_book` (depth in base coin), `where` a glob over the symbol; `stale_list`,
`truncated_list` (keep); `clock_skew` (ms, while it stands).
"""  # noqa: E501  # table rows

import ipaddress
from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

import orjson
from aiohttp import web

from ..vocab import Category, CreateType, OrderType, Side, TimeInForce
from .encode import execution_row, order_row, position_row
from .hub import Hub
from .model import Account, Order, Position
from .orders import DELEVERAGING, LIQUIDATION, Forced
from .records import plain_fields
from .refusals import Refused
from .rules import OrderRequest, check_size
from .venue import Venue

MAX_STEP_MS = 86_400_000


class BadBody(Exception):
    """A control request that cannot be read: 400 with this text."""


class Control:
    """The operations above, over one venue."""

    def __init__(self, venue: Venue, hub: Hub) -> None:
        self._venue = venue
        self._hub = hub

    def routes(self) -> list[web.RouteDef]:
        table: list[tuple[str, str, Callable[[Mapping[str, Any]], Mapping[str, Any]]]] = [
            ("POST", "accounts", self.add_account),
            ("GET", "accounts", self.accounts),
            ("POST", "trade", self.trade),
            ("POST", "price", self.price),
            ("POST", "liquidate", lambda body: self._force(body, LIQUIDATION)),
            ("POST", "adl", lambda body: self._force(body, DELEVERAGING)),
            ("POST", "faults", self.add_fault),
            ("GET", "faults", self.faults),
            ("DELETE", "faults", self.remove_faults),
            ("POST", "step", self.step),
            ("POST", "pause", lambda _: self._pause(True)),
            ("POST", "resume", lambda _: self._pause(False)),
            ("POST", "cut", lambda _: {"cut": self._hub.cut_all()}),
            ("GET", "state", self.state),
        ]
        return [web.route(verb, f"/_paper/{name}", _handler(do)) for verb, name, do in table]

    def add_account(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        balances = body.get("balances")
        if balances is not None and not isinstance(balances, dict):
            raise BadBody("balances is not an object")
        account = self._venue.add_account(
            str(body.get("label", "")),
            key=str(body.get("key", "")),
            secret=str(body.get("secret", "")),
            read_only=bool(body.get("read_only", False)),
            balances=None if balances is None else {c: _number(n) for c, n in balances.items()},
        )
        return {**_shown(account), "secret": account.secret}

    def accounts(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        del body
        return {"accounts": [_shown(a) for a in self._venue.books.accounts.values()]}

    def trade(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """A market order as from the venue's own page: no orderLinkId, filled at once."""
        account = self._venue.account(_text(body, "account"))
        request = OrderRequest(
            instrument=self._venue.market.listing.get(_category(body), _text(body, "symbol")),
            side=_side(body),
            order_type=OrderType.MARKET,
            tif=TimeInForce.IOC,
            qty=_number(body.get("qty")),
            price=None,
            idx=_whole(body, "position_idx", 0),
            reduce_only=bool(body.get("reduce_only", False)),
            close_on_trigger=False,
            link_id="",
            create_type=str(body.get("create_type", CreateType.BY_USER)),
        )
        check_size(request)
        order = self._venue.engine.trade(account.uid, request, self._venue.now_ms())
        return self._done(order)

    def price(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        mark = _number(body.get("mark"))
        if mark <= 0:
            raise BadBody("mark must be above 0")
        category, symbol = _category(body), _text(body, "symbol")
        self._venue.set_mark(category, symbol, mark)
        return {"symbol": symbol, "mark": format(mark, "f")}

    def _force(self, body: Mapping[str, Any], forced: Forced) -> Mapping[str, Any]:
        held = self._held(body)
        qty = _number(body["qty"]) if "qty" in body else None
        return self._done(self._venue.engine.force(held, forced, qty, self._venue.now_ms()))

    def _held(self, body: Mapping[str, Any]) -> Position:
        account = self._venue.account(_text(body, "account"))
        idx = _whole(body, "position_idx", 0)
        return self._venue.held(account.uid, _category(body), _text(body, "symbol"), idx)

    def _done(self, order: Order) -> Mapping[str, Any]:
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

    def add_fault(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        venue = self._venue
        spec = dict(body)
        if spec.get("account"):
            spec["account"] = venue.account(str(spec["account"])).uid
        try:
            fault = venue.faults.add(spec, venue.books, venue.seed)
        except ValueError as error:
            raise BadBody(str(error)) from error
        return {"id": fault.ident}

    def faults(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        del body
        return {"faults": [fault.described() for fault in self._venue.faults.all()]}

    def remove_faults(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        self._venue.faults.remove(_whole(body, "id") if "id" in body else None)
        return {}

    def step(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        milliseconds = _whole(body, "ms")
        if not self._venue.is_manual:
            raise BadBody("the clock is not manual")
        if not 0 <= milliseconds <= MAX_STEP_MS:
            raise BadBody(f"ms must be 0 to {MAX_STEP_MS}")
        self._venue.advance(self._venue.now_ms() + milliseconds)
        return {"now_ms": self._venue.now_ms()}

    def _pause(self, paused: bool) -> Mapping[str, Any]:
        self._venue.engine.paused = paused
        return {"paused": paused}

    def state(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        del body
        venue, books = self._venue, self._venue.books
        return {
            "now_ms": venue.now_ms(),
            "accounts": [_shown(account) for account in books.accounts.values()],
            "wallets": [plain_fields(wallet) for wallet in books.wallets.values()],
            "positions": [plain_fields(position) for position in books.positions.values()],
            "orders": [plain_fields(order) for order in books.orders.values()],
            "executions": [plain_fields(e) for rows in books.executions.values() for e in rows],
            "closed_pnl": [plain_fields(c) for rows in books.closed.values() for c in rows],
            "marks": {
                i.symbol: format(venue.market.quote(i.category, i.symbol).mark, "f")
                for i in venue.market.listing.all()
            },
        }


def is_loopback(remote: str | None) -> bool:
    """Whether a peer address is this machine's own; an unknown one is not."""
    try:
        return ipaddress.ip_address(remote or "").is_loopback
    except ValueError:
        return False


def _handler(
    do: Callable[[Mapping[str, Any]], Mapping[str, Any]],
) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        if not is_loopback(request.remote):
            return _answer({"error": "loopback only"}, 403)
        try:
            return _answer(do(_body(await request.read(), request.query)))
        except Refused as refused:
            return _answer({"error": refused.message, "code": refused.code}, 409)
        except BadBody as error:
            return _answer({"error": str(error)}, 400)

    return handle


def _body(raw: bytes, query: Mapping[str, str]) -> Mapping[str, Any]:
    """The JSON body, or the query where there is none."""
    if not raw:
        return dict(query)
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise BadBody("the body is not JSON") from None
    if not isinstance(body, dict):
        raise BadBody("the body is not an object")
    return body


def _answer(body: Mapping[str, Any], status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(body), status=status, content_type="application/json")


def _text(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise BadBody(f"{name} is missing")
    return value


def _whole(body: Mapping[str, Any], name: str, default: int | None = None) -> int:
    value = body.get(name, default)
    try:
        return int(value)
    except (TypeError, ValueError):
        raise BadBody(f"{name} is not a whole number") from None


def _category(body: Mapping[str, Any]) -> Category:
    try:
        return Category(body.get("category", Category.LINEAR))
    except ValueError:
        raise BadBody("category is unknown") from None


def _side(body: Mapping[str, Any]) -> Side:
    try:
        return Side(_text(body, "side"))
    except ValueError:
        raise BadBody("side is neither Buy nor Sell") from None


def _number(value: Any) -> Decimal:
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        raise BadBody(f"{value!r} is not a number") from None
    if not number.is_finite():
        raise BadBody(f"{value!r} is not a number")
    return number


def _shown(account: Account) -> dict[str, Any]:
    return {
        "uid": account.uid,
        "label": account.label,
        "key": account.key,
        "read_only": account.read_only,
    }
