"""Position mode: one-way, or hedge with a long and a short side by side."""

from collections.abc import Iterable

from ..vocab import Category, PositionMode
from .books import Books
from .instruments import Instrument
from .model import ModeChoice, Uid
from .prices import Market
from .refusals import Refused, bad_parameter


def chosen_modes(
    books: Books, market: Market, uid: Uid, mode: PositionMode, symbol: str, coin: str
) -> list[ModeChoice]:
    """The choices a switch makes; raises Refused where one of its symbols cannot switch. The
    symbol wins over the coin (Bybit V5: position/switch-mode)."""
    if symbol:
        wanted: Iterable[Instrument] = [market.listing.get(Category.LINEAR, symbol)]
    elif coin:
        listed = market.listing.of(Category.LINEAR)
        wanted = [i for i in listed if i.settle == coin and i.can_hedge]
    else:
        raise bad_parameter("symbol or coin is required")
    able = [i for i in wanted if i.can_hedge]
    if not able:
        if mode is PositionMode.ONE_WAY:
            raise Refused(110025, "Position mode is not modified")
        raise Refused(110029, "Hedge mode is not supported for this symbol")
    changing = [i for i in able if books.mode(uid, i.symbol) is not mode]
    if not changing:
        raise Refused(110025, "Position mode is not modified")
    names = {i.symbol for i in changing}
    if any(p.category is Category.LINEAR and p.symbol in names for p in books.held(uid)):
        raise Refused(110024, "You have an existing position, so position mode cannot be switched")
    if any(o.category is Category.LINEAR and o.symbol in names for o in books.open_of(uid)):
        raise Refused(110028, "You have existing open orders, so position mode cannot be switched")
    return [ModeChoice(uid, i.symbol, mode) for i in changing]
