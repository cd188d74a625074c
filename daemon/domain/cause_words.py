"""The sentences of causes: who did what to which leg, when, how much and at which price."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from enum import StrEnum
from itertools import islice
from typing import Final

from . import pnl
from .model import ZERO, Category
from .origins import Origin
from .pieces import Piece
from .verdict import Deviation

# An id is long; its beginning finds it on Bybit's own pages.
_ID_SHOWN: Final = 8
_MOST_IDS: Final = 3
# The average of several fills, finer than their prices by so many digits.
_FINER: Final = 2


class Mark(StrEnum):
    """What the time is since which executions were looked at; completes "since 12:00:00 UTC, "."""

    IN_ORDER = "when it was last in order"
    COMPARED = "when it was last compared"
    RECORDED = "when it was recorded"
    BEFORE_RECORDED = "an hour before it was recorded"
    LIMIT = "as far back as Bybit tells"


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom the sentence is about; `is_leg` False for a coin, or where nothing is expected."""

    name: str
    is_leg: bool

    @classmethod
    def of(cls, deviation: Deviation) -> Subject:
        bucket = deviation.bucket
        sign = {1: 1, 2: -1}.get(bucket.position_idx, deviation.expected)
        if bucket.category is Category.SPOT or not sign:
            return cls(bucket.symbol, False)
        return cls("Long leg" if sign > 0 else "Short leg", True)

    def verb(self, start: Decimal, end: Decimal) -> str:
        """What took it from one size to the other."""
        if not self.is_leg:
            return "bought" if end > start else "sold"
        if end == 0:
            return "closed"
        if start * end < 0:
            return "flipped"
        return "increased" if abs(end) > abs(start) else "reduced"


@dataclass(frozen=True, slots=True)
class _Part:
    """What one origin did in one direction."""

    origin: Origin
    pieces: tuple[Piece, ...]

    @property
    def signed(self) -> Decimal:
        return sum((piece.signed for piece in self.pieces), ZERO)

    @property
    def at(self) -> datetime:
        return max(piece.at for piece in self.pieces)


@dataclass(frozen=True, slots=True)
class Words:
    """Builds the sentences of one bucket; `now` decides which times need their date."""

    subject: Subject
    unit: str
    now: datetime

    def story(self, pieces: Sequence[Piece], start: Decimal, end: Decimal) -> str:
        """All that the pieces tell, oldest first, from one size to the other."""
        parts = _parts(pieces)
        told, size = [], start
        for part in parts:
            # The last leads to the size that was read, whatever else a wallet holds.
            reached = end if part is parts[-1] else size + part.signed
            told.append(self._part(part, size, reached))
            size = reached
        return f"{self.subject.name} {'; then '.join(told)}"

    def share(self, missing: Decimal) -> str:
        """More was sold than is missing: the rest was nobody's."""
        return f"{self.amount(missing)} of it is missing here"

    def fee(self, pieces: Sequence[Piece]) -> str:
        """`pieces` are the fees alone."""
        total = self.amount(sum((piece.quantity for piece in pieces), ZERO))
        last = max(piece.at for piece in pieces)
        what = f"{total} missing is the fee of buying it, taken in the coin itself"
        return f"{what} at {self.time(last)}{_orders(pieces)}"

    def changed(self, deviation: Deviation, by: str, at: datetime) -> str:
        old, new = self.amount(abs(deviation.expected)), self.amount(abs(deviation.actual))
        return f"{self.subject.name} changed {by} at {self.time(at)}, from {old} to {new}"

    def bare(self, deviation: Deviation, notes: Sequence[str]) -> str:
        """A difference that nothing explains."""
        difference = deviation.actual - deviation.expected
        amount = self.amount(abs(difference))
        if self.subject.is_leg:
            verb = self.subject.verb(deviation.expected, deviation.actual)
            what = f"{self.subject.name} {verb} by {amount}"
        else:
            what = f"{amount} {'more' if difference > 0 else 'less'} than recorded"
        return f"{what}; {'; '.join(notes)}"

    def partly(self, deviation: Deviation, pieces: Sequence[Piece], notes: Sequence[str]) -> str:
        """The pieces add up to something else than the difference."""
        difference = deviation.actual - deviation.expected
        total = sum((piece.signed for piece in pieces), ZERO)
        story = self.story(pieces, deviation.expected, deviation.expected + total)
        if total * difference > 0 and abs(total) < abs(difference):
            share = f"{number(abs(total))} of {self.amount(abs(difference))} explained"
        else:
            sums = f"{signed(total)} of {signed(difference)} {self.unit}".rstrip()
            share = f"trades add up to {sums}"
        return f"{share}: {story}; {'; '.join(notes)}"

    def since(self, since: datetime, mark: Mark, is_partly: bool) -> str:
        what = "no trade explains the rest" if is_partly else "no trade explains it"
        return f"{what} since {self.time(since)}, {mark}"

    def expired(self, at: datetime) -> str:
        return f"it expired at {self.time(at)} and Bybit's delivery record is not there yet"

    def time(self, at: datetime) -> str:
        """Of today the clock alone; otherwise with the date."""
        style = "%H:%M:%S UTC" if at.date() == self.now.date() else "%Y-%m-%d %H:%M:%S UTC"
        return at.strftime(style)

    def amount(self, quantity: Decimal) -> str:
        return f"{number(quantity)} {self.unit}".rstrip()

    def _part(self, part: _Part, start: Decimal, end: Decimal) -> str:
        verb = part.origin.verb or self.subject.verb(start, end)
        quantity = sum((piece.quantity for piece in part.pieces), ZERO)
        price = average(part.pieces)
        at = f" at {number(price)}" if price is not None else ""
        done = " ".join(word for word in (verb, part.origin.words) if word)
        return f"{done} at {self.time(part.at)}, {self.amount(quantity)}{at}{_orders(part.pieces)}"


