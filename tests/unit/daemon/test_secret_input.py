import argparse
import io
from pathlib import Path

import pytest
from positiond.daemon.domain.errors import InvalidInput
from positiond.daemon.secret_input import add_secret_arguments, read_key_pair, read_secret


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_secret_arguments(parser, "password")
    return parser.parse_args(words)


def test_a_secret_from_standard_input_loses_only_its_line_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(" with blanks \r\nmore\n"))
    assert read_secret(parsed("--password-stdin"), "password") == " with blanks "


def test_a_secret_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "pw").write_text("hunter2\n")
    assert read_secret(parsed("--password-file", str(tmp_path / "pw")), "password") == "hunter2"


@pytest.mark.parametrize("words", [(), ("--password-stdin",)])
def test_no_secret_is_an_error_not_an_empty_password(
    monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    with pytest.raises(InvalidInput):
        read_secret(parsed(*words), "password")


def test_a_key_pair_comes_from_two_lines_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("the-key\nthe-secret\n")
    pair = read_key_pair(tmp_path / "key")
    assert (pair.key, pair.secret) == ("the-key", "the-secret")
    assert "the-secret" not in repr(pair)


def test_a_key_file_of_another_shape_is_refused(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("only-one\n")
    with pytest.raises(InvalidInput):
        read_key_pair(tmp_path / "key")


def test_a_key_pair_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSITIOND_SMOKE_KEY", "k")
    monkeypatch.setenv("POSITIOND_SMOKE_SECRET", "s")
    assert read_key_pair(None).secret == "s"
