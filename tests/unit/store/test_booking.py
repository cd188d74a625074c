"""What fills do to a component, before anything is stored."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st
from positiond.daemon.domain.model import (
    Category,
    Component,
    ComponentId,
    Fill,
    PositionId,
    Side,
)
from positiond.store.booking import book

from tests.builders_store import NOW


def component(side: Side = Side.BUY, quantity: str = "2", closed: str = "0") -> Component:
    return Component(
        ComponentId(UUID(int=1)),
        PositionId(UUID(int=2)),
        Category.LINEAR,
        "BTCUSDT",
        side,
        Decimal(quantity),
        Decimal(closed),
        Decimal(100),
    )


def fill(exec_id: str, quantity: str, price: str, fee: str = "0", second: int = 0) -> Fill:
    return Fill(
        exec_id,
        Category.LINEAR,
        "BTCUSDT",
        "o",
        "l",
        Side.SELL,
        Decimal(price),
        Decimal(quantity),
        Decimal(fee),
        "USDT",
        "Trade",
        "CreateByUser",
        True,
        NOW + timedelta(seconds=second),
        None,
    )


def test_a_long_realizes_the_rise_and_a_short_the_fall() -> None:
    fills = [fill("a", "0.5", "110", "0.02"), fill("b", "1.5", "90", "-0.01")]
    long, short = book(component(Side.BUY), fills), book(component(Side.SELL), fills)
    assert long.realized_pnl == Decimal("0.5") * 10 - Decimal("1.5") * 10
    assert short.realized_pnl == -long.realized_pnl
    assert (long.filled, long.closed, long.beyond, long.fees) == (2, 2, 0, Decimal("0.01"))


def test_what_is_filled_beyond_the_open_quantity_realizes_nothing() -> None:
    booking = book(component(closed="1.5"), [fill("a", "1", "110", "0.1")])
    assert (booking.filled, booking.closed, booking.beyond) == (1, Decimal("0.5"), Decimal("0.5"))
    assert booking.realized_pnl == 5
    assert booking.fees == Decimal("0.1")


def test_the_earlier_fill_takes_what_is_open_whatever_the_order_given() -> None:
    late, early = fill("a", "2", "200", second=1), fill("b", "2", "110", second=0)
    assert book(component(), [late, early]).realized_pnl == 20


QUANTITIES = st.decimals("0.001", "5", places=3)


@given(st.lists(st.tuples(QUANTITIES, st.decimals("1", "1000", places=2)), max_size=8))
def test_closed_and_beyond_are_the_whole_fill_and_never_more_than_was_open(
    parts: list[tuple[Decimal, Decimal]],
) -> None:
    fills = [fill(str(n), str(q), str(p), second=n) for n, (q, p) in enumerate(parts)]
    booking = book(component(), fills)
    assert booking.filled == sum((q for q, _ in parts), Decimal(0))
    assert booking.closed + booking.beyond == booking.filled
    assert 0 <= booking.closed <= 2
    assert booking.beyond >= 0
