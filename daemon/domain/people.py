"""Who may see and do what: users, sessions, API tokens, and the store they need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NewType, Protocol
from uuid import UUID

from .errors import ConfigError
from .model import Account, AccountId, Credentials, Environment, UserId

TokenId = NewType("TokenId", UUID)


class Scope(StrEnum):
    """What a bearer may do; TRADE includes READ."""

    READ = "read"
    TRADE = "trade"


@dataclass(frozen=True, slots=True)
class User:
    id: UserId
    username: str


@dataclass(frozen=True, slots=True)
class Identity:
    """Who makes a request; a session always has scope TRADE."""

    user: User
    scope: Scope
    by_session: bool


@dataclass(frozen=True, slots=True)
class ApiToken:
    id: TokenId
    user_id: UserId
    label: str
    scope: Scope
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None


class People(Protocol):
    """Users and their ways in. Secrets arrive here as hashes only (SHA-256 of random tokens)."""

    async def user_for_sign_in(self, username: str) -> tuple[User, str] | None:
        """The user and the stored argon2id hash."""
        ...

    async def open_session(
        self, user_id: UserId, token_hash: bytes, now: datetime, expires_at: datetime
    ) -> None: ...

    async def session(self, token_hash: bytes, now: datetime) -> Identity | None: ...

    async def end_session(self, token_hash: bytes) -> None: ...

    async def bearer(self, token_hash: bytes, now: datetime) -> Identity | None:
        """The token's identity unless revoked; notes its use at most once a minute."""
        ...

    async def ticket(self, ticket_hash: bytes, now: datetime) -> User | None:
        """The user a sign-in link was made for, until it expires."""
        ...

    async def add_user(self, username: str, password_hash: str) -> User:
        """Conflict `username-taken`."""
        ...

    async def set_password(self, username: str, password_hash: str) -> None:
        """Ends the user's sessions. NotFound for an unknown name."""
        ...

    async def renew_password_hash(self, user_id: UserId, old: str, new: str) -> None:
        """The same password, hashed anew: ends nothing, and gives way to a password set since."""
        ...

    async def users(self) -> Sequence[User]: ...

    async def create_token(
        self, user_id: UserId, label: str, scope: Scope, token_hash: bytes
    ) -> ApiToken: ...

    async def tokens(self, user_id: UserId) -> Sequence[ApiToken]: ...

    async def revoke_token(self, user_id: UserId, token_id: TokenId) -> None: ...

    async def create_ticket(
        self, user_id: UserId, ticket_hash: bytes, expires_at: datetime
    ) -> None: ...


class AccountBook(Protocol):
    """The Bybit credentials on file; secrets are sealed before they are stored."""

    async def add(
        self, user_id: UserId, label: str, environment: Environment, credentials: Credentials
    ) -> Account:
        """Conflict `label-taken` or `key-on-file`."""
        ...

    async def of_user(self, user_id: UserId) -> Sequence[Account]: ...

    async def load_all(self) -> list[tuple[Account, Credentials | ConfigError]]:
        """Every account; a secret that cannot be unsealed comes as the error instead."""
        ...

    async def remove(self, account_id: AccountId) -> None:
        """Conflict `account-in-use` while it has open positions or a running close."""
        ...
