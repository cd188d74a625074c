"""Growing, jittered pauses for loops that never give up."""

from __future__ import annotations

from tenacity import RetryCallState, Retrying, wait_random_exponential


class Backoff:
    """tenacity's full-jitter strategy, stepped by hand: `next` in seconds, `reset` on success."""

    def __init__(self, *, first: float, most: float) -> None:
        self._wait = wait_random_exponential(multiplier=first, max=most)
        self.reset()

    def reset(self) -> None:
        self._state = RetryCallState(Retrying(), None, (), {})

    def next(self) -> float:
        pause = self._wait(self._state)
        self._state.prepare_for_next_attempt()
        return pause
