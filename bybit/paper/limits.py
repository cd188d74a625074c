"""Rate limits per UID and endpoint over a rolling second (Bybit V5: rate-limit)."""

from collections import defaultdict, deque
from dataclasses import dataclass

from ..vocab import Category, Path

WINDOW_MS = 1000

_TRADING = {Category.SPOT: 20}
LIMITS: dict[str, tuple[int, dict[Category, int]]] = {
    Path.ORDER_CREATE: (10, _TRADING),
    Path.ORDER_CREATE_BATCH: (10, _TRADING),
    Path.ORDER_CANCEL: (10, _TRADING),
    Path.ORDERS_REALTIME: (50, {}),
    Path.ORDER_HISTORY: (50, {}),
    Path.EXECUTIONS: (50, {}),
    Path.POSITIONS: (50, {}),
    Path.CLOSED_PNL: (50, {}),
    Path.SWITCH_MODE: (10, {}),
    Path.SET_LEVERAGE: (10, {}),
    Path.WALLET: (50, {}),
    Path.ACCOUNT_INFO: (50, {}),
    Path.QUERY_API: (10, {}),
    Path.FEE_RATE: (5, {}),
    Path.COIN_INFO: (5, {}),
}


@dataclass(frozen=True, slots=True)
class Allowance:
    """What the limit headers say: limit, what is left, and when it resets (ms)."""

    limit: int
    left: int
    reset_ms: int


class Limits:
    """Counts requests; linear and inverse share one count, option and spot have their own."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str, str], deque[int]] = defaultdict(deque)

    def take(
        self, uid: str, path: str, category: str, now_ms: int, cost: int = 1
    ) -> tuple[int, Allowance] | None:
        """How many of `cost` are granted, and the headers; None where the path has no limit."""
        if path not in LIMITS:
            return None
        usual, special = LIMITS[path]
        limit = special[Category.SPOT] if special and category == Category.SPOT else usual
        group = "futures" if category in (Category.LINEAR, Category.INVERSE) else category
        seen = self._seen[uid, path, group]
        while seen and seen[0] <= now_ms - WINDOW_MS:
            seen.popleft()
        granted = max(0, min(cost, limit - len(seen)))
        seen.extend([now_ms] * granted)
        left = limit - len(seen)
        reset = now_ms if granted == cost else seen[0] + WINDOW_MS
        return granted, Allowance(limit, left, reset)
