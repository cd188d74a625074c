"""Control of the exchange under `/_paper/`: JSON in and out, loopback only.

Which operations there are and what they take stands in `operations.py`; a running exchange
shows it under `/_paper/docs` and `/_paper/openapi.json`. Here stands what they do. A refusal
of the exchange is 409 `{error, code}`, a request that cannot be read 400 `{error}`.
"""

import ipaddress
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import orjson
from aiohttp import web

from .control_body import (
    BadBody,
    Body,
    amounts,
    flag,
    groups,
    read_body,
    text,
    texts,
    whole,
)
from .control_market import MarketControl
from .control_page import page
from .hub import Hub
from .model import Account
from .operations import OPERATIONS, openapi, operation
from .records import plain_fields
from .refusals import Refused
from .rights import permissions, with_groups
from .venue import Venue

MAX_STEP_MS = 86_400_000
API_VERSION = "1"

Answer = Mapping[str, Any]


class Control:
    """The operations over one venue."""

    def __init__(self, venue: Venue, hub: Hub) -> None:
        self._venue = venue
        self._hub = hub
        self._deeds = self._own() | MarketControl(venue).deeds()

    def routes(self) -> list[web.RouteDef]:
        """One for each operation of the table, and the pages that show it."""
        routes = [
            web.route(op.verb, f"/_paper/{op.name}", _handler(partial(self.do, op.verb, op.name)))
            for op in OPERATIONS
        ]
        document = orjson.dumps(openapi(API_VERSION))
        return [
            *routes,
            web.get("/_paper/openapi.json", _shown(document, "application/json")),
            web.get("/_paper/docs", _shown(page().encode(), "text/html")),
        ]

    def do(self, verb: str, name: str, body: Body) -> Answer:
        """One operation; raises Refused and BadBody."""
        operation(verb, name).check(body)
        return self._deeds[verb, name](body)

    def _own(self) -> dict[tuple[str, str], Callable[[Body], Answer]]:
        return {
            ("POST", "accounts"): self.add_account,
            ("GET", "accounts"): self.accounts,
            ("PATCH", "accounts"): self.change_account,
            ("POST", "faults"): self.add_fault,
            ("GET", "faults"): self.faults,
            ("DELETE", "faults"): self.remove_faults,
            ("POST", "step"): self.step,
            ("POST", "pause"): lambda _: self._pause(True),
            ("POST", "resume"): lambda _: self._pause(False),
            ("POST", "cut"): self.cut,
            ("POST", "pardon"): self.pardon,
            ("GET", "traffic"): self.traffic,
            ("GET", "state"): self.state,
        }

    def add_account(self, body: Body) -> Answer:
        known = self._venue.books.by_api_key.get(str(body.get("key", "")))
        account = known or self._venue.add_account(
            str(body.get("label", "")),
            key=str(body.get("key", "")),
            secret=str(body.get("secret", "")),
            balances=amounts(body, "balances"),
        )
        if not known:
            account = self._termed(account, body)
        return {**_described(account), "secret": account.secret}

    def accounts(self, body: Body) -> Answer:
        del body
        return {"accounts": [_described(a) for a in self._venue.books.accounts.values()]}

    def change_account(self, body: Body) -> Answer:
        return _described(self._termed(self._venue.account(text(body, "account")), body))

    def _termed(self, account: Account, body: Body) -> Account:
        """The account with the key's terms that the body names, in force at once."""
        expires = body.get("expires_ms", account.expires_ms)
        changed = replace(
            account,
            read_only=flag(body, "read_only", account.read_only),
            rights=with_groups(account.rights, groups(body, "permissions")),
            ips=texts(body, "ips") if "ips" in body else account.ips,
            expires_ms=None if expires is None else whole(body, "expires_ms", account.expires_ms),
        )
        if changed != account:
            self._venue.change_account(changed)
        return changed

    def add_fault(self, body: Body) -> Answer:
        venue = self._venue
        spec = dict(body)
        if spec.get("account"):
            spec["account"] = venue.account(str(spec["account"])).uid
        try:
            fault = venue.faults.add(spec, venue.books, venue.seed)
        except ValueError as error:
            raise BadBody(str(error)) from error
        return {"id": fault.ident}

    def faults(self, body: Body) -> Answer:
        del body
        return {"faults": [fault.described() for fault in self._venue.faults.all()]}

    def remove_faults(self, body: Body) -> Answer:
        self._venue.faults.remove(whole(body, "id") if "id" in body else None)
        return {}

    def step(self, body: Body) -> Answer:
        milliseconds = whole(body, "ms")
        if not self._venue.is_manual:
            raise BadBody("the clock is not manual")
        if not 0 <= milliseconds <= MAX_STEP_MS:
            raise BadBody(f"ms must be 0 to {MAX_STEP_MS}")
        self._venue.advance(self._venue.now_ms() + milliseconds)
        return {"now_ms": self._venue.now_ms()}

    def _pause(self, paused: bool) -> Answer:
        self._venue.engine.paused = paused
        return {"paused": paused}

    def cut(self, body: Body) -> Answer:
        if body.get("account"):
            return {"cut": self._hub.cut_private(self._venue.account(text(body, "account")).uid)}
        kind = body.get("kind", "all")
        if kind == "public":
            return {"cut": self._hub.cut_public()}
        return {"cut": self._hub.cut_private() if kind == "private" else self._hub.cut_all()}

    def pardon(self, body: Body) -> Answer:
        del body
        self._venue.addresses.pardon()
        return {}

    def traffic(self, body: Body) -> Answer:
        del body
        told = self._venue.addresses.traffic
        return {"addresses": {address: seen.described() for address, seen in told.items()}}

    def state(self, body: Body) -> Answer:
        venue, books = self._venue, self._venue.books
        of = [venue.account(text(body, "account"))] if body.get("account") else None
        accounts = of or list(books.accounts.values())
        uids = {account.uid for account in accounts}

        def plain(rows: Iterable[Any]) -> list[dict[str, Any]]:
            return [plain_fields(row) for row in rows if row.uid in uids]

        return {
            "now_ms": venue.now_ms(),
            "streams": self._hub.counted(),
            "accounts": [_described(account) for account in accounts],
            "wallets": plain(books.wallets.values()),
            "positions": plain(books.positions.values()),
            "orders": plain(books.orders.values()),
            "executions": plain(e for rows in books.executions.values() for e in rows),
            "closed_pnl": plain(c for rows in books.closed.values() for c in rows),
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


def _is_ours(request: web.Request) -> bool:
    """From this machine, and not from a page that some other site put into its browser."""
    origin = request.headers.get("Origin")
    host = request.url.host
    named = host == "localhost" or is_loopback(host)
    return is_loopback(request.remote) and named and origin in (None, str(request.url.origin()))


Handler = Callable[[web.Request], Awaitable[web.Response]]


def _handler(do: Callable[[Body], Answer]) -> Handler:
    async def handle(request: web.Request) -> web.Response:
        if not _is_ours(request):
            return _answer({"error": "loopback only"}, 403)
        try:
            return _answer(do(read_body(await request.read(), request.query)))
        except Refused as refused:
            return _answer({"error": refused.message, "code": refused.code}, 409)
        except BadBody as error:
            return _answer({"error": str(error)}, 400)

    return handle


def _shown(content: bytes, kind: str) -> Handler:
    async def handle(request: web.Request) -> web.Response:
        if not _is_ours(request):
            return _answer({"error": "loopback only"}, 403)
        return web.Response(body=content, content_type=kind, charset="utf-8")

    return handle


def _answer(body: Answer, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(body), status=status, content_type="application/json")


def _described(account: Account) -> dict[str, Any]:
    return {
        "uid": account.uid,
        "label": account.label,
        "key": account.key,
        "read_only": account.read_only,
        "permissions": {name: rights for name, rights in permissions(account).items() if rights},
        "ips": list(account.ips),
        "expires_ms": account.expires_ms,
    }
