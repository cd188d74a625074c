"""Rate limits per second, and faults that fire as often as they were told to."""

import pytest
from positiond.bybit.paper.books import Books
from positiond.bybit.paper.faults import FRAME_KINDS, REPLY_KINDS, FaultBoard, When
from positiond.bybit.paper.limits import Limits, cost_of

CREATE = "/v5/order/create"


def test_the_eleventh_order_within_a_second_is_refused_with_the_reset_time() -> None:
    limits = Limits()
    for n in range(10):
        taken = limits.take("1", CREATE, "linear", 1000 + n)
        assert taken is not None
        assert taken[0] == 1
        assert (taken[1].limit, taken[1].left, taken[1].reset_ms) == (10, 9 - n, 1000 + n)
    refused = limits.take("1", CREATE, "linear", 1500)
    assert refused is not None
    assert (refused[0], refused[1].left, refused[1].reset_ms) == (0, 0, 2000)
    again = limits.take("1", CREATE, "linear", 2001)
    assert again is not None
    assert again[0] == 1


def test_linear_and_inverse_share_a_count_and_others_have_their_own() -> None:
    limits = Limits()
    for category in ("linear", "inverse") * 5:
        limits.take("1", CREATE, category, 1000)
    granted = {c: limits.take("1", CREATE, c, 1000) for c in ("linear", "spot", "option")}
    assert [taken and taken[0] for taken in granted.values()] == [0, 1, 1]
    other = limits.take("2", CREATE, "linear", 1000)
    assert other is not None
    assert other[0] == 1
    assert limits.take("1", "/v5/market/time", "", 1000) is None


def test_cancel_all_is_once_a_second_on_option_and_twenty_times_on_spot() -> None:
    limits = Limits()
    granted = {
        category: sum(
            taken[0]
            for _ in range(30)
            if (taken := limits.take("1", "/v5/order/cancel-all", category, 1000))
        )
        for category in ("linear", "option", "spot")
    }
    assert granted == {"linear": 10, "option": 1, "spot": 20}


def test_some_endpoints_count_all_categories_together() -> None:
    limits = Limits()
    for n in range(5):
        taken = limits.take("1", "/v5/account/fee-rate", ("linear", "spot")[n % 2], 1000)
        assert taken is not None
        assert taken[0] == 1
    refused = limits.take("1", "/v5/account/fee-rate", "option", 1000)
    assert refused is not None
    assert refused[0] == 0


@pytest.mark.parametrize(("category", "cost"), [("linear", 7), ("spot", 7), ("option", 1)])
def test_a_batch_costs_its_orders_and_on_option_one_request(category: str, cost: int) -> None:
    assert cost_of("/v5/order/create-batch", category, 7) == cost
    assert cost_of("/v5/order/create", category, 1) == 1


def test_a_batch_is_granted_as_many_orders_as_are_left() -> None:
    taken = Limits().take("1", "/v5/order/create-batch", "linear", 1000, cost=20)
    assert taken is not None
    assert taken[0] == 10


def test_a_fault_fires_as_often_as_counted_after_what_it_skips() -> None:
    board = FaultBoard()
    fault = board.add({"kind": "reject", "where": "/v5/order/*", "count": 2, "skip": 1}, Books(), 1)
    struck = [board.take(REPLY_KINDS, CREATE, "1") is not None for _ in range(5)]
    assert struck == [False, True, True, False, False]
    assert fault.fired == 2


def test_a_fault_strikes_only_its_place_its_account_and_its_moment() -> None:
    board = FaultBoard()
    board.add({"kind": "reset", "where": CREATE, "account": "7", "when": "after"}, Books(), 1)
    assert board.take(REPLY_KINDS, CREATE, "7") is None
    assert board.take(REPLY_KINDS, CREATE, "8", When.AFTER) is None
    assert board.take(REPLY_KINDS, "/v5/position/list", "7", When.AFTER) is None
    assert board.take(FRAME_KINDS, CREATE, "7", When.AFTER) is None
    assert board.take(REPLY_KINDS, CREATE, "7", When.AFTER) is not None


def test_chance_is_seeded() -> None:
    def run(seed: int) -> list[bool]:
        board = FaultBoard()
        board.add({"kind": "frame_drop", "chance": 0.5, "seed": seed}, Books(), 1)
        return [board.take(FRAME_KINDS, "order", "1") is not None for _ in range(30)]

    assert run(1) == run(1)
    assert run(1) != run(2)
    assert 5 < sum(run(1)) < 25


@pytest.mark.parametrize(
    "spec",
    [{}, {"kind": "nonsense"}, {"kind": "reject", "typo": 1}, {"kind": "reject", "when": "later"}],
)
def test_a_faulty_fault_is_refused(spec: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        FaultBoard().add(spec, Books(), 1)


def test_removed_faults_no_longer_strike() -> None:
    board = FaultBoard()
    one = board.add({"kind": "clock_skew", "ms": 1500}, Books(), 1)
    board.add({"kind": "clock_skew", "ms": -500}, Books(), 1)
    assert board.skew_ms() == 1000
    board.remove(one.ident)
    assert board.skew_ms() == -500
    board.remove()
    assert board.all() == []
