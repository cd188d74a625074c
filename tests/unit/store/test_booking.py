"""What fills do to a component, before anything is stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from positiond.daemon.domain.model import (
    AccountId,
    Booked,
    BucketKey,
    Category,
    CloseId,
    CloseOrderId,
    Component,
    ComponentId,
    Fill,
    PositionId,
    Side,
)
from positiond.daemon.domain.orders import CloseOrder, OrderPart, OrderState
from positiond.store.booking import Booking, Piece, in_order, split
from positiond.store.booking import book as book_pieces

from tests.builders_store import NOW


def component(
    side: Side = Side.BUY,
    quantity: str = "2",
    closed: str = "0",
    category: Category = Category.LINEAR,
    symbol: str = "BTCUSDT",
    coin: str | None = None,
) -> Component:
    return Component(
        ComponentId(UUID(int=1)),
        PositionId(UUID(int=2)),
        category,
        symbol,
        side,
        Decimal(quantity),
        Decimal(closed),
        Decimal(100),
        coin=coin,
    )


def fill(
    exec_id: str,
    quantity: str,
    price: str,
    fee: str = "0",
    second: int = 0,
    fee_coin: str = "USDT",
) -> Fill:
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
        fee_coin,
        "Trade",
        "CreateByUser",
        True,
        NOW + timedelta(seconds=second),
        None,
    )


def book(component: Component, fills: Sequence[Fill], settle_coin: str | None = None) -> Booking:
    """Fills that are one leg's alone."""
    pieces = [Piece(fill, fill.quantity, fill.fee) for fill in in_order(fills)]
    return book_pieces(component, pieces, settle_coin)


def test_a_long_realizes_the_rise_and_a_short_the_fall() -> None:
    fills = [fill("a", "0.5", "110", "0.02"), fill("b", "1.5", "90", "-0.01")]
    long, short = book(component(Side.BUY), fills), book(component(Side.SELL), fills)
    fees = Decimal("0.01")
    assert long.money == (Booked("USDT", fees, realized_pnl=Decimal(-10)),)
    assert short.money == (Booked("USDT", fees, realized_pnl=Decimal(10)),)
    assert (long.quantity, long.beyond) == (2, 0)
    assert long.closed == {"a": Decimal("0.5"), "b": Decimal("1.5")}


def test_what_is_filled_beyond_the_open_quantity_realizes_nothing() -> None:
    booking = book(component(closed="1.5"), [fill("a", "1", "110", "0.1")])
    assert (booking.quantity, booking.beyond) == (Decimal("0.5"), Decimal("0.5"))
    assert booking.money == (Booked("USDT", Decimal("0.1"), realized_pnl=Decimal(5)),)


def test_the_earlier_fill_takes_what_is_open_whatever_the_order_given() -> None:
    late, early = fill("a", "2", "200", second=1), fill("b", "2", "110", second=0)
    assert book(component(), [late, early]).money[0].realized_pnl == 20


@pytest.mark.parametrize(
    ("category", "symbol", "coin", "fee_coin", "settles_in", "paid_in"),
    [
        (Category.LINEAR, "BTCUSDT", None, "USDT", "USDT", "USDT"),
        (Category.LINEAR, "BTCPERP", None, "USDC", "USDC", "USDC"),
        (Category.LINEAR, "BTCUSDE", None, "USDE", "USDE", "USDE"),
        # A fee paid in Bybit's token, or in a coin that the row does not name.
        (Category.LINEAR, "BTCUSDT-26DEC25", None, "MNT", "USDT", "MNT"),
        (Category.LINEAR, "BTC-26DEC25", None, "", "USDC", "USDC"),
        (Category.OPTION, "BTC-26DEC25-90000-C", None, "", "USDC", "USDC"),
        (Category.OPTION, "BTC-26DEC25-90000-C-USDT", None, "", "USDT", "USDT"),
        (Category.INVERSE, "BTCUSDH26", None, "BTC", "BTC", "BTC"),
        (Category.INVERSE, "ETHUSD", None, "", "ETH", "ETH"),
        # A spot purchase pays its fee in the coin that it bought.
        (Category.SPOT, "BTCUSDC", "BTC", "BTC", "USDC", "BTC"),
        (Category.SPOT, "BTCUSDC", None, "USDC", "USDC", "USDC"),
    ],
)
def test_pnl_goes_to_the_settlement_coin_and_the_fee_to_its_own(
    category: Category,
    symbol: str,
    coin: str | None,
    fee_coin: str,
    settles_in: str,
    paid_in: str,
) -> None:
    leg = component(category=category, symbol=symbol, coin=coin)
    booking = book(leg, [fill("a", "1", "200", "0.1", fee_coin=fee_coin)])
    assert {m.coin for m in booking.money if m.realized_pnl} == {settles_in}
    assert {m.coin for m in booking.money if m.fees} == {paid_in}


def test_what_the_planner_knew_to_be_the_settlement_coin_goes_before_every_guess() -> None:
    (money,) = book(component(), [fill("a", "1", "110", fee_coin="USDT")], "USDE").money[:1]
    assert (money.coin, money.realized_pnl) == ("USDE", 10)


