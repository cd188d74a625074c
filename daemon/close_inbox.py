"""What the private stream tells of our close orders, kept until the close asks for it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from .domain.events import AccountEvent, FillSeen, OrderSeen
from .domain.model import Fill, OrderReport


@dataclass(slots=True)
class Inbox:
    """One order's evidence from the stream: its newest report and its fills by exec id."""

    news: asyncio.Event = field(default_factory=asyncio.Event)
    report: OrderReport | None = None
    fills: dict[str, Fill] = field(default_factory=dict)


class Inboxes:
    """Inboxes by link id. An inbox opens before its order is sent: fills may overtake the ack."""

    def __init__(self) -> None:
        self._open: dict[str, Inbox] = {}

    def __getitem__(self, link_id: str) -> Inbox:
        return self._open.setdefault(link_id, Inbox())

    @contextmanager
    def closing(self, link_ids: set[str]) -> Iterator[None]:
        """Forget the inboxes whose ids are in `link_ids` at the end (the set may grow)."""
        try:
            yield
        finally:
            for link_id in link_ids:
                self._open.pop(link_id, None)

    def deliver(self, event: AccountEvent) -> None:
        """Put an event where its close will find it; others' orders are not ours to keep."""
        match event:
            case OrderSeen(_, report) if report.link_id in self._open:
                inbox = self._open[report.link_id]
                # Two terminal messages may come (Bybit V5: order stream); the fuller one counts.
                old = inbox.report
                if old is None or not old.status.is_terminal or report.filled > old.filled:
                    inbox.report = report
                inbox.news.set()
            case FillSeen(_, fill) if fill.link_id in self._open and fill.changes_size:
                inbox = self._open[fill.link_id]
                inbox.fills[fill.exec_id] = fill
                inbox.news.set()
            case _:
                pass
