"""Administration on the database itself: users, tokens, the schema, the switch for trading.

The verbs open the store directly. The embedded Postgres is attached to while a daemon runs it,
and started for the moment otherwise.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Awaitable, Callable
from typing import Final
from uuid import UUID

from ..http.keys import digest, new_token
from ..http.passwords import hash_password
from ..store.migrate import check_schema, migrate
from ..store.pool import connect
from ..store.store import Store
from . import logs
from .config import Config, LogConfig
from .domain.errors import InvalidInput, NotFound
from .domain.people import Scope, TokenId, User
from .secret_input import add_secret_arguments, read_secret
from .serving import loaded_config
from .storage import database_url, opened_store

SHORTEST_PASSWORD: Final = 8
# As the schema has it.
LONGEST_USERNAME: Final = 64
LONGEST_LABEL: Final = 100


def on_store(work: Callable[[Store], Awaitable[None]]) -> int:
    """Run `work` on the configured database; 0 unless it raises."""
    config = quiet_config()

    async def run() -> None:
        async with opened_store(config) as store:
            await work(store)

    asyncio.run(run())
    return 0


def quiet_config() -> Config:
    """The configuration; stdout is left to what a script may want to read."""
    logs.configure(LogConfig(level="warning", format="console"))
    return loaded_config()


async def user_named(store: Store, username: str) -> User:
    """NotFound `unknown-user`."""
    for user in await store.people.users():
        if user.username == username:
            return user
    raise NotFound(
        "unknown-user", f"there is no user {username!r}; `positiond user list` shows all"
    )


# --- user ---


def add_user_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, summary in (("add", "add a user"), ("passwd", "set a user's password")):
        action = actions.add_parser(name, help=summary, description=summary.capitalize() + ".")
        action.add_argument("username")
        add_secret_arguments(action, "password")
    actions.add_parser("list", help="list the users")


def run_user(args: argparse.Namespace) -> int:
    """Add a user, set a password (which ends the user's sessions), or list."""
    match args.action:
        case "add":
            username = _username(args.username)
            password = _hashed_password(args)

            async def work(store: Store) -> None:
                user = await store.people.add_user(username, password)
                print(f"added {user.username}")

        case "passwd":
            password = _hashed_password(args)

            async def work(store: Store) -> None:
                await store.people.set_password(args.username, password)
                print(f"password of {args.username} set; its sessions have ended")

        case _:

            async def work(store: Store) -> None:
                for user in await store.people.users():
                    print(user.username)

    return on_store(work)


def _hashed_password(args: argparse.Namespace) -> str:
    password = read_secret(args, "password", confirm=True)
    if len(password) < SHORTEST_PASSWORD:
        raise InvalidInput(
            "short-password", f"a password has at least {SHORTEST_PASSWORD} characters"
        )
    return hash_password(password)


def _username(text: str) -> str:
    if not _is_plain(text, LONGEST_USERNAME):
        raise InvalidInput(
            "bad-username", f"a username is 1 to {LONGEST_USERNAME} printable characters"
        )
    return text


def label(text: str) -> str:
    """What an operator calls a token or an account; InvalidInput for what the schema refuses."""
    if not _is_plain(text, LONGEST_LABEL):
        raise InvalidInput("bad-label", f"a label is 1 to {LONGEST_LABEL} printable characters")
    return text


def _is_plain(text: str, longest: int) -> bool:
    return text.isprintable() and text.strip() == text and 0 < len(text) <= longest


# --- token ---


def add_token_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    create = actions.add_parser("create", help="make a token; it is shown this once")
    create.add_argument("--label", required=True, help="what it is for")
    create.add_argument("--scope", choices=[scope.value for scope in Scope], default="read")
    revoke = actions.add_parser("revoke", help="end a token")
    revoke.add_argument("id", type=UUID)
    listing = actions.add_parser("list", help="list a user's tokens")
    for action in (create, revoke, listing):
        action.add_argument("--user", required=True, metavar="USERNAME")


def run_token(args: argparse.Namespace) -> int:
    """Create (the token alone goes to stdout), list or revoke."""

    async def work(store: Store) -> None:
        user = await user_named(store, args.user)
        match args.action:
            case "create":
                token = new_token()
                await store.people.create_token(
                    user.id, label(args.label), Scope(args.scope), digest(token)
                )
                print(token)
            case "revoke":
                await store.people.revoke_token(user.id, TokenId(args.id))
                print(f"revoked {args.id}")
            case _:
                await _list_tokens(store, user)

    return on_store(work)


async def _list_tokens(store: Store, user: User) -> None:
    for token in await store.people.tokens(user.id):
        state = "revoked" if token.revoked_at else "valid"
        used = f"used {token.last_used_at:%Y-%m-%d %H:%M}Z" if token.last_used_at else "never used"
        print(f"{token.id}  {token.scope:5}  {state:7}  {used}  {token.label}")


# --- the schema and the switch ---


def add_migrate_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--check", action="store_true", help="change nothing, only compare")


def run_migrate(args: argparse.Namespace) -> int:
    """Bring the schema to this version; SchemaMismatch where it is a newer one's."""
    config = quiet_config()

    async def run() -> None:
        async with database_url(config) as url:
            if args.check:
                await check(url)
                print("the schema is this version's")
                return
            applied = await migrate(url)
            print(f"applied {', '.join(applied)}" if applied else "the schema was up to date")

    asyncio.run(run())
    return 0


async def check(url: str) -> None:
    """SchemaMismatch unless the schema is exactly this version's."""
    connection = await connect(url)
    try:
        await check_schema(connection)
    finally:
        await connection.close()


def add_pause_trading_arguments(parser: argparse.ArgumentParser) -> None:
    del parser


def run_pause_trading(_args: argparse.Namespace) -> int:
    """Stop all sending of orders, at once and across restarts."""
    return _switch_trading(paused=True)


def add_resume_trading_arguments(parser: argparse.ArgumentParser) -> None:
    del parser


def run_resume_trading(_args: argparse.Namespace) -> int:
    return _switch_trading(paused=False)


def _switch_trading(*, paused: bool) -> int:
    async def work(store: Store) -> None:
        await store.switches.set_trading_paused(paused)
        print("no order is sent until `positiond resume-trading`" if paused else "orders are sent")

    return on_store(work)
