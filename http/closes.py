"""Closes: preview one, ask for one or several, look at it, hurry it, cancel it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import orjson
from aiohttp import web

from ..daemon.domain.errors import InvalidInput, NotFound
from ..daemon.domain.model import CloseId
from ..daemon.domain.people import Identity
from ..daemon.domain.services import CloseDesk
from . import reports
from .body import read_object
from .counters import HttpCounters
from .fields import Fields, uuid_or_none
from .positions import position_id
from .replies import json_reply
from .terms import canonical, fraction, positions_of_set, terms_of_one, terms_of_set

_KEY_HEADER = "Idempotency-Key"
_LONGEST_KEY = 255


@dataclass(frozen=True, slots=True)
class CloseRoutes:
    desk: CloseDesk
    counters: HttpCounters

    async def request(self, request: web.Request, identity: Identity) -> web.StreamResponse:
        """202 once the intent is committed; what is sent to Bybit comes after the answer."""
        position = position_id(request)
        key = idempotency_key(request)
        fields = await read_object(request, may_be_empty=True)
        terms = terms_of_one(fields)
        fields.finish()
        accepted = await self.desk.request_close(
            identity.user.id,
            position,
            terms=terms,
            idempotency_key=key,
            fingerprint=fingerprint(request.method, request.path, canonical(terms)),
        )
        self.counters.closes_accepted += 1
        return json_reply(
            reports.accepted_close(accepted),
            status=202,
            headers={"Location": f"/api/closes/{accepted.close_id}"},
        )

    async def together(self, request: web.Request, identity: Identity) -> web.StreamResponse:
        """Several at once: all of them are accepted, or none."""
        key = idempotency_key(request)
        fields = await read_object(request)
        positions = positions_of_set(fields)
        terms = terms_of_set(fields)
        fields.finish()
        # The same ones in another order are the same request.
        asked = canonical(terms) | {"position_ids": sorted(map(str, positions))}
        accepted = await self.desk.request_set(
            identity.user.id,
            positions,
            terms=terms,
            idempotency_key=key,
            fingerprint=fingerprint(request.method, request.path, asked),
        )
        self.counters.closes_accepted += len(accepted.closes)
        return json_reply(reports.accepted_set(accepted), status=202)

    async def plan(self, request: web.Request, identity: Identity) -> web.StreamResponse:
        position = position_id(request)
        # As strict as a body: a misspelt one must not give the plan of the whole.
        query = Fields(dict(request.query))
        part = fraction(query)
        query.finish()
        return json_reply(
            reports.close_plan(await self.desk.plan(identity.user.id, position, part))
        )

    async def one(self, request: web.Request, identity: Identity) -> web.StreamResponse:
        status = await self.desk.status(identity.user.id, _close_id(request))
        return json_reply(reports.close_status(status))

    async def recheck(self, request: web.Request, identity: Identity) -> web.StreamResponse:
        """202 with where it stands: what the look finds comes after the answer."""
        close = _close_id(request)
        (await read_object(request, may_be_empty=True)).finish()
        status = await self.desk.recheck(identity.user.id, close)
        return json_reply(reports.close_status(status), status=202)

    async def cancel(self, request: web.Request, identity: Identity) -> web.StreamResponse:
        status = await self.desk.cancel(identity.user.id, _close_id(request))
        return json_reply(reports.close_status(status))


def fingerprint(method: str, path: str, body: Mapping[str, object]) -> str:
    """The same for requests that ask for the same, however their JSON was laid out."""
    canonical = orjson.dumps(dict(body), option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(b"\n".join((method.encode(), path.encode(), canonical))).hexdigest()


def idempotency_key(request: web.Request) -> str | None:
    """The key, or None; InvalidInput unless there is one of 1 to 255 visible ASCII characters."""
    keys = request.headers.getall(_KEY_HEADER, [])
    if not keys:
        return None
    key = keys[0]
    is_visible = all("!" <= character <= "~" for character in key)
    if len(keys) > 1 or not 1 <= len(key) <= _LONGEST_KEY or not is_visible:
        raise InvalidInput(
            "invalid-idempotency-key",
            f"Send one {_KEY_HEADER} of 1 to {_LONGEST_KEY} visible ASCII characters.",
            field=_KEY_HEADER,
        )
    return key


def _close_id(request: web.Request) -> CloseId:
    parsed = uuid_or_none(request.match_info["close_id"])
    if parsed is None:
        raise NotFound("unknown-close", "There is no such close request.")
    return CloseId(parsed)
