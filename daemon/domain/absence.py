"""Proof that an order never reached the exchange's books.

An order is proven absent only when server time is past its signing time + recv_window + 10 s (its
signature has then been refused for at least 10 s wherever it still travels), and every lookup of
the whole ladder in the 10 s after that has come back empty. One empty lookup proves nothing: an
order can be in neither list for a moment (Bybit V5: order/realtime, order/history).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

MARGIN: Final = timedelta(seconds=10)
EMPTY_FOR: Final = timedelta(seconds=10)
SILENT_FOR: Final = timedelta(seconds=60)


@dataclass(slots=True)
class AbsenceProof:
    """Collects empty lookups of one order; any evidence to the contrary starts it anew."""

    dies_at: datetime
    empty_for: timedelta = EMPTY_FOR
    _empty_since: datetime | None = None

    def looked_up_empty(self, server_now: datetime) -> bool:
        """Note an empty lookup of the whole ladder that began at `server_now`; True once proven."""
        if server_now <= self.dies_at + MARGIN:
            return False
        if self._empty_since is None:
            self._empty_since = server_now
        return server_now - self._empty_since >= self.empty_for

    def interrupted(self) -> None:
        """A lookup failed or found something: the silence is broken."""
        self._empty_since = None


def ended_unfilled(known_since: datetime, server_now: datetime) -> bool:
    """An order known to exist, in no list and without an execution for 60 s, ended unfilled.

    Zero-fill cancels age out of Bybit's lists; a fill never does.
    """
    return server_now - known_since >= SILENT_FOR
