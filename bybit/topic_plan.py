"""Which connection carries which topics, where one alone has no room for all of them."""

from __future__ import annotations

from typing import Final

from . import vocab
from .session import MOST_CHARACTERS, length_of

# Options also have a limit on the topics of a connection. (Bybit V5: websocket connect)
_MOST_OPTIONS: Final = 2_000
_NO_LIMIT: Final = 1_000_000


class TopicPlan:
    """Spreads topics over as few connections as needed; a topic never moves while it is wanted."""

    def __init__(self, category: vocab.Category) -> None:
        self._most = _MOST_OPTIONS if category is vocab.Category.OPTION else _NO_LIMIT
        self._lines: list[set[str]] = [set()]

    def spread(self, wanted: frozenset[str]) -> list[frozenset[str]]:
        """The topics of each connection, in a stable order; at least one connection."""
        for line in self._lines:
            line &= wanted
        placed = frozenset().union(*self._lines)
        rooms = [self._room_in(line) for line in self._lines]
        for topic in sorted(wanted - placed):
            self._place(topic, rooms)
        return [frozenset(line) for line in self._lines]

    def _place(self, topic: str, rooms: list[int]) -> None:
        for number, line in enumerate(self._lines):
            if rooms[number] >= length_of(topic) and len(line) < self._most:
                break
        else:
            number, line = len(self._lines), set[str]()
            self._lines.append(line)
            rooms.append(MOST_CHARACTERS)
        line.add(topic)
        rooms[number] -= length_of(topic)

    @staticmethod
    def _room_in(line: set[str]) -> int:
        return MOST_CHARACTERS - sum(map(length_of, line))
