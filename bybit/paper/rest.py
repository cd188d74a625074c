"""REST over aiohttp: who calls, may they, what goes wrong on purpose, and the envelope."""

import asyncio
import random
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

import orjson
from aiohttp import web

from ..vocab import HEADER_LIMIT, HEADER_LIMIT_RESET, HEADER_LIMIT_STATUS, HEADER_TRACE_ID, Path
from . import account_calls, market_calls, order_calls
from .calls import Call, Endpoint, Reply
from .faults import REPLY_KINDS, Fault, FaultKind, When
from .limits import Allowance
from .model import Account
from .order_calls import batch_of, create_batch
from .refusals import Refused, bad_parameter, rate_limited
from .venue import Venue
from .verify import Unauthorized, verify_request

ENDPOINTS: Mapping[tuple[str, str], Endpoint] = {
    **market_calls.ENDPOINTS,
    **account_calls.ENDPOINTS,
    **order_calls.ENDPOINTS,
}
ACK_DELAY_MS = (0, 3)
LATE_ACK_DELAY_MS = (20, 70)  # late enough for the fills to come first
LATE_ACK_CHANCE = 0.15


class RestApi:
    """The `/v5/` paths of one venue."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self._rng = random.Random(f"{venue.seed}/ack")
        self._traces = random.Random(f"{venue.seed}/trace")

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Every `/v5/` request; an unknown path is Bybit's empty 404."""
        path, _, query = request.raw_path.partition("?")
        endpoint = ENDPOINTS.get((request.method, path))
        if endpoint is None:
            return self._empty(404)
        body = await request.read()
        if request.method == "GET" and body:
            # A body with GET is refused by the venue's front (Bybit V5: error).
            return self._empty(403)
        headers: dict[str, str] = {}
        try:
            signer = self._signer(request, endpoint, body or query.encode())
            params = _params(request.method, query, body)
            fault = self._fault(path, signer, When.BEFORE)
            if fault is not None:
                return await self._strike(request, fault)
            reply = self._answer(path, endpoint, signer, params, headers)
            if path in (Path.ORDER_CREATE, Path.ORDER_CREATE_BATCH, Path.ORDER_CANCEL):
                await self._ack_delay()
            fault = self._fault(path, signer, When.AFTER)
            if fault is not None:
                return await self._strike(request, fault)
        except Unauthorized:
            return self._empty(401)
        except Refused as refused:
            return self._json(refused.code, refused.message, {}, {}, headers)
        return self._json(0, reply.message, reply.result, reply.ext, headers)

    def _signer(self, request: web.Request, endpoint: Endpoint, tail: bytes) -> Account | None:
        if not endpoint.signed:
            return None
        venue = self._venue
        accounts = venue.books.by_api_key
        account = verify_request(request.headers, tail, accounts, venue.signing_ms())
        if endpoint.trades and account.read_only:
            raise Refused(10005, "Permission denied, please check your API key permissions.")
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
            return endpoint.handler(call)
        batch = path == Path.ORDER_CREATE_BATCH
        cost = len(batch_of(params)) if batch else 1
        now, category = self._venue.now_ms(), call.text("category")
        taken = self._venue.limits.take(signer.uid, path, category, now, cost)
        if taken is None:
            return endpoint.handler(call)
        granted, allowance = taken
        headers.update(_limit_headers(allowance))
        if self._venue.is_manual:
            granted = cost  # a second that never passes would refuse everybody
        if granted == 0:
            raise rate_limited()
        return create_batch(call, granted) if batch else endpoint.handler(call)

    def _fault(self, path: str, signer: Account | None, when: When) -> Fault | None:
        uid = signer.uid if signer else ""
        return self._venue.faults.take(REPLY_KINDS, path, uid, when)

    async def _strike(self, request: web.Request, fault: Fault) -> web.StreamResponse:
        """Answers as the fault says; what the request did, if it did, stays done."""
        now = self._venue.now_ms()
        if fault.kind is FaultKind.REJECT:
            return self._json(fault.code, fault.message, {}, {}, {})
        if fault.kind is FaultKind.RATE_LIMIT:
            refused = rate_limited()
            limits = _limit_headers(Allowance(10, 0, now + 1000))
            return self._json(refused.code, refused.message, {}, {}, limits)
        if fault.kind is FaultKind.HTTP:
            return self._empty(fault.status)
        if fault.kind is FaultKind.HANG:
            await asyncio.sleep(fault.ms / 1000)
        if request.transport is not None:
            request.transport.abort()
        return self._empty(504)

    async def _ack_delay(self) -> None:
        if self._venue.is_manual:
            return
        late = self._rng.random() < LATE_ACK_CHANCE
        span = LATE_ACK_DELAY_MS if late else ACK_DELAY_MS
        await asyncio.sleep(self._rng.randint(*span) / 1000)

    def _json(
        self,
        code: int,
        message: str,
        result: Mapping[str, Any],
        ext: Mapping[str, Any],
        headers: Mapping[str, str],
    ) -> web.Response:
        envelope = {
            "retCode": code,
            "retMsg": message,
            "result": result,
            "retExtInfo": ext,
            "time": self._venue.server_ms(),
        }
        return web.Response(
            body=orjson.dumps(envelope),
            content_type="application/json",
            charset="utf-8",
            headers={**self._common(), **headers},
        )

    def _empty(self, status: int) -> web.Response:
        return web.Response(status=status, content_type="application/json", headers=self._common())

    def _common(self) -> dict[str, str]:
        return {
            HEADER_TRACE_ID: f"{self._traces.getrandbits(128):032x}",
            "Timenow": str(self._venue.server_ms()),
        }


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


def _limit_headers(allowance: Allowance) -> dict[str, str]:
    return {
        HEADER_LIMIT: str(allowance.limit),
        HEADER_LIMIT_STATUS: str(max(allowance.left, 0)),
        HEADER_LIMIT_RESET: str(allowance.reset_ms),
    }
