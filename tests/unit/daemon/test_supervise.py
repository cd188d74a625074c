import asyncio
import os
import signal
from typing import NoReturn

import pytest
from positiond.daemon.supervise import LoopReturned, first_errors, stop_on_signals, supervise


async def forever() -> NoReturn:
    await asyncio.Event().wait()
    raise AssertionError("unreachable")


async def test_a_stop_cancels_every_loop_and_runs_what_they_must_finish() -> None:
    stop, started, finished = asyncio.Event(), asyncio.Event(), []

    async def loop() -> NoReturn:
        try:
            started.set()
            await forever()
        finally:
            finished.append("loop")

    async with asyncio.TaskGroup() as group:
        running = group.create_task(supervise({"loop": loop, "other": forever}, stop))
        await started.wait()
        stop.set()
        await running
    assert finished == ["loop"]


async def test_a_loop_that_returns_is_an_error_that_names_it() -> None:
    async def returns() -> None:
        return

    with pytest.raises(ExceptionGroup) as caught:
        await supervise({"sweep": returns, "other": forever}, asyncio.Event())  # type: ignore[dict-item] # the mistake under test
    (error,) = first_errors(caught.value)
    assert isinstance(error, LoopReturned)
    assert error.name == "sweep"


async def test_a_failing_loop_takes_the_others_down_and_is_named_in_a_note() -> None:
    cancelled = asyncio.Event()

    async def patient() -> NoReturn:
        try:
            await forever()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    async def fails() -> NoReturn:
        await asyncio.sleep(0)
        raise ValueError("broken")

    with pytest.raises(ExceptionGroup) as caught:
        await supervise({"patient": patient, "feed": fails}, asyncio.Event())
    (error,) = first_errors(caught.value)
    assert isinstance(error, ValueError)
    assert error.__notes__ == ["in the loop 'feed'"]
    assert cancelled.is_set()


async def test_an_error_while_stopping_is_not_hidden_by_the_stop() -> None:
    stop, started = asyncio.Event(), asyncio.Event()

    async def clumsy() -> NoReturn:
        try:
            started.set()
            await forever()
        finally:
            raise ValueError("while cleaning up")

    async def stop_once_started() -> NoReturn:
        await started.wait()
        stop.set()
        await forever()

    with pytest.raises(ExceptionGroup) as caught:
        await supervise({"clumsy": clumsy, "stopper": stop_once_started}, stop)
    assert [str(error) for error in first_errors(caught.value)] == ["while cleaning up"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_sets_the_stop_and_the_handler_goes_with_the_context(
    number: signal.Signals,
) -> None:
    stop = asyncio.Event()
    before = signal.getsignal(number)
    with stop_on_signals(stop):
        os.kill(os.getpid(), number)
        await asyncio.wait_for(stop.wait(), 5)
    assert signal.getsignal(number) in (before, signal.SIG_DFL, signal.default_int_handler)
