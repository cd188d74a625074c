"""Who may come in: session cookies, bearer tokens, scopes, and where a request comes from."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler
from yarl import URL

from ..daemon.domain.errors import Forbidden, Unauthenticated
from ..daemon.domain.people import Identity, People, Scope
from .keys import digest, may_be_ours

COOKIE: Final = "positiond_session"

_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})

SignedInHandler = Callable[[web.Request, Identity], Awaitable[web.StreamResponse]]


class Access(StrEnum):
    """What a route asks of its caller."""

    PUBLIC = "public"
    READ = "read"
    TRADE = "trade"


@dataclass(frozen=True, slots=True)
class Gate:
    """Turns a request into the person behind it, or refuses it."""

    people: People
    now: Callable[[], datetime]
    public_url: str | None

    async def identify(self, request: web.Request) -> Identity:
        """Unauthenticated for nobody; a bearer token wins over a cookie."""
        header = request.headers.get("Authorization")
        if header is not None:
            return await self._bearer(header)
        key = session_key(request)
        identity = await self.people.session(digest(key), self.now()) if key else None
        if identity is None:
            raise Unauthenticated("not-signed-in", "Sign in, or send a bearer token.")
        return identity

    def guard(self, handler: SignedInHandler, access: Access) -> Handler:
        """The handler behind its checks."""

        async def guarded(request: web.Request) -> web.StreamResponse:
            identity = await self.identify(request)
            if identity.by_session and request.method not in _SAFE_METHODS:
                self.refuse_foreign_origin(request, is_required=True)
            if access is Access.TRADE and identity.scope is not Scope.TRADE:
                raise Forbidden("scope-read-only", "This token may only read.")
            return await handler(request, identity)

        return guarded

    def refuse_foreign_origin(self, request: web.Request, *, is_required: bool) -> None:
        """Forbidden unless the page that sends this is ours: a cookie alone proves no intent."""
        origin = request.headers.get("Origin")
        if origin is None and not is_required:
            return
        if origin is None or origin.lower() not in self._own_origins(request):
            raise Forbidden(
                "foreign-origin", "A change with a session cookie must come from our own pages."
            )

    def is_https(self, request: web.Request) -> bool:
        """Whether the browser reached us by https, directly or through the stated proxy."""
        return request.secure or (self.public_url or "").startswith("https:")

    def _own_origins(self, request: web.Request) -> set[str]:
        # The browser sets Host by the address it opened: a foreign page cannot make them agree.
        origins = {f"{request.scheme}://{request.host}".lower()}
        if self.public_url is not None:
            origins.add(str(URL(self.public_url).origin()).lower())
        return origins

    async def _bearer(self, header: str) -> Identity:
        scheme, _, token = header.partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not may_be_ours(token):
            raise Unauthenticated("invalid-token", "Send 'Authorization: Bearer <token>'.")
        identity = await self.people.bearer(digest(token), self.now())
        if identity is None:
            raise Unauthenticated("invalid-token", "The token is unknown or was revoked.")
        return identity


def session_key(request: web.Request) -> str | None:
    """The session cookie's value, if there is one that could be ours."""
    key = request.cookies.get(COOKIE)
    return key if key and may_be_ours(key) else None


def client_address(request: web.Request, *, behind_proxy: bool) -> str:
    """Where the request comes from; the last forwarded entry is the one our own proxy wrote."""
    forwarded = request.headers.getall("X-Forwarded-For", [])
    if behind_proxy and forwarded:
        return forwarded[-1].rpartition(",")[2].strip()
    return request.remote or "unknown"
