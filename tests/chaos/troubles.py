"""What can go wrong on the exchange, a line for each kind: the body of a `/_paper/faults`.

Only what the venue may do in truth. So no reply denies an effect that it had: an answer after
the effect is a timeout, a broken connection, a 5xx, or a code that says nothing about it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

_CREATE = "/v5/order/create"
_ORDERS = "/v5/order/*"
_EXECUTIONS = "/v5/execution/list"
_POSITIONS = "/v5/position/list"


Spec = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Trouble:
    """Scripted faults, in force from `at` to `until` (seconds)."""

    name: str
    at: float
    until: float
    specs: tuple[Spec, ...]


Palette = Mapping[str, tuple[Spec, ...]]


def _palette(**kinds: dict[str, Any] | tuple[dict[str, Any], ...]) -> Palette:
    return MappingProxyType(
        {name: specs if isinstance(specs, tuple) else (specs,) for name, specs in kinds.items()}
    )


ACCOUNT_TROUBLES = _palette(
    refused={"kind": "reject", "where": _CREATE, "code": 110007, "message": "insufficient"},
    reduce_refused={"kind": "reject", "where": _CREATE, "code": 110017, "message": "same side"},
    busy={"kind": "reject", "where": _CREATE, "code": 10429, "message": "system busy"},
    unlisted={"kind": "reject", "where": _CREATE, "code": 987654, "message": "?", "count": 2},
    unlisted_after={
        "kind": "reject",
        "where": _CREATE,
        "code": 987654,
        "message": "?",
        "when": "after",
    },
    error_before={"kind": "http", "where": _CREATE, "status": 502, "count": 2},
    error_after={"kind": "http", "where": _CREATE, "status": 504, "when": "after"},
    internal_after={"kind": "reject", "where": _CREATE, "code": 10016, "when": "after"},
    reset_before={"kind": "reset", "where": _CREATE, "count": 2},
    reset_after={"kind": "reset", "where": _CREATE, "when": "after"},
    timeout_after={"kind": "hang", "where": _CREATE, "when": "after", "ms": 9_000, "count": 2},
    slow_after={"kind": "hang", "where": _CREATE, "when": "after", "ms": 1_500},
    rate_limited={"kind": "rate_limit", "where": "/v5/*"},
    lookups_fail={"kind": "http", "where": _ORDERS, "status": 503, "chance": 0.5},
    sizes_fail={"kind": "http", "where": _POSITIONS, "status": 502},
    late_executions={"kind": "late_list", "where": _EXECUTIONS, "ms": 4_000},
    stale_lookups={"kind": "stale_list", "where": _ORDERS},
    no_sequence={"kind": "missing_keys", "where": "*", "keys": ["seq"]},
    orders_dropped={"kind": "frame_drop", "where": "order*"},
    fills_dropped={"kind": "frame_drop", "where": "execution*"},
    sizes_dropped={"kind": "frame_drop", "where": "position*"},
    frames_late={"kind": "frame_delay", "where": "*", "ms": 2_500},
    frames_twice={"kind": "frame_duplicate", "where": "*"},
    frames_shuffled={"kind": "frame_reorder", "where": "*"},
    frames_broken={"kind": "frame_corrupt", "where": "*", "chance": 0.3},
    stream_cut={"kind": "cut", "where": "*", "chance": 0.3},
    thin={"kind": "half_fill", "where": "*", "share": "0.5", "count": 6},
    crumbs={"kind": "half_fill", "where": "*", "share": "0.2", "count": 4},
    no_book={"kind": "thin_book", "where": "*", "depth": "0", "count": 3},
)

# Several at once: an order whose fate is seen nowhere for a while, or only late.
_UNHEARD: dict[str, Any] = {"kind": "frame_drop", "where": "*", "chance": 1.0}
_LATE: dict[str, Any] = {"kind": "late_list", "where": _EXECUTIONS, "ms": 5_000, "chance": 1.0}
_OLD: dict[str, Any] = {"kind": "stale_list", "where": _ORDERS, "chance": 1.0}
_LOST: dict[str, Any] = {"kind": "reset", "where": _CREATE, "chance": 1.0}
_AFTER: dict[str, Any] = {**_LOST, "when": "after"}
_SLOW: dict[str, Any] = {**_AFTER, "kind": "hang", "ms": 9_000, "count": 2}
_NO_REPLY: dict[str, Any] = {**_AFTER, "kind": "http", "status": 504}

COMPOUND_TROUBLES = _palette(
    unheard_and_lost_before=({**_LOST, "count": 1}, _UNHEARD),
    unheard_and_lost_after=(_AFTER, _UNHEARD),
    unheard_and_slow=(_SLOW, _UNHEARD),
    unheard_and_no_reply=(_NO_REPLY, _UNHEARD),
    unseen_and_lost_after=(_AFTER, _UNHEARD, _LATE, _OLD),
    unseen_and_slow=(_SLOW, _UNHEARD, _LATE, _OLD),
    unseen=(_UNHEARD, _LATE, _OLD),
    unheard_and_thin=(_UNHEARD, {"kind": "half_fill", "where": "*", "share": "0.5", "count": 4}),
)

VENUE_TROUBLES = _palette(
    clock_ahead={"kind": "clock_skew", "ms": 2_000, "chance": 1.0},
    clock_off={"kind": "clock_skew", "ms": 700, "chance": 1.0},
    prices_cut={"kind": "cut", "where": "tickers*", "chance": 0.05},
    prices_silent={"kind": "frame_drop", "where": "tickers*", "chance": 0.9},
    ping_lost={"kind": "frame_drop", "where": "op/*", "chance": 0.5},
)
