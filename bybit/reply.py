"""One answer of V5 REST: its envelope, what it means, and how it is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import aiohttp
import orjson

from . import outcomes, vocab
from .clock import to_ms
from .fields import Raw, WireError, integer_or_none, mapping, mapping_or_empty, moment_or_none
from .limits import LimitHeaders
from .outcomes import Meaning

FORBIDDEN: Final = 403
_LARGEST_REPLY = 16 * 1024 * 1024


class TransportFault(Exception):
    """No whole answer; `never_left` only when the request surely was not sent."""

    def __init__(self, detail: str, *, never_left: bool = False) -> None:
        super().__init__(detail)
        self.detail = detail
        self.never_left = never_left


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer of any status; `code` is None where the body was no V5 envelope."""

    status: int
    code: int | None
    message: str
    result: Raw
    limits: LimitHeaders

    @property
    def meaning(self) -> Meaning:
        if self.status == FORBIDDEN:
            return Meaning.WAIT
        if self.status >= 500 or (self.status == 200 and self.code is None):
            return Meaning.AMBIGUOUS
        if self.code is not None and (self.status == 200 or self.code in outcomes.BY_CODE):
            return outcomes.meaning_of_code(self.code, self.message)
        return outcomes.meaning_of_status(self.status)

    @property
    def said(self) -> str:
        """What Bybit said, for a person."""
        if self.status == FORBIDDEN:
            return "HTTP 403, our address is banned for some ten minutes"
        if self.code is None:
            return f"HTTP {self.status}"
        at = "" if self.status == 200 else f"HTTP {self.status}, "
        return f"{at}{self.code} {self.message[:200]}".strip()

    @property
    def why(self) -> str:
        """The same without the number, for whoever keeps that apart."""
        return self.message[:200].strip() or self.said

    @property
    def number(self) -> int:
        """The retCode, or the HTTP status where there is none."""
        return self.status if self.code is None else self.code


async def read_bounded(response: aiohttp.ClientResponse) -> bytes:
    content = bytearray()
    async for chunk in response.content.iter_chunked(65536):
        content += chunk
        if len(content) > _LARGEST_REPLY:
            raise aiohttp.ClientPayloadError("the reply is too large")
    return bytes(content)


def read_reply(response: aiohttp.ClientResponse, content: bytes) -> tuple[Reply, int | None]:
    """The reply and the server's stamp (ms), if it carried one."""
    try:
        envelope = mapping(orjson.loads(content), "the reply")
    except (orjson.JSONDecodeError, WireError):
        envelope = {}
    message = envelope.get("retMsg")
    headers = response.headers
    reply = Reply(
        status=response.status,
        code=integer_or_none(envelope, "retCode"),
        message=message if isinstance(message, str) else "",
        result=mapping_or_empty(envelope.get("result")),
        limits=LimitHeaders(
            integer_or_none(headers, vocab.HEADER_LIMIT),
            integer_or_none(headers, vocab.HEADER_LIMIT_STATUS),
            integer_or_none(headers, vocab.HEADER_LIMIT_RESET),
        ),
    )
    at = moment_or_none(envelope, "time")
    return reply, None if at is None else to_ms(at)
