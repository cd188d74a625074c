"""What may follow an attempt, whose order a found one is, and what a read is worth."""

from __future__ import annotations

from dataclasses import replace

import pytest
from positiond.daemon.domain.model import Category, Holding, OrderReport, OrderStatus
from positiond.daemon.domain.orders import CloseOrder, OrderState
from positiond.daemon.domain.plan import (
    IDLE_ATTEMPTS,
    MOST_ATTEMPTS,
    idle_attempts,
    is_as_new_as,
    is_expired,
    is_ours,
    may_try_again,
)

from ...builders import (
    ETH,
    LONG,
    NOON,
    after,
    close_order,
    fill,
    holding,
    report,
)

# --- attempts -------------------------------------------------------------------------------


def attempts(*filled: str) -> list[CloseOrder]:
    return [close_order("1", f, attempt=n) for n, f in enumerate(filled, start=1)]


def test_the_first_attempt_is_always_allowed() -> None:
    assert may_try_again([])


def test_attempts_that_fill_nothing_are_bounded() -> None:
    assert may_try_again(attempts(*["0"] * (IDLE_ATTEMPTS - 1)))
    assert not may_try_again(attempts(*["0"] * IDLE_ATTEMPTS))


def test_a_fill_starts_the_count_anew() -> None:
    orders = attempts("0", "0", "0.1", "0", "0")
    assert idle_attempts(orders) == 2
    assert may_try_again(orders)


def test_attempts_that_fill_are_bounded_too() -> None:
    orders = [close_order("1000", "1", attempt=n) for n in range(MOST_ATTEMPTS)]
    assert may_try_again(orders[:-1])
    assert not may_try_again(orders)


@pytest.mark.parametrize(
    "state", [OrderState.PLANNED, OrderState.SENT, OrderState.ACKED, OrderState.UNKNOWN]
)
def test_no_attempt_beside_one_that_is_not_settled(state: OrderState) -> None:
    orders = [*attempts("0.5"), close_order(attempt=2, state=state, status=None)]
    assert not may_try_again(orders)


@pytest.mark.parametrize("status", ["refused", "foreign"])
def test_a_refusal_is_not_repeated(status: str) -> None:
    assert not may_try_again([close_order(status=status)])


def test_a_proven_absent_attempt_may_be_followed_by_another() -> None:
    assert may_try_again([close_order(state=OrderState.ABSENT, status=None)])


# --- rule 8: is a found order ours ----------------------------------------------------------

WRITTEN = close_order("1", state=OrderState.SENT, status=None)


@pytest.mark.parametrize(
    "found",
    [
        report(),
        report(filled="0.3", status=OrderStatus.CANCELLED),
        # Bybit cuts a reduce-only order down to what the position holds.
        report(quantity="0.4", filled="0.4"),
        # Its clock and ours are not one.
        report(created_at=after(-2)),
        report(created_at=after(30)),
    ],
)
def test_an_order_as_written_down_is_ours(found: OrderReport) -> None:
    assert is_ours(found, WRITTEN)


@pytest.mark.parametrize(
    "found",
    [
        report(link_id="link-2"),
        report(symbol=ETH),
        report(category=Category.INVERSE),
        report(side=LONG),
        report(quantity="1.001", filled="1"),
        report(reduce_only=False),
        report(created_at=after(-2.1)),
    ],
)
def test_an_order_that_differs_in_anything_is_not_ours(found: OrderReport) -> None:
    assert not is_ours(found, WRITTEN)


def test_an_order_sent_again_is_ours_from_its_first_writing_on() -> None:
    resigned = replace(WRITTEN, signed_at=after(60), dies_at=after(65))
    assert is_ours(report(created_at=after(1)), resigned)
    assert not is_ours(report(created_at=after(-3)), resigned)


# --- is a read as new as a fill -------------------------------------------------------------

SOLD = fill(at=after(10), seq=100)


def test_without_a_fill_every_read_is_new_enough() -> None:
    assert is_as_new_as([], 0, None)


@pytest.mark.parametrize(
    ("row", "is_new"),
    [
        (holding(seq=99, updated_at=after(60), read_at=after(60)), False),
        (holding(seq=100, updated_at=after(1)), True),
        (holding(seq=101), True),
        (holding(seq=None, updated_at=after(9.9), read_at=after(60)), False),
        (holding(seq=None, updated_at=after(10)), True),
        # -1 and 0 stand for "no sequence" (a symbol never traded).
        (holding(seq=-1, updated_at=after(10)), True),
        (holding(seq=0, updated_at=after(9)), False),
        (holding(read_at=after(11.9)), False),
        (holding(read_at=after(12)), True),
        # A row of another bucket says nothing.
        (holding(seq=500, idx=1), False),
    ],
)
def test_a_read_is_new_by_sequence_else_by_update_else_by_its_own_time(
    row: Holding, is_new: bool
) -> None:
    assert is_as_new_as([row], 0, SOLD) is is_new


def test_without_a_sequence_on_the_fill_the_times_decide() -> None:
    unnumbered = fill(at=after(10))
    assert is_as_new_as([holding(seq=5, updated_at=after(10))], 0, unnumbered)
    assert not is_as_new_as([holding(seq=5, updated_at=after(9))], 0, unnumbered)


def test_a_request_expires_at_its_moment() -> None:
    assert not is_expired(NOON, after(-0.001))
    assert is_expired(NOON, NOON)
