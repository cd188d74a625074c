"""One leader per database; one that lost the lock is told and can write nothing more."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest
from positiond.daemon.domain.errors import Conflict, StoreUnavailable
from positiond.store.sealing import SealKey
from positiond.store.store import Store, open_store

from tests.builders_store import accept, add_account, add_position, order_of, write_ahead


async def test_a_second_daemon_waits_and_takes_over_with_a_later_epoch(
    store: Store, postgres_url: str, seal_key: SealKey
) -> None:
    taken = asyncio.Event()

    async def standby(other: Store) -> int:
        async with other.leadership.held() as epoch:
            taken.set()
            return epoch

    async with open_store(postgres_url, seal_key) as other, asyncio.TaskGroup() as group:
        async with store.leadership.held() as first:
            second = group.create_task(standby(other))
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1.5):
                    await taken.wait()
        async with asyncio.timeout(5):
            assert await second == first + 1


async def test_a_leader_that_loses_its_connection_is_stopped_and_fenced(
    store: Store, postgres_url: str
) -> None:
    position = await add_position(store, await add_account(store))
    accepted = await accept(store, position)
    order = order_of(accepted.close_id, position, position.components[0])
    reached: list[str] = []
    with pytest.raises(StoreUnavailable) as lost:  # noqa: PT012
        async with store.leadership.held(), asyncio.timeout(10):
            cutting = asyncio.create_task(_cut_lock_holder(postgres_url))
            try:
                await asyncio.Event().wait()
            finally:
                reached.append("the body was cancelled")
                await cutting
                with pytest.raises(Conflict) as refused:
                    await write_ahead(store, order)
                assert refused.value.code == "not-leader"
    assert lost.value.code == "leadership-lost"
    assert reached
    current = asyncio.current_task()
    assert current is not None
    assert current.cancelling() == 0


async def test_a_leader_that_was_replaced_unawares_is_fenced_and_stopped(
    store: Store, postgres_url: str
) -> None:
    position = await add_position(store, await add_account(store))
    accepted = await accept(store, position)
    order = order_of(accepted.close_id, position, position.components[0])
    connection = await asyncpg.connect(postgres_url)
    with pytest.raises(StoreUnavailable):  # noqa: PT012
        async with store.leadership.held():
            await connection.execute("UPDATE leadership SET epoch = epoch + 1")
            with pytest.raises(Conflict) as refused:
                await write_ahead(store, order)
            assert refused.value.code == "not-leader"
            async with asyncio.timeout(10):
                await asyncio.Event().wait()
    await connection.close()


async def test_an_error_of_the_body_passes_unchanged_and_frees_the_lock(store: Store) -> None:
    with pytest.raises(ZeroDivisionError):
        async with store.leadership.held():
            raise ZeroDivisionError
    async with asyncio.timeout(5), store.leadership.held():
        pass


async def test_a_stop_from_outside_stays_a_cancellation(store: Store) -> None:
    leading = asyncio.Event()

    async def lead() -> None:
        async with store.leadership.held():
            leading.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(lead())
    await leading.wait()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


async def _cut_lock_holder(url: str) -> None:
    connection: Any = await asyncpg.connect(url)
    cut = await connection.fetch(
        "SELECT pg_terminate_backend(pid) FROM pg_locks"
        " WHERE locktype = 'advisory' AND database ="
        " (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    await connection.close()
    assert len(cut) == 1
