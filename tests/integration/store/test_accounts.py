"""Credentials on file: sealed, unique, and kept while they are needed."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import asyncpg
import pytest
from positiond.daemon.domain.errors import ConfigError, Conflict, NotFound
from positiond.daemon.domain.model import AccountId, Credentials, Environment, UserId
from positiond.store.sealing import SealKey
from positiond.store.sql import SQL
from positiond.store.store import Store, open_store

from tests.builders_store import NOW, accept, add_account, add_position


async def test_a_secret_is_sealed_in_the_database_and_comes_back_whole(
    store: Store, postgres_url: str, seal_key: SealKey
) -> None:
    account = await add_account(store)
    assert await store.accounts.load_all() == [(account, Credentials("key-of-ann", "the secret"))]
    connection = await asyncpg.connect(postgres_url)
    row = await connection.fetchrow("SELECT * FROM accounts")
    await connection.close()
    assert b"secret" not in row["sealed_secret"]
    assert row["seal_key_id"] == seal_key.id


async def test_another_key_cannot_read_and_says_which_is_missing(
    store: Store, postgres_url: str, seal_key: SealKey
) -> None:
    account = await add_account(store)
    async with open_store(postgres_url, SealKey(bytes(32))) as other:
        ((found, refused),) = await other.accounts.load_all()
        readable = await add_account(other, "bob")
        assert (readable, Credentials("key-of-bob", "the secret")) in (
            await other.accounts.load_all()
        )
    assert found == account
    assert isinstance(refused, ConfigError)
    assert seal_key.id in refused.detail
    async with open_store(postgres_url, SealKey(bytes(32)), [seal_key]) as rotated:
        assert (found, Credentials("key-of-ann", "the secret")) in await rotated.accounts.load_all()


async def test_labels_are_unique_per_user_and_keys_per_environment(store: Store) -> None:
    account = await add_account(store)
    other = await add_account(store, "bob")
    add = store.accounts.add
    for label, key, code in (("main", "new", "label-taken"), ("new", "key-of-bob", "key-on-file")):
        with pytest.raises(Conflict) as refused:
            await add(account.user_id, label, Environment.PAPER, Credentials(key, "s"))
        assert refused.value.code == code
    await add(account.user_id, "new", Environment.TESTNET, Credentials("key-of-bob", "s"))
    assert len(await store.accounts.of_user(account.user_id)) == 2
    assert await store.accounts.of_user(other.user_id) == [other]
    with pytest.raises(NotFound):
        await add(UserId(uuid4()), "x", Environment.PAPER, Credentials("k", "s"))


async def test_an_account_is_kept_while_it_has_open_positions(store: Store, epoch: int) -> None:
    account = await add_account(store)
    position = await add_position(store, account)
    for _ in range(2):
        with pytest.raises(Conflict) as refused:
            await store.accounts.remove(account.id)
        assert refused.value.code == "account-in-use"
        await accept(store, position)


async def test_a_position_recorded_during_a_removal_finds_no_account(
    store: Store, postgres_url: str
) -> None:
    account = await add_account(store)
    connection = await asyncpg.connect(postgres_url)
    removal = connection.transaction()
    await removal.start()
    await connection.execute(SQL["lock_account"], account.id)
    await connection.execute(SQL["remove_account"], account.id)
    recording = asyncio.create_task(add_position(store, account))
    async with asyncio.timeout(5):
        while not await connection.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
            assert not recording.done()
    await removal.commit()
    await connection.close()
    with pytest.raises(NotFound):
        await recording


async def test_a_removed_account_is_gone_with_its_secret_and_leaves_its_history(
    store: Store, postgres_url: str
) -> None:
    account = await add_account(store)
    position = await add_position(store, account)
    connection = await asyncpg.connect(postgres_url)
    await connection.execute(
        "UPDATE synthetic_positions SET status = 'CLOSED', closed_at = $1", NOW
    )
    await store.accounts.remove(account.id)
    row = await connection.fetchrow("SELECT sealed_secret, removed_at FROM accounts")
    await connection.close()
    assert row["sealed_secret"] is None
    assert await store.accounts.load_all() == []
    assert await store.accounts.of_user(account.user_id) == []
    (closed,) = await store.positions.closed_of(account.user_id, None, 5)
    assert closed.id == position.id
    with pytest.raises(NotFound):
        await add_position(store, account)
    with pytest.raises(NotFound):
        await store.accounts.remove(account.id)
    with pytest.raises(NotFound):
        await store.accounts.remove(AccountId(uuid4()))
    # The label and the key are free again.
    credentials = Credentials("key-of-ann", "s")
    await store.accounts.add(account.user_id, "main", Environment.PAPER, credentials)
