"""What a fill closes of each leg: conserved, in proportion, and never taken back."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st
from positiond.daemon.domain.allocation import closed_by, is_whole
from positiond.daemon.domain.model import CloseId, ComponentId
from positiond.daemon.domain.orders import OrderPart

from ...builders import uuid_of
from .samples import steady

STEP = Decimal("0.001")
CLOSE = CloseId(uuid_of("close"))


def part(name: str, quantity: str | Decimal, *, light: bool = False) -> OrderPart:
    return OrderPart(ComponentId(uuid_of(name)), CLOSE, Decimal(quantity), light)


def leg(name: str) -> ComponentId:
    return ComponentId(uuid_of(name))


@st.composite
def orders(draw: st.DrawFn) -> tuple[list[OrderPart], Decimal]:
    """An order over legs of both sides, in whole steps, whose net is above zero."""
    heavy = draw(st.lists(st.integers(1, 3000), min_size=1, max_size=4))
    light = draw(st.lists(st.integers(1, 1000), max_size=3))
    net = sum(heavy) - sum(light)
    if net <= 0:
        heavy[0] += 1 - net
    parts = [part(f"h{n}", q * STEP) for n, q in enumerate(heavy)]
    parts += [part(f"l{n}", q * STEP, light=True) for n, q in enumerate(light)]
    return parts, (sum(heavy) - sum(light)) * STEP


def net(parts: list[OrderPart], closed: dict[ComponentId, Decimal]) -> Decimal:
    return sum(
        (closed[p.component_id] * (-1 if p.is_light else 1) for p in parts), start=Decimal(0)
    )


@steady
@given(orders(), st.floats(0, 1))
def test_heavy_less_light_is_what_filled(
    order: tuple[list[OrderPart], Decimal], part_of_it: float
) -> None:
    parts, quantity = order
    filled = int(quantity / STEP * Decimal(part_of_it)) * STEP
    assert net(parts, dict(closed_by(parts, quantity, filled, STEP))) == filled


@steady
@given(orders(), st.data())
def test_no_leg_is_closed_beyond_its_part_and_none_is_ever_taken_back(
    order: tuple[list[OrderPart], Decimal], data: st.DataObject
) -> None:
    parts, quantity = order
    steps = int(quantity / STEP)
    at = data.draw(st.integers(0, steps - 1), label="filled")
    more = data.draw(st.integers(at + 1, min(steps, at + 40)), label="then")
    before = closed_by(parts, quantity, at * STEP, STEP)
    after = closed_by(parts, quantity, more * STEP, STEP)
    for p in parts:
        assert 0 <= before[p.component_id] <= after[p.component_id] <= p.quantity


@steady
@given(orders(), st.data())
def test_each_leg_is_closed_in_proportion_to_within_a_few_steps(
    order: tuple[list[OrderPart], Decimal], data: st.DataObject
) -> None:
    parts, quantity = order
    filled = data.draw(st.integers(0, int(quantity / STEP)), label="filled") * STEP
    closed = closed_by(parts, quantity, filled, STEP)
    for p in parts:
        fair = p.quantity * filled / quantity
        assert abs(closed[p.component_id] - fair) <= STEP * len(parts)


@steady
@given(orders())
def test_a_full_fill_closes_every_part_exactly(order: tuple[list[OrderPart], Decimal]) -> None:
    parts, quantity = order
    assert closed_by(parts, quantity, quantity, STEP) == {p.component_id: p.quantity for p in parts}
    assert is_whole(parts, quantity)


@steady
@given(orders())
def test_nothing_filled_closes_nothing(order: tuple[list[OrderPart], Decimal]) -> None:
    parts, quantity = order
    assert set(closed_by(parts, quantity, Decimal(0), STEP).values()) == {Decimal(0)}


def test_a_partial_fill_floors_the_light_side_to_the_step() -> None:
    parts = [part("long", "1"), part("short", "0.4", light=True)]
    closed = closed_by(parts, Decimal("0.6"), Decimal("0.1"), Decimal("0.01"))
    # 0.4 x 0.1 / 0.6 = 0.0667, floored.
    assert closed == {leg("long"): Decimal("0.16"), leg("short"): Decimal("0.06")}


def test_an_order_of_one_leg_closes_what_it_fills() -> None:
    assert closed_by([part("long", "1")], Decimal(1), Decimal("0.3"), None) == {
        leg("long"): Decimal("0.3")
    }


def test_a_chunk_of_a_net_order_takes_its_parts_in_proportion() -> None:
    parts = [part("long", "10"), part("short", "4", light=True)]
    assert closed_by(parts, Decimal(6), Decimal(3), STEP) == {leg("long"): 5, leg("short"): 2}


def test_parts_that_do_not_explain_the_order_are_told() -> None:
    assert not is_whole([part("a", "1"), part("b", "0.4", light=True)], Decimal(1))
