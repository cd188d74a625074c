"""Coming back after cuts: soon and jittered, slower each time, slowest after a refusal."""

from __future__ import annotations

import random

import pytest
from positiond.bybit.reconnect import Persistence, hold_for_ever
from positiond.bybit.socket import StreamCut
from tenacity import wait_fixed

QUIET = Persistence(usual=wait_fixed(1), after_refusal=wait_fixed(60), first_jitter=0.5)


class Finished(Exception):
    """Ends a test: the holding would never end by itself."""


class Line:
    """Connections that last as scripted: (seconds held, refused); sleeps are kept, not slept."""

    def __init__(self, *script: tuple[float, bool]) -> None:
        self.script = list(script)
        self.now = 0.0
        self.slept: list[float] = []
        self.in_line = 0.0

    async def hold(self) -> None:
        if not self.script:
            raise Finished
        seconds, refused = self.script.pop(0)
        self.now += seconds
        raise StreamCut("cut", is_refusal=refused)

    async def admit(self) -> None:
        self.now += self.in_line

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    async def run(self, persistence: Persistence) -> list[float]:
        with pytest.raises(Finished):
            await hold_for_ever(
                self.hold,
                admit=self.admit,
                persistence=persistence,
                monotonic=lambda: self.now,
                sleep=self.sleep,
                jitter=random.Random(5),
            )
        return self.slept


async def test_a_stream_that_held_comes_back_at_once_but_jittered() -> None:
    (first, second) = await Line((600, False), (600, False)).run(QUIET)
    assert 0 < first < 0.5
    assert 0 < second < 0.5
    assert first != second


async def test_one_that_never_comes_up_waits_its_backoff() -> None:
    assert await Line((0, False), (1, False)).run(QUIET) == [1, 1]


async def test_a_wait_in_line_does_not_count_as_a_stream_that_held() -> None:
    line = Line((0, False), (0, False))
    line.in_line = 100.0
    assert await line.run(QUIET) == [1, 1]


async def test_a_refused_key_is_tried_again_slowly() -> None:
    assert await Line((0, True), (0, True)).run(QUIET) == [60, 60]


async def test_the_backoff_grows_to_a_bound_and_starts_afresh_after_success() -> None:
    seeded = Persistence()
    random.seed(1)
    slept = await Line(*[(0.0, False)] * 40).run(seeded)
    assert max(slept) <= 30
    assert max(slept[10:]) > max(slept[:2])
    slept = await Line(*[(0.0, False)] * 20, (60, False), (0.0, False)).run(seeded)
    assert slept[-1] <= 0.5, "the first wait after a success is short again"


async def test_an_error_that_is_no_cut_passes_through() -> None:
    async def fall() -> None:
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        await hold_for_ever(
            fall,
            admit=Line().admit,
            persistence=QUIET,
            monotonic=lambda: 0.0,
            sleep=Line().sleep,
            jitter=random.Random(1),
        )
