"""Lines under the limits, with time in hand: fair to reads, open to what is urgent, bounded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from positiond.bybit import turns
from positiond.bybit.limits import ADDRESS_LIMIT, AddressGate, Budgets, EndpointBudget, LimitHeaders
from positiond.bybit.turns import Doors, NoRoom, Turnstile

from .virtual import VirtualTime

POSITIONS = "/v5/position/list"


class Stage:
    """Callers in line, and who got through when."""

    def __init__(self) -> None:
        self.time = VirtualTime()
        self.gate = AddressGate(self.time.monotonic)
        self.turnstile = Turnstile(self.gate, self.time.monotonic, self.time.sleep)
        self.budgets = Budgets()
        self.out: list[tuple[str, float]] = []
        self.refused: list[tuple[str, NoRoom]] = []
        self.callers: list[asyncio.Task[None]] = []

    def budget(self, key: str = "key", path: str = POSITIONS) -> EndpointBudget:
        return self.budgets.of(key, path, "linear")

    def call(self, name: str, budget: EndpointBudget | None, *, urgent: bool = False) -> None:
        self.callers.append(asyncio.create_task(self._caller(name, budget, urgent)))

    async def _caller(self, name: str, budget: EndpointBudget | None, urgent: bool) -> None:
        try:
            async with self.turnstile.passage(budget, urgent=urgent):
                self.out.append((name, self.time.now))
        except NoRoom as full:
            self.refused.append((name, full))

    def saturate(self, keys: int, each: int) -> None:
        for n in range(keys * each):
            self.call(f"read-{n % keys}", self.budget(f"key-{n % keys}"))

    def times(self, begins: str) -> list[float]:
        return [at for name, at in self.out if name.startswith(begins)]

    async def end(self) -> None:
        for caller in self.callers:
            caller.cancel()
        await asyncio.gather(*self.callers, return_exceptions=True)


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    made = Stage()
    yield made
    await made.end()


async def test_reads_of_many_keys_flow_at_seventy_percent_of_the_address_limit(
    stage: Stage,
) -> None:
    stage.saturate(keys=100, each=10)
    await stage.time.advance(10.0)
    reads = stage.times("read")
    for begin in (100.0, 102.5, 105.0):
        share = sum(1 for at in reads if begin <= at < begin + 5) / ADDRESS_LIMIT
        assert 0.6 <= share <= 0.85


async def test_an_urgent_call_passes_at_once_whatever_stands_in_line(stage: Stage) -> None:
    stage.saturate(keys=100, each=20)
    await stage.time.advance(3.0)
    for n in range(60):
        before = stage.time.now
        stage.call(f"urgent-{n}", stage.budget("key-7"), urgent=True)
        await stage.time.advance(0.1)
        assert stage.times(f"urgent-{n}") == [before]


async def test_urgent_calls_that_fill_the_limit_are_served_before_any_read(stage: Stage) -> None:
    stage.saturate(keys=100, each=20)
    await stage.time.advance(6.0)
    reads_before = len(stage.times("read"))
    for n in range(300):
        stage.call(f"urgent-{n}", stage.budget(f"closer-{n}"), urgent=True)
    await stage.time.advance(2.5)
    assert len(stage.times("urgent")) == 300
    assert len(stage.times("read")) - reads_before <= 2


async def test_reads_of_one_endpoint_pass_in_their_order(stage: Stage) -> None:
    for n in range(60):
        stage.call(f"{n:02}", stage.budget())
    await stage.time.advance(5.0)
    assert [name for name, _ in stage.out] == [f"{n:02}" for n in range(60)]


async def test_a_key_with_a_hundred_questions_delays_nobody_elses(stage: Stage) -> None:
    # A key of so large an allowance that the address is what is short.
    stage.budget("greedy").learn(LimitHeaders(2000, 1999, None), stage.time.now, 0.0)
    for _ in range(300):
        stage.call("greedy", stage.budget("greedy"))
    await stage.time.advance(1.0)
    stage.call("modest", stage.budget("modest"))
    before = stage.time.now
    await stage.time.advance(1.0)
    (at,) = stage.times("modest")
    assert at - before < 0.05


async def test_a_blocked_endpoint_holds_up_its_own_key_alone(stage: Stage) -> None:
    blocked = stage.budget("blocked")
    blocked.block(stage.time.now, 3.0)
    stage.call("blocked", blocked)
    stage.call("free", stage.budget("free"))
    await stage.time.advance(2.9)
    assert [name for name, _ in stage.out] == ["free"]
    await stage.time.advance(0.2)
    assert [name for name, _ in stage.out] == ["free", "blocked"]


async def test_room_that_is_gone_when_the_turn_comes_is_waited_for_again(stage: Stage) -> None:
    stage.saturate(keys=50, each=2)
    late = stage.budget("late")
    stage.call("late", late)
    await stage.time.advance(0.1)
    late.learn(LimitHeaders(50, 0, None), stage.time.now, until_reset=2.0)
    await stage.time.advance(1.9)
    assert stage.times("late") == []
    await stage.time.advance(0.3)
    assert len(stage.times("late")) == 1


async def test_a_ban_ends_every_wait_and_says_for_how_long(stage: Stage) -> None:
    stage.saturate(keys=20, each=10)
    await stage.time.advance(1.0)
    passed = len(stage.out)
    stage.turnstile.pause()
    for _ in range(20):
        await stage.time.advance(0.05)
    assert len(stage.out) == passed
    assert len(stage.refused) == 200 - passed
    assert all(full.wait > 600 for _, full in stage.refused)
    stage.call("urgent", None, urgent=True)
    await stage.time.advance(0.0)
    assert stage.refused[-1][0] == "urgent"


async def test_a_wait_without_end_is_given_up(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "_LONGEST_WAIT", 0.05)
    stage.budget().block(stage.time.now, 5.0)
    with pytest.raises(NoRoom):
        async with stage.turnstile.passage(stage.budget(), urgent=False):
            raise AssertionError("nothing passes")


async def test_who_gives_up_in_line_costs_the_next_nothing(stage: Stage) -> None:
    stage.budget().block(stage.time.now, 2.0)
    stage.call("impatient", stage.budget())
    await stage.time.advance(0.5)
    stage.call("patient", stage.budget())
    await stage.time.advance(0.1)
    stage.callers[0].cancel()
    await stage.time.advance(3.0)
    assert [name for name, _ in stage.out] == ["patient"]


async def test_reads_under_way_are_bounded_and_urgent_calls_are_not(stage: Stage) -> None:
    under_way = asyncio.Event()
    started: list[str] = []

    async def slow(name: str, urgent: bool) -> None:
        async with stage.turnstile.passage(stage.budget(name), urgent=urgent):
            started.append(name)
            await under_way.wait()

    slow_ones = [asyncio.create_task(slow(f"r{n}", urgent=False)) for n in range(100)]
    await stage.time.advance(10.0)
    assert len(started) == 64
    closing = asyncio.create_task(slow("closing", urgent=True))
    await stage.time.advance(0.0)
    assert started[-1] == "closing"
    under_way.set()
    await stage.time.advance(10.0)
    await asyncio.gather(*slow_ones, closing)
    assert len(started) == 101


async def test_what_is_taken_at_once_counts_like_a_passage(stage: Stage) -> None:
    orders = stage.budget(path="/v5/order/create")
    taken = [stage.turnstile.take_now(orders) for _ in range(11)]
    assert taken[:10] == [0] * 10
    assert 0 < taken[10] <= 1.2


@asynccontextmanager
async def entering(doors: Doors, url: str, number: int, first: bool) -> AsyncIterator[list[int]]:
    """So many streams before a door; gives the list of those that passed it."""
    passed: list[int] = []

    async def enter(n: int) -> None:
        await doors.enter(url, first=first)
        passed.append(n)

    tasks = [asyncio.create_task(enter(n)) for n in range(number)]
    yield passed
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_five_hundred_streams_keep_within_the_venues_limit_and_their_order() -> None:
    time = VirtualTime()
    doors = Doors(time.monotonic, time.sleep)
    async with entering(doors, "wss://a.test/v5/private", 500, first=False) as passed:
        await time.advance(0.0)
        assert len(passed) == 190
        await time.advance(299.0)
        assert 430 <= len(passed) <= 450
        await time.advance(90.0)
        assert passed == list(range(500))


async def test_prices_pass_the_accounts_in_line_and_other_domains_know_nothing_of_it() -> None:
    time = VirtualTime()
    doors = Doors(time.monotonic, time.sleep)
    async with (
        entering(doors, "wss://a.test/v5/private", 300, first=False),
        entering(doors, "wss://a.test/v5/public/linear", 4, first=True) as prices,
        entering(doors, "wss://b.test/v5/private", 100, first=False) as elsewhere,
    ):
        await time.advance(0.0)
        assert len(prices) == 4
        assert len(elsewhere) == 100


async def test_an_outage_uses_up_no_places() -> None:
    time = VirtualTime()
    doors = Doors(time.monotonic, time.sleep)
    for _ in range(2000):
        await asyncio.wait_for(doors.enter("wss://a.test/"), 1.0)
        doors.give_back("wss://a.test/")
