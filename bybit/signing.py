"""Signatures over exactly the bytes that are sent (Bybit V5: guide, authentication)."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

from ..daemon.domain.errors import CredentialsRefused
from ..daemon.domain.model import Credentials
from . import vocab

_KEY_INVALID = 10003


def hmac_hex(secret: str, payload: bytes) -> str:
    """HMAC-SHA256 as lowercase hex."""
    return hmac.new(secret.encode(), payload, hashlib.sha256).hexdigest()


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs for one key pair. Method and path are not part of a REST signature."""

    credentials: Credentials

    @property
    def key(self) -> str:
        return self.credentials.key

    def headers(
        self, tail: bytes, timestamp_ms: int, recv_window_ms: int = vocab.DEFAULT_RECV_WINDOW_MS
    ) -> dict[str, str]:
        """The signed headers; `tail` is the query without `?` (GET) or the raw body (POST).

        CredentialsRefused for a key that cannot stand in a header: Bybit issues none like it.
        """
        key = self.credentials.key
        if not key or not key.isascii() or not key.isprintable() or " " in key:
            raise CredentialsRefused(
                "key-refused", "the API key has characters that no key has", ret_code=_KEY_INVALID
            )
        payload = f"{timestamp_ms}{key}{recv_window_ms}".encode() + tail
        return {
            vocab.HEADER_KEY: key,
            vocab.HEADER_TIMESTAMP: str(timestamp_ms),
            vocab.HEADER_RECV_WINDOW: str(recv_window_ms),
            vocab.HEADER_SIGN: hmac_hex(self.credentials.secret, payload),
            vocab.HEADER_SIGN_TYPE: "2",
        }

    def stream_signature(self, expires_ms: int) -> str:
        """The signature of a private stream's `auth` request."""
        return hmac_hex(self.credentials.secret, f"{vocab.WS_AUTH_PREFIX}{expires_ms}".encode())
