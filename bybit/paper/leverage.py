"""Leverage of a contract, by account; in hedge mode each side has its own."""

from dataclasses import replace
from decimal import Decimal

from ..vocab import PositionMode
from .books import Books
from .instruments import Instrument
from .model import Position, Uid
from .refusals import Refused


def checked_leverage(
    books: Books, uid: Uid, i: Instrument, buy: Decimal, sell: Decimal
) -> list[Position]:
    """The positions with their new leverage; raises Refused 110013 or 110043."""
    hedged = i.can_hedge and books.mode(uid, i.symbol) is PositionMode.HEDGE
    wanted = {1: buy, 2: sell} if hedged else {0: buy}
    fits = all(1 <= leverage <= i.max_leverage for leverage in (buy, sell))
    if not fits or (buy != sell and not hedged) or i.is_spot or i.option is not None:
        raise Refused(110013, "cannot set leverage due to risk limit")
    before = {idx: books.position(uid, i.category, i.symbol, idx) for idx in wanted}
    if all(before[idx].leverage == leverage for idx, leverage in wanted.items()):
        raise Refused(110043, "leverage not modified")
    return [replace(before[idx], leverage=leverage) for idx, leverage in wanted.items()]
