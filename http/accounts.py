"""Accounts: the list, what Bybit holds in one, a compare now; no secret leaves the store here."""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web

from ..daemon.domain.errors import NotFound
from ..daemon.domain.model import AccountId
from ..daemon.domain.people import AccountBook, Identity
from ..daemon.domain.services import AccountDesk
from . import evidence, render
from .body import read_object
from .fields import uuid_or_none
from .replies import json_reply


@dataclass(frozen=True, slots=True)
class AccountRoutes:
    accounts: AccountBook
    desk: AccountDesk

    async def listing(self, _request: web.Request, identity: Identity) -> web.StreamResponse:
        entries = await self.accounts.of_user(identity.user.id)
        return json_reply({"accounts": [render.account(entry) for entry in entries]})

    async def holdings(self, request: web.Request, identity: Identity) -> web.StreamResponse:
        found = await self.desk.holdings(identity.user.id, _account_id(request))
        return json_reply(evidence.holdings(found))

    async def reconcile(self, request: web.Request, identity: Identity) -> web.StreamResponse:
        """202: the compare itself comes after the answer, and is told by the stream."""
        account_id = _account_id(request)
        (await read_object(request, may_be_empty=True)).finish()
        await self.desk.reconcile(identity.user.id, account_id)
        return json_reply({}, status=202)


def _account_id(request: web.Request) -> AccountId:
    parsed = uuid_or_none(request.match_info["account_id"])
    if parsed is None:
        raise NotFound("unknown-account", "There is no such account.")
    return AccountId(parsed)
