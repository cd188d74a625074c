"""Users, sessions, tokens and sign-in links."""

from __future__ import annotations

import os
from datetime import timedelta
from uuid import uuid4

import asyncpg
import pytest
from positiond.daemon.domain.errors import Conflict, NotFound
from positiond.daemon.domain.model import UserId
from positiond.daemon.domain.people import Identity, Scope, TokenId
from positiond.store.store import Store

from tests.builders_store import MINUTE, NOW


def token_hash() -> bytes:
    return os.urandom(32)


async def test_a_user_is_found_whatever_the_case_of_the_name(store: Store) -> None:
    user = await store.people.add_user("Ann", "hash")
    assert await store.people.user_for_sign_in("aNN") == (user, "hash")
    assert await store.people.user_for_sign_in("bob") is None
    with pytest.raises(Conflict) as refused:
        await store.people.add_user("ann", "hash")
    assert (refused.value.code, refused.value.field) == ("username-taken", "username")
    assert await store.people.users() == [user]


async def test_a_session_lasts_until_it_expires_or_is_ended(store: Store) -> None:
    user = await store.people.add_user("ann", "hash")
    first, second = token_hash(), token_hash()
    for token in (first, second):
        await store.people.open_session(user.id, token, NOW, NOW + MINUTE)
    identity = Identity(user, Scope.TRADE, by_session=True)
    assert await store.people.session(first, NOW) == identity
    assert await store.people.session(first, NOW + MINUTE) is None
    assert await store.people.session(token_hash(), NOW) is None
    await store.people.end_session(first)
    assert await store.people.session(first, NOW) is None
    assert await store.people.session(second, NOW) == identity


async def test_a_new_password_ends_sessions_and_links_but_not_tokens(store: Store) -> None:
    user = await store.people.add_user("ann", "hash")
    session, ticket, token = token_hash(), token_hash(), token_hash()
    await store.people.open_session(user.id, session, NOW, NOW + MINUTE)
    await store.people.create_ticket(user.id, ticket, NOW + MINUTE)
    await store.people.create_token(user.id, "script", Scope.READ, token)
    await store.people.set_password("ANN", "new hash")
    assert await store.people.user_for_sign_in("ann") == (user, "new hash")
    assert await store.people.session(session, NOW) is None
    assert await store.people.ticket(ticket, NOW) is None
    assert await store.people.bearer(token, NOW) is not None
    with pytest.raises(NotFound):
        await store.people.set_password("bob", "hash")


async def test_a_hash_is_renewed_without_ending_or_telling_anything(
    store: Store, postgres_url: str
) -> None:
    user = await store.people.add_user("ann", "hash")
    session, ticket = token_hash(), token_hash()
    await store.people.open_session(user.id, session, NOW, NOW + MINUTE)
    await store.people.create_ticket(user.id, ticket, NOW + MINUTE)
    await store.people.renew_password_hash(user.id, "hash", "stronger hash")
    assert await store.people.user_for_sign_in("ann") == (user, "stronger hash")
    assert await store.people.session(session, NOW) is not None
    assert await store.people.ticket(ticket, NOW) == user
    connection = await asyncpg.connect(postgres_url)
    told = await connection.fetch("SELECT kind FROM events ORDER BY id")
    await connection.close()
    assert [row["kind"] for row in told] == ["user-added"]


async def test_a_hash_that_is_renewed_gives_way_to_a_password_that_was_set(store: Store) -> None:
    user = await store.people.add_user("ann", "hash")
    await store.people.set_password("ann", "another password")
    await store.people.renew_password_hash(user.id, "hash", "stronger hash")
    assert await store.people.user_for_sign_in("ann") == (user, "another password")


async def test_a_link_signs_in_until_it_expires(store: Store) -> None:
    user = await store.people.add_user("ann", "hash")
    ticket = token_hash()
    await store.people.create_ticket(user.id, ticket, NOW + MINUTE)
    assert await store.people.ticket(ticket, NOW) == user
    assert await store.people.ticket(ticket, NOW) == user
    assert await store.people.ticket(ticket, NOW + MINUTE) is None


async def test_a_token_works_until_it_is_revoked_by_its_owner(store: Store) -> None:
    user = await store.people.add_user("ann", "hash")
    stranger = await store.people.add_user("bob", "hash")
    secret = token_hash()
    token = await store.people.create_token(user.id, "script", Scope.READ, secret)
    assert await store.people.bearer(secret, NOW) == Identity(user, Scope.READ, by_session=False)
    for user_id, token_id in ((stranger.id, token.id), (user.id, TokenId(uuid4()))):
        with pytest.raises(NotFound):
            await store.people.revoke_token(user_id, token_id)
    await store.people.revoke_token(user.id, token.id)
    await store.people.revoke_token(user.id, token.id)
    assert await store.people.bearer(secret, NOW) is None
    (kept,) = await store.people.tokens(user.id)
    assert kept.revoked_at is not None
    assert await store.people.tokens(UserId(uuid4())) == []


async def test_the_use_of_a_token_is_noted_at_most_once_a_minute(store: Store) -> None:
    user = await store.people.add_user("ann", "hash")
    secret = token_hash()
    await store.people.create_token(user.id, "script", Scope.TRADE, secret)
    noted = []
    for seconds in (0, 59, 60, 61):
        await store.people.bearer(secret, NOW + timedelta(seconds=seconds))
        noted.append((await store.people.tokens(user.id))[0].last_used_at)
    assert noted == [NOW, NOW, NOW + MINUTE, NOW + MINUTE]
