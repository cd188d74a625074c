"""What an API key's rights mean for us: which are refused, which an operator is warned of."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from .domain.model import KeyInfo

# Rights that move money out; a key that has one is refused.
_FORBIDDEN: Final = ("Wallet", "Withdraw")
_SOON: Final = timedelta(days=14)


def forbidden_rights(info: KeyInfo) -> list[str]:
    """Rights of the key that could move money out, as `Group.Right`."""
    return [
        f"{group}.{right}"
        for group, rights in info.permissions.items()
        for right in rights
        if group in _FORBIDDEN
    ]


def warnings(info: KeyInfo, now: datetime) -> Iterable[str]:
    """What an operator should know of a key that is fit for use otherwise."""
    if info.read_only:
        yield "read-only: positions are tracked but cannot be closed"
    if not info.ips or info.ips == ("*",):
        yield "not bound to an IP address: it expires, and works from anywhere"
    if info.expires_at is not None and info.expires_at - now < _SOON:
        yield f"expires {info.expires_at:%Y-%m-%d %H:%M}Z"
