"""The open positions' rows, which are read again and again and seldom differ."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from itertools import groupby
from operator import itemgetter
from typing import Final
from uuid import UUID

from ..daemon.domain.model import Position
from . import rows
from .pool import Row

# A thousand positions at once would hold up the prices for 30 ms, every 1.5 s.
_AT_ONCE: Final = 40


class OpenRows:
    """Turns rows into positions; where they are as before, it is the same object as before."""

    def __init__(self) -> None:
        self._known: dict[UUID, tuple[list[Row], Position]] = {}

    async def positions(self, found: Iterable[Row]) -> list[Position]:
        """In the order of the rows; others may work in between."""
        known, self._known = self._known, {}
        result: dict[UUID, tuple[list[Row], Position]] = {}
        for number, (position_id, group) in enumerate(groupby(found, key=itemgetter("id")), 1):
            of_it = list(group)
            old = known.get(position_id)
            is_same = old is not None and old[0] == of_it
            result[position_id] = old if old and is_same else (of_it, rows.position(of_it))
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)
        self._known = result
        return [position for _, position in result.values()]
