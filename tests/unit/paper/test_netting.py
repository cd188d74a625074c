"""Averaging, realising and flipping, to the last digit."""

from decimal import Decimal as D

from hypothesis import given
from hypothesis import strategies as st
from positiond.bybit.paper.model import Position, Uid
from positiond.bybit.paper.netting import apply_fill
from positiond.bybit.vocab import Category, Side

FLAT = Position(Uid("1"), Category.LINEAR, "BTCUSDT", 0)


def test_an_opening_fill_takes_its_price_and_pays_its_fee() -> None:
    done = apply_fill(FLAT, Side.BUY, D("0.5"), D("100000"), D("27.5"), 7)
    p = done.position
    assert (p.side, p.size, p.avg_price) == (Side.BUY, D("0.5"), D("100000"))
    assert (p.cur_realised, p.cum_realised, p.open_fee) == (D("-27.5"), D("-27.5"), D("27.5"))
    assert (p.created_ms, p.open_ms, p.updated_ms) == (7, 7, 7)


def test_a_second_fill_on_the_same_side_averages_by_value() -> None:
    p = apply_fill(FLAT, Side.SELL, D(1), D(100), D(0), 1).position
    p = apply_fill(p, Side.SELL, D(3), D(104), D(0), 2).position
    assert (p.side, p.size, p.avg_price) == (Side.SELL, D(4), D(103))


def test_a_part_close_realises_against_the_average_and_keeps_it() -> None:
    p = apply_fill(FLAT, Side.BUY, D(4), D(100), D(8), 1).position
    done = apply_fill(p, Side.SELL, D(1), D(110), D(2), 2)
    assert (done.closed, done.pnl, done.open_fee) == (D(1), D(10), D(2))
    assert (done.position.size, done.position.avg_price) == (D(3), D(100))
    assert done.position.cur_realised == D(-8) + D(10) - D(2)
    assert done.position.open_fee == D(6)


def test_a_short_gains_when_it_is_bought_back_lower() -> None:
    p = apply_fill(FLAT, Side.SELL, D(2), D(100), D(0), 1).position
    done = apply_fill(p, Side.BUY, D(2), D(95), D(0), 2)
    assert done.pnl == D(10)
    assert (done.position.side, done.position.size, done.position.avg_price) == (None, D(0), D(0))


def test_a_fill_beyond_the_size_opens_the_rest_on_the_other_side() -> None:
    p = apply_fill(FLAT, Side.BUY, D(1), D(100), D(1), 1).position
    done = apply_fill(p, Side.SELL, D(3), D(120), D(6), 9)
    assert (done.closed, done.pnl, done.open_fee) == (D(1), D(20), D(1))
    p = done.position
    assert (p.side, p.size, p.avg_price, p.open_ms) == (Side.SELL, D(2), D(120), 9)
    assert (p.open_fee, p.cur_realised) == (D(4), D(-4))
    assert p.cum_realised == D(-1) + D(20) - D(6)


def test_a_position_opened_again_starts_its_realised_result_anew() -> None:
    p = apply_fill(FLAT, Side.BUY, D(1), D(100), D(1), 1).position
    p = apply_fill(p, Side.SELL, D(1), D(90), D(1), 2).position
    p = apply_fill(p, Side.BUY, D(1), D(90), D(1), 3).position
    assert (p.cur_realised, p.cum_realised) == (D(-1), D(-13))
    assert (p.created_ms, p.open_ms) == (1, 3)


fills = st.lists(
    st.tuples(
        st.sampled_from(Side),
        st.integers(1, 50).map(lambda n: D(n) / 10),
        st.integers(900, 1100).map(D),
    ),
    max_size=20,
)


@given(fills)
def test_size_is_the_signed_sum_and_cash_the_difference_of_values(
    trades: list[tuple[Side, D, D]],
) -> None:
    position, pnl, signed, cash = FLAT, D(0), D(0), D(0)
    for side, qty, price in trades:
        done = apply_fill(position, side, qty, price, D(0), 1)
        position, pnl = done.position, pnl + done.pnl
        sign = 1 if side is Side.BUY else -1
        signed += sign * qty
        cash -= sign * qty * price
    assert position.signed == signed
    # What was paid in and out, with the rest valued at its average, is what was realised.
    assert abs(cash + position.signed * position.avg_price - pnl) < D("1e-6")
