"""Lines in which callers wait for room under the rate limits: fair, bounded, closing first."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from yarl import URL

from .limits import STREAMS_MOST, AddressGate, EndpointBudget, StreamGate
from .tally import Tallies

# A sweep of many accounts stands in line for half a minute and is right to: only more than this
# is a failure.
_LONGEST_WAIT: Final = 60.0
# Ordinary reads under way at once: a slow venue must not fill our sockets with them.
_MOST_IN_FLIGHT: Final = 64


class NoRoom(Exception):
    """Nothing was sent: the limits leave no room for `wait` seconds at least."""

    def __init__(self, wait: float, said: str) -> None:
        super().__init__(said)
        self.wait = wait
        self.said = said


class Turnstile:
    """Lets requests of one address out, each kind in its order of arrival.

    Urgent calls have lines of their own, so none of them ever stands behind a read. Ordinary ones
    stand first in the line of their key and endpoint, of which one at a time joins the line of
    the address: a key with a hundred questions delays nobody else's.
    """

    def __init__(
        self,
        gate: AddressGate,
        monotonic: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._gate = gate
        self._monotonic = monotonic
        self._sleep = sleep
        self._address = {True: asyncio.Lock(), False: asyncio.Lock()}
        self._lanes: defaultdict[tuple[EndpointBudget | None, bool], asyncio.Lock]
        self._lanes = defaultdict(asyncio.Lock)
        self._in_flight = asyncio.Semaphore(_MOST_IN_FLIGHT)

    @asynccontextmanager
    async def passage(self, budget: EndpointBudget | None, *, urgent: bool) -> AsyncIterator[None]:
        """Room for one request while inside; NoRoom in a ban or after a minute in line."""
        async with AsyncExitStack() as held:
            try:
                async with asyncio.timeout(_LONGEST_WAIT):
                    await self._pass(budget, urgent, held)
            except TimeoutError:
                raise NoRoom(1.0, "the rate limit leaves no room") from None
            yield

    def take_now(self, budget: EndpointBudget) -> float:
        """Take room for one urgent request at once; else the seconds to wait, nothing taken."""
        wait = max(self._gate.pause_left, self.room_in(budget))
        if wait <= 0:
            self._stamp(budget, urgent=True)
        return wait

    def room_in(self, budget: EndpointBudget) -> float:
        """Seconds until one more urgent request fits into both budgets."""
        wait = budget.wait(self._monotonic(), urgent=True)
        return max(wait, self._gate.wait(urgent=True))

    @property
    def pause_left(self) -> float:
        return self._gate.pause_left

    def pause(self) -> None:
        self._gate.pause()

    async def _pass(
        self, budget: EndpointBudget | None, urgent: bool, held: AsyncExitStack
    ) -> None:
        async with AsyncExitStack() as lane:
            if budget is not None:
                await lane.enter_async_context(self._lanes[budget, urgent])
                await self._until(lambda: budget.wait(self._monotonic(), urgent=urgent))
            if not urgent:
                await held.enter_async_context(self._in_flight)
            while not await self._step_out(budget, urgent):
                # An urgent call, or a reply's headers, took the endpoint's room meanwhile.
                assert budget is not None
                await self._until(lambda: budget.wait(self._monotonic(), urgent=urgent))

    async def _step_out(self, budget: EndpointBudget | None, urgent: bool) -> bool:
        """Stand in the address's line; whether there was still room at the endpoint then."""
        async with self._address[urgent]:
            await self._until(lambda: self._gate.wait(urgent=urgent))
            if budget is not None and budget.wait(self._monotonic(), urgent=urgent) > 0:
                return False
            self._stamp(budget, urgent=urgent)
            return True

    def _stamp(self, budget: EndpointBudget | None, *, urgent: bool) -> None:
        self._gate.stamp(urgent=urgent)
        if budget is not None:
            budget.stamp(self._monotonic(), urgent=urgent)

    async def _until(self, wait: Callable[[], float]) -> None:
        while True:
            if self._gate.pause_left > 0:
                raise NoRoom(self._gate.pause_left, "our address is banned for a while")
            seconds = wait()
            if seconds <= 0:
                return
            await self._sleep(seconds)


class _Door:
    """The lines before one domain: streams of prices, and those of accounts."""

    def __init__(self, gate: StreamGate) -> None:
        self.gate = gate
        self.lines = {True: asyncio.Lock(), False: asyncio.Lock()}


class Doors:
    """Paces new streams by the domain they go to, whatever feed or environment they are of."""

    def __init__(
        self,
        monotonic: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
        tallies: Tallies | None = None,
    ) -> None:
        self._monotonic = monotonic
        self._sleep = sleep
        self._tallies = tallies or Tallies(None)
        self._doors: dict[str, _Door] = {}

    async def enter(self, url: str, *, first: bool = False) -> None:
        """Wait until one more connection may be made; `first` ones pass those of accounts."""
        door = self._door(url)
        async with door.lines[first]:
            while (wait := door.gate.wait(self._monotonic(), first=first)) > 0:
                await self._sleep(wait)
            door.gate.stamp(self._monotonic())

    def give_back(self, url: str) -> None:
        """The connection was never made: Bybit has not counted it."""
        self._door(url).gate.give_back()

    def _door(self, url: str) -> _Door:
        host = URL(url).host or ""
        if host not in self._doors:
            tally = self._tallies.open(f"streams-{host}", STREAMS_MOST)
            self._doors[host] = _Door(StreamGate(self._monotonic(), tally))
        return self._doors[host]
