from __future__ import annotations

import re
from typing import Literal

from argon2 import PasswordHasher
from positiond.http.keys import TOKEN_PREFIX, digest, new_session_key, new_token
from positiond.http.passwords import Passwords, hash_password

from .stubs import CHEAP


async def test_the_right_password_matches_and_no_other() -> None:
    passwords = Passwords(CHEAP)
    stored = await passwords.hash("correct horse")
    assert await passwords.matches("correct horse", stored)
    assert not await passwords.matches("correct horsE", stored)


async def test_an_unknown_user_is_refused_after_the_same_work() -> None:
    verified: list[str] = []

    class Watched(PasswordHasher):
        def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:
            verified.append(str(password))
            return super().verify(hash, password)

    passwords = Passwords(Watched(time_cost=1, memory_cost=8, parallelism=1))
    assert not await passwords.matches("nobody's password", None)
    assert verified == ["nobody's password"]


async def test_a_stored_hash_that_is_none_is_refused_and_not_an_error() -> None:
    assert not await Passwords(CHEAP).matches("anything", "not a hash")


async def test_a_hash_with_other_parameters_is_outdated() -> None:
    stronger = Passwords(PasswordHasher(time_cost=2, memory_cost=8, parallelism=1))
    stored = await Passwords(CHEAP).hash("correct horse")
    assert stronger.is_outdated(stored)
    assert not stronger.is_outdated(await stronger.hash("correct horse"))


def test_what_the_command_line_stores_is_argon2id_with_todays_parameters() -> None:
    stored = hash_password("correct horse")
    assert stored.startswith("$argon2id$")
    assert not PasswordHasher().check_needs_rehash(stored)


def test_tokens_are_prefixed_random_and_stored_as_sha256() -> None:
    token, other = new_token(), new_token()
    assert token.startswith(TOKEN_PREFIX)
    assert token != other
    assert re.fullmatch(r"[\w-]{43}", new_session_key())
    assert len(digest(token)) == 32
    assert token.encode() not in digest(token)
