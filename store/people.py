"""Users and their ways in. Tokens arrive as hashes: the database never sees one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from ..daemon.domain.errors import NotFound
from ..daemon.domain.model import UserId
from ..daemon.domain.people import ApiToken, Identity, Scope, TokenId, User
from .pool import Database, Row
from .refusals import explained
from .sql import SQL


class People:
    """The port `People` on Postgres."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def user_for_sign_in(self, username: str) -> tuple[User, str] | None:
        row = await self._database.row(SQL["user_for_sign_in"], username)
        return row and (_user(row), row["password_hash"])

    async def open_session(
        self, user_id: UserId, token_hash: bytes, now: datetime, expires_at: datetime
    ) -> None:
        await self._database.fetch(SQL["open_session"], user_id, token_hash, now, expires_at)

    async def session(self, token_hash: bytes, now: datetime) -> Identity | None:
        row = await self._database.row(SQL["session"], token_hash, now)
        return row and Identity(_user(row), Scope.TRADE, by_session=True)

    async def end_session(self, token_hash: bytes) -> None:
        await self._database.fetch(SQL["end_session"], token_hash)

    async def bearer(self, token_hash: bytes, now: datetime) -> Identity | None:
        row = await self._database.row(SQL["bearer"], token_hash, now)
        return row and Identity(_user(row), Scope(row["scope"]), by_session=False)

    async def ticket(self, ticket_hash: bytes, now: datetime) -> User | None:
        row = await self._database.row(SQL["ticket"], ticket_hash, now)
        return row and _user(row)

    async def add_user(self, username: str, password_hash: str) -> User:
        with explained():
            return _user(await self._database.row(SQL["insert_user"], username, password_hash))

    async def set_password(self, username: str, password_hash: str) -> None:
        if await self._database.row(SQL["set_password"], username, password_hash) is None:
            raise NotFound("unknown-user", f"there is no user {username!r}")

    async def renew_password_hash(self, user_id: UserId, old: str, new: str) -> None:
        await self._database.fetch(SQL["renew_password_hash"], user_id, old, new)

    async def users(self) -> Sequence[User]:
        return [_user(row) for row in await self._database.fetch(SQL["all_users"])]

    async def create_token(
        self, user_id: UserId, label: str, scope: Scope, token_hash: bytes
    ) -> ApiToken:
        with explained():
            row = await self._database.row(SQL["insert_token"], user_id, label, scope, token_hash)
        return _token(row)

    async def tokens(self, user_id: UserId) -> Sequence[ApiToken]:
        return [_token(row) for row in await self._database.fetch(SQL["tokens_of_user"], user_id)]

    async def revoke_token(self, user_id: UserId, token_id: TokenId) -> None:
        """NotFound for an unknown token, or another user's."""
        if await self._database.row(SQL["revoke_token"], user_id, token_id) is None:
            raise NotFound("unknown-token", "there is no such token")

    async def create_ticket(
        self, user_id: UserId, ticket_hash: bytes, expires_at: datetime
    ) -> None:
        await self._database.fetch(SQL["insert_ticket"], user_id, ticket_hash, expires_at)


def _user(row: Row) -> User:
    return User(UserId(row["id"]), row["username"])


def _token(row: Row) -> ApiToken:
    return ApiToken(
        TokenId(row["id"]),
        UserId(row["user_id"]),
        row["label"],
        Scope(row["scope"]),
        row["created_at"],
        row["last_used_at"],
        row["revoked_at"],
    )
