"""What one network address may do, whatever the keys it uses (Bybit V5: rate-limit)."""

from collections import defaultdict, deque
from collections.abc import Mapping

from .traffic import Meter, Traffic

REQUESTS = 600
REQUESTS_MS = 5000
BAN_MS = 600_000  # "wait at least ten minutes"
CONNECTIONS = 500
CONNECTIONS_MS = 300_000
PUBLIC_AT_ONCE = 1000  # per category


class Addresses:
    """Counts requests and new streams by address; a limit of 0 lets everything through."""

    def __init__(self, requests: int = REQUESTS) -> None:
        self.requests = requests
        self._asked: dict[str, deque[int]] = defaultdict(deque)
        self._opened: dict[str, deque[int]] = defaultdict(deque)
        self._banned: dict[str, int] = {}
        self._public: dict[tuple[str, str], int] = defaultdict(int)
        self._traffic: dict[str, Traffic] = defaultdict(_nothing_yet)

    @property
    def traffic(self) -> Mapping[str, Traffic]:
        """What each address did since the start; a pardon forgets none of it."""
        return self._traffic

    def may_ask(self, address: str, now_ms: int) -> bool:
        """Counts a request; one too many shuts the address out of all HTTP for ten minutes."""
        self._traffic[address].requests.note(now_ms)
        may = self._may_ask(address, now_ms)
        self._traffic[address].refused += not may
        return may

    def may_connect(self, address: str, now_ms: int) -> bool:
        """Counts a new stream, 500 in five minutes."""
        self._traffic[address].streams.note(now_ms)
        may = not self.requests or _counted(
            self._opened[address], now_ms, CONNECTIONS_MS, CONNECTIONS
        )
        self._traffic[address].refused += not may
        return may

    def _may_ask(self, address: str, now_ms: int) -> bool:
        if not self.requests:
            return True
        if now_ms < self._banned.get(address, 0):
            return False
        if _counted(self._asked[address], now_ms, REQUESTS_MS, self.requests):
            return True
        self._banned[address] = now_ms + BAN_MS
        return False

    def enter(self, address: str, category: str) -> bool:
        """Takes one of the places of public streams; whoever entered leaves again."""
        if self.requests and self._public[address, category] >= PUBLIC_AT_ONCE:
            return False
        self._public[address, category] += 1
        return True

    def leave(self, address: str, category: str) -> None:
        self._public[address, category] -= 1

    def pardon(self) -> None:
        """Forgets every count and every ban."""
        self._asked.clear()
        self._opened.clear()
        self._banned.clear()


def _nothing_yet() -> Traffic:
    return Traffic(Meter(REQUESTS_MS), Meter(CONNECTIONS_MS))


def _counted(seen: deque[int], now_ms: int, window_ms: int, limit: int) -> bool:
    while seen and seen[0] <= now_ms - window_ms:
        seen.popleft()
    if len(seen) >= limit:
        return False
    seen.append(now_ms)
    return True
