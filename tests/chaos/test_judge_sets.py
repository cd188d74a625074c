"""What the judge knows of closes that were asked for together, and of what is said with one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.chaos.journal import Answer
from tests.chaos.judge import judge
from tests.chaos.plan import Terms
from tests.chaos.scene import CLOSE, OTHER_CLOSE, START, Scene, netted, order_row


def found(scene: Scene) -> set[str]:
    return {violation.rule for violation in judge(scene.record)}


@pytest.mark.parametrize("second", [2, -2, -3])
def test_legs_that_close_as_their_net_are_good(second: int) -> None:
    assert found(netted(second)) == set()


def test_a_partial_fill_closes_the_light_side_in_proportion() -> None:
    scene = netted(-2)
    # 0.5 of the net of 1: half of the light 2, and so 1.5 of the heavy 3.
    fill, order = scene.record.books["executions"][-1], scene.record.books["orders"][-1]
    fill["qty"] = order["cum_qty"] = "0.5"
    scene.size("1.5")
    told = {CLOSE: "1.5", OTHER_CLOSE: "1"}
    for position, (close_id, quantity) in zip(scene.positions, told.items(), strict=True):
        close = scene.record.closes[close_id]
        close.update({"state": "FAILED", "code": "residual"})
        close["legs"][0].update({"outcome": "residual", "filled": quantity})
        shown = scene.record.shown[str(position.id)]
        shown["status"] = "ACTIVE"
        shown["components"][0]["closed_quantity"] = quantity
    assert found(scene) == set()
    scene.record.closes[OTHER_CLOSE]["legs"][0]["filled"] = "0"
    assert "fills told wrong" in found(scene)


def refused_as_open(at_ms: int) -> Answer:
    answer = Answer(0, 0, None, 409, None, "close-open", False, is_of_set=True)
    return replace(answer, asked_ms=at_ms, told_ms=at_ms + 100)


def sent_for_what_cancels_out() -> Scene:
    scene = netted(-3)
    legs = [str(one.components[0].id) for one in scene.positions]
    scene.ours("1", 60_000, link_id="link-1")
    scene.size("0")
    row = order_row("link-1", (legs[0], CLOSE, "3"), (legs[1], OTHER_CLOSE, "2"))
    scene.record.closes[CLOSE]["orders"] = [row]
    return scene


def parts_that_do_not_add_up() -> Scene:
    scene = netted(-2)
    scene.record.closes[CLOSE]["orders"][0]["parts"][1]["quantity"] = "1"
    return scene


def parts_of_a_stranger() -> Scene:
    scene = netted(-2)
    scene.record.closes[OTHER_CLOSE]["set_id"] = None
    return scene


def netted_on_one_side_alone() -> Scene:
    scene = netted(-3)
    scene.record.closes[OTHER_CLOSE]["legs"][0]["filled"] = "2"
    return scene


def more_than_the_net() -> Scene:
    scene = netted(-2)
    for row in scene.record.books["orders"][-1], scene.record.books["executions"][-1]:
        row["qty"] = "2"
    scene.record.books["orders"][-1]["cum_qty"] = "2"
    scene.size("0")
    return scene


def another_set_than_promised() -> Scene:
    scene = netted(-2)
    scene.record.closes[CLOSE]["set_id"] = scene.record.closes[OTHER_CLOSE]["set_id"] = "other"
    return scene


def one_position_twice() -> Scene:
    scene = netted(-2)
    scene.record.closes[OTHER_CLOSE]["position_id"] = str(scene.positions[0].id)
    return scene


def two_closes_at_once() -> Scene:
    scene = Scene()
    scene.ours("2", 61_000, link_id="link-2")
    scene.size("1")
    component = str(scene.positions[1].components[0].id)
    scene.record.closes[OTHER_CLOSE] = {
        **scene.close(),
        "close_id": OTHER_CLOSE,
        "position_id": str(scene.positions[1].id),
        "orders": [order_row("link-2", (component, OTHER_CLOSE, "2"))],
    }
    return scene


def an_open_close_without_one() -> Scene:
    scene = netted(-2)
    told = refused_as_open(START + 90_000)
    scene.record.answers.append(told)
    return scene


def an_order_in_the_way_that_was_none() -> Scene:
    scene = Scene()
    scene.told.update({"state": "FAILED", "code": "resting-orders"})
    return scene


def another_plan_that_nobody_agreed_to() -> Scene:
    scene = Scene()
    scene.told.update({"state": "FAILED", "code": "plan-changed"})
    return scene


@pytest.mark.parametrize(
    ("goes_wrong", "rule"),
    [
        (sent_for_what_cancels_out, "more than the share"),
        (parts_that_do_not_add_up, "an order off its leg"),
        (parts_that_do_not_add_up, "the sum is wrong"),
        (parts_of_a_stranger, "an order off its leg"),
        (netted_on_one_side_alone, "fills told wrong"),
        (more_than_the_net, "more than the share"),
        (another_set_than_promised, "a set told wrong"),
        (one_position_twice, "a set told wrong"),
        (two_closes_at_once, "two closes at once"),
        (an_open_close_without_one, "refused for no reason"),
        (an_order_in_the_way_that_was_none, "refused for no reason"),
        (another_plan_that_nobody_agreed_to, "refused for no reason"),
    ],
)
def test_what_went_wrong_is_found(goes_wrong: Callable[[], Scene], rule: str) -> None:
    assert rule in found(goes_wrong())


def test_a_set_may_be_refused_while_another_close_of_it_is_open() -> None:
    scene = netted(-2)
    told = refused_as_open(START + 61_000)
    scene.record.answers.append(told)
    assert found(scene) == set()


def test_a_plan_may_change_after_a_trade() -> None:
    scene = Scene()
    scene.told.update({"state": "FAILED", "code": "plan-changed"})
    scene.record.answers[:] = [
        Answer(
            0, 0, None, 202, CLOSE, None, False, terms=Terms(by_plan=True), asked_ms=START + 58_000
        )
    ]
    assert "refused for no reason" not in found(scene)
