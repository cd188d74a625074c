"""Slows guessing down: token buckets per username and per address, in bounded memory."""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Final

from ..daemon.domain.errors import Throttled


@dataclass(frozen=True, slots=True)
class Rate:
    """`burst` tries at once, then one more every `seconds`."""

    burst: int
    seconds: float


PER_USERNAME: Final = Rate(burst=5, seconds=30)
PER_ADDRESS: Final = Rate(burst=20, seconds=5)

# Beyond this the longest-untouched key is forgotten. Nobody gets to push another's key out by
# making up usernames: each try counts against the address too.
_MOST_KEYS = 20_000


class Buckets:
    """One token bucket per key; a key that is not held has a full one."""

    def __init__(self, rate: Rate, most_keys: int = _MOST_KEYS) -> None:
        self._rate = rate
        self._most_keys = most_keys
        # Key → (tokens left, when that was so, in seconds), longest-untouched first.
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._left)

    def wait(self, key: str, now: float) -> float:
        """Seconds until the key has a token; 0 when it has one."""
        return max(0.0, (1 - self._tokens(key, now)) * self._rate.seconds)

    def take(self, key: str, now: float) -> None:
        self._left[key] = (self._tokens(key, now) - 1, now)
        self._left.move_to_end(key)
        if len(self._left) > self._most_keys:
            self._left.popitem(last=False)

    def refill(self, key: str) -> None:
        self._left.pop(key, None)

    def _tokens(self, key: str, now: float) -> float:
        tokens, at = self._left.get(key, (float(self._rate.burst), now))
        return min(float(self._rate.burst), tokens + max(0.0, now - at) / self._rate.seconds)


class SignInThrottle:
    """Counts every try before the costly check, so that it bounds work as well as guesses."""

    def __init__(self, per_username: Rate = PER_USERNAME, per_address: Rate = PER_ADDRESS) -> None:
        self._usernames = Buckets(per_username)
        self._addresses = Buckets(per_address)

    def admit(self, username: str, address: str, now: float) -> None:
        """Count a try at `now` (seconds); Throttled when either bucket is empty."""
        name, place = username.casefold(), network_of(address)
        wait = max(self._usernames.wait(name, now), self._addresses.wait(place, now))
        if wait > 0:
            raise Throttled(
                "too-many-sign-ins",
                f"Too many sign-in attempts; try again in {math.ceil(wait)} s.",
                retry_after=wait,
            )
        self._usernames.take(name, now)
        self._addresses.take(place, now)

    def succeeded(self, username: str) -> None:
        """The right password clears the username, not the address it came from."""
        self._usernames.refill(username.casefold())


def network_of(address: str) -> str:
    """What counts as one address: an IPv6 customer owns a whole /64, and so counts as that."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(IPv6Address(int(parsed) >> 64 << 64))
