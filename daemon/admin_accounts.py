"""The verb `account`: Bybit credentials on file, checked against the exchange before they are."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime
from uuid import UUID, uuid4

from ..bybit.gateway import open_gateway
from ..store.store import Store
from .admin import label, on_store, quiet_config, user_named
from .config import Config
from .domain.errors import ConfigError, Conflict, InvalidInput, NotFound
from .domain.model import Account, AccountId, Credentials, Environment, KeyInfo, UserId
from .key_rights import forbidden_rights, warnings
from .secret_input import add_secret_arguments, read_secret


def add_account_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    add = actions.add_parser("add", help="put an account's API key on file")
    add.add_argument("--user", required=True, metavar="USERNAME")
    add.add_argument("--label", required=True)
    add.add_argument(
        "--env",
        required=True,
        choices=[environment.value for environment in Environment],
        dest="environment",
    )
    add.add_argument("--key", required=True, help="the API key (its secret is asked for)")
    add.add_argument(
        "--unchecked", action="store_true", help="do not ask the exchange about the key"
    )
    add_secret_arguments(add, "secret")
    listing = actions.add_parser("list", help="list accounts")
    listing.add_argument("--user", metavar="USERNAME", help="of this user only")
    for name, summary in (
        ("check", "ask the exchange what the key may do"),
        ("remove", "take an account off file"),
    ):
        action = actions.add_parser(name, help=summary)
        action.add_argument("id", type=UUID)


def run_account(args: argparse.Namespace) -> int:
    """Add, list, check or remove; a key that can move money out is refused (code 1)."""
    config = quiet_config()
    credentials = Credentials("", "")
    if args.action == "add":
        label(args.label)
        credentials = Credentials(args.key, read_secret(args, "secret"))

    async def work(store: Store) -> None:
        match args.action:
            case "add":
                await _add(store, config, args, credentials)
            case "list":
                await _list(store, args.user)
            case "check":
                account, known = await _on_file(store, args.id)
                _say_rights(await key_info(config, account, known))
            case _:
                await store.accounts.remove(AccountId(args.id))
                print(f"removed {args.id}")

    return on_store(work)


async def key_info(config: Config, account: Account, credentials: Credentials) -> KeyInfo:
    """What the exchange says of the key; InvalidInput where the environment has no host."""
    if account.environment not in config.hosts:
        raise InvalidInput("no-host", f"{account.environment} has no host: set POSITIOND_PAPER_URL")
    async with open_gateway(config.hosts) as gateway:
        return await gateway.account(account, credentials).key_info()


async def _add(
    store: Store, config: Config, args: argparse.Namespace, credentials: Credentials
) -> None:
    user = await user_named(store, args.user)
    environment = Environment(args.environment)
    if not args.unchecked:
        probe = Account(
            AccountId(uuid4()), UserId(user.id), args.label, environment, credentials.key
        )
        _say_rights(await key_info(config, probe, credentials))
    account = await store.accounts.add(user.id, args.label, environment, credentials)
    print(account.id)


async def _list(store: Store, username: str | None) -> None:
    chosen = None if username is None else (await user_named(store, username)).id
    for account, _ in await store.accounts.load_all():
        if chosen is None or account.user_id == chosen:
            print(f"{account.id}  {account.environment:7}  {account.api_key}  {account.label}")


async def _on_file(store: Store, account_id: UUID) -> tuple[Account, Credentials]:
    for account, credentials in await store.accounts.load_all():
        if account.id == account_id:
            if isinstance(credentials, ConfigError):
                raise credentials
            return account, credentials
    raise NotFound("unknown-account", f"there is no account {account_id}")


def _say_rights(info: KeyInfo) -> None:
    """On stderr: of `add`, a script reads the new account's id from stdout."""
    if found := forbidden_rights(info):
        raise Conflict(
            "dangerous-key",
            f"the key may move money out ({', '.join(found)}): make one without these rights",
        )
    for warning in warnings(info, datetime.now(UTC)):
        print(f"warning: {warning}", file=sys.stderr)
    rights = ", ".join(right for rights in info.permissions.values() for right in rights)
    print(f"UID {info.uid}: {rights or 'no rights'}", file=sys.stderr)
