"""Accounts: the list; a secret never leaves the store this way."""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web

from ..daemon.domain.people import AccountBook, Identity
from . import render
from .replies import json_reply


@dataclass(frozen=True, slots=True)
class AccountRoutes:
    accounts: AccountBook

    async def listing(self, _request: web.Request, identity: Identity) -> web.StreamResponse:
        entries = await self.accounts.of_user(identity.user.id)
        return json_reply({"accounts": [render.account(entry) for entry in entries]})
