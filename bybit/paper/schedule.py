"""What happens later, in order of time; equal times keep the order they were planned in."""

import heapq
from collections.abc import Callable

Deed = Callable[[], None]


class Schedule:
    """A queue of deeds by due time, in milliseconds of the exchange's clock."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Deed]] = []
        self._planned = 0

    def at(self, due_ms: int, deed: Deed) -> None:
        self._planned += 1
        heapq.heappush(self._heap, (due_ms, self._planned, deed))

    def next_ms(self) -> int | None:
        """When the next deed is due; None when nothing is planned."""
        return self._heap[0][0] if self._heap else None

    def pop_due(self, now_ms: int) -> tuple[int, Deed] | None:
        """The next deed that is due by now, with its due time."""
        if not self._heap or self._heap[0][0] > now_ms:
            return None
        due_ms, _, deed = heapq.heappop(self._heap)
        return due_ms, deed
