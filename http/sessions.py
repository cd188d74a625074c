"""Signing in, by password or by link, and out."""

from __future__ import annotations

from dataclasses import dataclass, field

import structlog
from aiohttp import web

from ..daemon.domain.errors import Throttled, Unauthenticated
from ..daemon.domain.model import UserId
from ..daemon.domain.people import Identity, User
from . import pages, render
from .access import COOKIE, Gate, client_address, session_key
from .body import read_object
from .keys import digest, may_be_ours, new_session_key
from .replies import json_reply
from .services import HttpSettings, Services
from .throttle import SignInThrottle

_log = structlog.get_logger(__name__)

_LONGEST_USERNAME = 100
# argon2 reads the whole password: without a limit a body's worth of it would be hashed.
_LONGEST_PASSWORD = 1_000


@dataclass(frozen=True, slots=True)
class SessionRoutes:
    services: Services
    gate: Gate
    settings: HttpSettings
    throttle: SignInThrottle = field(default_factory=SignInThrottle)

    async def sign_in(self, request: web.Request) -> web.StreamResponse:
        # A script may sign in without an Origin; another site's page must not, in our user's name.
        self.gate.refuse_foreign_origin(request, is_required=False)
        fields = await read_object(request)
        username = fields.text("username", longest=_LONGEST_USERNAME)
        password = fields.secret("password", longest=_LONGEST_PASSWORD)
        fields.finish()
        self._admit(request, username)
        user = await self._check(username, password)
        self.throttle.succeeded(username)
        response = web.Response(status=204)
        await self._open(request, response, user.id)
        return response

    async def who_am_i(self, _request: web.Request, identity: Identity) -> web.StreamResponse:
        return json_reply(render.identity(identity))

    async def sign_out(self, request: web.Request) -> web.StreamResponse:
        """204 for whoever asks: being signed out is the wished-for state."""
        key = session_key(request)
        if key is not None:
            self.gate.refuse_foreign_origin(request, is_required=True)
            await self.services.people.end_session(digest(key))
        response = web.Response(status=204)
        response.del_cookie(COOKIE, path="/")
        return response

    async def by_link(self, request: web.Request) -> web.StreamResponse:
        """A sign-in link works until its ticket expires: browsers and chats fetch links twice."""
        ticket = request.query.get("ticket", "")
        user = None
        if may_be_ours(ticket):
            user = await self.services.people.ticket(digest(ticket), self.services.now())
        if user is None:
            return pages.link_refused()
        response = web.Response(status=303, headers={"Location": "/", "Cache-Control": "no-store"})
        await self._open(request, response, user.id)
        return response

    def _admit(self, request: web.Request, username: str) -> None:
        address = client_address(request, behind_proxy=self.settings.behind_proxy)
        try:
            self.throttle.admit(username, address, self.services.now().timestamp())
        except Throttled:
            self.services.counters.sign_ins_throttled += 1
            raise

    async def _check(self, username: str, password: str) -> User:
        services = self.services
        user, stored = await services.people.user_for_sign_in(username) or (None, None)
        is_right = await services.passwords.matches(password, stored)
        if user is None or stored is None or not is_right:
            services.counters.sign_ins_failed += 1
            _log.info("sign-in failed", username=username)
            raise Unauthenticated("sign-in-failed", "The username or the password is wrong.")
        if services.passwords.is_outdated(stored):
            renewed = await services.passwords.hash(password)
            await services.people.renew_password_hash(user.id, stored, renewed)
        return user

    async def _open(self, request: web.Request, response: web.Response, user_id: UserId) -> None:
        """A new session, always under a new key: one that was planted before is worth nothing."""
        key, now = new_session_key(), self.services.now()
        lifetime = self.settings.session_lifetime
        await self.services.people.open_session(user_id, digest(key), now, now + lifetime)
        earlier = session_key(request)
        if earlier is not None:
            await self.services.people.end_session(digest(earlier))
        self.services.counters.sign_ins += 1
        response.set_cookie(
            COOKIE,
            key,
            max_age=int(lifetime.total_seconds()),
            path="/",
            httponly=True,
            samesite="Strict",
            secure=self.gate.is_https(request),
        )
