"""When to look again at what could not be read, stored or explained."""

from __future__ import annotations

from collections.abc import Hashable
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from .backoff import Backoff

K = TypeVar("K", bound=Hashable)


class Retries(Generic[K]):
    """One growing, jittered pause (s) per key, for as long as it has to be looked at again."""

    def __init__(self, *, first: float, most: float) -> None:
        self._first = first
        self._most = most
        self._due: dict[K, datetime] = {}
        self._pauses: dict[K, Backoff] = {}

    def plan(self, key: K, now: datetime, *, again: bool) -> None:
        """After a look: the next one where it is needed, none where all is known.

        One that is planned already stays: what is looked at often, for whatever reason, would
        otherwise put it off for ever.
        """
        if again and key in self._due:
            return
        if again:
            backoff = Backoff(first=self._first, most=self._most)
            pause = self._pauses.setdefault(key, backoff)
            self._due[key] = now + timedelta(seconds=pause.next())
        else:
            self._due.pop(key, None)
            self._pauses.pop(key, None)

    def take_due(self, now: datetime) -> set[K]:
        """The keys whose pause is over; each is handed out once."""
        due = {key for key, at in self._due.items() if at <= now}
        for key in due:
            del self._due[key]
        return due
