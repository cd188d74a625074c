"""A request's JSON body: its type, its size, its syntax, and how long it may take to arrive."""

from __future__ import annotations

import asyncio
from typing import cast

import orjson
from aiohttp import web

from ..daemon.domain.errors import InvalidInput
from .fields import Fields
from .replies import JSON

# A body of 64 KiB takes a second on a bad line; a client that needs more holds a connection open.
_SECONDS_TO_ARRIVE = 10


async def read_object(request: web.Request, *, may_be_empty: bool = False) -> Fields:
    """The body as a JSON object; InvalidInput where it is none."""
    raw = await _read(request)
    if may_be_empty and not raw.strip():
        return Fields({})
    if request.content_type != JSON:
        raise InvalidInput(
            "unsupported-media-type", f"Send the body as {JSON}, not as {request.content_type}."
        )
    return Fields(_parse(raw))


async def _read(request: web.Request) -> bytes:
    try:
        async with asyncio.timeout(_SECONDS_TO_ARRIVE):
            return await request.read()
    except TimeoutError as error:
        raise InvalidInput(
            "body-timeout", f"The body did not arrive within {_SECONDS_TO_ARRIVE} s."
        ) from error
    except web.HTTPRequestEntityTooLarge as error:
        raise InvalidInput("body-too-large", "The body is larger than 64 KiB.") from error
    except web.RequestPayloadError as error:
        # Cut short, or not what its Content-Encoding says.
        raise InvalidInput("malformed-json", "The body cannot be read as it was sent.") from error


def _parse(raw: bytes) -> dict[str, object]:
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise InvalidInput("malformed-json", f"The body is not valid JSON: {error}.") from error
    if not isinstance(value, dict):
        raise InvalidInput("wrong-type", "The body must be a JSON object.")
    return cast("dict[str, object]", value)
