"""One account's signed lists: every page of them, each row read, or an error."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

from .fields import Raw
from .rest import Query, RestClient, reading
from .signing import Signer

_Row = TypeVar("_Row")


class SignedLists:
    """Reads lists in the name of one key."""

    def __init__(self, rest: RestClient, signer: Signer) -> None:
        self._rest = rest
        self._signer = signer

    async def rows(
        self, path: str, query: Query, read: Callable[[Raw], _Row], *, urgent: bool
    ) -> list[_Row]:
        raw = await self._rest.pages(path, query, signer=self._signer, urgent=urgent)
        # Part of a list is worse than none: it would read as "not held".
        with reading(path):
            return [read(row) for row in raw]

    def note(self, kind: str, detail: str) -> None:
        """Count something that we do not understand."""
        self._rest.oddities.note(kind, detail)

    async def now(self) -> datetime:
        """Server time, measured now if it never was."""
        if not self._rest.clock.is_measured:
            await self._rest.measure_clock()
        return self._rest.clock.now()
