"""Random keys that open the door: API tokens, session cookies, sign-in tickets."""

from __future__ import annotations

import hashlib
import secrets
from typing import Final

# The prefix lets a secret scanner, and a person, tell what a stray string is.
TOKEN_PREFIX = "pd_"
# No key of ours is longer; hashing an 8 KiB header for each request would be a gift.
_LONGEST: Final = 200


def new_token() -> str:
    """An API token to hand out once: 256 random bits behind the prefix."""
    return TOKEN_PREFIX + secrets.token_urlsafe(32)


def new_session_key() -> str:
    """The value of a session cookie or of a sign-in ticket: 256 random bits."""
    return secrets.token_urlsafe(32)


def may_be_ours(text: str) -> bool:
    """Whether it is worth a look in the database.

    A header may hold any bytes, and what is no UTF-8 in it could not even be hashed.
    """
    return 0 < len(text) <= _LONGEST and text.isascii()


def digest(key: str) -> bytes:
    """What is stored of a key. Plain SHA-256 does: nobody can guess 256 random bits."""
    return hashlib.sha256(key.encode()).digest()