def test_an_inverse_leg_realizes_in_its_coin() -> None:
    leg = component(category=Category.INVERSE, symbol="BTCUSD", quantity="100")
    (money,) = book(leg, [fill("a", "100", "200", "0.001", fee_coin="BTC")]).money
    assert money == Booked("BTC", Decimal("0.001"), realized_pnl=Decimal("0.5"))


QUANTITIES = st.decimals("0.001", "5", places=3)


@given(st.lists(st.tuples(QUANTITIES, st.decimals("1", "1000", places=2)), max_size=8))
def test_closed_and_beyond_are_the_whole_fill_and_never_more_than_was_open(
    parts: list[tuple[Decimal, Decimal]],
) -> None:
    fills = [fill(str(n), str(q), str(p), second=n) for n, (q, p) in enumerate(parts)]
    booking = book(component(), fills)
    assert booking.quantity + booking.beyond == sum((q for q, _ in parts), Decimal(0))
    assert 0 <= booking.quantity <= 2
    assert booking.beyond >= 0


# --- one order, several legs ----------------------------------------------------------------


def order(heavy: Sequence[str], light: Sequence[str], filled: str = "0") -> CloseOrder:
    parts = tuple(
        OrderPart(ComponentId(UUID(int=n)), CloseId(UUID(int=n)), Decimal(q), n >= len(heavy))
        for n, q in enumerate((*heavy, *light))
    )
    net = sum((-p.quantity if p.is_light else p.quantity for p in parts), Decimal(0))
    return CloseOrder(
        id=CloseOrderId(UUID(int=1)),
        close_id=parts[0].close_id,
        component_id=parts[0].component_id,
        bucket=BucketKey(AccountId(UUID(int=1)), Category.LINEAR, "BTCUSDT", 0),
        attempt=1,
        link_id="l",
        side=Side.SELL,
        quantity=net,
        state=OrderState.ACKED,
        order_id=None,
        signed_at=NOW,
        dies_at=NOW,
        filled=Decimal(filled),
        average_price=None,
        status=None,
        detail=None,
        created_at=NOW,
        parts=parts if len(parts) > 1 else (),
        step=Decimal("0.001"),
    )


def test_an_order_of_one_leg_is_its_leg_s_with_its_fees() -> None:
    one = fill("a", "0.4", "110", "0.02")
    (pieces,) = split(order(["1"], []), [one]).values()
    assert pieces == [Piece(one, Decimal("0.4"), Decimal("0.02"))]


def test_the_fee_is_the_heavy_legs_by_their_parts_to_the_last_digit() -> None:
    pieces = split(order(["1", "1", "1"], ["2"]), [fill("a", "1", "110", "0.1")])
    fees = [sum((p.fee for p in leg), Decimal(0)) for leg in pieces.values()]
    assert sum(fees, Decimal(0)) == Decimal("0.1")
    assert fees[3] == 0
    assert all(abs(fee - Decimal("0.1") / 3) < Decimal("1e-20") for fee in fees[:3])


def test_what_fills_beyond_the_order_is_the_first_heavy_leg_s() -> None:
    pieces = split(order(["3"], ["1"], filled="1.5"), [fill("a", "0.7", "110")])
    heavy, light = (sum((p.quantity for p in leg), Decimal(0)) for leg in pieces.values())
    assert (heavy, light) == (Decimal("0.75") + Decimal("0.2"), Decimal("0.25"))
    pieces = split(order(["3"], ["1"], filled="2.1"), [fill("a", "0.4", "110")])
    heavy, light = (sum((p.quantity for p in leg), Decimal(0)) for leg in pieces.values())
    assert (heavy, light) == (Decimal("0.4"), 0)


STEPS = st.integers(1, 4000).map(lambda n: Decimal(n) / 1000)


@given(
    st.lists(STEPS, min_size=1, max_size=3),
    st.lists(STEPS, max_size=3),
    st.lists(st.tuples(STEPS, QUANTITIES), max_size=6),
    st.data(),
)
def test_pieces_conserve_quantities_and_fees_whatever_the_portions(
    heavy: list[Decimal],
    light: list[Decimal],
    portions: list[tuple[Decimal, Decimal]],
    data: st.DataObject,
) -> None:
    # The heavy side is the heavier.
    heavy[0] += sum(light, Decimal(0))
    whole = order([str(q) for q in heavy], [str(q) for q in light])
    fills = [
        fill(str(n), str(q), "110", fee=str(fee), second=n) for n, (q, fee) in enumerate(portions)
    ]
    total = sum((f.quantity for f in fills), Decimal(0))
    cut = data.draw(st.integers(0, len(fills)))
    first = split(whole, fills[:cut])
    middle = sum((f.quantity for f in fills[:cut]), Decimal(0))
    second = split(replace(whole, filled=middle), fills[cut:])
    closed = {
        key: sum((p.quantity for p in (*first[key], *second[key])), Decimal(0)) for key in first
    }
    assert all(quantity >= 0 for quantity in closed.values())
    sides = [closed[p.component_id] * (-1 if p.is_light else 1) for p in whole.shares]
    assert sum(sides, Decimal(0)) == total
    if total == whole.quantity:
        assert all(closed[p.component_id] == p.quantity for p in whole.shares)
    paid = [p.fee for pieces in (first, second) for leg in pieces.values() for p in leg]
    assert abs(sum(paid, Decimal(0)) - sum((f.fee for f in fills), Decimal(0))) < Decimal("1e-20")
