"""Rate limits: what the address and each key may ask, and when (Bybit V5: rate-limit).

Closing goes first: a part of every budget is kept back from ordinary reads, which flow smoothly
below it; only urgent calls may reach the limit itself. Times are monotonic seconds.

A limit of n within a span is kept at the other end too if we send at most n within the span and
its jitter: what left over a longer time may arrive closer together.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from .tally import Tally

ADDRESS_LIMIT: Final = 600
ADDRESS_SPAN: Final = 5.0
# One request too many costs ten minutes, so the span is counted this much longer.
ADDRESS_JITTER: Final = 0.5
# All together, urgent ones included: 95 %, since one odd count must not ban us.
ADDRESS_MOST: Final = 570
# Ordinary reads: at most 12 + 5.5 x 85 = 479.5 in the longer span, about 72 % of the limit over
# five seconds; 15 % of the limit is left below ADDRESS_MOST for closing.
READS_RATE: Final = 85.0
READS_BURST: Final = 12.0
# Where urgent calls are many, the last places are theirs alone: they never wait behind a read.
READS_STOP_AT: Final = 540
# After a 403 all HTTP must rest for ten minutes; a little more costs less than a second ban.
ADDRESS_PAUSE: Final = 610.0

UNKNOWN_READ_LIMIT: Final = 50
_KNOWN_LIMITS: Final = {
    "/v5/order/create": 10,
    "/v5/order/create-batch": 10,
    "/v5/order/cancel": 10,
    "/v5/account/fee-rate": 5,
    "/v5/user/query-api": 10,
    "/v5/account/transaction-log": 25,
}
# Counted once for all categories.
_SHARED: Final = frozenset({"/v5/asset/delivery-record", "/v5/asset/settlement-record"})
LONGEST_BLOCK: Final = 5.0
SHARE_FOR_READS: Final = 0.8
_ENDPOINT_JITTER: Final = 0.1
_ENDPOINT_BURST: Final = 0.16

# New streams: 500 in five minutes, per address and domain; we use 450. (Bybit V5: connect)
STREAMS_SPAN: Final = 300.0
STREAMS_MOST: Final = 450
STREAMS_BURST: Final = 200
# Of the burst, left alone by the accounts' streams: prices come first, and are few.
STREAMS_RESERVED: Final = 10

_NEARLY: Final = 1e-9


class TokenBucket:
    """A smooth flow: `rate` a second over time, at most `burst` at once; full at first."""

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = self._level = burst
        self._at = float("-inf")

    def wait(self, now: float, needed: float = 1.0) -> float:
        """Seconds until `needed` tokens are there; 0 = now."""
        self._refill(now)
        missing = needed - self._level
        return 0.0 if missing <= _NEARLY else missing / self._rate

    def take(self, now: float) -> None:
        self._refill(now)
        self._level -= 1.0

    def give_back(self) -> None:
        """What was taken was not used."""
        self._level = min(self._burst, self._level + 1.0)

    def retune(self, rate: float, burst: float) -> None:
        """Another flow from now on; what is in it stays."""
        self._rate, self._burst = rate, burst
        self._level = min(self._level, burst)

    def _refill(self, now: float) -> None:
        if now > self._at:
            self._level = min(self._burst, self._level + (now - self._at) * self._rate)
            self._at = now


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
    """The limit of our network address, shared by all keys and hosts, and by our earlier lives.

    What those sent, and when they were told of a ban, is in `sent` and `bans`.
    """

    def __init__(
        self,
        monotonic: Callable[[], float],
        sent: Tally | None = None,
        bans: Tally | None = None,
    ) -> None:
        self._monotonic = monotonic
        self._sent = sent
        self._bans = bans
        self._window = RollingWindow(ADDRESS_SPAN + ADDRESS_JITTER)
        self._reads = TokenBucket(READS_RATE, READS_BURST)
        self._paused_until = 0.0
        now = monotonic()
        for stamp in sent.recent(now, ADDRESS_SPAN + ADDRESS_JITTER) if sent else ():
            self._window.stamp(stamp)
        for stamp in bans.recent(now, ADDRESS_PAUSE) if bans else ():
            self._paused_until = stamp + ADDRESS_PAUSE

    def pause(self) -> None:
        """Bybit answered 403: nothing goes out until the ban has surely passed."""
        now = self._monotonic()
        self._paused_until = now + ADDRESS_PAUSE
        if self._bans is not None:
            self._bans.note(now)

    @property
    def pause_left(self) -> float:
        """Seconds until HTTP may be used again; 0 when it may now."""
        return max(0.0, self._paused_until - self._monotonic())

    def wait(self, *, urgent: bool) -> float:
        """Seconds until one more may go out; a ban is told by `pause_left` alone."""
        now = self._monotonic()
        if urgent:
            return self._window.wait(now, ADDRESS_MOST)
        return max(self._reads.wait(now), self._window.wait(now, READS_STOP_AT))

    def stamp(self, *, urgent: bool) -> None:
        now = self._monotonic()
        self._window.stamp(now)
        if self._sent is not None:
            self._sent.note(now)
        if not urgent:
            self._reads.take(now)


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
        self._window = RollingWindow(1.0 + _ENDPOINT_JITTER)
        self._reads = TokenBucket(*_flow_of_reads(limit))
        self._blocked_until = self._reads_blocked_until = 0.0

    def wait(self, now: float, *, urgent: bool) -> float:
        blocked = self._blocked_until - now
        if urgent:
            return max(blocked, self._window.wait(now, self._limit), 0.0)
        most = max(1, int(self._limit * SHARE_FOR_READS))
        return max(
            blocked,
            self._reads_blocked_until - now,
            self._window.wait(now, most),
            self._reads.wait(now),
        )

    def stamp(self, now: float, *, urgent: bool) -> None:
        self._window.stamp(now)
        if not urgent:
            self._reads.take(now)

    def learn(self, headers: LimitHeaders, now: float, until_reset: float) -> None:
        """Take in a reply's headers; `until_reset` in seconds, by server time."""
        if headers.limit is not None and headers.limit > 0 and headers.limit != self._limit:
            self._limit = headers.limit
            self._reads.retune(*_flow_of_reads(headers.limit))
        if headers.left is None:
            return
        if headers.left <= 1:
            # Others use the key too: slow down before Bybit refuses.
            self.block(now, max(until_reset, 1.0 / self._limit))
        if headers.left < self._limit * (1.0 - SHARE_FOR_READS):
            # What is left is for closing, whoever used the rest.
            self._reads_blocked_until = max(self._reads_blocked_until, now + 0.25)

    def block(self, now: float, seconds: float) -> None:
        # A bogus stamp far ahead must not silence the key: the real window is one second.
        self._blocked_until = max(self._blocked_until, now + min(seconds, LONGEST_BLOCK))


