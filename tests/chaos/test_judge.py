"""The judge finds each thing that must not happen, in books that show it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.chaos.journal import Answer
from tests.chaos.judge import judge
from tests.chaos.scene import CLOSE, Scene, stamp


def found(scene: Scene) -> set[str]:
    return {violation.rule for violation in judge(scene.record)}


def test_a_close_of_its_own_share_is_good() -> None:
    assert found(Scene()) == set()


def without_reduce_only(scene: Scene) -> None:
    scene.record.books["orders"][-1]["reduce_only"] = False


def sold_twice(scene: Scene) -> None:
    scene.ours("3", 61_000, link_id="link-1")
    scene.size("0")
    scene.told["legs"][0]["filled"] = "6"


def sold_what_the_trader_had_sold_before(scene: Scene) -> None:
    scene.record.books["orders"][-1]["created_ms"] += 100_000
    scene.record.books["executions"][-1]["exec_ms"] += 100_000
    hand = scene.by_hand
    last = scene.record.books["executions"].pop()
    hand("Sell", "2", 30_000)
    last["serial"] = 10
    scene.record.books["executions"].append(last)
    scene.size("1")


def without_a_row(scene: Scene) -> None:
    scene.told["orders"] = []
    scene.told["legs"][0] |= {"filled": "0", "outcome": "residual"}


def of_the_wrong_side(scene: Scene) -> None:
    scene.record.books["orders"][-1]["side"] = "Buy"


def flipped(scene: Scene) -> None:
    scene.record.books["executions"][-1]["qty"] = "9"
    scene.size("-3")


def a_size_that_does_not_add_up(scene: Scene) -> None:
    scene.size("2")


def fewer_fills_told(scene: Scene) -> None:
    scene.told["legs"][0]["filled"] = "2"


def done_with_a_leg_left(scene: Scene) -> None:
    scene.told["legs"][0]["outcome"] = "residual"


def closed_after_a_failure(scene: Scene) -> None:
    scene.told.update({"state": "FAILED", "code": "residual"})


def refused_without_a_shortfall(scene: Scene) -> None:
    scene.told.update({"state": "FAILED", "code": "shortfall-unattributed"})


def a_shortfall_of_what_was_there(scene: Scene) -> None:
    last, order = scene.record.books["executions"][-1], scene.record.books["orders"][-1]
    last["qty"] = order["cum_qty"] = "1"
    scene.size("5")
    scene.told["legs"][0] |= {"filled": "1", "outcome": "shortfall"}


def booked_wrong(scene: Scene) -> None:
    scene.record.shown[str(scene.positions[0].id)]["components"][0]["closed_quantity"] = "2"


def never_ended(scene: Scene) -> None:
    scene.told["state"] = "SETTLING"


def forgotten(scene: Scene) -> None:
    scene.record.closes.clear()


def never_answered(scene: Scene) -> None:
    scene.record.answers.append(Answer(0, 0, None, 0, None, None, False))


def one_key_for_two_closes(scene: Scene) -> None:
    other = "c0000000-0000-0000-0000-000000000002"
    scene.record.closes[other] = {
        **scene.told,
        "close_id": other,
        "created_at": stamp(70_000),
        "ended_at": stamp(71_000),
        "orders": [],
        "legs": [{**scene.told["legs"][0], "filled": "0"}],
    }
    scene.record.answers.append(Answer(0, 0, "key", 202, other, None, False))


def refused_to_a_client(scene: Scene) -> None:
    scene.record.answers.append(Answer(1, 0, None, 409, None, "close-open", False))


def left_open_in_calm(scene: Scene) -> None:
    scene.told.update({"state": "FAILED", "code": "rejected"})
    scene.record.answers.append(Answer(0, 0, None, 202, CLOSE, None, True))


@pytest.mark.parametrize(
    ("goes_wrong", "rule"),
    [
        (without_reduce_only, "not a reduce-only market order"),
        (sold_twice, "sent twice"),
        (sold_twice, "more than the share"),
        (sold_what_the_trader_had_sold_before, "more than the share"),
        (without_a_row, "an order that nobody wrote down"),
        (of_the_wrong_side, "an order off its leg"),
        (flipped, "flipped or grown by us"),
        (a_size_that_does_not_add_up, "the sum is wrong"),
        (fewer_fills_told, "fills told wrong"),
        (done_with_a_leg_left, "DONE without proof"),
        (done_with_a_leg_left, "outcome told wrong"),
        (closed_after_a_failure, "status told wrong"),
        (refused_without_a_shortfall, "refused for no reason"),
        (a_shortfall_of_what_was_there, "a shortfall that was none"),
        (booked_wrong, "booked wrong"),
        (never_ended, "never ended"),
        (forgotten, "promise lost"),
        (never_answered, "never answered"),
        (one_key_for_two_closes, "one key, two closes"),
        (refused_to_a_client, "refused for no reason"),
        (left_open_in_calm, "not closed although nothing went wrong"),
    ],
)
def test_what_went_wrong_is_found(goes_wrong: Callable[[Scene], None], rule: str) -> None:
    scene = Scene()
    goes_wrong(scene)
    assert rule in found(scene)


def test_a_trade_by_hand_that_the_order_may_not_have_seen_is_no_fault_of_ours() -> None:
    scene = Scene()
    last = scene.record.books["executions"].pop()
    scene.by_hand("Sell", "2", 58_000)
    last["serial"] = 10
    scene.record.books["executions"].append(last)
    scene.size("1")
    assert "more than the share" not in found(scene)
