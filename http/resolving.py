"""What a user changes of a recorded position: resolve a deviation, rename, annotate."""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web

from ..daemon.domain.errors import InvalidInput, NotFound
from ..daemon.domain.model import ComponentId
from ..daemon.domain.people import Identity
from ..daemon.domain.records import PositionEdit
from ..daemon.domain.resolving import ResolveAction
from ..daemon.domain.services import Resolver
from . import render
from .body import read_object
from .fields import Fields
from .intake import labels
from .positions import position_id
from .replies import json_reply


@dataclass(frozen=True, slots=True)
class ResolveRoutes:
    resolver: Resolver

    async def resolve(self, request: web.Request, identity: Identity) -> web.StreamResponse:
        position = position_id(request)
        fields = await read_object(request)
        action = fields.word("action", ResolveAction)
        component = _component_id(fields) if fields.has("component_id") else None
        fields.finish()
        view = await self.resolver.resolve(identity.user.id, position, action, component)
        return json_reply(render.position(view))

    async def edit(self, request: web.Request, identity: Identity) -> web.StreamResponse:
        position = position_id(request)
        change = labels(await read_object(request))
        if change == PositionEdit():
            raise InvalidInput("missing-field", "Send 'name', 'note' or 'tags'.")
        view = await self.resolver.edit(identity.user.id, position, change)
        return json_reply(render.position(view))


def _component_id(fields: Fields) -> ComponentId:
    """What is no UUID is as unknown as any other."""
    parsed = fields.uuid("component_id")
    if parsed is None:
        raise NotFound(
            "unknown-component", "The position has no such component.", field="component_id"
        )
    return ComponentId(parsed)
