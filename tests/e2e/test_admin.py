"""The admin verbs as an operator types them, against a database and a paper exchange."""

from __future__ import annotations

import asyncio
import os
import sys
from uuid import UUID

import pytest
from positiond.bybit.paper.server import PaperServer
from positiond.daemon.domain.people import Scope
from positiond.http.keys import digest

from tests.e2e.world import World, now


@pytest.fixture
def verb(world: World) -> Verb:
    return Verb(world)


class Verb:
    """Runs a verb with a line of input; gives exit code, stdout and stderr."""

    def __init__(self, world: World) -> None:
        kept = {key: value for key, value in os.environ.items() if not key.startswith("POSITIOND")}
        self._environ = {**kept, **world.environ}

    async def __call__(self, *words: str, line: str = "") -> tuple[int, str, str]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "positiond.daemon", *words),
            env=self._environ,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate(f"{line}\n".encode())
        assert process.returncode is not None
        return process.returncode, out.decode().strip(), err.decode().strip()


async def test_a_user_and_a_token_are_made_and_the_token_works_until_revoked(
    verb: Verb, world: World
) -> None:
    assert (await verb("user", "add", "ann", "--password-stdin", line="long enough"))[0] == 0
    assert (await verb("user", "list"))[1] == "ann"
    made = await verb("token", "create", "--user", "ann", "--label", "x", "--scope", "trade")
    token = made[1]
    identity = await world.store.people.bearer(digest(token), now())
    assert identity is not None
    assert (identity.user.username, identity.scope) == ("ann", Scope.TRADE)

    listed = (await verb("token", "list", "--user", "ann"))[1]
    assert token not in listed
    assert (await verb("token", "revoke", listed.split()[0], "--user", "ann"))[0] == 0
    assert await world.store.people.bearer(digest(token), now()) is None


async def test_mistakes_are_one_line_each(verb: Verb) -> None:
    code, _, said = await verb("user", "add", "ann", "--password-stdin", line="short")
    assert (code, said.count("\n")) == (2, 0)
    code, _, said = await verb("token", "list", "--user", "nobody")
    assert (code, said.count("\n")) == (1, 0)
    assert "nobody" in said


async def test_a_text_that_the_schema_refuses_is_refused_without_a_secret(
    verb: Verb, world: World
) -> None:
    await world.user("ann")
    long = "x" * 101
    tried = {
        ("user", "add", "x" * 65, "--password-stdin"): "a username is 1 to 64",
        ("user", "add", "ann\n", "--password-stdin"): "a username is 1 to 64",
        ("token", "create", "--user", "ann", "--label", long): "a label is 1 to 100",
        ("token", "create", "--user", "ann", "--label", ""): "a label is 1 to 100",
        (
            *("account", "add", "--user", "ann", "--label", long, "--env", "paper"),
            *("--key", "the-api-key", "--unchecked", "--secret-stdin"),
        ): "a label is 1 to 100",
    }
    for words, why in tried.items():
        code, shown, said = await verb(*words, line="a long enough secret")
        assert (code, shown, said.count("\n")) == (2, "", 0)
        assert why in said
        for secret in ("secret", "argon2", "\\x", "the-api-key"):
            assert secret not in said
    assert (await verb("user", "add", "x" * 64, "--password-stdin", line="long enough"))[0] == 0


async def test_an_account_is_checked_with_the_exchange_before_it_is_on_file(
    verb: Verb, world: World, paper: PaperServer
) -> None:
    ann = await world.user("ann")
    key = paper.add_account("desk")
    words = ("account", "add", "--user", "ann", "--label", "desk", "--env", "paper")

    code, _, said = await verb(*words, "--key", key.key, "--secret-stdin", line="wrong secret")
    assert (code, said.count("\n")) == (1, 0)
    assert await world.store.accounts.of_user(ann.id) == []

    code, made, said = await verb(*words, "--key", key.key, "--secret-stdin", line=key.secret)
    assert (code, key.secret in said) == (0, False)
    (account,) = await world.store.accounts.of_user(ann.id)
    assert account.id == UUID(made)
    assert "UID" in (await verb("account", "check", made))[2]
    assert (await verb("account", "remove", made))[0] == 0
    assert await world.store.accounts.of_user(ann.id) == []


async def test_trading_stays_paused_until_it_is_resumed(verb: Verb, world: World) -> None:
    await verb("pause-trading")
    assert await world.store.switches.trading_paused()
    await verb("resume-trading")
    assert not await world.store.switches.trading_paused()


async def test_a_migrated_schema_is_found_to_be_this_versions(verb: Verb) -> None:
    assert (await verb("migrate", "--check"))[0] == 0
    assert (await verb("migrate"))[1] == "the schema was up to date"
