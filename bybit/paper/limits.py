"""Rate limits per UID and endpoint over a rolling second (Bybit V5: rate-limit)."""

from collections import defaultdict, deque
from dataclasses import dataclass

from ..vocab import Category, Path

WINDOW_MS = 1000

# The limit of linear and inverse together, then of the categories that have their own.
_TRADING = (10, {Category.SPOT: 20})
_CANCEL_ALL = (10, {Category.SPOT: 20, Category.OPTION: 1})
_READING: tuple[int, dict[Category, int]] = (50, {})
LIMITS: dict[str, tuple[int, dict[Category, int]]] = {
    Path.ORDER_CREATE: _TRADING,
    Path.ORDER_AMEND: _TRADING,
    Path.ORDER_CANCEL: _TRADING,
    Path.ORDER_CREATE_BATCH: _TRADING,
    Path.ORDER_CANCEL_BATCH: _TRADING,
    Path.ORDER_CANCEL_ALL: _CANCEL_ALL,
    Path.ORDERS_REALTIME: _READING,
    Path.ORDER_HISTORY: _READING,
    Path.EXECUTIONS: _READING,
    Path.POSITIONS: _READING,
    Path.CLOSED_PNL: _READING,
    Path.CLOSED_POSITIONS: _READING,
    Path.SWITCH_MODE: (10, {}),
    Path.SET_LEVERAGE: (10, {}),
    Path.WALLET: _READING,
    Path.ACCOUNT_INFO: _READING,
    Path.TRANSACTIONS: (25, {}),
    Path.QUERY_API: (10, {}),
    Path.FEE_RATE: (5, {}),
    Path.COIN_INFO: (5, {}),
    Path.DELIVERIES: _READING,
    Path.SETTLEMENTS: _READING,
}
# One count for all categories.
SHARED = frozenset(
    {
        Path.SWITCH_MODE,
        Path.SET_LEVERAGE,
        Path.FEE_RATE,
        Path.TRANSACTIONS,
        Path.DELIVERIES,
        Path.SETTLEMENTS,
    }
)
BATCHES = frozenset({Path.ORDER_CREATE_BATCH, Path.ORDER_CANCEL_BATCH})


def cost_of(path: str, category: str, orders: int) -> int:
    """A batch costs as many as it has orders; on option it is one request."""
    return orders if path in BATCHES and category != Category.OPTION else 1


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
        limit = next((n for name, n in special.items() if name == category), usual)
        group = "futures" if category in (Category.LINEAR, Category.INVERSE) else category
        group = "" if path in SHARED else group
        seen = self._seen[uid, path, group]
        while seen and seen[0] <= now_ms - WINDOW_MS:
            seen.popleft()
        granted = max(0, min(cost, limit - len(seen)))
        seen.extend([now_ms] * granted)
        left = limit - len(seen)
        reset = now_ms if granted == cost else seen[0] + WINDOW_MS
        return granted, Allowance(limit, left, reset)
