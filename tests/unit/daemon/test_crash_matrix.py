"""Killed at every step of its process, and again in the next, a close has the same total effect."""

from __future__ import annotations

import asyncio
import random

import pytest
from positiond.daemon.domain.orders import OrderState, RequestState

from .crash import WIRES, Played, play
from .crash_stories import STORIES
from .fake_time import in_fake_time
from .mortal import Killed, Life, MortalGate, mortality

_LIVES = 4
_TIMES, _TIMES_OF_A_FEW = 40, 4
# A close of several legs, one that takes several orders, and several that share their orders.
_QUICK = ("three legs", "part fills", "a set that nets")
_EACH = [
    pytest.param(name, marks=() if name in _QUICK else pytest.mark.thorough) for name in STORIES
]


def kill_at_every_step(name: str, wire: str) -> list[Played]:
    """Each of these runs is checked against the venue's own books as the story tells them."""
    story, latency = STORIES[name], WIRES[wire]
    unbroken = play(story, latency)
    assert (unbroken.found, unbroken.end) == ((), "DONE")
    played = []
    for step in range(1, unbroken.steps + 1):
        try:
            played.append(play(story, latency, [step]))
        except AssertionError as error:
            raise AssertionError(f"{name}, killed at step {step}: {error}") from error
    assert all(len(one.found) == 1 for one in played), "every kill was one"
    return played


@pytest.mark.parametrize("name", _EACH)
def test_killed_at_any_step_the_next_process_ends_it_as_if_nothing_had_been(name: str) -> None:
    kill_at_every_step(name, "quick")


@pytest.mark.thorough
@pytest.mark.parametrize("name", STORIES)
def test_an_order_that_lands_after_the_death_of_its_sender_is_not_sent_twice(name: str) -> None:
    kill_at_every_step(name, "slow")


@pytest.mark.parametrize("name", STORIES)
@pytest.mark.parametrize(
    "times", [_TIMES_OF_A_FEW, pytest.param(_TIMES, marks=pytest.mark.thorough)]
)
def test_killed_again_and_again_it_is_ended_by_whoever_lives_long_enough(
    name: str, times: int
) -> None:
    seeded = random.Random(name)
    for _ in range(times):
        wire = seeded.choice(list(WIRES.values()))
        deaths = [seeded.randint(1, 100) for _ in range(_LIVES - 1)]
        try:
            play(STORIES[name], wire, deaths)
        except AssertionError as error:
            raise AssertionError(f"{name}, wire {wire}, killed at {deaths}: {error}") from error


@pytest.mark.thorough
def test_every_state_that_is_stored_was_among_the_places_of_death() -> None:
    found = {one.found[0] for one in kill_at_every_step("part fills", "quick")}
    requests = {words.split()[0] for words in found}
    orders = {state for words in found for state in words.split()[1:]}
    assert requests == {s.value for s in RequestState if s.is_open} | {RequestState.DONE.value}
    assert orders >= {OrderState.PLANNED.value, OrderState.ACKED.value}


# --- of the method itself -------------------------------------------------------------------


@in_fake_time
async def test_after_its_death_no_task_of_a_process_takes_a_step_or_leaves_a_trace() -> None:
    gate, steps = MortalGate(), list[str]()

    async def work(name: str) -> None:
        try:
            for number in range(3):
                steps.append(f"{name} {number}")
                await asyncio.sleep(0)
        finally:
            with pytest.raises(Killed):
                await gate("a last write")

    async def both() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(work("one"))
            group.create_task(work("other"))

    with mortality():
        assert not await Life(dies_at=5).live(both())
    assert steps == ["one 0", "other 0", "one 1"]
    assert gate.passed == []
