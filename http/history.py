"""P&L over time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from aiohttp import web

from ..daemon.domain.errors import InvalidInput
from ..daemon.domain.people import Identity
from ..daemon.domain.services import Inquiry
from . import evidence
from .positions import position_id, refuse_unknown_parameters
from .replies import json_reply

_PARAMETERS: Final = frozenset({"from", "to"})
# Nothing lies beyond, and time spans computed from what does would overflow.
_FIRST_YEAR: Final = 2000
_LAST_YEAR: Final = 2200


@dataclass(frozen=True, slots=True)
class HistoryRoutes:
    inquiry: Inquiry

    async def pnl(self, request: web.Request, identity: Identity) -> web.StreamResponse:
        position = position_id(request)
        query = request.query
        refuse_unknown_parameters(query, _PARAMETERS)
        start = moment(query["from"], "from") if "from" in query else None
        end = moment(query["to"], "to") if "to" in query else None
        if start is not None and end is not None and start > end:
            raise InvalidInput("invalid-value", "'from' lies after 'to'.", field="from")
        points = await self.inquiry.history(identity.user.id, position, start, end)
        return json_reply({"pnl": [evidence.pnl_point(point) for point in points]})


def moment(text: str, name: str) -> datetime:
    """An RFC 3339 time with its offset, in UTC; InvalidInput otherwise."""
    # A plus that was not escaped arrives as a blank: the likeliest slip, and never ambiguous.
    head, blank, offset = text.rpartition(" ")
    try:
        at = datetime.fromisoformat(f"{head}+{offset}" if blank and "T" in head else text)
        if at.tzinfo is not None and _FIRST_YEAR < at.year < _LAST_YEAR:
            return at.astimezone(UTC)
    except ValueError:
        pass
    raise InvalidInput(
        "invalid-value",
        f"'{name}' must be a time such as 2026-03-01T12:00:00Z, with its offset from UTC.",
        field=name,
    )
