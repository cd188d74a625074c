"""A broken constraint never quotes the row: what is hashed or sealed in it stays there."""

from __future__ import annotations

import traceback
from collections.abc import Awaitable

import asyncpg
import pytest
from positiond.daemon.domain.errors import InvalidInput
from positiond.daemon.domain.model import Credentials, Environment
from positiond.daemon.domain.people import Scope
from positiond.store.store import Store

HASH = "$argon2id$v=19$m=65536$c29tZXNhbHQ$aGFzaA"
TOKEN = bytes(range(200, 232))


async def all_that_is_printed(work: Awaitable[object], kind: type[Exception]) -> str:
    """The error with its causes, as a log shows them."""
    with pytest.raises(kind) as refused:
        await work
    return "".join(traceback.format_exception(refused.value)) + repr(refused.value)


async def test_a_name_that_is_too_long_shows_no_password_hash(store: Store) -> None:
    said = await all_that_is_printed(store.people.add_user("x" * 65, HASH), InvalidInput)
    assert "users_username_check" in said
    assert HASH[:8] not in said


async def test_a_tokens_label_that_is_too_long_shows_no_hash_of_it(store: Store) -> None:
    user = await store.people.add_user("ann", HASH)
    adding = store.people.create_token(user.id, "x" * 101, Scope.READ, TOKEN)
    said = await all_that_is_printed(adding, InvalidInput)
    assert "api_tokens_label_check" in said
    assert TOKEN.hex()[:8] not in said


async def test_an_accounts_label_that_is_too_long_shows_neither_key_nor_seal(store: Store) -> None:
    user = await store.people.add_user("ann", HASH)
    credentials = Credentials("the-api-key", "the secret")
    adding = store.accounts.add(user.id, "x" * 101, Environment.TESTNET, credentials)
    said = await all_that_is_printed(adding, InvalidInput)
    assert "accounts_label_check" in said
    assert "the-api-key" not in said
    assert "\\x" not in said


async def test_a_broken_constraint_that_is_a_bug_quotes_no_row_either(store: Store) -> None:
    user = await store.people.add_user("ann", HASH)
    await store.people.create_token(user.id, "first", Scope.READ, TOKEN)
    adding = store.people.create_token(user.id, "second", Scope.READ, TOKEN)
    said = await all_that_is_printed(adding, asyncpg.UniqueViolationError)
    assert "api_tokens_token_hash_key" in said
    assert TOKEN.hex()[:8] not in said
