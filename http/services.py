"""What the HTTP floor is given: the daemon's ports and its own settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ..daemon.domain.people import AccountBook, People
from ..daemon.domain.services import (
    AccountDesk,
    Board,
    CloseDesk,
    Inquiry,
    Recorder,
    Resolver,
)
from .counters import HttpCounters
from .hub import Hub
from .passwords import Passwords


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Services:
    """The ports behind the routes; `hub` is the Publisher that the daemon pushes into."""

    board: Board
    recorder: Recorder
    closes: CloseDesk
    inquiry: Inquiry
    resolver: Resolver
    account_desk: AccountDesk
    people: People
    accounts: AccountBook
    hub: Hub
    passwords: Passwords = field(default_factory=Passwords)
    counters: HttpCounters = field(default_factory=HttpCounters)
    now: Callable[[], datetime] = utc_now


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """Durations in seconds unless they say otherwise.

    `public_url` is where browsers reach the daemon when that is not where it listens (a reverse
    proxy); `behind_proxy` trusts the last entry of X-Forwarded-For for the client's address.
    `dashboard` is the built bundle's folder, by default the one installed with the package.
    """

    public_url: str | None = None
    behind_proxy: bool = False
    dashboard: Path | None = None
    session_lifetime: timedelta = timedelta(hours=12)
    heartbeat: float = 15
    recheck: float = 30
    """How long an open stream may outlive its session or token."""
    stalled_write: float = 30
    """How long a stream's client may refuse to take bytes."""
