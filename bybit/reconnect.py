"""Holding a stream for ever: connect, hold, and come back with a jittered backoff."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import NoReturn

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type
from tenacity.wait import wait_base, wait_exponential_jitter, wait_random_exponential

from .socket import StreamCut


def _usual() -> wait_base:
    return wait_random_exponential(multiplier=0.5, max=30.0)


def _after_refusal() -> wait_base:
    return wait_exponential_jitter(multiplier=5.0, max=60.0, jitter=5.0)


@dataclass(frozen=True, slots=True)
class Persistence:
    """How to come back (s): soon after a cut, slowly where Bybit refused the key or address."""

    usual: wait_base = field(default_factory=_usual)
    after_refusal: wait_base = field(default_factory=_after_refusal)
    # A stream that held this long counts as a success: the backoff starts afresh.
    settled_after: float = 10.0
    # Everybody is cut at once when Bybit restarts: do not all come back at once.
    first_jitter: float = 0.5

    def wait(self, state: RetryCallState) -> float:
        failure = state.outcome.exception() if state.outcome else None
        is_refusal = isinstance(failure, StreamCut) and failure.is_refusal
        return (self.after_refusal if is_refusal else self.usual)(state)


async def hold_for_ever(
    hold: Callable[[], Awaitable[None]],
    *,
    admit: Callable[[], Awaitable[None]],
    persistence: Persistence,
    monotonic: Callable[[], float],
    sleep: Callable[[float], Awaitable[None]],
    jitter: random.Random,
) -> NoReturn:
    """Run `hold`, which ends only by StreamCut, again and again; other errors pass through.

    Each attempt waits for `admit`; that wait does not count as a stream that held.
    """

    async def until_cut() -> None:
        await admit()
        started = monotonic()
        try:
            await hold()
        except StreamCut:
            if monotonic() - started < persistence.settled_after:
                raise

    while True:
        retrying = AsyncRetrying(
            wait=persistence.wait,
            retry=retry_if_exception_type(StreamCut),
            sleep=sleep,
            reraise=True,
        )
        await retrying(until_cut)
        await sleep(jitter.uniform(0.0, persistence.first_jitter))