def number(value: Decimal) -> str:
    """Plain digits without zeros at the end."""
    return format(value.normalize(), "f") if value else "0"


def signed(value: Decimal) -> str:
    return f"{'+' if value > 0 else ''}{number(value)}"


def _parts(pieces: Sequence[Piece]) -> list[_Part]:
    grouped: dict[tuple[Origin, bool], list[Piece]] = {}
    for piece in pieces:
        grouped.setdefault((piece.origin, piece.signed > 0), []).append(piece)
    parts = [_Part(origin, tuple(found)) for (origin, _), found in grouped.items()]
    return sorted(parts, key=lambda part: part.at)


def average(pieces: Sequence[Piece]) -> Decimal | None:
    """The average price by what was paid; None where nothing was traded."""
    if not pieces:
        return None
    return blended(pieces[0].category, [(piece.quantity, piece.price) for piece in pieces])


def blended(category: Category, trades: Sequence[tuple[Decimal, Decimal]]) -> Decimal | None:
    """The average of (quantity, price); None where something of it had no price."""
    prices = {price for _, price in trades}
    if len(prices) == 1:
        return prices.pop()
    if any(price <= 0 or quantity <= 0 for quantity, price in trades):
        return None
    mean = pnl.average_price(category, trades)
    if mean is None:
        return None
    finest = min(int(price.as_tuple().exponent) for price in prices)
    with localcontext(prec=40):
        return mean.quantize(Decimal(1).scaleb(finest - _FINER), rounding=ROUND_HALF_EVEN)


def _orders(pieces: Sequence[Piece]) -> str:
    ids = list(dict.fromkeys(piece.order_id for piece in pieces if piece.order_id))
    if not ids:
        return ""
    shown = [
        one if len(one) <= _ID_SHOWN else f"{one[:_ID_SHOWN]}…" for one in islice(ids, _MOST_IDS)
    ]
    more = f" and {len(ids) - _MOST_IDS} more" if len(ids) > _MOST_IDS else ""
    return f", order{'s' if len(ids) > 1 else ''} {', '.join(shown)}{more}"
