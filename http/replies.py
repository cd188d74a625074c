"""Answers in JSON: the one place where values become bytes."""

from __future__ import annotations

from collections.abc import Mapping

import orjson
from aiohttp import web

JSON = "application/json"
PROBLEM_JSON = "application/problem+json"

Json = dict[str, object]


def encode(value: object) -> bytes:
    """Compact UTF-8 JSON of plain values; a Decimal or a datetime is an error on purpose.

    Amounts and times are rendered as strings before: nothing here may choose a format for them.
    """
    return orjson.dumps(value, option=orjson.OPT_PASSTHROUGH_DATETIME)


def json_reply(
    value: object,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    content_type: str = JSON,
) -> web.Response:
    """An answer that no cache may keep: it is one user's, and stale a moment later."""
    return web.Response(
        body=encode(value),
        status=status,
        headers={"Cache-Control": "no-store", **(headers or {})},
        content_type=content_type,
    )
