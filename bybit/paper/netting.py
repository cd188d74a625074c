"""What a fill does to a position: averaging, realising, flipping. Pure."""

from dataclasses import dataclass, replace
from decimal import ROUND_HALF_UP, Decimal

from ..vocab import Category, Side
from .model import ZERO, Position

PRICE_UNIT = Decimal("1E-10")
MONEY_UNIT = Decimal("1E-8")


@dataclass(frozen=True, slots=True)
class Netted:
    """A position after a fill: `pnl` is gross, `open_fee` the part of earlier fees closed out."""

    position: Position
    closed: Decimal
    entry: Decimal
    pnl: Decimal
    open_fee: Decimal


def money(amount: Decimal) -> Decimal:
    """Rounds to the eighth decimal, as the venue books fees and P&L."""
    return plain(amount.quantize(MONEY_UNIT, ROUND_HALF_UP))


def gross_pnl(
    category: Category, side: Side, qty: Decimal, entry: Decimal, price: Decimal
) -> Decimal:
    """s·q·(price − entry) in the settle coin; inverse s·q·(1/entry − 1/price), in coin."""
    sign = 1 if side is Side.BUY else -1
    if category is Category.INVERSE:
        return sign * (qty / entry - qty / price)
    return sign * qty * (price - entry)


def blended(
    category: Category, size: Decimal, before: Decimal, qty: Decimal, price: Decimal
) -> Decimal:
    """The average price after `qty` more at `price`: by value, inverse harmonic."""
    if size == 0:
        return price
    if category is Category.INVERSE:
        return rounded((size + qty) / (size / before + qty / price))
    return average(size * before + qty * price, size + qty)


def apply_fill(
    position: Position, side: Side, qty: Decimal, price: Decimal, fee: Decimal, now_ms: int
) -> Netted:
    """Nets a fill of a contract; a fill beyond the size turns the position over."""
    if position.side is None or position.side is side:
        return Netted(_grown(position, side, qty, price, fee, now_ms), ZERO, ZERO, ZERO, ZERO)
    closed = min(qty, position.size)
    close_part = money(fee * closed / qty)
    basis = position.basis
    pnl = money(gross_pnl(position.category, position.side, closed, basis, price))
    open_fee = money(position.open_fee * closed / position.size)
    rest = replace(
        position,
        size=plain(position.size - closed),
        open_fee=position.open_fee - open_fee,
        cur_realised=position.cur_realised + pnl - close_part,
        cum_realised=position.cum_realised + pnl - close_part,
        updated_ms=now_ms,
    )
    if rest.size == 0:
        rest = replace(rest, side=None, avg_price=ZERO, session_avg=ZERO, open_fee=ZERO, open_ms=0)
    if qty > closed:
        rest = _grown(rest, side, qty - closed, price, fee - close_part, now_ms)
    return Netted(rest, closed, basis, pnl, open_fee)


def _grown(
    position: Position, side: Side, qty: Decimal, price: Decimal, fee: Decimal, now_ms: int
) -> Position:
    opening = position.side is None
    size = plain(position.size + qty)
    category, held = position.category, position.size
    return replace(
        position,
        side=side,
        size=size,
        avg_price=blended(category, held, position.avg_price, qty, price),
        session_avg=blended(category, held, position.basis, qty, price),
        open_fee=(ZERO if opening else position.open_fee) + fee,
        cur_realised=(ZERO if opening else position.cur_realised) - fee,
        cum_realised=position.cum_realised - fee,
        created_ms=position.created_ms or now_ms,
        open_ms=now_ms if opening else position.open_ms,
        updated_ms=now_ms,
    )


def average(value: Decimal, qty: Decimal) -> Decimal:
    """Value per unit, to the tenth decimal and without trailing zeros."""
    return rounded(value / qty)


def rounded(price: Decimal) -> Decimal:
    return plain(price.quantize(PRICE_UNIT, ROUND_HALF_UP))


def plain(number: Decimal) -> Decimal:
    """The same number without trailing zeros and without an exponent."""
    if number == number.to_integral_value():
        return number.quantize(Decimal(1))
    return number.normalize()
