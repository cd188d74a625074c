"""Sealing of API secrets: AES-256-GCM, bound to the account, by a key outside the database."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import secrets
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ..daemon.domain.errors import ConfigError
from ..daemon.domain.model import AccountId

_KEY_BYTES = 32
_NONCE_BYTES = 12


@dataclass(frozen=True, slots=True)
class SealKey:
    """A 256-bit key; its id is stored with what it sealed and tells nothing of it."""

    material: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.material) != _KEY_BYTES:
            raise ConfigError("seal-key", f"a seal key has {_KEY_BYTES} bytes")

    @property
    def id(self) -> str:
        return hashlib.sha256(b"positiond seal key id" + self.material).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Sealed:
    """`box` is the nonce followed by the ciphertext."""

    key_id: str
    box: bytes


class Sealer:
    """Seals under the first key; unseals what any of them sealed, so that keys can be rotated."""

    def __init__(self, keys: Sequence[SealKey]) -> None:
        self._current = keys[0]
        self._keys = {key.id: key for key in keys}

    def seal(self, account_id: AccountId, secret: str) -> Sealed:
        # Random nonces of 96 bits are safe for some 2^32 secrets under one key.
        nonce = os.urandom(_NONCE_BYTES)
        cipher = AESGCM(self._current.material)
        box = cipher.encrypt(nonce, secret.encode(), account_id.bytes)
        return Sealed(self._current.id, nonce + box)

    def unseal(self, account_id: AccountId, sealed: Sealed) -> str:
        """ConfigError `seal-key-unknown` or `seal-broken`; never any part of the secret."""
        key = self._keys.get(sealed.key_id)
        if key is None:
            raise ConfigError(
                "seal-key-unknown",
                f"the secret of account {account_id} was sealed with key {sealed.key_id}, which "
                "is not among the configured ones",
            )
        nonce, box = sealed.box[:_NONCE_BYTES], sealed.box[_NONCE_BYTES:]
        try:
            return AESGCM(key.material).decrypt(nonce, box, account_id.bytes).decode()
        except InvalidTag:
            raise ConfigError(
                "seal-broken",
                f"the sealed secret of account {account_id} was altered or belongs to another",
            ) from None


def parse_seal_key(text: str) -> SealKey:
    """A key from 64 hexadecimal digits or base64; ConfigError, never repeating the text."""
    text = text.strip()
    try:
        if len(text) == 2 * _KEY_BYTES:
            return SealKey(bytes.fromhex(text))
        return SealKey(base64.b64decode(text, validate=True))
    except (ValueError, binascii.Error):
        raise ConfigError(
            "seal-key", "a seal key is 32 bytes, as 64 hexadecimal digits or base64"
        ) from None


def read_seal_key(path: Path) -> SealKey:
    """The key from a file of 32 raw bytes or of text; others must not be able to read the file."""
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            content = file.read(1024)
    except OSError as error:
        raise ConfigError("seal-key", f"cannot read {path}: {error.strerror}") from error
    if mode & 0o077:
        raise ConfigError("seal-key", f"{path} can be read by others (mode {mode:04o}): chmod 600")
    if len(content) == _KEY_BYTES:
        return SealKey(content)
    return parse_seal_key(content.decode("ascii", errors="replace"))


def read_or_make_seal_key(path: Path) -> SealKey:
    """The key in the data directory, made at first use.

    The file appears whole or not at all: half a key would lock every account out for ever.
    """
    if not path.exists():
        fresh = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        try:
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with open(descriptor, "wb") as file:
                file.write(os.urandom(_KEY_BYTES))
                file.flush()
                os.fsync(file.fileno())
            _publish(fresh, path)
        except OSError as error:
            raise ConfigError("seal-key", f"cannot write {path}: {error.strerror}") from error
    return read_seal_key(path)


def _publish(fresh: Path, path: Path) -> None:
    try:
        # A link, unlike a rename, leaves alone what another process published meanwhile.
        os.link(fresh, path)
    except FileExistsError:
        return
    finally:
        fresh.unlink()
