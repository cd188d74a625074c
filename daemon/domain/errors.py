"""The dozen ways things fail, each with a stable code that users and scripts may rely on."""

from __future__ import annotations

from datetime import datetime


class PositiondError(Exception):
    """The root: `code` is stable, `detail` one sentence for a person, `field` names the input."""

    def __init__(self, code: str, detail: str, *, field: str | None = None) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.field = field


class InvalidInput(PositiondError):
    """What was asked cannot be done as it was put; `field` says where."""


class NotFound(PositiondError):
    """It does not exist, or belongs to somebody else: the two are not told apart."""


class Conflict(PositiondError):
    """It contradicts the present state, for example `already-closed`."""


class Unauthenticated(PositiondError):
    """Nobody is signed in, or the sign-in failed."""


class Forbidden(PositiondError):
    """Signed in, but without the right: a token of scope `read`, a foreign origin."""


class Throttled(PositiondError):
    """Too many tries; `retry_after` in seconds."""

    def __init__(self, code: str, detail: str, *, retry_after: float) -> None:
        super().__init__(code, detail)
        self.retry_after = retry_after


class ConfigError(PositiondError):
    """The configuration is wrong; `detail` lists every fault, one per line."""


class StoreUnavailable(PositiondError):
    """The database cannot be reached or refuses to answer; nothing was stored."""


class SchemaMismatch(PositiondError):
    """The database has a schema this version does not know."""


class ExchangeUnreachable(PositiondError):
    """No answer from Bybit: nothing is known of what was asked."""


class ExchangeBusy(PositiondError):
    """Bybit asked us to wait; nothing was executed. `retry_at` is when to come back (UTC)."""

    def __init__(self, code: str, detail: str, *, retry_at: datetime) -> None:
        super().__init__(code, detail)
        self.retry_at = retry_at


class ExchangeRefused(PositiondError):
    """Bybit answered and refused; `ret_code` is its code."""

    def __init__(self, code: str, detail: str, *, ret_code: int) -> None:
        super().__init__(code, detail)
        self.ret_code = ret_code


class CredentialsRefused(ExchangeRefused):
    """Bybit refuses the key itself (wrong, expired, banned, wrong environment, missing right)."""


class IllegalTransition(PositiondError):
    """An event that the closing table has no row for; the state is unchanged."""
