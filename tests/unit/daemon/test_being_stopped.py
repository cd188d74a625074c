"""Being stopped while something else fails: the stop wins, or the process would never end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
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
from positiond.store import leadership
from positiond.store.leadership import HeldEpoch, Leadership

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

    async def save_order(order: CloseOrder) -> None:
        saving.set()
        await fails_when_cut_off()

    stage.ledger.save_order = save_order  # type: ignore[method-assign]  # the database hangs
    closer = TradeCloser(stage.closing(), timing("closes"), asyncio.Event())
    task = asyncio.create_task(closer.run())
    await saving.wait()
    task.cancel()
    assert await ends(task)


def daemon(lock: Leadership) -> wiring.Daemon:
    """A daemon without rows; what its term does is the test's to say."""
    store = SimpleNamespace(
        positions=None,
        closes=None,
        accounts=None,
        switches=None,
        changes=None,
        evidence=None,
        leadership=lock,
    )
    return wiring.Daemon(
        LoopConfig(sweep_minutes=5, close_expiry=timedelta(minutes=15)),
        cast(Any, store),
        OpenDoor(),
        Hub(),
        "postgresql://nowhere",
    )


class LockConnection:
    """A connection that has the trading lock until it is cut."""

    def __init__(self) -> None:
        self.on_loss: Callable[[object], None] = lambda _: None

    async def fetchval(self, _query: str, *_values: object, timeout: float) -> int:
        return 1

    def add_termination_listener(self, on_loss: Callable[[object], None]) -> None:
        self.on_loss = on_loss

    async def close(self, timeout: float) -> None:
        pass


class Terms:
    """What the daemon's terms do, one after the other; the last one lasts."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.script: list[Coroutine[Any, Any, None]] = []
        self.begun = 0
        self.connection = LockConnection()
        monkeypatch.setattr(wiring, "migrate", self._nothing_to_migrate)
        monkeypatch.setattr(wiring, "missing", self._nothing_to_migrate)
        monkeypatch.setattr(wiring.Daemon, "_term", self._term)
        monkeypatch.setattr(leadership, "connect", self._connect)

    async def _nothing_to_migrate(self, _url: str) -> list[str]:
        return []

    async def _connect(self, _url: str) -> LockConnection:
        self.connection = LockConnection()
        return self.connection

    async def _term(self) -> None:
        self.begun += 1
        async with asyncio.TaskGroup() as group:
            group.create_task(self.script.pop(0) if self.script else asyncio.sleep(3600))


async def loses_the_database() -> None:
    await asyncio.sleep(1)
    raise LOST


@in_fake_time
async def test_a_stop_while_the_loops_lose_the_database_ends_the_daemon(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Terms(monkeypatch).script.append(fails_when_cut_off())
    task = asyncio.create_task(daemon(Leadership("", HeldEpoch())).lead())
    await asyncio.sleep(1)
    task.cancel()
    assert await ends(task)


@in_fake_time
async def test_however_terms_end_another_one_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    terms = Terms(monkeypatch)
    terms.script += [loses_the_database(), loses_the_database()]
    task = asyncio.create_task(daemon(Leadership("", HeldEpoch())).lead())
    await asyncio.sleep(60)
    assert terms.begun == 3
    terms.connection.on_loss(None)
    await asyncio.sleep(60)
    assert (terms.begun, task.done()) == (4, False)
    task.cancel()
    assert await ends(task)
