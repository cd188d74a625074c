"""Around every route: errors become problems, answers get their headers, requests are counted."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import datetime
from typing import Final

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from ..daemon.domain.errors import PositiondError
from .counters import HttpCounters
from .problems import Problem, problem, problem_of

_log = structlog.get_logger(__name__)

SECURITY_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # Overwrites the version that aiohttp would tell.
    "Server": "positiond",
}


async def add_security_headers(_request: web.Request, response: web.StreamResponse) -> None:
    """A signal handler rather than a middleware: streams send their headers before they return."""
    response.headers.update(SECURITY_HEADERS)


def problem_middleware(counters: HttpCounters, now: Callable[[], datetime]) -> Middleware:
    """The only place that turns an error into an answer."""

    @web.middleware
    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        counters.requests += 1
        response = await _answer(request, handler, now)
        counters.refusals += 400 <= response.status < 500
        counters.failures += response.status >= 500
        return response

    return answer


async def _answer(
    request: web.Request, handler: Handler, now: Callable[[], datetime]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except PositiondError as error:
        known = problem_of(error, now())
        return (known or _unforeseen(request, error)).reply()
    except web.HTTPException as answer:
        return _of_aiohttp(answer)
    except ConnectionResetError:
        # The client left while we wrote to it: nobody is there to be told.
        raise
    except Exception as error:
        return _unforeseen(request, error).reply()


def _unforeseen(request: web.Request, error: Exception) -> Problem:
    """Told to the caller by a number only: an unforeseen error may quote anything."""
    error_id = secrets.token_hex(6)
    _log.error(
        "request failed",
        error_id=error_id,
        method=request.method,
        path=request.path,
        exc_info=error,
    )
    status, title = 500, "Something went wrong on our side"
    detail = f"The daemon hit an error that it did not foresee; it is logged as {error_id}."
    return Problem(status, "internal-error", title, detail, error_id=error_id)


def _of_aiohttp(answer: web.HTTPException) -> web.Response:
    """What the framework itself refuses: unknown paths, wrong methods, bodies over the limit."""
    if answer.status == 404:
        return problem("unknown-path", "There is nothing at this address.").reply()
    if isinstance(answer, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(answer.allowed_methods))
        reply = problem("method-not-allowed", f"This address takes {allowed}.").reply()
        reply.headers["Allow"] = allowed
        return reply
    if answer.status == 413:
        return problem("body-too-large", "The body is larger than 64 KiB.").reply()
    return problem("bad-request", "The request is malformed.").reply()
