"""Being stopped while something else fails: the stop wins, or the process would never end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, NoReturn, cast

import pytest
from positiond.daemon import wiring
from positiond.daemon.config import LoopConfig
from positiond.daemon.domain.errors import StoreUnavailable
from positiond.daemon.domain.orders import CloseOrder
from positiond.daemon.together import together
from positiond.daemon.trade_closer import TradeCloser
from positiond.http.hub import Hub

from ...builders import ETH, SHORT, component
from .fake_time import in_fake_time, timing
from .stage import Stage
from .streams import OpenDoor

LOST = StoreUnavailable("store-unavailable", "connection lost")


async def ends(task: asyncio.Task[Any]) -> bool:
    """Whether the task is cancelled within the longest pause of any backoff."""
    await asyncio.wait({task}, timeout=30)
    return task.cancelled()


async def fails_when_cut_off() -> NoReturn:
    """As a statement whose rollback fails too."""
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        raise LOST from None
    raise AssertionError("nobody sets it")


@in_fake_time
async def test_a_cancelled_caller_stays_cancelled_when_an_await_fails_instead() -> None:
    task = asyncio.create_task(together([fails_when_cut_off()]))
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@in_fake_time
async def test_a_close_that_is_stopped_while_the_database_goes_away_stops() -> None:
    stage = Stage()
    stage.ledger.open_close(stage.record(component("1"), component("2", SHORT, ETH)))
    saving = asyncio.Event()

    async def save_order(_: CloseOrder) -> None:
        saving.set()
        await fails_when_cut_off()

    stage.ledger.save_order = save_order  # type: ignore[method-assign]  # the database hangs
    closer = TradeCloser(stage.closing(), timing("closes"), asyncio.Event())
    task = asyncio.create_task(closer.run())
    await saving.wait()
    task.cancel()
    assert await ends(task)


@in_fake_time
async def test_a_stop_while_the_loops_lose_the_database_ends_the_daemon(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    @asynccontextmanager
    async def held() -> AsyncIterator[int]:
        yield 1

    async def nothing_to_migrate(_: str) -> list[str]:
        return []

    async def term(_: wiring.Daemon) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(fails_when_cut_off())

    monkeypatch.setattr(wiring, "migrate", nothing_to_migrate)
    monkeypatch.setattr(wiring.Daemon, "_term", term)
    store = SimpleNamespace(
        positions=None,
        closes=None,
        accounts=None,
        switches=None,
        changes=None,
        leadership=SimpleNamespace(held=held),
    )
    daemon = wiring.Daemon(
        LoopConfig(sweep_minutes=5, close_expiry=timedelta(minutes=15)),
        cast(Any, store),
        OpenDoor(),
        Hub(),
        "postgresql://nowhere",
    )
    task = asyncio.create_task(daemon.lead())
    await asyncio.sleep(1)
    task.cancel()
    assert await ends(task)
