"""Passwords as argon2id hashes, verified off the event loop."""

from __future__ import annotations

import asyncio

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

# One hash takes 64 MiB: more at once would let a burst of sign-ins eat the machine.
_AT_ONCE = 2


def hash_password(password: str) -> str:
    """An argon2id hash with today's parameters; blocks for tens of milliseconds."""
    return PasswordHasher().hash(password)


class Passwords:
    """Checks sign-ins in worker threads, at the same cost whether or not the user exists."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._turn = asyncio.Semaphore(_AT_ONCE)
        self._decoy: str | None = None

    async def matches(self, password: str, stored: str | None) -> bool:
        """Whether `password` made `stored`; None (unknown user) costs the same and is False."""
        async with self._turn:
            return await asyncio.to_thread(self._verify, password, stored)

    async def hash(self, password: str) -> str:
        async with self._turn:
            return await asyncio.to_thread(self._hasher.hash, password)

    def is_outdated(self, stored: str) -> bool:
        """Made with other parameters than today's."""
        return self._hasher.check_needs_rehash(stored)

    def _verify(self, password: str, stored: str | None) -> bool:
        if stored is None:
            self._compare(self._decoy_hash(), password)
            return False
        return self._compare(stored, password)

    def _compare(self, stored: str, password: str) -> bool:
        try:
            return self._hasher.verify(stored, password)
        except (VerificationError, InvalidHashError):
            return False

    def _decoy_hash(self) -> str:
        if self._decoy is None:
            self._decoy = self._hasher.hash("nobody's password")
        return self._decoy
