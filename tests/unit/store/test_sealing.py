"""Sealed secrets and the key that seals them."""

from __future__ import annotations

import base64
import stat
from pathlib import Path
from uuid import UUID

import pytest
from positiond.daemon.domain.errors import ConfigError
from positiond.daemon.domain.model import AccountId
from positiond.store.sealing import (
    Sealed,
    Sealer,
    SealKey,
    parse_seal_key,
    read_or_make_seal_key,
    read_seal_key,
)

OLD, NEW = SealKey(bytes(32)), SealKey(bytes(range(32)))
ANN, BOB = AccountId(UUID(int=1)), AccountId(UUID(int=2))


def test_a_secret_comes_back_and_is_not_in_the_box() -> None:
    sealed = Sealer([NEW]).seal(ANN, "the secret")
    assert b"secret" not in sealed.box
    assert Sealer([NEW]).unseal(ANN, sealed) == "the secret"


def test_the_same_secret_is_never_sealed_the_same_way() -> None:
    sealer = Sealer([NEW])
    assert sealer.seal(ANN, "x").box != sealer.seal(ANN, "x").box


def test_a_box_opens_for_its_own_account_only() -> None:
    sealer = Sealer([NEW])
    with pytest.raises(ConfigError) as refused:
        sealer.unseal(BOB, sealer.seal(ANN, "the secret"))
    assert refused.value.code == "seal-broken"


def test_an_altered_box_does_not_open() -> None:
    sealer = Sealer([NEW])
    sealed = sealer.seal(ANN, "the secret")
    broken = Sealed(sealed.key_id, sealed.box[:-1] + bytes([sealed.box[-1] ^ 1]))
    with pytest.raises(ConfigError):
        sealer.unseal(ANN, broken)


def test_an_older_key_opens_and_the_first_one_seals() -> None:
    sealed = Sealer([OLD]).seal(ANN, "the secret")
    both = Sealer([NEW, OLD])
    assert both.unseal(ANN, sealed) == "the secret"
    assert both.seal(ANN, "x").key_id == NEW.id
    with pytest.raises(ConfigError) as refused:
        Sealer([NEW]).unseal(ANN, sealed)
    assert refused.value.code == "seal-key-unknown"


def test_a_key_never_shows_in_its_repr() -> None:
    assert NEW.material.hex() not in repr(NEW)
    assert repr(NEW.material) not in repr(NEW)


@pytest.mark.parametrize("text", [NEW.material.hex(), base64.b64encode(NEW.material).decode()])
def test_a_key_is_read_from_hexadecimal_and_base64(text: str) -> None:
    assert parse_seal_key(f" {text}\n") == NEW


@pytest.mark.parametrize("text", ["", "00" * 31, "zz" * 32, "c2hvcnQ="])
def test_a_wrong_key_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_seal_key(text)
    assert not text or text not in refused.value.detail


def test_a_key_file_is_made_once_for_the_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "seal.key"
    key = read_or_make_seal_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_or_make_seal_key(path) == key
    assert [file.name for file in tmp_path.iterdir()] == ["seal.key"]


def test_a_key_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "seal.key"
    path.write_bytes(NEW.material)
    path.chmod(0o640)
    with pytest.raises(ConfigError, match="can be read by others"):
        read_seal_key(path)
    path.chmod(0o400)
    assert read_seal_key(path) == NEW


def test_a_key_file_that_is_not_there_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        read_seal_key(tmp_path / "absent")
