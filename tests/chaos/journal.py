"""What was done to a run and what came of it: facts for the judge, lines for a reader."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from positiond.bybit.paper.server import PaperAccount
from positiond.daemon.domain.model import Account, Position

from tests.chaos.plan import PLAIN, RunPlan, Terms

Row = dict[str, Any]


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class Answer:
    """What a client was told last of a position, of those of a set each; earlier tries ended in
    a broken connection or a 5xx."""

    position: int
    client: int
    key: str | None
    status: int
    close_id: str | None
    code: str | None
    is_calm: bool
    set_id: str | None = None
    terms: Terms = PLAIN
    is_of_set: bool = False
    asked_ms: int = 0
    told_ms: int = 0


@dataclass(slots=True)
class RunRecord:
    """A run as it went. `start_ms` is from before anything was asked or went wrong."""

    plan: RunPlan
    account: Account
    paper: PaperAccount
    positions: list[Position]
    start_ms: int = 0
    answers: list[Answer] = field(default_factory=list)
    hand_orders: dict[str, Row] = field(default_factory=dict)
    closes: dict[str, Row] = field(default_factory=dict)
    shown: dict[str, Row] = field(default_factory=dict)
    books: Row = field(default_factory=dict)
    fired: Counter[str] = field(default_factory=Counter)
    lines: list[tuple[int, str]] = field(default_factory=list)
    calm_from_ms: int = 0

    def say(self, text: str) -> None:
        self.lines.append((now_ms(), text))

    def by_hand(self, done: Row, category: str) -> None:
        """A trade of the trader's own, as the exchange answered it."""
        order = done["order"]
        self.hand_orders[order["orderId"]] = {
            **order,
            "category": category,
            "executions": done["executions"],
        }

    @property
    def close_ids(self) -> list[str]:
        """Every close that a client was promised, each once."""
        found = (a.close_id for a in self.answers if a.status == 202 and a.close_id)
        return list(dict.fromkeys(found))
