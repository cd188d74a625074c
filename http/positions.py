"""Positions: list, one with its past, record."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from ..daemon.domain.errors import InvalidInput, NotFound
from ..daemon.domain.model import AccountId, PositionId, PositionStatus
from ..daemon.domain.people import AccountBook, Identity
from ..daemon.domain.services import Board, Inquiry, Recorder
from . import evidence, render, reports
from .body import read_object
from .fields import uuid_or_none
from .intake import new_position
from .paging import LARGEST_PAGE, page, read_cursor, read_limit
from .replies import Json, json_reply

_OPEN: Final = frozenset({PositionStatus.ACTIVE, PositionStatus.CLOSING})
_PARAMETERS: Final = frozenset({"status", "account", "limit", "after"})


@dataclass(frozen=True, slots=True)
class PositionRoutes:
    board: Board
    recorder: Recorder
    inquiry: Inquiry
    accounts: AccountBook

    async def listing(self, request: web.Request, identity: Identity) -> web.StreamResponse:
        query = request.query
        refuse_unknown_parameters(query, _PARAMETERS)
        statuses = _statuses(query.get("status"))
        account_id = await self._own_account(identity, query.get("account"))
        after = read_cursor(query["after"]) if "after" in query else None
        limit = read_limit(query["limit"]) if "limit" in query else LARGEST_PAGE
        views = await self.board.views(identity.user.id, statuses, account_id)
        shown, following = page(views, after, limit)
        body: Json = {"positions": [render.position(view) for view in shown]}
        if following is not None:
            body["next"] = following
        return json_reply(body)

    async def one(self, request: web.Request, identity: Identity) -> web.StreamResponse:
        """The list's row of it, with all its deviations instead of the open ones, and its past."""
        found = await self.inquiry.detail(identity.user.id, position_id(request))
        return json_reply(
            {
                **render.position(found.view),
                "deviations": [evidence.deviation_row(row) for row in found.deviations],
                "close_requests": [reports.close_report(close) for close in found.closes],
                "events": [evidence.event(entry) for entry in found.events],
            }
        )

    async def record(self, request: web.Request, identity: Identity) -> web.StreamResponse:
        position = new_position(await read_object(request))
        view, is_new = await self.recorder.record(identity.user.id, position)
        return json_reply(
            render.position(view),
            status=201 if is_new else 200,
            headers={"Location": f"/api/positions/{view.position.id}"},
        )

    async def _own_account(self, identity: Identity, text: str | None) -> AccountId | None:
        """The account to filter by; a list that is empty for a wrong id would hide the mistake."""
        if text is None:
            return None
        for account in await self.accounts.of_user(identity.user.id):
            if str(account.id) == text.lower():
                return account.id
        raise NotFound("unknown-account", "There is no such account.", field="account")


def position_id(request: web.Request) -> PositionId:
    """The id in the path; what is no UUID is as unknown as any other."""
    parsed = uuid_or_none(request.match_info["position_id"])
    if parsed is None:
        raise unknown_position()
    return PositionId(parsed)


def unknown_position() -> NotFound:
    return NotFound("unknown-position", "There is no such position.")


def refuse_unknown_parameters(query: Mapping[str, str], known: Set[str]) -> None:
    """A misspelt filter must not silently give the whole list."""
    for name in query:
        if name not in known:
            raise InvalidInput(
                "unknown-field", f"There is no parameter '{name[:60]}'.", field=name[:60]
            )


def _statuses(text: str | None) -> frozenset[PositionStatus]:
    if text is None:
        return _OPEN
    try:
        return frozenset(PositionStatus(word) for word in text.split(","))
    except ValueError:
        raise InvalidInput(
            "invalid-value",
            f"'status' must be a list of {', '.join(PositionStatus)}, separated by commas.",
            field="status",
        ) from None
