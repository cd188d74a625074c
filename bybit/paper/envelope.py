"""What every REST answer wears: envelope, trace and clock, and the headers of the limits."""

import random
from collections.abc import Callable, Mapping
from typing import Any

import orjson
from aiohttp import web

from ..vocab import HEADER_LIMIT, HEADER_LIMIT_RESET, HEADER_LIMIT_STATUS, HEADER_TRACE_ID
from .limits import Allowance


class Envelope:
    """Dresses answers; `now_ms` is the clock the venue shows."""

    def __init__(self, seed: int, now_ms: Callable[[], int]) -> None:
        self._traces = random.Random(f"{seed}/trace")
        self._now_ms = now_ms

    def json(
        self,
        code: int,
        message: str,
        headers: Mapping[str, str],
        result: Mapping[str, Any] | None = None,
        ext: Mapping[str, Any] | None = None,
    ) -> web.Response:
        """HTTP 200 whatever the code, as at the venue."""
        body = {
            "retCode": code,
            "retMsg": message,
            "result": result or {},
            "retExtInfo": ext or {},
            "time": self._now_ms(),
        }
        return web.Response(
            body=orjson.dumps(body),
            content_type="application/json",
            charset="utf-8",
            headers={**self._common(), **headers},
        )

    def empty(self, status: int, text: str = "") -> web.Response:
        """What the venue's front answers without asking the exchange behind it."""
        if text:
            return web.Response(status=status, text=text, headers=self._common())
        return web.Response(status=status, content_type="application/json", headers=self._common())

    def _common(self) -> dict[str, str]:
        return {
            HEADER_TRACE_ID: f"{self._traces.getrandbits(128):032x}",
            "Timenow": str(self._now_ms()),
        }


def limit_headers(allowance: Allowance) -> dict[str, str]:
    return {
        HEADER_LIMIT: str(allowance.limit),
        HEADER_LIMIT_STATUS: str(max(allowance.left, 0)),
        HEADER_LIMIT_RESET: str(allowance.reset_ms),
    }
