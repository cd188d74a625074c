"""What Bybit said that we did not understand: counted always, logged loudly once per kind."""

from __future__ import annotations

from collections import Counter

import structlog

_log = structlog.get_logger(__name__)

# A venue gone mad must not fill the memory with kinds; the surplus shares one.
_MOST_KINDS = 1000
_SURPLUS = "too many kinds"


class Oddities:
    """Counters by kind, for metrics; the first of each kind is logged as an error."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def note(self, kind: str, detail: str) -> None:
        """Count one more of `kind`; `detail` must carry nothing secret."""
        if kind not in self.counts and len(self.counts) >= _MOST_KINDS:
            kind = _SURPLUS
        self.counts[kind] += 1
        if self.counts[kind] == 1:
            _log.error("Bybit said something unknown", kind=kind, detail=detail[:300])
