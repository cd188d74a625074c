"""Several awaits at once that fail as one; and pauses that grow."""

from __future__ import annotations

import asyncio
import random

import pytest
from positiond.daemon.backoff import Backoff
from positiond.daemon.domain.errors import Conflict, ExchangeUnreachable
from positiond.daemon.together import together

from .fake_time import in_fake_time, now


async def after(seconds: float, result: str | BaseException) -> str:
    await asyncio.sleep(seconds)
    if isinstance(result, BaseException):
        raise result
    return result


@in_fake_time
async def test_results_come_in_the_order_asked_after_the_slowest() -> None:
    began = now()
    assert await together([after(3, "slow"), after(1, "quick")]) == ["slow", "quick"]
    assert (now() - began).total_seconds() == 3
    empty: list[str] = await together([])
    assert empty == []


@in_fake_time
async def test_a_domain_error_comes_out_bare_and_cancels_the_others() -> None:
    reached = []

    async def slow() -> str:
        await asyncio.sleep(10)
        reached.append("end")
        return ""

    with pytest.raises(ExchangeUnreachable) as error:
        await together([slow(), after(1, ExchangeUnreachable("timeout", "no answer"))])
    assert error.value.code == "timeout"
    await asyncio.sleep(20)
    assert reached == []


@in_fake_time
async def test_of_two_domain_errors_one_comes_out() -> None:
    with pytest.raises(Conflict):
        await together([after(1, Conflict("a", "a")), after(1, Conflict("b", "b"))])


@in_fake_time
async def test_a_bug_is_never_hidden_behind_a_domain_error() -> None:
    with pytest.raises(ExceptionGroup) as errors:
        await together([after(1, Conflict("a", "a")), after(1, ValueError("bug"))])
    assert errors.value.split(ValueError)[0] is not None


@in_fake_time
async def test_a_cancelled_caller_stays_cancelled() -> None:
    task = asyncio.create_task(together([after(10, "never")]))
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_pauses_grow_with_jitter_up_to_the_most_and_start_over() -> None:
    random.seed(3)
    tries = [Backoff(first=0.5, most=5.0) for _ in range(200)]
    rounds = [[backoff.next() for backoff in tries] for _ in range(8)]
    tops = [max(pauses) for pauses in rounds]
    assert all(0 <= pause <= 5.0 for pauses in rounds for pause in pauses)
    assert tops[0] <= 0.5 < tops[1] <= 1.0 < tops[2] <= 2.0 < tops[3] <= 4.0 < tops[-1]
    assert len({round(pause, 6) for pause in rounds[-1]}) > 100
    for backoff in tries:
        backoff.reset()
    assert max(backoff.next() for backoff in tries) <= 0.5
