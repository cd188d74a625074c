"""Rate limits: what the address and each key may ask, and when (Bybit V5: rate-limit).

Closing goes first: a part of every budget is kept back from ordinary reads. Times are monotonic
seconds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

ADDRESS_LIMIT: Final = 600
ADDRESS_SPAN: Final = 5.0
# We count when we send, Bybit when a request arrives: what left over a longer time may arrive
# within the span, and one too many costs ten minutes. So we count over that much more.
ADDRESS_JITTER: Final = 0.5
# After a 403 all HTTP must rest for ten minutes; a little more costs less than a second ban.
ADDRESS_PAUSE: Final = 610.0
UNKNOWN_ORDER_LIMIT: Final = 10
UNKNOWN_READ_LIMIT: Final = 50
LONGEST_BLOCK: Final = 5.0
_SHARE_FOR_READS: Final = 0.8


class RollingWindow:
    """Counts what was sent within the last `span` seconds."""

    def __init__(self, span: float) -> None:
        self._span = span
        self._sent: deque[float] = deque()

    def wait(self, now: float, limit: int) -> float:
        """Seconds until one more may be sent under `limit`; 0 = now."""
        while self._sent and self._sent[0] <= now - self._span:
            self._sent.popleft()
        surplus = len(self._sent) - limit
        return 0.0 if surplus < 0 else self._sent[surplus] + self._span - now

    def stamp(self, now: float) -> None:
        self._sent.append(now)


class AddressGate:
    """The limit of our network address, shared by all keys and hosts."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._window = RollingWindow(ADDRESS_SPAN + ADDRESS_JITTER)
        self._paused_until = 0.0

    def pause(self) -> None:
        """Bybit answered 403: nothing goes out until the ban has surely passed."""
        self._paused_until = self._monotonic() + ADDRESS_PAUSE

    @property
    def pause_left(self) -> float:
        """Seconds until HTTP may be used again; 0 when it may now."""
        return max(0.0, self._paused_until - self._monotonic())

    def wait(self, *, urgent: bool) -> float:
        limit = ADDRESS_LIMIT if urgent else int(ADDRESS_LIMIT * _SHARE_FOR_READS)
        return self._window.wait(self._monotonic(), limit)

    def stamp(self) -> None:
        self._window.stamp(self._monotonic())


@dataclass(frozen=True, slots=True)
class LimitHeaders:
    """X-Bapi-Limit…: requests allowed per second, left, and when (server ms) they renew."""

    limit: int | None
    left: int | None
    reset_ms: int | None


class EndpointBudget:
    """What one key may ask of one endpoint within a rolling second."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._window = RollingWindow(1.0)
        self._blocked_until = 0.0

    def wait(self, now: float, *, urgent: bool) -> float:
        limit = self._limit if urgent else max(1, int(self._limit * _SHARE_FOR_READS))
        return max(self._blocked_until - now, self._window.wait(now, limit), 0.0)

    def stamp(self, now: float) -> None:
        self._window.stamp(now)

    def learn(self, headers: LimitHeaders, now: float, until_reset: float) -> None:
        """Take in a reply's headers; `until_reset` in seconds, by server time."""
        if headers.limit is not None and headers.limit > 0:
            self._limit = headers.limit
        if headers.left is not None and headers.left <= 1:
            # Others use the key too: slow down before Bybit refuses.
            self.block(now, max(until_reset, 1.0 / self._limit))

    def block(self, now: float, seconds: float) -> None:
        # A bogus stamp far ahead must not silence the key: the real window is one second.
        self._blocked_until = max(self._blocked_until, now + min(seconds, LONGEST_BLOCK))


class Budgets:
    """The budgets of one environment, by key and endpoint, made when first asked for."""

    def __init__(self) -> None:
        self._budgets: dict[tuple[str, str, str], EndpointBudget] = {}

    def of(self, key: str, path: str, category: str) -> EndpointBudget:
        # Linear and inverse share one budget, option and spot have their own.
        group = "futures" if category in ("linear", "inverse") else category
        limit = UNKNOWN_ORDER_LIMIT if "/order/create" in path else UNKNOWN_READ_LIMIT
        return self._budgets.setdefault((key, path, group), EndpointBudget(limit))
