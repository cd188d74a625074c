"""Why a bucket deviates: the executions that explain the difference, in one sentence.

An explanation is a sum, never a guess: executions explain a difference when they add up to it,
newest first, since the bucket was last in order. What adds up to something else is told as the
part that it is, with both numbers. Fills of our own booked orders changed what is expected too;
they count only where nothing else adds up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

from .cause_words import Mark, Subject, Words, average, blended
from .deviations import Cause, CauseKind, DeviationRow
from .model import ZERO, Category, Delivery, Fill, Side
from .origins import CORPORATE_ACTION, DELIVERED, Origin, origin_of
from .pieces import Piece
from .verdict import Deviation

# Rows of these types never change a size (Bybit V5: enum execType).
_MONEY_ONLY: Final = frozenset({"Funding", "SessionSettlePnL"})
_TO_ZERO: Final = frozenset({CauseKind.DELIVERY, CauseKind.SETTLEMENT})
_AWAY: Final = "While we were away: "

Away = Callable[[str, datetime], bool]


@dataclass(frozen=True, slots=True)
class Gathered:
    """What the account's executions say of a bucket since it was last in order.

    `owners` are the names of our positions by the link ids of their orders; `is_away` tells of an
    execution (by id and time) that it came while its stream was down. `mark` says what `since` is.
    `expired_at`: when the contract's time was over, if it was.
    """

    fills: Sequence[Fill]
    deliveries: Sequence[Delivery]
    owners: Mapping[str, str]
    since: datetime
    now: datetime
    is_away: Away
    mark: Mark = Mark.IN_ORDER
    expired_at: datetime | None = None


def explain(
    deviation: Deviation, gathered: Gathered, unit: str, before: DeviationRow | None = None
) -> Cause:
    """The cause in words; `unit` is the base coin, or USD for inverse contracts.

    `before` is the deviation as last recorded: where the whole does not add up, the change since
    then may, and its cause is added to the one on record.
    """
    words = Words(Subject.of(deviation), unit, gathered.now)
    pieces = _Pieces.of(deviation, gathered)
    difference = deviation.actual - deviation.expected
    found = pieces.that_explain(difference)
    if found:
        return _cause(found, words, deviation.expected, deviation.actual, difference)
    grown = _grown(deviation, before, pieces, words)
    if grown is not None:
        return grown
    return _fee(deviation, pieces, words) or _unexplained(deviation, gathered, pieces, words)


# --- the executions of one bucket -----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Pieces:
    """Oldest first. `likely` are of this bucket by all signs, `possible` also what may be."""

    likely: Sequence[Piece]
    possible: Sequence[Piece]
    everything: Sequence[Piece]
    odd: Sequence[Fill]
    covers: bool

    @classmethod
    def of(cls, deviation: Deviation, gathered: Gathered) -> _Pieces:
        """`covers`: a sale may be larger than what is missing (a wallet's surplus is nobody's)."""
        made = sorted(_made(deviation, gathered), key=lambda one: (one[0].at, one[0].seq))
        foreign = [one for one in made if one[0].origin.kind is not CauseKind.OTHER_POSITION]
        # What of ours filled before is booked, or the bucket would not have been in order then.
        everything = [
            piece
            for piece, _ in made
            if piece.origin.kind is not CauseKind.OTHER_POSITION or piece.at >= gathered.since
        ]
        odd = [f for f in gathered.fills if not f.changes_size and f.exec_type not in _MONEY_ONLY]
        is_spot = deviation.bucket.category is Category.SPOT
        return cls(
            [piece for piece, is_certain in foreign if is_certain],
            [piece for piece, _ in foreign],
            everything,
            odd,
            is_spot and deviation.actual < deviation.expected,
        )

    def that_explain(self, difference: Decimal) -> Sequence[Piece]:
        for pieces in (self.likely, self.possible, self.everything):
            found = _newest(pieces, lambda total: total == difference)
            found = found or _one_order(pieces, difference)
            if found:
                return found
        if self.covers:
            return _newest(self.possible, lambda total: total < difference)
        return ()


def _newest(pieces: Sequence[Piece], fits: Callable[[Decimal], bool]) -> Sequence[Piece]:
    """The fewest newest pieces whose sum fits; none if no such sum does."""
    total = ZERO
    for number in range(len(pieces) - 1, -1, -1):
        total += pieces[number].signed
        if fits(total):
            return pieces[number:]
    return ()


def _one_order(pieces: Sequence[Piece], difference: Decimal) -> Sequence[Piece]:
    """The newest order whose fills alone add up to the difference."""
    for order_id in dict.fromkeys(piece.order_id for piece in reversed(pieces)):
        of_order = [piece for piece in pieces if piece.order_id == order_id]
        if order_id and sum((piece.signed for piece in of_order), ZERO) == difference:
            return of_order
    return ()


def _made(deviation: Deviation, gathered: Gathered) -> Iterator[tuple[Piece, bool]]:
    """The pieces of the bucket, and whether each is certainly of it."""
    is_delivered = False
    for fill in gathered.fills:
        if not fill.changes_size:
            continue
        origin = origin_of(fill, gathered.owners)
        certain = _is_of(fill, origin, deviation.bucket.position_idx)
        if certain is not False:
            is_delivered |= origin.kind in _TO_ZERO
            piece = Piece.of_fill(fill, origin, _signed(fill, origin, deviation), gathered.is_away)
            yield piece, certain is True
    if is_delivered:
        # The record repeats what an execution has told.
        return
    for delivery in gathered.deliveries:
        if deviation.bucket.position_idx in (0, 1 if delivery.side is Side.BUY else 2):
            yield Piece.of_delivery(delivery, DELIVERED, gathered.is_away), True


def _signed(fill: Fill, origin: Origin, deviation: Deviation) -> Decimal:
    """What the fill did to the bucket."""
    if origin.kind in _TO_ZERO and deviation.expected:
        # Which side such a row shows is not documented; it can only take off what was held.
        return fill.quantity if deviation.expected < 0 else -fill.quantity
    signed = fill.side.sign * fill.quantity
    if fill.category is Category.SPOT and fill.fee_coin == deviation.bucket.symbol:
        # Spot: a buyer's fee is taken from the coin that was bought.
        signed -= fill.fee
    return signed


def _is_of(fill: Fill, origin: Origin, position_idx: int) -> bool | None:
    """Whether the fill is of the bucket; None where it may be.

    Execution rows carry no positionIdx (Bybit V5: execution/list). In hedge mode a Sell closes the
    long side or opens the short one: `closedSize` tells, else the kind of order.
    """
    if position_idx == 0:
        return True
    opens = Side.BUY if position_idx == 1 else Side.SELL
    if fill.closed_size is not None:
        return (fill.side is opens) != (fill.closed_size > 0)
    if origin.kind in _TO_ZERO:
        return None
    if origin.closes:
        return fill.side is not opens
    return None


# --- what the pieces make --------------------------------------------------------------------


def _cause(
    pieces: Sequence[Piece], words: Words, start: Decimal, end: Decimal, difference: Decimal
) -> Cause:
    kinds = {piece.origin.kind for piece in pieces}
    text = words.story(pieces, start, end)
    if sum((piece.signed for piece in pieces), ZERO) != difference:
        text = f"{text}; {words.share(abs(difference))}"
    return _of(kinds.pop() if len(kinds) == 1 else CauseKind.SEVERAL, text, pieces)


def _of(kind: CauseKind, text: str, pieces: Sequence[Piece]) -> Cause:
    is_away = any(piece.is_away for piece in pieces)
    return Cause(
        kind,
        f"{_AWAY}{text}" if is_away else text,
        quantity=sum((piece.quantity for piece in pieces), ZERO),
        price=average(pieces),
        at=max(piece.at for piece in pieces),
        order_ids=_order_ids(pieces),
        while_away=is_away,
    )


def _order_ids(pieces: Iterable[Piece]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(piece.order_id for piece in pieces if piece.order_id))


def _grown(
    deviation: Deviation, before: DeviationRow | None, pieces: _Pieces, words: Words
) -> Cause | None:
    """The cause on record and that of the change since; None where the change is unexplained."""
    if before is None or before.cause is None or before.cause.kind is CauseKind.UNKNOWN:
        return None
    change = deviation.actual - deviation.expected - before.difference
    found = pieces.that_explain(change) if change else ()
    if not found:
        return None
    start = deviation.actual - change
    old, new = before.cause, _cause(found, words, start, deviation.actual, change)
    trades = [(one.quantity, one.price) for one in (old, new) if one.quantity and one.price]
    is_whole = len(trades) == 2
    return Cause(
        new.kind if new.kind is old.kind else CauseKind.SEVERAL,
        f"{old.text}; later: {new.text}",
        quantity=sum((quantity for quantity, _ in trades), ZERO) if is_whole else None,
        price=blended(deviation.bucket.category, trades) if is_whole else None,
        at=new.at,
        order_ids=tuple(dict.fromkeys((*old.order_ids, *new.order_ids))),
        while_away=old.while_away or new.while_away,
    )


def _fee(deviation: Deviation, pieces: _Pieces, words: Words) -> Cause | None:
    """Spot: what is missing is the fee of buying it, which was taken in the coin itself."""
    if not pieces.covers:
        return None
    missing = deviation.expected - deviation.actual
    fees = [piece.as_fee() for piece in pieces.everything if piece.fee]
    found = _newest(fees, lambda total: total == missing)
    return _of(CauseKind.FEE, words.fee(found), found) if found else None


def _unexplained(deviation: Deviation, gathered: Gathered, pieces: _Pieces, words: Words) -> Cause:
    actions = [fill for fill in pieces.odd if fill.exec_type == "CorporateAction"]
    if actions:
        last = max(actions, key=lambda fill: fill.executed_at)
        text = words.changed(deviation, CORPORATE_ACTION.words, last.executed_at)
        quantity = abs(deviation.actual - deviation.expected)
        return Cause(CORPORATE_ACTION.kind, text, quantity=quantity, at=last.executed_at)
    # What filled a moment before may not have been in the read, but most likely was: it is told
    # where it adds up, and not as a part of something that nothing explains.
    known = [p for p in pieces.likely or pieces.possible if p.at >= gathered.since]
    notes = [words.since(gathered.since, gathered.mark, bool(known))]
    if gathered.expired_at is not None and deviation.actual == 0:
        notes.append(words.expired(gathered.expired_at))
    elif pieces.covers:
        notes.append("a transfer, a withdrawal or a conversion would look like this")
    types = sorted({fill.exec_type[:40] for fill in pieces.odd})
    if types:
        notes.append(f"Bybit shows executions of an unknown type: {', '.join(types)}")
    if not known:
        return Cause(CauseKind.UNKNOWN, words.bare(deviation, notes))
    return _of(CauseKind.UNKNOWN, words.partly(deviation, known, notes), known)