def _flow_of_reads(limit: int) -> tuple[float, float]:
    """Rate and burst that stay within the readers' share over a second and its jitter."""
    burst = max(1.0, limit * _ENDPOINT_BURST)
    rate = (limit * SHARE_FOR_READS - burst) / (1.0 + _ENDPOINT_JITTER)
    return max(rate, limit * 0.4), burst


class Budgets:
    """The budgets of one environment, by key and endpoint, made when first asked for."""

    def __init__(self) -> None:
        self._budgets: dict[tuple[str, str, str], EndpointBudget] = {}

    def of(self, key: str, path: str, category: str) -> EndpointBudget:
        # Linear and inverse share one budget, option and spot have their own.
        group = "futures" if category in ("linear", "inverse") else category
        name = (key, path, "" if path in _SHARED else group)
        if name not in self._budgets:
            self._budgets[name] = EndpointBudget(_KNOWN_LIMITS.get(path, UNKNOWN_READ_LIMIT))
        return self._budgets[name]


class StreamGate:
    """How many new streams one domain may see from us; reconnects count like the first."""

    def __init__(self, now: float = 0.0, tally: Tally | None = None) -> None:
        rate = (STREAMS_MOST - STREAMS_BURST) / STREAMS_SPAN
        self._bucket = TokenBucket(rate, STREAMS_BURST)
        self._tally = tally
        for stamp in tally.recent(now, STREAMS_SPAN) if tally else ():
            self._bucket.take(stamp)

    def wait(self, now: float, *, first: bool) -> float:
        return self._bucket.wait(now, 1.0 if first else 1.0 + STREAMS_RESERVED)

    def stamp(self, now: float) -> None:
        self._bucket.take(now)
        if self._tally is not None:
            self._tally.note(now)

    def give_back(self) -> None:
        """The attempt never reached Bybit."""
        self._bucket.give_back()
        if self._tally is not None:
            self._tally.take_back()
