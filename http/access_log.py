"""One debug line per request, without query strings: they may carry a sign-in ticket."""

from __future__ import annotations

import structlog
from aiohttp import web
from aiohttp.abc import AbstractAccessLogger

_log = structlog.get_logger(__name__)


class AccessLog(AbstractAccessLogger):
    """aiohttp's hook; no header, no cookie and no query ever reaches the log."""

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        _log.debug(
            "request",
            method=request.method,
            path=request.path,
            status=response.status,
            milliseconds=round(time * 1000, 1),
            remote=request.remote,
        )
