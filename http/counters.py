"""Plain counters of the HTTP floor; whoever renders metrics reads them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class HttpCounters:
    requests: int = 0
    refusals: int = 0
    """Answers of 400 to 499."""
    failures: int = 0
    """Answers of 500 and above."""
    sign_ins: int = 0
    sign_ins_failed: int = 0
    sign_ins_throttled: int = 0
    closes_accepted: int = 0


@dataclass(slots=True)
class HubCounters:
    snapshots: int = 0
    resumed: int = 0
    frames: int = 0
    """Encoded once each, however many clients they went to."""
    dropped_slow: int = 0
