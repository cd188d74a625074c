"""REST over aiohttp: who calls, may they, what goes wrong on purpose, and the answer."""

import asyncio
import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl

import orjson
from aiohttp import web

from . import (
    account_calls,
    asset_calls,
    market_calls,
    order_batch,
    order_calls,
    order_lists,
    position_calls,
)
from .calls import Call, Endpoint, Reply
from .envelope import Envelope, limit_headers
from .faults import REPLY_KINDS, Fault, FaultKind, When
from .limits import BATCHES, Allowance, cost_of
from .model import Account
from .order_batch import batch_of
from .refusals import Refused, bad_parameter, rate_limited
from .rights import check_use, permission_denied
from .venue import Venue
from .verify import Unauthorized, verify_request

ENDPOINTS: Mapping[tuple[str, str], Endpoint] = {
    **market_calls.ENDPOINTS,
    **position_calls.ENDPOINTS,
    **account_calls.ENDPOINTS,
    **asset_calls.ENDPOINTS,
    **order_calls.ENDPOINTS,
    **order_batch.ENDPOINTS,
    **order_lists.ENDPOINTS,
}
ACK_DELAY_MS = (0, 3)
LATE_ACK_DELAY_MS = (20, 70)  # late enough for the fills to come first
LATE_ACK_CHANCE = 0.15
LIST_KINDS = (FaultKind.STALE_LIST, FaultKind.TRUNCATED_LIST)


class RestApi:
    """The `/v5/` paths of one venue."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self._rng = random.Random(f"{venue.seed}/ack")
        self._envelope = Envelope(venue.seed, venue.server_ms)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Every `/v5/` request; an unknown path is Bybit's empty 404."""
        venue = self._venue
        if not venue.is_manual and not venue.addresses.may_ask(
            request.remote or "", venue.now_ms()
        ):
            return self._envelope.empty(403, "access too frequent")
        path, _, query = request.raw_path.partition("?")
        endpoint = ENDPOINTS.get((request.method, path))
        if endpoint is None:
            return self._envelope.empty(404)
        body = await request.read()
        if request.method == "GET" and body:
            # A body with GET is refused by the venue's front (Bybit V5: error).
            return self._envelope.empty(403)
        return await self._serve(request, endpoint, path, query, body)

    async def _serve(
        self, request: web.Request, endpoint: Endpoint, path: str, query: str, body: bytes
    ) -> web.StreamResponse:
        headers: dict[str, str] = {}
        try:
            signer = self._signer(request, endpoint, body or query.encode())
            params = _params(request.method, query, body)
            fault = self._fault(path, signer, When.BEFORE, params)
            if fault is not None:
                return await self._strike(request, fault)
            reply = self._answer(path, endpoint, signer, params, headers)
            if endpoint.trades:
                await self._ack_delay()
            fault = self._fault(path, signer, When.AFTER, params)
            if fault is not None:
                return await self._strike(request, fault)
        except Unauthorized:
            return self._envelope.empty(401)
        except Refused as refused:
            return self._envelope.json(refused.code, refused.message, headers)
        return self._envelope.json(0, reply.message, headers, reply.result, reply.ext)

    def _signer(self, request: web.Request, endpoint: Endpoint, tail: bytes) -> Account | None:
        if not endpoint.signed:
            return None
        venue = self._venue
        accounts = venue.books.by_api_key
        account = verify_request(request.headers, tail, accounts, venue.signing_ms())
        check_use(account, request.remote, venue.now_ms())
        if endpoint.trades and account.read_only:
            raise permission_denied()
        return account

    def _answer(
        self,
        path: str,
        endpoint: Endpoint,
        signer: Account | None,
        params: Mapping[str, Any],
        headers: dict[str, str],
    ) -> Reply:
        call = Call(self._venue, signer, params)
        if signer is None:
            return self._listed(path, endpoint, call)
        orders = len(batch_of(params)) if path in BATCHES else 1
        now, category = self._venue.now_ms(), call.text("category")
        cost = cost_of(path, category, orders)
        taken = self._venue.limits.take(signer.uid, path, category, now, cost)
        if taken is None:
            return self._listed(path, endpoint, call)
        granted, allowance = taken
        headers.update(limit_headers(allowance))
        if self._venue.is_manual:
            granted = cost  # a second that never passes would refuse everybody
        if granted == 0:
            raise rate_limited()
        if granted < cost:
            call = replace(call, granted=granted)
        return self._listed(path, endpoint, call)

    def _listed(self, path: str, endpoint: Endpoint, call: Call) -> Reply:
        """The handler's reply, from earlier books or cut short where a fault says so."""
        if endpoint.trades:
            return endpoint.handler(call)
        uid = call.signer.uid if call.signer else ""
        stale, cut = (
            self._venue.faults.take(frozenset({kind}), path, uid, symbol=call.text("symbol"))
            for kind in LIST_KINDS
        )
        if stale is not None:
            call = replace(call, stale=stale.snapshot)
        reply = endpoint.handler(call)
        if "list" not in reply.result:
            return reply
        rows = self._venue.faults.thinned(reply.result["list"], path, uid, call.text("symbol"))
        result = {**reply.result, "list": rows}
        if cut is not None:
            result["list"] = rows[: cut.keep]
            result |= {"nextPageCursor": ""} if "nextPageCursor" in result else {}
        return replace(reply, result=result)

    def _fault(
        self, path: str, signer: Account | None, when: When, params: Mapping[str, Any]
    ) -> Fault | None:
        uid, symbol = signer.uid if signer else "", str(params.get("symbol", ""))
        return self._venue.faults.take(REPLY_KINDS, path, uid, when, symbol)

    async def _strike(self, request: web.Request, fault: Fault) -> web.StreamResponse:
        """Answers as the fault says; what the request did, if it did, stays done."""
        if fault.kind is FaultKind.REJECT:
            return self._envelope.json(fault.code, fault.message, {})
        if fault.kind is FaultKind.RATE_LIMIT:
            refused = rate_limited()
            limits = limit_headers(Allowance(10, 0, self._venue.now_ms() + 1000))
            return self._envelope.json(refused.code, refused.message, limits)
        if fault.kind is FaultKind.HTTP:
            return self._envelope.empty(fault.status)
        if fault.kind is FaultKind.HANG:
            await asyncio.sleep(fault.ms / 1000)
        if request.transport is not None:
            request.transport.abort()
        return self._envelope.empty(504)

    async def _ack_delay(self) -> None:
        if self._venue.is_manual:
            return
        late = self._rng.random() < LATE_ACK_CHANCE
        span = LATE_ACK_DELAY_MS if late else ACK_DELAY_MS
        await asyncio.sleep(self._rng.randint(*span) / 1000)


def _params(method: str, query: str, body: bytes) -> Mapping[str, Any]:
    if method == "GET":
        return dict(parse_qsl(query, keep_blank_values=True))
    try:
        params = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise bad_parameter("request body is not JSON") from None
    if not isinstance(params, dict):
        raise bad_parameter("request body is not an object")
    return params
