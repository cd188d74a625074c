"""The Bybit credentials on file; a secret is in the database in sealed form only."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import uuid4

from ..daemon.domain.errors import ConfigError, Conflict, NotFound
from ..daemon.domain.model import Account, AccountId, Credentials, Environment, UserId
from .pool import Database, Row
from .refusals import explained
from .sealing import Sealed, Sealer
from .sql import SQL


class Accounts:
    """The ports `Accounts` and `AccountBook` on Postgres."""

    def __init__(self, database: Database, sealer: Sealer) -> None:
        self._database = database
        self._sealer = sealer

    async def add(
        self, user_id: UserId, label: str, environment: Environment, credentials: Credentials
    ) -> Account:
        # The id is made here because the secret is sealed to it: a box moved to another account's
        # row does not open there.
        account_id = AccountId(uuid4())
        sealed = self._sealer.seal(account_id, credentials.secret)
        with explained():
            row = await self._database.row(
                SQL["insert_account"],
                account_id,
                user_id,
                label,
                environment,
                credentials.key,
                sealed.box,
                sealed.key_id,
            )
        return _account(row)

    async def of_user(self, user_id: UserId) -> Sequence[Account]:
        return [
            _account(row) for row in await self._database.fetch(SQL["accounts_of_user"], user_id)
        ]

    async def load_all(self) -> list[tuple[Account, Credentials | ConfigError]]:
        return [
            (_account(row), self._credentials(row))
            for row in await self._database.fetch(SQL["all_accounts"])
        ]

    async def remove(self, account_id: AccountId) -> None:
        async with self._database.transaction() as connection:
            if await connection.fetchval(SQL["lock_account"], account_id) is None:
                raise NotFound("unknown-account", "there is no such account")
            if await connection.fetchval(SQL["account_is_in_use"], account_id):
                raise Conflict("account-in-use", "the account has positions that are not closed")
            await connection.execute(SQL["remove_account"], account_id)

    def _credentials(self, row: Row) -> Credentials | ConfigError:
        sealed = Sealed(row["seal_key_id"], row["sealed_secret"])
        try:
            secret = self._sealer.unseal(AccountId(row["id"]), sealed)
        except ConfigError as error:
            return error
        return Credentials(row["api_key"], secret)


def _account(row: Row) -> Account:
    return Account(
        AccountId(row["id"]),
        UserId(row["user_id"]),
        row["label"],
        Environment(row["environment"]),
        row["api_key"],
    )
