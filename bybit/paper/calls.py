"""A REST call as its handler sees it, and what it answers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from ..vocab import Category
from .books import Books
from .faults import LATE_KINDS
from .instruments import Instrument
from .model import Account
from .refusals import Refused, bad_parameter
from .rules import read_enum
from .venue import Venue


@dataclass(frozen=True, slots=True)
class Reply:
    """`result`, `retExtInfo` and `retMsg` of a good answer."""

    result: Mapping[str, Any]
    ext: Mapping[str, Any] = field(default_factory=dict)
    message: str = "OK"


@dataclass(frozen=True, slots=True)
class Call:
    """The parameters of a query or a body; `signer` is None on public paths.

    `granted` is how many orders of a batch the rate limit lets through, None for all.
    """

    venue: Venue
    signer: Account | None
    params: Mapping[str, Any]
    stale: Books | None = None
    granted: int | None = None

    @property
    def books(self) -> Books:
        """What a list shows: the books, or what a scripted fault kept of earlier ones."""
        return self.stale or self.venue.books

    def told_until(self, path: str) -> int:
        """Up to when a list of what happened tells it: now, or earlier where a fault says so."""
        late = self.venue.faults.take(
            LATE_KINDS, path, self.account.uid, symbol=self.text("symbol")
        )
        return self.venue.now_ms() - (late.ms if late else 0)

    @property
    def account(self) -> Account:
        """The account that signed; only signed endpoints may ask."""
        if self.signer is None:
            raise AssertionError("an unsigned endpoint asked for its account")
        return self.signer

    def text(self, name: str) -> str:
        """A parameter as text, "" when absent."""
        value = self.params.get(name)
        return "" if value is None else str(value)

    def required(self, name: str) -> str:
        value = self.text(name)
        if not value:
            raise bad_parameter(f"{name} invalid")
        return value

    def category(self) -> Category:
        return read_enum(Category, self.params.get("category"), "Category")

    def instrument(self) -> Instrument:
        return self.venue.market.listing.get(self.category(), self.required("symbol"))

    def number(self, name: str) -> int | None:
        """A whole number, None when absent."""
        value = self.text(name)
        if not value:
            return None
        if not value.isdecimal():
            raise bad_parameter(f"{name} invalid")
        return int(value)

    def decimal(self, name: str) -> Decimal:
        try:
            number = Decimal(self.required(name))
        except ArithmeticError:
            raise bad_parameter(f"{name} invalid") from None
        if not number.is_finite():
            raise bad_parameter(f"{name} invalid")
        return number


Handler = Callable[[Call], Reply]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A handler and what it asks of the caller."""

    handler: Handler
    signed: bool = True
    trades: bool = False


DAY_MS = 86_400_000
WEEK_MS = 7 * DAY_MS


def time_span(call: Call, default_ms: int = WEEK_MS, most_ms: int = WEEK_MS) -> tuple[int, int]:
    """startTime and endTime; without them the last `default_ms`, seven days on most lists."""
    now = call.venue.now_ms()
    start, end = call.number("startTime"), call.number("endTime")
    if start is None and end is None:
        return now - default_ms, now
    if start is None:
        return (end or now) - default_ms, end or now
    if end is None:
        return start, start + default_ms
    if end < start or end - start > most_ms:
        days = most_ms // DAY_MS
        raise Refused(
            10001, f"The time range between startTime and endTime cannot exceed {days} days"
        )
    return start, end


@dataclass(frozen=True, slots=True)
class Page:
    rows: Sequence[Any]
    cursor: str


def page(
    call: Call,
    rows: Sequence[Any],
    name: Callable[[Any], str],
    *,
    default: int,
    most: int,
    eager: bool = False,
) -> Page:
    """One page of sorted rows; the cursor names the last row and arrives percent-encoded.

    With `eager` the last page has a cursor too, and the page after it is empty, as the
    venue's order and execution lists do.
    """
    limit = call.number("limit")
    limit = default if limit is None else limit
    if not 1 <= limit <= most:
        raise bad_parameter(f"limit invalid, must be in [1, {most}]")
    names = [name(row) for row in rows]
    start = _position_after(call.text("cursor"), names)
    chosen = rows[start : start + limit]
    more = bool(chosen) if eager else start + limit < len(rows)
    last = names[start + len(chosen) - 1] if chosen else ""
    return Page(chosen, f"{last}%3A{limit}%2C{last}%3A{limit}" if more else "")


def _position_after(cursor: str, names: Sequence[str]) -> int:
    if not cursor:
        return 0
    last = cursor.partition(",")[0].rpartition(":")[0]
    if not last or "%" in cursor:
        # Encoded twice on its way back: at the venue this is not a cursor either.
        raise bad_parameter("cursor invalid")
    return names.index(last) + 1 if last in names else len(names)
