"""Alive, and ready: two questions, since a restart only helps against the first."""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web

from ..daemon.domain.services import Board
from .replies import json_reply


@dataclass(frozen=True, slots=True)
class SystemRoutes:
    board: Board

    async def healthz(self, _request: web.Request) -> web.StreamResponse:
        """That this answers at all is the answer: the event loop turns."""
        return json_reply({"status": "alive"})

    async def readyz(self, _request: web.Request) -> web.StreamResponse:
        readiness = self.board.readiness()
        return json_reply(
            {
                "status": "ready" if readiness.is_ready else "not-ready",
                "reasons": list(readiness.reasons),
            },
            status=200 if readiness.is_ready else 503,
        )
